#include <algorithm>

#include "src/store/sqlite/sqlite_store.hpp"
#include "src/store/sqlite/statements.hpp"

namespace schedctl::store::sqlite {
namespace {

void bind_alert(Query& query, const job::Alert& a) {
  query.bind_all(to_string(a.kind), a.job_id, a.subject, a.node, a.began_at, a.ended_at,
                 to_string(a.ended_by), a.ended_who, a.count, a.events, a.run, a.expected_at,
                 a.detail, a.cause, a.told_at, a.tell_at, a.reminders, a.over_untold,
                 a.silenced_until);
}

/// False: it is of a kind that this program does not know.
bool read_alert(Query& query, job::Alert& a) {
  query.read(a.id);
  const std::optional<job::AlertKind> kind = query.word(job::parse_alert_kind);
  a.kind = kind.value_or(job::AlertKind::failed);
  query.read(a.job_id, a.subject, a.node, a.began_at, a.ended_at);
  a.ended_by = query.word(job::parse_alert_end).value_or(job::AlertEnd::none);
  query.read(a.ended_who, a.count, a.events, a.run, a.expected_at, a.detail, a.cause, a.told_at,
             a.tell_at, a.reminders, a.over_untold, a.silenced_until);
  return kind.has_value();
}

std::vector<job::Alert> read_alerts(Query& query) {
  std::vector<job::Alert> alerts;
  while (query.next()) {
    job::Alert alert;
    if (read_alert(query, alert)) alerts.push_back(std::move(alert));
  }
  return alerts;
}

void bind_message(Query& query, const Message& m) {
  query.bind_all(m.notifier, m.created_at, m.due_at, m.tries, m.payload, m.summary, m.settled_at,
                 m.given_up, m.error);
}

void read_message(Query& query, Message& m) {
  query.read(m.id, m.notifier, m.created_at, m.due_at, m.tries, m.payload, m.summary, m.settled_at,
             m.given_up, m.error);
}

}  // namespace

Result<void> SqliteStore::insert_alert(job::Alert& alert) {
  return database_->write([&]() -> Result<void> {
    Query insert = query(sql::kInsertAlert);
    bind_alert(insert, alert);
    insert.run();
    alert.id = AlertId{database_->raw().getLastInsertRowid()};
    return {};
  });
}

Result<void> SqliteStore::update_alert(const job::Alert& alert) {
  return database_->write([&]() -> Result<void> {
    Query update = query(sql::kUpdateAlert);
    bind_alert(update, alert);
    update.bind_all(alert.id).run();
    return {};
  });
}

Result<std::optional<job::Alert>> SqliteStore::latest_alert(JobId job, job::AlertKind kind,
                                                            const std::string& subject) {
  return database_->read([&]() -> Result<std::optional<job::Alert>> {
    Query found = query(sql::kLatestAlert, job, to_string(kind), subject);
    job::Alert alert;
    if (!found.next() || !read_alert(found, alert)) return std::nullopt;
    return alert;
  });
}

Result<std::vector<job::Alert>> SqliteStore::list_alerts(const AlertFilter& filter) {
  return database_->read([&]() -> Result<std::vector<job::Alert>> {
    if (filter.job_id) {
      Query found = query(filter.open_only ? sql::kOpenAlertsOfJob : sql::kAlertsOfJob,
                          *filter.job_id, filter.limit);
      return read_alerts(found);
    }
    Query found = query(filter.open_only ? sql::kOpenAlerts : sql::kListAlerts, filter.limit);
    return read_alerts(found);
  });
}

Result<std::vector<JobId>> SqliteStore::alerted_jobs() {
  return database_->read([&]() -> Result<std::vector<JobId>> {
    std::vector<JobId> jobs;
    for (Query found = query(sql::kAlertedJobs); found.next();) found.read(jobs.emplace_back());
    return jobs;
  });
}

// A job has few open alerts, so they are read and written one by one; under the write lock, or a
// beat that comes in between would lose what it wrote.
Result<std::int64_t> SqliteStore::end_alerts(JobId job, const std::vector<job::AlertKind>& kinds,
                                             job::AlertEnd how, const std::string& who, Time now) {
  return database_->write([&]() -> Result<std::int64_t> {
    TRY(std::vector<job::Alert> open,
        list_alerts({.open_only = true, .job_id = job, .limit = SIZE_MAX}));
    std::int64_t ended = 0;
    for (job::Alert& alert : open) {
      if (!kinds.empty() && std::ranges::find(kinds, alert.kind) == kinds.end()) continue;
      alert.ended_at = now;
      alert.ended_by = how;
      alert.ended_who = who;
      alert.over_untold = true;
      if (alert.told_at) alert.tell_at.reset();
      TRY_VOID(update_alert(alert));
      ++ended;
    }
    return ended;
  });
}

Result<std::vector<job::Alert>> SqliteStore::alerts_to_tell(Time by, std::size_t limit) {
  std::vector<job::Alert> alerts;
  std::vector<AlertId> unreadable;
  TRY_VOID(database_->read([&]() -> Result<void> {
    for (Query found = query(sql::kAlertsToTell, by, limit); found.next();) {
      job::Alert alert;
      if (read_alert(found, alert))
        alerts.push_back(std::move(alert));
      else
        unreadable.push_back(alert.id);
    }
    return {};
  }));
  // A row that nobody can tell would be due again at once, and for ever.
  for (const AlertId id : unreadable) {
    TRY_VOID(execute(sql::kSetAlertAside, id));
    TRY_VOID(add_event({.at = by,
                        .node = "",
                        .kind = "alert-error",
                        .detail = "alert " + std::to_string(id.value) +
                                  " is set aside: this program does not know its kind"}));
  }
  return alerts;
}

Result<void> SqliteStore::insert_message(Message& message) {
  return database_->write([&]() -> Result<void> {
    Query insert = query(sql::kInsertMessage);
    bind_message(insert, message);
    insert.run();
    message.id = MessageId{database_->raw().getLastInsertRowid()};
    return {};
  });
}

Result<void> SqliteStore::update_message(const Message& message) {
  return database_->write([&]() -> Result<void> {
    Query update = query(sql::kUpdateMessage);
    bind_message(update, message);
    update.bind_all(message.id).run();
    return {};
  });
}

Result<std::vector<Message>> SqliteStore::waiting_messages(const std::string& notifier,
                                                           std::size_t limit) {
  return database_->read([&]() -> Result<std::vector<Message>> {
    std::vector<Message> messages;
    Query found = notifier.empty() ? query(sql::kWaitingMessages, limit)
                                   : query(sql::kWaitingMessagesOf, notifier, limit);
    while (found.next()) read_message(found, messages.emplace_back());
    return messages;
  });
}

Result<std::optional<Message>> SqliteStore::get_message(MessageId id) {
  return database_->read([&]() -> Result<std::optional<Message>> {
    Query found = query(sql::kGetMessage, id);
    if (!found.next()) return std::nullopt;
    Message message;
    read_message(found, message);
    return message;
  });
}

Result<void> SqliteStore::put_notifier(const NotifierState& state) {
  return execute(
      "INSERT OR REPLACE INTO notifier(name, address, stopped_at, why, last_sent) "
      "VALUES (?,?,?,?,?)",
      state.name, state.address, state.stopped_at, state.why, state.last_sent);
}

Result<std::vector<NotifierState>> SqliteStore::list_notifiers() {
  return database_->read([&]() -> Result<std::vector<NotifierState>> {
    std::vector<NotifierState> states;
    Query found =
        query("SELECT name, address, stopped_at, why, last_sent FROM notifier ORDER BY name");
    while (found.next()) {
      NotifierState& s = states.emplace_back();
      found.read(s.name, s.address, s.stopped_at, s.why, s.last_sent);
    }
    return states;
  });
}

Result<std::optional<Time>> SqliteStore::next_telling() {
  return database_->read([&]() -> Result<std::optional<Time>> {
    std::optional<Time> next;
    std::optional<Time> end;
    if (Query first = query(sql::kNextBeginning); first.next()) first.read(next);
    if (Query first = query(sql::kNextEnd); first.next()) first.read(end);
    if (end) next = std::min(next.value_or(*end), *end);
    return next;
  });
}

}  // namespace schedctl::store::sqlite
