#include <algorithm>
#include <limits>

#include "schedctl/base/limits.hpp"
#include "tests/store/stores.hpp"

// What every backend promises. Each case runs once for each of them.

namespace schedctl::store {
namespace {

struct Memory {
  std::unique_ptr<Store> store = open_memory();
};

struct Sqlite {
  ScratchDir dir;
  std::unique_ptr<Store> store = must(open_sqlite({.path = dir.file("test.db")}));
};

std::vector<std::int64_t> ids(const std::vector<job::Run>& runs) {
  std::vector<std::int64_t> found;
  for (const job::Run& run : runs) found.push_back(run.id.value);
  return found;
}

std::vector<std::string> names(const std::vector<job::Job>& jobs) {
  std::vector<std::string> found;
  for (const job::Job& job : jobs) found.push_back(job.name);
  return found;
}

std::vector<std::string> names(const std::vector<JobListing>& listings) {
  std::vector<std::string> found;
  for (const JobListing& listing : listings) found.push_back(listing.job.name);
  return found;
}

/// Every byte there is, twice over.
std::string all_bytes() {
  std::string bytes;
  for (int i = 0; i < 512; ++i) bytes += static_cast<char>(i);
  return bytes;
}

job::Job job_with_everything() {
  job::Job job = job_named("every.thing_1-x");
  job.version = 7;
  job.definition.schedule = {.kind = job::ScheduleKind::cron,
                             .every = Duration(1),
                             .anchor = at(-5),
                             .cron = "30 2 * * MON#1",
                             .timezone = "Europe/Amsterdam",
                             .at = at(99),
                             .dst_gap = job::DstGap::skip,
                             .dst_fold = job::DstFold::both};
  job.definition.action.command = {
      "/bin/echo",          "", "two words", "\"quo\\ted\"", "tab\tline\n\x01", "na\xc3\xafve",
      "not utf-8: \xff\xfe"};
  job.definition.action.shell = "echo 'x' | wc";
  job.definition.cwd = "/var/lib/x y";
  job.definition.env = {{"B", "2"}, {"A", ""}, {"C", "{\"json\": [1]}"}};
  job.definition.tags = {"night", "db"};
  job.definition.policy = {.overlap = job::Overlap::skip,
                           .misfire_grace = std::chrono::hours(2),
                           .coalesce = job::Coalesce::all,
                           .jitter = std::chrono::seconds(3),
                           .timeout = std::chrono::seconds(4),
                           .kill_grace = Duration(0),
                           .max_attempts = 5,
                           .backoff = std::chrono::seconds(6),
                           .max_delay = limits::kLongestDuration,
                           .on_lost = job::OnLost::retry};
  job.managed_by = "file:/etc/schedctl/jobs.d/a.toml";
  job.paused = true;
  job.paused_at = at(2'000);
  job.paused_reason = "it's broken";
  job.planned_through = at(3'000);
  job.next_fire = at(4'000);
  job.last_fire = at(5'000);
  job.last_start = at(5'001);
  job.last_end = at(5'002);
  job.last_state = job::RunState::lost;
  return job;
}

void check_same(const job::Job& a, const job::Job& b) {
  CHECK(a.id == b.id);
  CHECK(a.name == b.name);
  CHECK(a.version == b.version);
  CHECK(a.definition.schedule == b.definition.schedule);
  CHECK(a.definition.action == b.definition.action);
  CHECK(a.definition.policy == b.definition.policy);
  CHECK(a.definition == b.definition);
  CHECK(a.managed_by == b.managed_by);
  CHECK(a.created_at == b.created_at);
  CHECK(a.paused == b.paused);
  CHECK(a.paused_at == b.paused_at);
  CHECK(a.paused_reason == b.paused_reason);
  CHECK(a.planned_through == b.planned_through);
  CHECK(a.next_fire == b.next_fire);
  CHECK(a.last_fire == b.last_fire);
  CHECK(a.last_start == b.last_start);
  CHECK(a.last_end == b.last_end);
  CHECK(a.last_state == b.last_state);
}

job::AttemptResult result_with_everything() {
  return {.attempt = 3,
          .started_at = at(10),
          .ended_at = at(11),
          .pid = 4'194'304,
          .exit_code = 255,
          .signal = 9,
          .error = "exec: No such file or directory",
          .cpu = Duration(1'234'567),
          .max_rss_kb = 5'000'000'000,
          .output_path = "/var/lib/schedctl/output/1",
          .output_bytes = 6'000'000'000,
          .output_tail = all_bytes()};
}

job::Run run_with_everything(const job::Job& job) {
  job::Run run = run_of(job, at(100));
  run.last_fire_time = at(200);
  run.count = 12;
  run.created_at = at(201);
  run.due_at = at(202);
  run.state = job::RunState::running;
  run.reason = job::Reason::operator_;
  run.attempt = 4;
  run.lost_count = 1;
  run.start_failures = 2;
  run.fence = 5;
  run.node = "node";
  run.keeper = "keeper";
  run.waits = run.forced = run.cancel_requested = true;
  run.result = result_with_everything();
  return run;
}

void check_same(const job::AttemptResult& a, const job::AttemptResult& b) {
  CHECK(a.attempt == b.attempt);
  CHECK(a.started_at == b.started_at);
  CHECK(a.ended_at == b.ended_at);
  CHECK(a.pid == b.pid);
  CHECK(a.exit_code == b.exit_code);
  CHECK(a.signal == b.signal);
  CHECK(a.error == b.error);
  CHECK(a.cpu == b.cpu);
  CHECK(a.max_rss_kb == b.max_rss_kb);
  CHECK(a.output_path == b.output_path);
  CHECK(a.output_bytes == b.output_bytes);
  CHECK((a.output_tail == b.output_tail));
}

void check_same(const job::Run& a, const job::Run& b) {
  CHECK(a.id == b.id);
  CHECK(a.job_id == b.job_id);
  CHECK(a.job_name == b.job_name);
  CHECK(a.job_version == b.job_version);
  CHECK(a.cause == b.cause);
  CHECK(a.fire_time == b.fire_time);
  CHECK(a.last_fire_time == b.last_fire_time);
  CHECK(a.count == b.count);
  CHECK(a.created_at == b.created_at);
  CHECK(a.due_at == b.due_at);
  CHECK(a.state == b.state);
  CHECK(a.reason == b.reason);
  CHECK(a.attempt == b.attempt);
  CHECK(a.lost_count == b.lost_count);
  CHECK(a.start_failures == b.start_failures);
  CHECK(a.fence == b.fence);
  CHECK(a.node == b.node);
  CHECK(a.keeper == b.keeper);
  CHECK(a.waits == b.waits);
  CHECK(a.forced == b.forced);
  CHECK(a.cancel_requested == b.cancel_requested);
  CHECK(a.key == b.key);
  check_same(a.result, b.result);
}

#define FOR_EACH_BACKEND(sentence) TEST_CASE_TEMPLATE(sentence, Backend, Memory, Sqlite)
#define OPEN_STORE \
  Backend backend; \
  Store& store = *backend.store

// ---- jobs

FOR_EACH_BACKEND("a job comes back exactly as it was stored") {
  OPEN_STORE;
  job::Job job = job_with_everything();
  must(store.insert_job(job));
  CHECK(job.id.value > 0);
  check_same(must(store.find_job(job.name)).value(), job);
  check_same(must(store.get_job(job.id)).value(), job);

  job::Job plain = add_job(store, "plain");
  CHECK(plain.id != job.id);
  check_same(must(store.find_job("plain")).value(), plain);
  CHECK_FALSE(must(store.find_job("PLAIN")));
  CHECK_FALSE(must(store.get_job(JobId{99})));
}

FOR_EACH_BACKEND("two jobs cannot have one name") {
  OPEN_STORE;
  job::Job first = add_job(store, "a");
  job::Job second = job_named("a");
  Result<void> refused = store.insert_job(second);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::conflict);

  job::Job other = add_job(store, "b");
  other.name = "a";
  refused = store.update_job(other);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::conflict);
  CHECK(must(store.get_job(other.id))->name == "b");
  CHECK(must(store.get_job(first.id))->name == "a");
}

FOR_EACH_BACKEND("an update writes the whole row, and needs one") {
  OPEN_STORE;
  job::Job job = add_job(store, "a");
  job::Job changed = job_with_everything();
  changed.id = job.id;
  must(store.update_job(changed));
  check_same(must(store.get_job(job.id)).value(), changed);
  CHECK_FALSE(must(store.find_job("a")));

  changed.paused = false;
  changed.next_fire.reset();
  changed.last_state.reset();
  changed.definition.policy = {};
  changed.definition.env.clear();
  must(store.update_job(changed));
  check_same(must(store.get_job(job.id)).value(), changed);

  changed.id = JobId{99};
  Result<void> refused = store.update_job(changed);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::not_found);
}

FOR_EACH_BACKEND("a removed job leaves its runs, and its id is not given to another") {
  OPEN_STORE;
  job::Job job = add_job(store, "a");
  job::Run run = add_run(store, run_of(job, at(1)));
  must(store.delete_job(job.id));
  CHECK_FALSE(must(store.find_job("a")));
  CHECK(must(store.get_run(run.id)));
  CHECK(add_job(store, "a").id != job.id);
  must(store.delete_job(job.id));
}

FOR_EACH_BACKEND("jobs are listed by name in byte order, and a glob picks some") {
  OPEN_STORE;
  for (const char* name : {"b", "a.2", "B", "a", "a-1", "nightly-backup"}) add_job(store, name);
  using Names = std::vector<std::string>;
  CHECK(names(must(store.list_jobs(""))) == Names{"B", "a", "a-1", "a.2", "b", "nightly-backup"});
  CHECK(names(must(store.list_jobs("a*"))) == Names{"a", "a-1", "a.2"});
  CHECK(names(must(store.list_jobs("[!a]"))) == Names{"B", "b"});
  CHECK(names(must(store.list_jobs("b"))) == Names{"b"});
  CHECK(names(must(store.list_jobs("?"))) == Names{"B", "a", "b"});
  CHECK(must(store.list_jobs("nothing")).empty());
}

FOR_EACH_BACKEND("a listing counts the live runs of each job") {
  OPEN_STORE;
  job::Job a = add_job(store, "a");
  job::Job b = add_job(store, "b");
  for (int i = 0; i < 3; ++i) {
    job::Run run = run_of(a, at(i));
    run.state = i < 2 ? job::RunState::running : job::RunState::pending;
    add_run(store, run);
  }
  std::vector<JobListing> listings = must(store.list_jobs(""));
  CHECK(listings.at(0).running == 2);
  CHECK(listings.at(1).running == 0);
}

FOR_EACH_BACKEND("due jobs come earliest first, and only those that are due") {
  OPEN_STORE;
  for (auto [name, fire] : {std::pair{"late", 30}, {"early", 10}, {"now", 40}, {"later", 41}}) {
    job::Job job = job_named(name);
    job.next_fire = at(fire);
    must(store.insert_job(job));
  }
  add_job(store, "never");
  CHECK(names(must(store.due_jobs(at(40), 10))) ==
        std::vector<std::string>{"early", "late", "now"});
  CHECK(names(must(store.due_jobs(at(40), 2))) == std::vector<std::string>{"early", "late"});
  CHECK(must(store.due_jobs(at(9), 10)).empty());
}

FOR_EACH_BACKEND("a beat's narrow writes touch nothing else of the job") {
  OPEN_STORE;
  job::Job job = job_with_everything();
  must(store.insert_job(job));
  must(store.set_planned(job.id, at(70), at(80)));
  job.planned_through = at(70);
  job.next_fire = at(80);
  check_same(must(store.get_job(job.id)).value(), job);
  must(store.set_planned(job.id, at(70), std::nullopt));
  CHECK_FALSE(must(store.get_job(job.id))->next_fire);
  job.next_fire.reset();

  job::Run run = run_of(job, at(90));
  run.state = job::RunState::running;
  run.result.started_at = at(91);
  must(store.set_last_run(run));
  job.last_fire = at(90);
  job.last_start = at(91);
  job.last_end.reset();
  job.last_state = job::RunState::running;
  check_same(must(store.get_job(job.id)).value(), job);

  must(store.delete_job(job.id));
  must(store.set_planned(job.id, at(1), at(2)));
  must(store.set_last_run(run));
  CHECK_FALSE(must(store.get_job(job.id)));
}

// ---- runs

FOR_EACH_BACKEND("a run comes back exactly as it was stored") {
  OPEN_STORE;
  job::Job job = add_job(store, "a");
  job::Run run = add_run(store, run_with_everything(job));
  CHECK(run.id.value > 0);
  check_same(must(store.get_run(run.id)).value(), run);
  job::Run plain = add_run(store, run_of(job, at(1'000)));
  CHECK(plain.id > run.id);
  check_same(must(store.get_run(plain.id)).value(), plain);
  CHECK_FALSE(must(store.get_run(RunId{99})));
}

FOR_EACH_BACKEND("every state and every reason survives the store") {
  OPEN_STORE;
  job::Job job = add_job(store, "a");
  for (int s = 0; s <= static_cast<int>(job::RunState::missed); ++s) {
    for (int r = 0; r <= static_cast<int>(job::Reason::shutdown); ++r) {
      job::Run run = run_of(job, at(s * 100 + r));
      run.state = static_cast<job::RunState>(s);
      run.reason = static_cast<job::Reason>(r);
      run = add_run(store, run);
      job::Run stored = must(store.get_run(run.id)).value();
      CHECK(stored.state == run.state);
      CHECK(stored.reason == run.reason);
    }
  }
}

FOR_EACH_BACKEND("an occurrence has one row, whoever plans it again") {
  OPEN_STORE;
  job::Job a = add_job(store, "a");
  job::Job b = add_job(store, "b");
  add_run(store, run_of(a, at(10)));
  job::Run again = run_of(a, at(10));
  CHECK_FALSE(must(store.insert_run(again)));
  CHECK(must(store.list_runs({})).size() == 1);
  add_run(store, run_of(b, at(10)));
  add_run(store, run_of(a, at(11)));
  add_run(store, run_of(a, at(9)));

  job::Run by_hand = run_of(a, at(10));
  by_hand.cause = job::Cause::manual;
  add_run(store, by_hand);
  add_run(store, by_hand);
  CHECK_FALSE(must(store.insert_run(again)));
}

FOR_EACH_BACKEND("no occurrence is added inside a stretch") {
  OPEN_STORE;
  job::Job job = add_job(store, "a");
  auto stretch = [&](int first, int last) {
    job::Run run = run_of(job, at(first));
    run.last_fire_time = at(last);
    run.count = 2;
    run.state = job::RunState::missed;
    return run;
  };
  auto accepted = [&](job::Run run) { return must(store.insert_run(run)); };
  CHECK(accepted(stretch(10, 20)));
  for (int t : {10, 15, 20}) CHECK_FALSE(accepted(run_of(job, at(t))));
  CHECK(accepted(run_of(job, at(9))));
  CHECK(accepted(run_of(job, at(21))));
  // And no stretch is laid over rows that exist.
  CHECK_FALSE(accepted(stretch(1, 9)));
  CHECK_FALSE(accepted(stretch(15, 16)));
  CHECK_FALSE(accepted(stretch(21, 30)));
  CHECK_FALSE(accepted(stretch(1, 100)));
  CHECK(accepted(stretch(1, 8)));
  CHECK(accepted(stretch(22, 30)));
  CHECK_FALSE(accepted(run_of(job, at(5))));
  CHECK(accepted(run_of(job, at(31))));
  CHECK(must(store.list_runs({})).size() == 6);
}

FOR_EACH_BACKEND("an update changes what may change, and only that") {
  OPEN_STORE;
  job::Job job = add_job(store, "a");
  job::Run run = add_run(store, run_of(job, at(10)));
  job::Run changed = run_with_everything(job);
  changed.id = run.id;
  changed.job_name = "other";
  changed.job_id = JobId{77};
  changed.fire_time = at(77);
  changed.key = "other";
  CHECK(must(store.update_run(changed, 0)));
  changed.job_name = run.job_name;
  changed.job_id = run.job_id;
  changed.fire_time = run.fire_time;
  changed.created_at = run.created_at;
  check_same(must(store.get_run(run.id)).value(), changed);
}

FOR_EACH_BACKEND("nobody finishes a run with an old fence") {
  OPEN_STORE;
  job::Run run = add_run(store, run_of(add_job(store, "a"), at(10)));
  run.fence = 1;
  run.state = job::RunState::running;
  CHECK(must(store.update_run(run, 0)));
  run.state = job::RunState::succeeded;
  CHECK_FALSE(must(store.update_run(run, 0)));
  CHECK_FALSE(must(store.update_run(run, 2)));
  CHECK(must(store.get_run(run.id))->state == job::RunState::running);
  CHECK(must(store.update_run(run, 1)));
  CHECK(must(store.get_run(run.id))->state == job::RunState::succeeded);
  run.id = RunId{99};
  CHECK_FALSE(must(store.update_run(run, 1)));
}

FOR_EACH_BACKEND("due runs come in the order in which they are due") {
  OPEN_STORE;
  job::Job job = add_job(store, "a");
  auto due_at = [&](int fire, int due) {
    job::Run run = run_of(job, at(fire));
    run.due_at = at(due);
    return add_run(store, run).id.value;
  };
  auto third = due_at(1, 30);
  auto first = due_at(2, 10);
  auto second = due_at(3, 10);
  due_at(4, 31);
  job::Run done = run_of(job, at(5));
  done.state = job::RunState::succeeded;
  add_run(store, done);

  std::vector<std::int64_t> found;
  for (const DueRun& due : must(store.due_runs(at(30), 10))) found.push_back(due.run.id.value);
  CHECK(found == std::vector{first, second, third});
  CHECK(must(store.due_runs(at(30), 1)).at(0).run.id.value == first);
  CHECK(must(store.due_runs(at(9), 10)).empty());
}

FOR_EACH_BACKEND("a due run knows whether another occupies its job's slot") {
  OPEN_STORE;
  job::Job job = add_job(store, "a");
  job::Job other = add_job(store, "b");
  add_run(store, run_of(job, at(1)));
  auto busy = [&] { return must(store.due_runs(at(1), 10)).at(0).job_busy; };

  job::Run of_other = run_of(other, at(2));
  of_other.state = job::RunState::running;
  add_run(store, of_other);
  job::Run blocker = add_run(store, run_of(job, at(3)));
  CHECK_FALSE(busy());

  blocker.state = job::RunState::running;
  CHECK(must(store.update_run(blocker, 0)));
  CHECK(busy());
  blocker.state = job::RunState::pending;
  blocker.attempt = 2;
  CHECK(must(store.update_run(blocker, 0)));
  CHECK(busy());
  blocker.attempt = 1;
  blocker.lost_count = 1;
  CHECK(must(store.update_run(blocker, 0)));
  CHECK(busy());
  blocker.state = job::RunState::failed;
  CHECK(must(store.update_run(blocker, 0)));
  CHECK_FALSE(busy());
}

FOR_EACH_BACKEND("a run that waits for its own retry does not block itself") {
  OPEN_STORE;
  job::Run run = run_of(add_job(store, "a"), at(1));
  run.attempt = 2;
  add_run(store, run);
  CHECK_FALSE(must(store.due_runs(at(1), 10)).at(0).job_busy);
}

FOR_EACH_BACKEND("runs of a state come oldest first, without their tails") {
  OPEN_STORE;
  job::Job job = add_job(store, "a");
  std::vector<std::int64_t> expected[2];
  for (int i = 0; i < 9; ++i) {
    job::Run run = run_of(job, at(100 - i));
    run.state = i % 3 == 0   ? job::RunState::running
                : i % 3 == 1 ? job::RunState::pending
                             : job::RunState::failed;
    run.result.output_tail = "tail";
    run.result.output_bytes = 4;
    run = add_run(store, run);
    if (i % 3 < 2) expected[i % 3].push_back(run.id.value);
  }
  CHECK(ids(must(store.runs_in_state(job::RunState::running))) == expected[0]);
  CHECK(ids(must(store.runs_in_state(job::RunState::pending))) == expected[1]);
  CHECK(must(store.runs_in_state(job::RunState::failed)).size() == 3);
  CHECK(must(store.runs_in_state(job::RunState::lost)).empty());
  job::Run first = must(store.runs_in_state(job::RunState::running)).at(0);
  CHECK(first.result.output_tail.empty());
  CHECK(first.result.output_bytes == 4);
}

FOR_EACH_BACKEND("cancel requests are those of running runs") {
  OPEN_STORE;
  job::Job job = add_job(store, "a");
  job::Run run = run_of(job, at(1));
  run.cancel_requested = true;
  add_run(store, run);
  run.fire_time = at(2);
  run.state = job::RunState::running;
  job::Run wanted = add_run(store, run);
  run.fire_time = at(3);
  run.cancel_requested = false;
  add_run(store, run);
  CHECK(ids(must(store.cancel_requests())) == std::vector{wanted.id.value});
  wanted.state = job::RunState::cancelled;
  CHECK(must(store.update_run(wanted, 0)));
  CHECK(must(store.cancel_requests()).empty());
}

FOR_EACH_BACKEND("runs are listed newest first, through every filter") {
  OPEN_STORE;
  job::Job a = add_job(store, "a");
  job::Job b = add_job(store, "b");
  auto add = [&](const job::Job& job, int fire, job::RunState state, int last = 0) {
    job::Run run = run_of(job, at(fire));
    run.state = state;
    if (last > 0) run.last_fire_time = at(last);
    return add_run(store, run).id.value;
  };
  using enum job::RunState;
  auto r1 = add(a, 10, succeeded);
  auto r2 = add(b, 10, failed);
  auto r3 = add(a, 20, missed, 40);
  auto r4 = add(a, 50, running);
  auto r5 = add(b, 60, pending);
  using Ids = std::vector<std::int64_t>;
  auto list = [&](const RunFilter& filter) { return ids(must(store.list_runs(filter))); };

  CHECK(list({}) == Ids{r5, r4, r3, r2, r1});
  CHECK(list({.limit = 2}) == Ids{r5, r4});
  CHECK(list({.limit = 0}).empty());
  CHECK(list({.limit = std::numeric_limits<std::size_t>::max()}).size() == 5);
  CHECK(list({.job_name = "a"}) == Ids{r4, r3, r1});
  CHECK(list({.job_id = b.id}) == Ids{r5, r2});
  CHECK(list({.job_name = "a", .job_id = b.id}).empty());
  CHECK(list({.states = {failed, running}}) == Ids{r4, r2});
  CHECK(list({.states = {running}}) == Ids{r4});
  CHECK(list({.states = {running, pending}}) == Ids{r5, r4});
  CHECK(list({.job_id = a.id, .states = {pending, running}}) == Ids{r4});
  CHECK(list({.since = at(40)}) == Ids{r5, r4, r3});
  CHECK(list({.since = at(41)}) == Ids{r5, r4});
  CHECK(list({.until = at(50)}) == Ids{r3, r2, r1});
  CHECK(list({.job_name = "a", .states = {missed, succeeded}, .since = at(10), .until = at(21)}) ==
        Ids{r3, r1});
}

FOR_EACH_BACKEND("earlier attempts are kept in order") {
  OPEN_STORE;
  job::Run run = add_run(store, run_of(add_job(store, "a"), at(1)));
  job::AttemptResult first = result_with_everything();
  job::AttemptResult second;
  second.attempt = 4;
  must(store.insert_attempt(run.id, first, job::Reason::exit_status));
  must(store.insert_attempt(RunId{99}, first, job::Reason::none));
  must(store.insert_attempt(run.id, second, job::Reason::timeout));
  std::vector<job::AttemptResult> attempts = must(store.list_attempts(run.id));
  REQUIRE(attempts.size() == 2);
  check_same(attempts[0], first);
  check_same(attempts[1], second);
  CHECK(must(store.list_attempts(RunId{98})).empty());
}

// ---- waking and counting

FOR_EACH_BACKEND("the next wake is the first of fires and of runs not yet due") {
  OPEN_STORE;
  CHECK_FALSE(must(store.next_wake(at(0))));
  job::Job job = add_job(store, "a");
  CHECK_FALSE(must(store.next_wake(at(0))));
  must(store.set_planned(job.id, at(1), at(50)));
  CHECK(must(store.next_wake(at(0))) == at(50));
  CHECK(must(store.next_wake(at(60))) == at(50));

  for (int due : {20, 30, 40}) {
    job::Run run = run_of(job, at(due));
    if (due == 40) run.state = job::RunState::succeeded;
    add_run(store, run);
  }
  CHECK(must(store.next_wake(at(0))) == at(20));
  CHECK(must(store.next_wake(at(20))) == at(30));
  CHECK(must(store.next_wake(at(30))) == at(50));
  must(store.set_planned(job.id, at(1), std::nullopt));
  CHECK(must(store.next_wake(at(20))) == at(30));
  CHECK_FALSE(must(store.next_wake(at(30))));
}

FOR_EACH_BACKEND("jobs and living runs are counted") {
  OPEN_STORE;
  CHECK(must(store.counts()).jobs == 0);
  job::Job job = add_job(store, "a");
  add_job(store, "b");
  for (int i = 0; i < 6; ++i) {
    job::Run run = run_of(job, at(i));
    run.state = i < 1   ? job::RunState::running
                : i < 3 ? job::RunState::pending
                        : job::RunState::failed;
    add_run(store, run);
  }
  Counts counts = must(store.counts());
  CHECK(counts.jobs == 2);
  CHECK(counts.runs_running == 1);
  CHECK(counts.runs_pending == 2);
}

// ---- the scheduler itself

FOR_EACH_BACKEND("a node has one row, the latest") {
  OPEN_STORE;
  Node node{.id = "n2",
            .hostname = "host",
            .pid = 12,
            .boot_id = "boot",
            .version = "1.0",
            .control_path = "/run/x",
            .keeper = "k",
            .started_at = at(1)};
  must(store.put_node(node));
  must(store.put_node({.id = "n1", .started_at = at(3)}));
  node.pid = 0;
  node.stopped_at = at(4);
  node.last_beat = at(5);
  must(store.put_node(node));
  std::vector<Node> nodes = must(store.list_nodes());
  std::ranges::sort(nodes, {}, &Node::id);
  REQUIRE(nodes.size() == 2);
  CHECK(nodes[0].id == "n1");
  CHECK_FALSE(nodes[0].stopped_at);
  CHECK(nodes[1].hostname == "host");
  CHECK(nodes[1].pid == 0);
  CHECK(nodes[1].boot_id == "boot");
  CHECK(nodes[1].version == "1.0");
  CHECK(nodes[1].control_path == "/run/x");
  CHECK(nodes[1].keeper == "k");
  CHECK(nodes[1].started_at == at(1));
  CHECK(nodes[1].stopped_at == at(4));
  CHECK(nodes[1].last_beat == at(5));
}

FOR_EACH_BACKEND("events and audit come newest first") {
  OPEN_STORE;
  for (int i = 1; i <= 3; ++i) {
    must(store.add_event(
        {.at = at(i), .node = "n", .kind = "daemon-up", .detail = std::to_string(i)}));
    must(store.add_audit({.at = at(i),
                          .who = "ada",
                          .action = "pause",
                          .job = i == 2 ? "b" : "a",
                          .detail = std::to_string(i)}));
  }
  std::vector<Event> events = must(store.list_events(2));
  REQUIRE(events.size() == 2);
  CHECK(events[0].detail == "3");
  CHECK(events[0].at == at(3));
  CHECK(events[0].node == "n");
  CHECK(events[0].kind == "daemon-up");
  CHECK(events[1].detail == "2");

  CHECK(must(store.list_audit("", 10)).size() == 3);
  CHECK(must(store.list_audit("c", 10)).empty());
  std::vector<Audit> audits = must(store.list_audit("a", 10));
  REQUIRE(audits.size() == 2);
  CHECK(audits[0].detail == "3");
  CHECK(audits[1].detail == "1");
  CHECK(audits[1].who == "ada");
  CHECK(audits[1].action == "pause");
  CHECK(audits[1].at == at(1));
  CHECK(must(store.list_audit("a", 1)).size() == 1);
}

// ---- transactions

FOR_EACH_BACKEND("a rollback takes back everything, a commit keeps everything") {
  OPEN_STORE;
  job::Job before = add_job(store, "before");
  auto change = [&] {
    job::Job job = add_job(store, "during");
    add_run(store, run_of(job, at(1)));
    must(store.insert_attempt(RunId{1}, {}, job::Reason::timeout));
    must(store.set_planned(before.id, at(5), at(6)));
    must(store.put_node({.id = "n"}));
    must(store.add_event({.kind = "reload"}));
    must(store.add_audit({.who = "ada"}));
    CHECK(must(store.find_job("during")));
  };
  {
    Transaction transaction = must(Transaction::begin(store));
    change();
  }
  CHECK(names(must(store.list_jobs(""))) == std::vector<std::string>{"before"});
  CHECK(must(store.list_runs({})).empty());
  CHECK(must(store.list_attempts(RunId{1})).empty());
  CHECK_FALSE(must(store.next_wake(at(0))));
  CHECK(must(store.list_nodes()).empty());
  CHECK(must(store.list_events(9)).empty());
  CHECK(must(store.list_audit("", 9)).empty());

  Transaction transaction = must(Transaction::begin(store));
  change();
  must(transaction.commit());
  store.rollback();
  CHECK(must(store.list_jobs("")).size() == 2);
  CHECK(must(store.list_runs({})).size() == 1);
  CHECK(must(store.list_events(9)).size() == 1);
}

FOR_EACH_BACKEND("a refusal inside a transaction does not end it") {
  OPEN_STORE;
  Transaction transaction = must(Transaction::begin(store));
  job::Job job = add_job(store, "a");
  job::Job same = job_named("a");
  CHECK_FALSE(store.insert_job(same));
  job::Run run = add_run(store, run_of(job, at(1)));
  CHECK_FALSE(must(store.insert_run(run)));
  add_job(store, "b");
  must(transaction.commit());
  CHECK(must(store.list_jobs("")).size() == 2);
}

FOR_EACH_BACKEND("a store has an id of its own") {
  OPEN_STORE;
  Backend other;
  CHECK(store.id().size() == 36);
  CHECK(store.id() != other.store->id());
}

}  // namespace
}  // namespace schedctl::store
