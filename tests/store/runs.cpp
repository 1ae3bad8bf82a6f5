#include <limits>

#include "tests/store/backends.hpp"

namespace schedctl::store {
namespace {

std::vector<std::int64_t> ids(const std::vector<job::Run>& runs) {
  std::vector<std::int64_t> found;
  for (const job::Run& run : runs) found.push_back(run.id.value);
  return found;
}

/// Every byte there is, twice over.
std::string all_bytes() {
  std::string bytes;
  for (int i = 0; i < 512; ++i) bytes += static_cast<char>(i);
  return bytes;
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
  run.replaced_by = RunId{78};
  run.give_up_at = at(203);
  run.backfill = BackfillId{77};
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
  CHECK(a.give_up_at == b.give_up_at);
  CHECK(a.backfill == b.backfill);
  CHECK(a.forced == b.forced);
  CHECK(a.cancel_requested == b.cancel_requested);
  CHECK(a.replaced_by == b.replaced_by);
  CHECK(a.key == b.key);
  check_same(a.result, b.result);
}

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
  changed.backfill = run.backfill;
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
  for (const DueRun& due : must(store.due_runs(at(30), 10, {}))) found.push_back(due.run.id.value);
  CHECK(found == std::vector{first, second, third});
  CHECK(must(store.due_runs(at(30), 1, {})).at(0).run.id.value == first);
  CHECK(must(store.due_runs(at(9), 10, {})).empty());
}

FOR_EACH_BACKEND(
    "in a job's line are those that hold its slot, wait for it or start beside others") {
  OPEN_STORE;
  const job::Job job = add_job(store, "a");
  std::vector<std::int64_t> in_line;
  const auto add = [&](int fire, bool stands_in_line, auto change) {
    job::Run run = run_of(job, at(fire));
    change(run);
    const std::int64_t id = add_run(store, run).id.value;
    if (stands_in_line) in_line.insert(in_line.begin(), id);
  };
  add(1, false, [](job::Run&) {});
  add(2, true, [](job::Run& run) { run.state = job::RunState::running; });
  add(3, true, [](job::Run& run) { run.waits = true; });
  add(4, true, [](job::Run& run) { run.forced = true; });
  add(5, true, [](job::Run& run) { run.attempt = 2; });
  add(6, true, [](job::Run& run) { run.lost_count = 1; });
  add(7, true, [](job::Run& run) { run.start_failures = 1; });
  add(8, false, [](job::Run& run) {
    run.state = job::RunState::succeeded;
    run.forced = true;
  });
  std::vector<std::int64_t> found;
  for (const job::Run& run : must(store.list_runs({.job_id = job.id,
                             .states = {job::RunState::pending, job::RunState::running},
                             .in_line = true})))
    found.push_back(run.id.value);
  CHECK(found == in_line);
}

FOR_EACH_BACKEND("a due run knows whether another occupies its job's slot") {
  OPEN_STORE;
  job::Job job = add_job(store, "a");
  job::Job other = add_job(store, "b");
  job::Run blocker = add_run(store, run_of(job, at(3)));
  add_run(store, run_of(job, at(1)));
  auto busy = [&] {
    const bool job_busy = must(store.due_runs(at(1), 10, {})).at(0).job_busy;
    CHECK(must(store.is_busy(job.id)) == job_busy);
    return job_busy;
  };

  job::Run of_other = run_of(other, at(2));
  of_other.state = job::RunState::running;
  add_run(store, of_other);
  CHECK_FALSE(busy());
  CHECK(must(store.is_busy(other.id)));
  CHECK(must(store.blocked_runs(at(1), 10)).empty());

  blocker.state = job::RunState::running;
  CHECK(must(store.update_run(blocker, 0)));
  CHECK(busy());
  blocker.state = job::RunState::pending;
  blocker.attempt = 2;
  CHECK(must(store.update_run(blocker, 0)));
  CHECK(busy());
  REQUIRE(must(store.blocked_runs(at(9), 10)).size() == 1);
  CHECK(must(store.blocked_runs(at(9), 10))[0].run.fire_time == at(1));
  blocker.attempt = 1;
  blocker.lost_count = 1;
  CHECK(must(store.update_run(blocker, 0)));
  CHECK(busy());
  blocker.lost_count = 0;
  blocker.start_failures = 1;
  CHECK(must(store.update_run(blocker, 0)));
  CHECK(busy());
  REQUIRE(must(store.blocked_runs(at(9), 10)).size() == 1);
  CHECK(must(store.blocked_runs(at(9), 10))[0].run.fire_time == at(1));
  blocker.state = job::RunState::failed;
  CHECK(must(store.update_run(blocker, 0)));
  CHECK_FALSE(busy());
}

FOR_EACH_BACKEND("the runs of a backfill that may be side by side keep their job from nothing") {
  OPEN_STORE;
  job::Job job = add_job(store, "a");
  job::Run live = run_of(job, at(1));
  live.cause = job::Cause::backfill;
  live.state = job::RunState::running;
  live.waits = true;
  live.forced = true;
  add_run(store, live);
  live.fire_time = at(2);
  live.state = job::RunState::pending;
  live.attempt = 2;
  live.due_at = at(60);
  add_run(store, live);
  job::Run waiting = run_of(job, at(3));
  waiting.waits = true;
  waiting = add_run(store, waiting);
  job::Run fresh = add_run(store, run_of(job, at(4)));
  CHECK_FALSE(must(store.is_busy(job.id)));
  CHECK(must(store.blocked_runs(at(9), 10)).empty());
  const std::vector<DueRun> due = must(store.due_runs(at(9), 10, {}));
  REQUIRE(due.size() == 2);
  CHECK(due[0].run.id == waiting.id);
  CHECK(due[1].run.id == fresh.id);
  CHECK_FALSE(due[0].job_busy);
  CHECK_FALSE(due[1].job_busy);

  // One that runs alone does.
  job::Run alone = run_of(job, at(5));
  alone.cause = job::Cause::backfill;
  alone.state = job::RunState::running;
  add_run(store, alone);
  CHECK(must(store.is_busy(job.id)));
  REQUIRE(must(store.due_runs(at(9), 10, {})).size() == 1);
  CHECK(must(store.due_runs(at(9), 10, {}))[0].job_busy);
  REQUIRE(must(store.blocked_runs(at(9), 10)).size() == 1);
  CHECK(must(store.blocked_runs(at(9), 10))[0].run.id == fresh.id);
}

FOR_EACH_BACKEND("a run that waits for its own retry does not block itself") {
  OPEN_STORE;
  job::Run run = run_of(add_job(store, "a"), at(1));
  run.attempt = 2;
  add_run(store, run);
  CHECK_FALSE(must(store.due_runs(at(1), 10, {})).at(0).job_busy);
}

FOR_EACH_BACKEND("runs that wait for their busy job are not listed, so that they hide nobody") {
  OPEN_STORE;
  job::Job job = add_job(store, "a");
  job::Run live = run_of(job, at(1));
  live.state = job::RunState::running;
  live = add_run(store, live);
  job::Run waiting = run_of(job, at(2));
  waiting.waits = true;
  waiting = add_run(store, waiting);
  job::Run retry = run_of(job, at(3));
  retry.attempt = 2;
  retry = add_run(store, retry);
  job::Run other = add_run(store, run_of(add_job(store, "b"), at(4)));
  auto due = [&] {
    std::vector<std::int64_t> ids;
    for (const DueRun& run : must(store.due_runs(at(9), 10, {}))) ids.push_back(run.run.id.value);
    return ids;
  };
  CHECK(due() == std::vector{other.id.value});
  live.state = job::RunState::succeeded;
  CHECK(must(store.update_run(live, 0)));
  // The retry occupies its job's slot.
  CHECK(due() == std::vector{retry.id.value, other.id.value});
  retry.state = job::RunState::failed;
  CHECK(must(store.update_run(retry, 0)));
  CHECK(due() == std::vector{waiting.id.value, other.id.value});
}

FOR_EACH_BACKEND("what the machine could not start is not overtaken by what its job has waiting") {
  OPEN_STORE;
  job::Job job = add_job(store, "a");
  job::Run refused = run_of(job, at(1));
  refused.start_failures = 1;
  refused.due_at = at(60);
  refused = add_run(store, refused);
  job::Run waiting = run_of(job, at(2));
  waiting.waits = true;
  add_run(store, waiting);
  CHECK(must(store.due_runs(at(9), 10, {})).empty());
  const std::vector<DueRun> due = must(store.due_runs(at(60), 10, {}));
  REQUIRE(due.size() == 1);
  CHECK(due[0].run.id.value == refused.id.value);
  CHECK_FALSE(due[0].job_busy);
}

FOR_EACH_BACKEND("of two waiting retries of a job the older one goes first") {
  OPEN_STORE;
  job::Job job = add_job(store, "a");
  job::Run first = run_of(job, at(1));
  first.attempt = 2;
  first = add_run(store, first);
  job::Run second = run_of(job, at(2));
  second.attempt = 2;
  add_run(store, second);
  const std::vector<DueRun> due = must(store.due_runs(at(9), 10, {}));
  REQUIRE(due.size() == 1);
  CHECK(due[0].run.id.value == first.id.value);
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

}  // namespace
}  // namespace schedctl::store
