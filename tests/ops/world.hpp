#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "schedctl/base/clock.hpp"
#include "schedctl/ops/ops.hpp"
#include "schedctl/store/store.hpp"
#include "schedctl/zone/system_zones.hpp"

namespace schedctl::ops {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A machine on which no daemon runs: a clock that stands still, a store in memory, real zones.
struct World {
  static constexpr Time kStart{std::chrono::sys_days{std::chrono::year{2026} / 3 / 2}};

  FakeClock clock{kStart};
  std::unique_ptr<store::Store> store = store::open_memory();
  std::unique_ptr<job::ZoneSource> zones = zone::system_zones();
  config::Config config = utc_config();
  int pokes = 0;
  Ops ops{Context{*store, *zones, clock, config, "alice", [this] { ++pokes; }}};

  static config::Config utc_config() {
    config::Config config;
    config.timezone = "UTC";
    return config;
  }

  Time now() const { return clock.wall(); }

  template <class T>
  static T must(Result<T> result) {
    if (!result) FAIL(result.error().where << ": " << result.error().message);
    return std::move(*result);
  }
  static void must(const Result<void>& result) {
    if (!result) FAIL(result.error().where << ": " << result.error().message);
  }

  job::Job add(const std::string& name, const job::JobDraft& draft, AddOptions options = {}) {
    return must(ops.add(name, draft, options));
  }

  job::Job stored(const std::string& name) const {
    const auto job = must(store->find_job(name));
    REQUIRE_MESSAGE(job.has_value(), name);
    return *job;
  }
  bool exists(const std::string& name) const { return must(store->find_job(name)).has_value(); }

  /// Oldest first.
  std::vector<job::Run> runs(const std::string& name) const {
    store::RunFilter filter;
    filter.job_name = name;
    auto found = must(store->list_runs(filter));
    return {found.rbegin(), found.rend()};
  }

  store::Audit last_audit() const {
    const auto rows = must(store->list_audit("", 1));
    REQUIRE(rows.size() == 1);
    return rows[0];
  }

  /// What the daemon does with a pending run when it starts it.
  job::Run start(job::Run run) const {
    run.state = job::RunState::running;
    run.result.started_at = now();
    const std::int64_t fence = run.fence++;
    REQUIRE(must(store->update_run(run, fence)));
    return run;
  }

  /// A failed first attempt: the run waits for its second.
  job::Run wait_for_retry(job::Run run) const {
    run.state = job::RunState::pending;
    run.attempt = 2;
    run.due_at = now() + hours(1);
    REQUIRE(must(store->update_run(run, run.fence)));
    return run;
  }

  /// Everything an operation could have changed, as text.
  std::string contents() const {
    std::ostringstream out;
    for (const store::JobListing& one : must(store->list_jobs(""))) {
      const job::Job& job = one.job;
      out << job.id.value << ' ' << job.name << " v" << job.version << ' ' << job.managed_by << ' '
          << job.paused << ' ' << to_us(job.planned_through) << ' '
          << (job.next_fire ? to_us(*job.next_fire) : 0) << '\n';
    }
    store::RunFilter all;
    for (const job::Run& run : must(store->list_runs(all))) {
      out << '#' << run.id.value << ' ' << job::to_string(run.state) << ' '
          << job::to_string(run.reason) << ' ' << run.cancel_requested << '\n';
    }
    out << must(store->list_audit("", 1000)).size() << " audit rows\n";
    return out.str();
  }

  /// Runs an operation that must fail, and checks that it wrote and woke nothing.
  template <class Operation>
  Error refused(const Operation& operation) {
    const std::string before = contents();
    const int pokes_before = pokes;
    auto result = operation();
    REQUIRE_FALSE(result);
    CHECK(contents() == before);
    CHECK(pokes == pokes_before);
    return result.error();
  }
};

inline job::JobDraft shell_job() {
  job::JobDraft draft;
  draft.shell = "true";
  return draft;
}
inline job::JobDraft every(const std::string& period) {
  job::JobDraft draft = shell_job();
  draft.every = period;
  return draft;
}
inline job::JobDraft cron(const std::string& expression, const std::string& zone = "") {
  job::JobDraft draft = shell_job();
  draft.cron = expression;
  if (!zone.empty()) draft.timezone = zone;
  return draft;
}
inline job::JobDraft at(const std::string& moment) {
  job::JobDraft draft = shell_job();
  draft.at = moment;
  return draft;
}
inline job::JobDraft manual() {
  job::JobDraft draft = shell_job();
  draft.manual = true;
  return draft;
}
/// Only what `set` is to change.
inline job::JobDraft change_every(const std::string& period) {
  job::JobDraft draft;
  draft.every = period;
  return draft;
}

/// "pending", "skipped overlap", "missed misfire x3": a run in short.
inline std::string brief(const job::Run& run) {
  std::string text(job::to_string(run.state));
  if (run.reason != job::Reason::none) text += " " + std::string(job::to_string(run.reason));
  if (run.count > 1) text += " x" + std::to_string(run.count);
  return text;
}
inline std::vector<std::string> brief(const std::vector<job::Run>& runs) {
  std::vector<std::string> texts;
  for (const job::Run& run : runs) texts.push_back(brief(run));
  return texts;
}
using Briefs = std::vector<std::string>;

/// Fires that the rows of a job account for.
inline std::int64_t accounted(const std::vector<job::Run>& runs) {
  std::int64_t sum = 0;
  for (const job::Run& run : runs) {
    if (run.cause == job::Cause::schedule) sum += run.count;
  }
  return sum;
}

}  // namespace schedctl::ops
