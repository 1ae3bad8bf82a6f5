#include "schedctl/base/limits.hpp"
#include "tests/store/backends.hpp"

namespace schedctl::store {
namespace {

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
                             .dst_fold = job::DstFold::both,
                             .not_before = at(6),
                             .until = at(7),
                             .only = {"business-hours", "x"},
                             .exclude = {"holidays"},
                             .on_excluded = job::OnExcluded::next};
  job.definition.schedule.weeks = 3;
  job.definition.schedule.week_anchor = std::chrono::local_days{std::chrono::days{-20'000}};
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
                           .on_lost = job::OnLost::retry,
                           .alert_grace = std::chrono::seconds(7),
                           .max_catchup = 8,
                           .catchup_spread = std::chrono::seconds(9),
                           .max_wait = std::chrono::seconds(10),
                           .max_runs = 11,
                           .max_instances = 12,
                           .max_queued = 13,
                           .success_codes = std::vector<int>{0, 2},
                           .group = "db",
                           .priority = -5,
                           .after = std::vector<std::string>{"extract", "load"},
                           .user = "nobody:nogroup",
                           .umask = 027,
                           .env_file = "/etc/a.env",
                           .stdin_file = "",
                           .stdin_text = "line\n\"two\"\n",
                           .nice = 5,
                           .ionice = "best-effort:7",
                           .limit_as = 1 << 30,
                           .limit_core = 0,
                           .limit_cpu = 90,
                           .limit_fsize = job::kNoLimit,
                           .limit_nofile = 64,
                           .limit_nproc = 10,
                           .oom_score_adj = 500,
                           .memory_max = 1 << 20,
                           .cpu_max = 150,
                           .pids_max = 7,
                           .stop_signal = 2,
                           .keep_children = true,
                           .success_match = "^done",
                           .fail_match = "ERR|\\bpanic\\b",
                           .min_output = 1,
                           .output = job::Output::log,
                           .max_output = 4096};
  job.managed_by = "file:/etc/schedctl/jobs.d/a.toml";
  job.paused = true;
  job.paused_at = at(2'000);
  job.paused_reason = "it's broken";
  job.paused_until = at(9'000);
  job.run_count = 12;
  job.boot_id = "boot";
  job.defined_at = at(1'500);
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
  CHECK(a.paused_until == b.paused_until);
  CHECK(a.run_count == b.run_count);
  CHECK(a.boot_id == b.boot_id);
  CHECK(a.defined_at == b.defined_at);
  CHECK(a.planned_through == b.planned_through);
  CHECK(a.next_fire == b.next_fire);
  CHECK(a.last_fire == b.last_fire);
  CHECK(a.last_start == b.last_start);
  CHECK(a.last_end == b.last_end);
  CHECK(a.last_state == b.last_state);
}

FOR_EACH_BACKEND("jobs that files define are found without the rest") {
  OPEN_STORE;
  add_job(store, "b");
  for (const char* name : {"z", "a"}) {
    job::Job job = add_job(store, name);
    job.managed_by = "file:/etc/x.toml";
    must(store.update_job(job));
  }
  const std::vector<job::Job> found = must(store.managed_jobs());
  REQUIRE(found.size() == 2);
  CHECK(found[0].name == "a");
  CHECK(found[1].name == "z");
}

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
  CHECK(error_of(store.insert_job(second)).kind == ErrorKind::conflict);

  job::Job other = add_job(store, "b");
  other.name = "a";
  CHECK(error_of(store.update_job(other)).kind == ErrorKind::conflict);
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
  CHECK(error_of(store.update_job(changed)).kind == ErrorKind::not_found);
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

FOR_EACH_BACKEND("a job that is due and has a priority of its own is known of") {
  OPEN_STORE;
  for (auto [name, fire, priority] :
       {std::tuple{"plain", 10, 0}, {"last", 20, 7}, {"first", 30, -7}}) {
    job::Job job = job_named(name);
    job.next_fire = at(fire);
    job.definition.policy.group = "with \"priority\"";
    if (priority != 0) job.definition.policy.priority = priority;
    must(store.insert_job(job));
  }
  CHECK_FALSE(must(store.is_ranked_job_due(at(19))));
  CHECK(must(store.is_ranked_job_due(at(20))));
  CHECK(must(store.is_ranked_job_due(at(30))));
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

}  // namespace
}  // namespace schedctl::store
