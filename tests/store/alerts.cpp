#include <algorithm>

#include "tests/store/backends.hpp"

namespace schedctl::store {
namespace {

using job::AlertEnd;
using job::AlertKind;

job::Alert alert_of(JobId job, AlertKind kind = AlertKind::failed, Time began = at(100)) {
  job::Alert alert;
  alert.job_id = job;
  alert.kind = kind;
  alert.began_at = began;
  return alert;
}

job::Alert add_alert(Store& store, job::Alert alert) {
  must(store.insert_alert(alert));
  return alert;
}

std::vector<std::int64_t> ids(const std::vector<job::Alert>& alerts) {
  std::vector<std::int64_t> found;
  for (const job::Alert& alert : alerts) found.push_back(alert.id.value);
  return found;
}
std::vector<std::int64_t> ids(const std::vector<Message>& messages) {
  std::vector<std::int64_t> found;
  for (const Message& message : messages) found.push_back(message.id.value);
  return found;
}
using Ids = std::vector<std::int64_t>;

/// Differs from a fresh one in every member, so that no column can be mistaken for another.
job::Alert full_alert() {
  job::Alert alert;
  alert.kind = AlertKind::missed;
  alert.job_id = JobId{7};
  alert.subject = std::string("nightly\0\n<!channel> \xc3\xa9\xff", 23);
  alert.node = "node";
  alert.began_at = at(1);
  alert.ended_at = at(2);
  alert.ended_by = AlertEnd::acked;
  alert.ended_who = "ada";
  alert.count = 3;
  alert.events = 4;
  alert.run = RunId{5};
  alert.expected_at = at(6);
  alert.detail = "in words";
  alert.cause = "a cause";
  alert.told_at = at(8);
  alert.tell_at = at(9);
  alert.reminders = 2;
  alert.over_untold = true;
  alert.silenced_until = at(10);
  return alert;
}

void check_same(const job::Alert& got, const job::Alert& want) {
  CHECK(got.id == want.id);
  CHECK(got.kind == want.kind);
  CHECK(got.job_id == want.job_id);
  CHECK((got.subject == want.subject));
  CHECK(got.node == want.node);
  CHECK(got.began_at == want.began_at);
  CHECK(got.ended_at == want.ended_at);
  CHECK(got.ended_by == want.ended_by);
  CHECK(got.ended_who == want.ended_who);
  CHECK(got.count == want.count);
  CHECK(got.events == want.events);
  CHECK(got.run == want.run);
  CHECK(got.expected_at == want.expected_at);
  CHECK(got.detail == want.detail);
  CHECK(got.cause == want.cause);
  CHECK(got.told_at == want.told_at);
  CHECK(got.tell_at == want.tell_at);
  CHECK(got.reminders == want.reminders);
  CHECK(got.over_untold == want.over_untold);
  CHECK(got.silenced_until == want.silenced_until);
}

void check_same(const Message& got, const Message& want) {
  CHECK(got.id == want.id);
  CHECK(got.notifier == want.notifier);
  CHECK(got.created_at == want.created_at);
  CHECK(got.due_at == want.due_at);
  CHECK(got.tries == want.tries);
  CHECK((got.payload == want.payload));
  CHECK(got.summary == want.summary);
  CHECK(got.settled_at == want.settled_at);
  CHECK(got.given_up == want.given_up);
  CHECK(got.error == want.error);
}

Message message_to(const std::string& notifier) {
  Message message;
  message.notifier = notifier;
  message.created_at = at(1);
  message.due_at = at(2);
  message.payload = "{}";
  return message;
}

Message add_message(Store& store, Message message) {
  must(store.insert_message(message));
  return message;
}

// ---- rows

FOR_EACH_BACKEND("an alert comes back as it was written, and as it was changed") {
  OPEN_STORE;
  const job::Alert plain = add_alert(store, alert_of(JobId{6}));
  job::Alert alert = add_alert(store, full_alert());
  CHECK(plain.id);
  CHECK(alert.id.value > plain.id.value);
  std::vector<job::Alert> all = must(store.list_alerts({}));
  REQUIRE(all.size() == 2);
  check_same(all[0], alert);
  check_same(all[1], plain);

  for (AlertKind kind :
       {AlertKind::delayed, AlertKind::inactive, AlertKind::missed, AlertKind::failed,
        AlertKind::lost, AlertKind::storage, AlertKind::keeper, AlertKind::job_file}) {
    job::Alert other = alert_of(JobId{8}, kind);
    other.id = alert.id;
    must(store.update_alert(other));
    check_same(must(store.list_alerts({})).at(0), other);
  }
  for (AlertEnd end : {AlertEnd::none, AlertEnd::succeeded, AlertEnd::started, AlertEnd::acked,
                       AlertEnd::paused, AlertEnd::removed, AlertEnd::recovered}) {
    alert.ended_by = end;
    must(store.update_alert(alert));
    check_same(must(store.list_alerts({})).at(0), alert);
  }
  check_same(must(store.list_alerts({})).at(1), plain);
}

FOR_EACH_BACKEND("a change of an alert that is not there changes nothing") {
  OPEN_STORE;
  add_alert(store, alert_of(JobId{1}));
  job::Alert nobody = full_alert();
  nobody.id = AlertId{99};
  must(store.update_alert(nobody));
  CHECK(must(store.list_alerts({})).size() == 1);
  CHECK(must(store.list_alerts({})).at(0).job_id == JobId{1});
}

FOR_EACH_BACKEND("the latest alert is the youngest of a job and kind, open or not") {
  OPEN_STORE;
  const JobId one{1};
  CHECK_FALSE(must(store.latest_alert(one, AlertKind::failed, "")));
  add_alert(store, alert_of(one));
  job::Alert ended = alert_of(one);
  ended.ended_at = at(200);
  ended = add_alert(store, ended);
  add_alert(store, alert_of(one, AlertKind::missed));
  add_alert(store, alert_of(JobId{2}));
  check_same(must(store.latest_alert(one, AlertKind::failed, "")).value(), ended);
  CHECK_FALSE(must(store.latest_alert(one, AlertKind::lost, "")));
  CHECK_FALSE(must(store.latest_alert(JobId{3}, AlertKind::failed, "")));

  // A job is known by its id, whatever it was called then.
  job::Alert renamed = alert_of(one, AlertKind::missed);
  renamed.subject = "old-name";
  renamed = add_alert(store, renamed);
  CHECK(must(store.latest_alert(one, AlertKind::missed, "new-name"))->id == renamed.id);
}

FOR_EACH_BACKEND("of the scheduler's own alerts the latest is that of a subject") {
  OPEN_STORE;
  for (const char* file : {"a.toml", "b.toml", "a.toml"}) {
    job::Alert alert = alert_of(JobId{}, AlertKind::job_file);
    alert.subject = file;
    add_alert(store, alert);
  }
  CHECK(must(store.latest_alert(JobId{}, AlertKind::job_file, "a.toml"))->id == AlertId{3});
  CHECK(must(store.latest_alert(JobId{}, AlertKind::job_file, "b.toml"))->id == AlertId{2});
  CHECK_FALSE(must(store.latest_alert(JobId{}, AlertKind::job_file, "")));
  CHECK_FALSE(must(store.latest_alert(JobId{}, AlertKind::storage, "a.toml")));
}

// ---- lists

FOR_EACH_BACKEND(
    "alerts are listed newest first, open ones, of a job, and no more than asked for") {
  OPEN_STORE;
  CHECK(must(store.list_alerts({})).empty());
  // Ids 1 to 6; the even ones have ended, and every third is of job 2. began_at tells another
  // order.
  for (int i = 1; i <= 6; ++i) {
    job::Alert alert = alert_of(JobId{i % 3 == 0 ? 2 : 1}, AlertKind::failed, at(100 - i));
    if (i % 2 == 0) alert.ended_at = at(500);
    add_alert(store, alert);
  }
  CHECK(ids(must(store.list_alerts({}))) == Ids{6, 5, 4, 3, 2, 1});
  CHECK(ids(must(store.list_alerts({.open_only = true}))) == Ids{5, 3, 1});
  CHECK(ids(must(store.list_alerts({.job_id = JobId{2}}))) == Ids{6, 3});
  CHECK(ids(must(store.list_alerts({.open_only = true, .job_id = JobId{1}}))) == Ids{5, 1});
  CHECK(must(store.list_alerts({.job_id = JobId{3}})).empty());
  CHECK(must(store.list_alerts({.job_id = JobId{}})).empty());
  CHECK(ids(must(store.list_alerts({.limit = 2}))) == Ids{6, 5});
  CHECK(ids(must(store.list_alerts({.open_only = true, .limit = 1}))) == Ids{5});
  CHECK(ids(must(store.list_alerts({.job_id = JobId{2}, .limit = 1}))) == Ids{6});
  CHECK(ids(must(store.list_alerts({.open_only = true, .job_id = JobId{1}, .limit = 1}))) ==
        Ids{5});
  CHECK(must(store.list_alerts({.limit = 0})).empty());
  CHECK(must(store.list_alerts({.limit = SIZE_MAX})).size() == 6);
}

FOR_EACH_BACKEND("jobs with open alerts are named once, and counted") {
  OPEN_STORE;
  CHECK(must(store.alerted_jobs()).empty());
  CHECK(must(store.counts()).alerts_open == 0);
  const job::Job a = add_job(store, "a");
  const job::Job b = add_job(store, "b");
  add_job(store, "c");
  add_alert(store, alert_of(a.id));
  add_alert(store, alert_of(a.id, AlertKind::missed));
  job::Alert over = alert_of(b.id);
  over.ended_at = at(1);
  over = add_alert(store, over);
  std::vector<JobListing> jobs = must(store.list_jobs(""));
  CHECK(must(store.alerted_jobs()) == std::vector<JobId>{a.id});
  CHECK(must(store.counts()).alerts_open == 2);
  CHECK(jobs.at(0).open_alerts == 2);
  CHECK(jobs.at(1).open_alerts == 0);
  CHECK(jobs.at(2).open_alerts == 0);
  CHECK(must(store.list_jobs("a")).at(0).open_alerts == 2);

  add_alert(store, alert_of(JobId{}, AlertKind::keeper));
  over.ended_at.reset();
  must(store.update_alert(over));
  std::vector<JobId> alerted = must(store.alerted_jobs());
  std::ranges::sort(alerted);
  CHECK(alerted == std::vector<JobId>{JobId{}, a.id, b.id});
  CHECK(must(store.counts()).alerts_open == 4);
  CHECK(must(store.list_jobs("")).at(0).open_alerts == 2);
}

FOR_EACH_BACKEND("alerts outlive their job, and a new job of its name has none") {
  OPEN_STORE;
  job::Job job = add_job(store, "a");
  add_alert(store, alert_of(job.id));
  must(store.delete_job(job.id));
  CHECK(must(store.list_alerts({.job_id = job.id})).size() == 1);
  CHECK(must(store.latest_alert(job.id, AlertKind::failed, "a")));
  job::Job again = add_job(store, "a");
  CHECK(again.id != job.id);
  CHECK(must(store.list_jobs("")).at(0).open_alerts == 0);
  CHECK_FALSE(must(store.latest_alert(again.id, AlertKind::failed, "a")));
}

// ---- ends

FOR_EACH_BACKEND("ending a job's alerts ends the open ones of the kinds, to be told") {
  OPEN_STORE;
  const JobId job{1};
  job::Alert told = alert_of(job, AlertKind::failed);
  told.told_at = at(101);
  told.tell_at = at(900);  // the reminder
  job::Alert untold = alert_of(job, AlertKind::delayed);
  untold.tell_at = at(102);  // the beginning
  job::Alert ended = alert_of(job, AlertKind::failed);
  ended.ended_at = at(103);
  ended.ended_by = AlertEnd::succeeded;
  add_alert(store, told);
  add_alert(store, untold);
  ended = add_alert(store, ended);
  const job::Alert missed = add_alert(store, alert_of(job, AlertKind::missed));
  const job::Alert other = add_alert(store, alert_of(JobId{2}, AlertKind::failed));

  CHECK(must(store.end_alerts(job, {AlertKind::lost}, AlertEnd::acked, "ada", at(200))) == 0);
  CHECK(must(store.end_alerts(JobId{9}, {}, AlertEnd::acked, "ada", at(200))) == 0);
  CHECK(must(store.end_alerts(job, {AlertKind::failed, AlertKind::delayed}, AlertEnd::acked, "ada",
                              at(200))) == 2);
  std::vector<job::Alert> all = must(store.list_alerts({}));
  REQUIRE(all.size() == 5);
  std::ranges::reverse(all);
  for (const std::size_t i : {0, 1}) {
    CHECK(all[i].ended_at == at(200));
    CHECK(all[i].ended_by == AlertEnd::acked);
    CHECK(all[i].ended_who == "ada");
    CHECK(all[i].over_untold);
  }
  // Nobody is reminded of what is over; a beginning that nobody heard of is the teller's to judge.
  CHECK_FALSE(all[0].tell_at);
  CHECK(all[0].told_at == at(101));
  CHECK(all[1].tell_at == at(102));
  check_same(all[2], ended);
  check_same(all[3], missed);
  check_same(all[4], other);

  CHECK(must(store.end_alerts(job, {}, AlertEnd::removed, "", at(201))) == 1);
  CHECK(must(store.end_alerts(job, {}, AlertEnd::removed, "", at(202))) == 0);
  CHECK(ids(must(store.list_alerts({.open_only = true}))) == Ids{5});
}

FOR_EACH_BACKEND("every open alert of the scheduler ends, however many there are") {
  OPEN_STORE;
  {
    Transaction transaction = must(Transaction::begin(store));
    for (int i = 0; i < 2'500; ++i) {
      job::Alert alert = alert_of(JobId{}, AlertKind::job_file);
      alert.subject = std::to_string(i);
      add_alert(store, alert);
    }
    must(transaction.commit());
  }
  CHECK(must(store.end_alerts(JobId{}, {AlertKind::job_file}, AlertEnd::recovered, "", at(1))) ==
        2'500);
  CHECK(must(store.counts()).alerts_open == 0);
}

// ---- telling

FOR_EACH_BACKEND("what is to be told is due, or over and untold; oldest first") {
  OPEN_STORE;
  CHECK(must(store.alerts_to_tell(at(1'000), 10)).empty());
  CHECK_FALSE(must(store.next_telling()));
  auto add = [&store](std::optional<Time> tell, std::optional<Time> ended, bool untold) {
    job::Alert alert = alert_of(JobId{1});
    alert.tell_at = tell;
    alert.ended_at = ended;
    alert.over_untold = untold;
    return add_alert(store, alert);
  };
  add(at(50), {}, false);
  add({}, {}, false);  // told, and no reminder is due
  add(at(40), {}, false);
  add({}, at(45), true);      // its end is untold
  add({}, at(10), false);     // all was said
  add(at(20), at(30), true);  // began and ended before anybody heard of it
  add(at(60), {}, false);

  CHECK(ids(must(store.alerts_to_tell(at(19), 10))) == Ids{4, 6});
  CHECK(ids(must(store.alerts_to_tell(at(39), 10))) == Ids{4, 6});
  CHECK(ids(must(store.alerts_to_tell(at(40), 10))) == Ids{3, 4, 6});
  CHECK(ids(must(store.alerts_to_tell(at(50), 10))) == Ids{1, 3, 4, 6});
  CHECK(ids(must(store.alerts_to_tell(at(60), 10))) == Ids{1, 3, 4, 6, 7});
  CHECK(ids(must(store.alerts_to_tell(at(60), 2))) == Ids{1, 3});
  CHECK(ids(must(store.alerts_to_tell(at(60), SIZE_MAX))) == Ids{1, 3, 4, 6, 7});
  CHECK(must(store.alerts_to_tell(at(60), 0)).empty());
  check_same(must(store.alerts_to_tell(at(60), 10)).at(3),
             must(store.list_alerts({.limit = 2})).at(1));
}

FOR_EACH_BACKEND("the next telling is the first of beginnings, reminders and untold ends") {
  OPEN_STORE;
  job::Alert alert = alert_of(JobId{1});
  add_alert(store, alert);
  CHECK_FALSE(must(store.next_telling()));
  alert.tell_at = at(50);
  alert = add_alert(store, alert);
  CHECK(must(store.next_telling()) == at(50));
  job::Alert over = alert_of(JobId{2});
  over.ended_at = at(70);
  over.over_untold = true;
  over = add_alert(store, over);
  CHECK(must(store.next_telling()) == at(50));
  alert.tell_at = at(80);
  must(store.update_alert(alert));
  CHECK(must(store.next_telling()) == at(70));
  over.over_untold = false;
  must(store.update_alert(over));
  CHECK(must(store.next_telling()) == at(80));
  alert.tell_at.reset();
  must(store.update_alert(alert));
  CHECK_FALSE(must(store.next_telling()));
}

// ---- outbox

FOR_EACH_BACKEND("a message comes back as it was written, and as it was changed") {
  OPEN_STORE;
  CHECK_FALSE(must(store.get_message(MessageId{1})));
  Message message = message_to("slack");
  message.tries = 3;
  message.payload = std::string("{\"text\": \"\0\xff <!channel>\"}", 25);
  message.summary = "a failed";
  message.settled_at = at(5);
  message.given_up = true;
  message.error = "410 Gone";
  message = add_message(store, message);
  const Message plain = add_message(store, message_to("mail"));
  REQUIRE(message.id);
  CHECK(plain.id.value > message.id.value);
  check_same(must(store.get_message(message.id)).value(), message);
  check_same(must(store.get_message(plain.id)).value(), plain);

  message.tries = 4;
  message.due_at = at(9);
  message.payload = "text";
  message.settled_at.reset();
  message.given_up = false;
  message.error = "";
  must(store.update_message(message));
  check_same(must(store.get_message(message.id)).value(), message);
  check_same(must(store.get_message(plain.id)).value(), plain);
  message.id = MessageId{77};
  must(store.update_message(message));
  CHECK_FALSE(must(store.get_message(MessageId{77})));
}

FOR_EACH_BACKEND("waiting messages are the unsettled ones, oldest first, whenever they are due") {
  OPEN_STORE;
  CHECK(must(store.waiting_messages("", 10)).empty());
  for (const char* notifier : {"slack", "mail", "slack", "slack", "mail"}) {
    Message message = message_to(notifier);
    message.due_at = at(1'000 - static_cast<int>(must(store.waiting_messages("", 10)).size()));
    add_message(store, message);
  }
  CHECK(ids(must(store.waiting_messages("", 10))) == Ids{1, 2, 3, 4, 5});
  CHECK(ids(must(store.waiting_messages("slack", 10))) == Ids{1, 3, 4});
  CHECK(ids(must(store.waiting_messages("mail", 10))) == Ids{2, 5});
  CHECK(must(store.waiting_messages("pager", 10)).empty());
  CHECK(ids(must(store.waiting_messages("slack", 1))) == Ids{1});
  CHECK(ids(must(store.waiting_messages("", 2))) == Ids{1, 2});
  CHECK(ids(must(store.waiting_messages("", SIZE_MAX))) == Ids{1, 2, 3, 4, 5});
  CHECK(must(store.waiting_messages("", 0)).empty());

  Message sent = must(store.get_message(MessageId{1})).value();
  sent.settled_at = at(5);
  must(store.update_message(sent));
  Message again = must(store.get_message(MessageId{3})).value();
  again.tries = 1;
  again.due_at = at(9'999);
  must(store.update_message(again));
  CHECK(ids(must(store.waiting_messages("slack", 1))) == Ids{3});
  check_same(must(store.waiting_messages("slack", 1)).at(0), again);
  CHECK(ids(must(store.waiting_messages("", 10))) == Ids{2, 3, 4, 5});
}

FOR_EACH_BACKEND("a notifier has one row, the latest, and they come by name") {
  OPEN_STORE;
  CHECK(must(store.list_notifiers()).empty());
  NotifierState slack{.name = "slack", .address = "abc"};
  must(store.put_notifier(slack));
  must(store.put_notifier({.name = "mail", .address = "x", .last_sent = at(3)}));
  slack.address = "def";
  slack.stopped_at = at(1);
  slack.why = "410 Gone";
  slack.last_sent = at(2);
  must(store.put_notifier(slack));
  std::vector<NotifierState> all = must(store.list_notifiers());
  REQUIRE(all.size() == 2);
  CHECK(all[0].name == "mail");
  CHECK(all[0].address == "x");
  CHECK_FALSE(all[0].stopped_at);
  CHECK(all[0].last_sent == at(3));
  CHECK(all[1].name == "slack");
  CHECK(all[1].address == "def");
  CHECK(all[1].stopped_at == at(1));
  CHECK(all[1].why == "410 Gone");
  CHECK(all[1].last_sent == at(2));
  slack.stopped_at.reset();
  slack.why = "";
  must(store.put_notifier(slack));
  CHECK_FALSE(must(store.list_notifiers()).at(1).stopped_at);
}

// ---- transactions

FOR_EACH_BACKEND("a rollback takes back what was told and what was ended") {
  OPEN_STORE;
  job::Alert kept = alert_of(JobId{1});
  kept.tell_at = at(5);
  kept = add_alert(store, kept);
  const Message waiting = add_message(store, message_to("slack"));
  auto change = [&] {
    Transaction transaction = must(Transaction::begin(store));
    job::Alert began = add_alert(store, alert_of(JobId{2}));
    job::Alert told = kept;
    told.told_at = at(5);
    told.tell_at.reset();
    must(store.update_alert(told));
    Message sent = waiting;
    sent.settled_at = at(6);
    must(store.update_message(sent));
    Message next = add_message(store, message_to("slack"));
    CHECK(must(store.end_alerts(JobId{2}, {}, AlertEnd::succeeded, "", at(7))) == 1);
    must(store.put_notifier({.name = "slack"}));
    // A beat reads what it has written.
    CHECK(ids(must(store.waiting_messages("", 9))) == Ids{next.id.value});
    CHECK(ids(must(store.alerts_to_tell(at(5), 9))) == Ids{began.id.value});
    CHECK(must(store.next_telling()) == at(7));
    return transaction;
  };
  { Transaction dropped = change(); }
  CHECK(ids(must(store.waiting_messages("", 9))) == Ids{waiting.id.value});
  REQUIRE(must(store.list_alerts({})).size() == 1);
  check_same(must(store.list_alerts({})).at(0), kept);
  CHECK(must(store.list_notifiers()).empty());
  CHECK(must(store.next_telling()) == at(5));

  Transaction transaction = change();
  must(transaction.commit());
  CHECK(must(store.list_alerts({})).size() == 2);
  CHECK(must(store.counts()).alerts_open == 1);
  CHECK(must(store.get_message(waiting.id))->settled_at == at(6));
  CHECK(must(store.list_notifiers()).size() == 1);
}

}  // namespace
}  // namespace schedctl::store
