#include <fnmatch.h>

#include <algorithm>
#include <set>

#include "schedctl/base/check.hpp"
#include "schedctl/job/busy.hpp"
#include "schedctl/store/store.hpp"
#include "src/store/memory/tables.hpp"
#include "src/store/new_id.hpp"

namespace schedctl::store {
namespace {

using memory::AttemptRow, memory::Tables, memory::last_fire;

bool matches(const job::Run& run, const RunFilter& filter) {
  if (filter.job_name && run.job_name != *filter.job_name) return false;
  if (filter.job_id && run.job_id != *filter.job_id) return false;
  if (!filter.states.empty() && std::ranges::find(filter.states, run.state) == filter.states.end())
    return false;
  if (filter.since && last_fire(run) < *filter.since) return false;
  if (filter.cause && run.cause != *filter.cause) return false;
  if (filter.backfill && run.backfill != *filter.backfill) return false;
  if (filter.in_line && !run.occupies_slot() && !run.waits && !run.forced) return false;
  return !filter.until || run.fire_time < *filter.until;
}

class MemoryStore final : public Store {
 public:
  const std::string& id() const override { return id_; }

  Result<void> begin() override {
    CHECK(!before_);
    before_ = now_;
    return {};
  }
  Result<void> commit() override {
    CHECK(before_);
    before_.reset();
    return {};
  }
  // It does not know.
  std::uint64_t revision() override { return ++revision_; }
  void rollback() override {
    if (before_) now_ = std::move(*before_);
    before_.reset();
  }

  Result<void> insert_job(job::Job& job) override {
    if (named(job.name) != nullptr) return taken(job.name);
    job.id = JobId{++now_.last_job_id};
    now_.jobs[job.id] = job;
    record_version(job);
    return {};
  }

  Result<void> update_job(const job::Job& job) override {
    auto it = now_.jobs.find(job.id);
    if (it == now_.jobs.end())
      return fail(ErrorKind::not_found, "job '" + job.name + "' does not exist any more");
    const job::Job* other = named(job.name);
    if (other != nullptr && other->id != job.id) return taken(job.name);
    const bool redefined = it->second.version != job.version;
    it->second = job;
    if (redefined) record_version(job);
    return {};
  }

  Result<void> delete_job(JobId id) override {
    now_.jobs.erase(id);
    return {};
  }

  Result<std::optional<job::Job>> find_job(const std::string& name) override {
    const job::Job* job = named(name);
    return job == nullptr ? std::nullopt : std::optional(*job);
  }

  Result<std::optional<job::Job>> get_job(JobId id) override {
    auto it = now_.jobs.find(id);
    return it == now_.jobs.end() ? std::nullopt : std::optional(it->second);
  }

  Result<std::vector<JobListing>> list_jobs(const std::string& pattern) override {
    std::vector<JobListing> listings;
    for (const auto& [id, job] : now_.jobs) {
      if (!pattern.empty() && ::fnmatch(pattern.c_str(), job.name.c_str(), 0) != 0) continue;
      auto live = [id = id](const auto& row) {
        return row.second.job_id == id && row.second.state == job::RunState::running;
      };
      auto open = [id = id](const auto& row) {
        return row.second.job_id == id && row.second.open();
      };
      listings.push_back({job, static_cast<int>(std::ranges::count_if(now_.runs, live)),
                          static_cast<int>(std::ranges::count_if(now_.alerts, open))});
    }
    std::ranges::sort(listings, {}, [](const JobListing& l) { return l.job.name; });
    return listings;
  }

  Result<std::vector<job::Job>> managed_jobs() override {
    std::vector<job::Job> found;
    for (const auto& [id, job] : now_.jobs)
      if (job.managed_by != "cli") found.push_back(job);
    std::ranges::sort(found, {}, &job::Job::name);
    return found;
  }

  Result<std::vector<job::Job>> due_jobs(Time now, std::size_t limit) override {
    std::vector<job::Job> due;
    for (const auto& [id, job] : now_.jobs)
      if (job.next_fire && *job.next_fire <= now) due.push_back(job);
    std::ranges::stable_sort(due, {}, [](const job::Job& job) { return *job.next_fire; });
    due.resize(std::min(due.size(), limit));
    return due;
  }

  Result<bool> is_ranked_job_due(Time now) override {
    return std::ranges::any_of(now_.jobs, [now](const auto& entry) {
      const job::Job& job = entry.second;
      return job.next_fire && *job.next_fire <= now && job.definition.policy.priority;
    });
  }

  Result<std::vector<JobVersion>> versions_of(const std::string& name) override {
    std::vector<JobVersion> found;
    for (const JobVersion& version : now_.versions)
      if (version.name == name) found.push_back(version);
    std::ranges::stable_sort(found, {}, &JobVersion::job_id);
    return found;
  }

  Result<std::vector<job::Job>> reboot_jobs(const std::string& boot_id) override {
    std::vector<job::Job> found;
    for (const auto& [id, job] : now_.jobs) {
      const bool on_reboot = job.definition.schedule.kind == job::ScheduleKind::reboot;
      if (on_reboot && job.boot_id != boot_id) found.push_back(job);
    }
    return found;
  }

  Result<void> set_boot(JobId id, const std::string& boot_id) override {
    if (auto it = now_.jobs.find(id); it != now_.jobs.end()) it->second.boot_id = boot_id;
    return {};
  }

  Result<void> count_run(JobId id) override {
    if (auto it = now_.jobs.find(id); it != now_.jobs.end()) ++it->second.run_count;
    return {};
  }

  Result<void> set_planned(JobId id, Time planned_through, std::optional<Time> next_fire) override {
    if (auto it = now_.jobs.find(id); it != now_.jobs.end()) {
      it->second.planned_through = planned_through;
      it->second.next_fire = next_fire;
    }
    return {};
  }

  Result<void> set_last_run(const job::Run& run) override {
    if (auto it = now_.jobs.find(run.job_id); it != now_.jobs.end()) {
      it->second.last_fire = run.fire_time;
      if (run.result.started_at) it->second.last_start = run.result.started_at;
      it->second.last_end = run.result.ended_at;
      it->second.last_state = run.state;
    }
    return {};
  }

  Result<bool> insert_run(job::Run& run) override {
    auto same_occurrence = [&run](const auto& row) {
      const job::Run& other = row.second;
      return other.cause == job::Cause::schedule && other.job_id == run.job_id &&
             other.fire_time <= last_fire(run) && run.fire_time <= last_fire(other);
    };
    if (run.cause == job::Cause::schedule && std::ranges::any_of(now_.runs, same_occurrence))
      return false;
    run.id = RunId{++now_.last_run_id};
    now_.runs[run.id] = run;
    return true;
  }

  Result<bool> update_run(const job::Run& run, std::int64_t expected_fence) override {
    auto it = now_.runs.find(run.id);
    if (it == now_.runs.end() || it->second.fence != expected_fence) return false;
    job::Run updated = run;
    updated.job_id = it->second.job_id;
    updated.job_name = it->second.job_name;
    updated.job_version = it->second.job_version;
    updated.cause = it->second.cause;
    updated.fire_time = it->second.fire_time;
    updated.created_at = it->second.created_at;
    updated.backfill = it->second.backfill;
    it->second = std::move(updated);
    return true;
  }

  Result<std::optional<job::Run>> get_run(RunId id) override {
    auto it = now_.runs.find(id);
    return it == now_.runs.end() ? std::nullopt : std::optional(it->second);
  }

  Result<std::vector<job::Run>> list_runs(const RunFilter& filter) override {
    std::vector<job::Run> found;
    for (auto it = now_.runs.rbegin(); it != now_.runs.rend(); ++it)
      if (matches(it->second, filter)) found.push_back(it->second);
    if (filter.by_fire_time)
      std::ranges::stable_sort(found, std::ranges::greater{}, &job::Run::fire_time);
    found.resize(std::min(found.size(), filter.limit));
    return found;
  }

  std::vector<DueRun> ready_runs(Time now) {
    std::vector<DueRun> due;
    for (const auto& [id, run] : now_.runs) {
      if (run.state != job::RunState::pending || run.due_at > now || run.gated) continue;
      auto busy = [&run = run](const auto& row) {
        // Of two retries the older one goes first: neither may wait for the other for ever.
        const bool before = row.second.state == job::RunState::running || row.first < run.id ||
                            !run.occupies_slot();
        return row.first != run.id && row.second.job_id == run.job_id &&
               job::keeps_job_busy(row.second) && before;
      };
      const bool job_busy = std::ranges::any_of(now_.runs, busy);
      const bool patient = !run.forced && (run.waits || run.occupies_slot());
      if (!patient || !job_busy) due.push_back({run, job_busy});
    }
    return due;
  }

  Result<std::vector<DueRun>> due_runs(Time now, std::size_t limit,
                                       const std::vector<std::string>& without) override {
    std::vector<DueRun> due = ready_runs(now);
    std::erase_if(due, [&without](const DueRun& one) {
      return !one.run.group.empty() && std::ranges::find(without, one.run.group) != without.end();
    });
    std::ranges::stable_sort(due, {}, [](const DueRun& d) { return d.run.rank(); });
    due.resize(std::min(due.size(), limit));
    return due;
  }

  Result<std::vector<DueRun>> blocked_runs(Time now, std::size_t limit) override {
    std::vector<DueRun> due = ready_runs(now);
    std::ranges::stable_sort(due, {}, [](const DueRun& d) { return d.run.due_at; });
    std::erase_if(due, [](const DueRun& one) { return !one.job_busy || one.run.forced; });
    due.resize(std::min(due.size(), limit));
    return due;
  }

  Result<bool> is_busy(JobId job) override {
    return std::ranges::any_of(now_.runs, [job](const auto& row) {
      return row.second.job_id == job && job::keeps_job_busy(row.second);
    });
  }

  Result<std::vector<job::Run>> gated_runs() override {
    std::vector<job::Run> found;
    for (const auto& [id, run] : now_.runs)
      if (run.state == job::RunState::pending && run.gated) found.push_back(run);
    return found;
  }

  Result<bool> has_succeeded(JobId job, Time after) override {
    return std::ranges::any_of(now_.runs, [&](const auto& row) {
      const job::Run& run = row.second;
      return run.job_id == job && run.fire_time > after && run.state == job::RunState::succeeded &&
             !run.backfill;
    });
  }

  Result<std::vector<job::Run>> overdue_runs(Time now, std::size_t limit) override {
    std::vector<job::Run> found;
    for (const auto& [id, run] : now_.runs)
      if (run.state == job::RunState::pending && run.give_up_at && *run.give_up_at <= now)
        found.push_back(run);
    std::ranges::stable_sort(found, {}, [](const job::Run& run) { return *run.give_up_at; });
    found.resize(std::min(found.size(), limit));
    return found;
  }

  Result<std::vector<job::Run>> runs_in_state(job::RunState state) override {
    std::vector<job::Run> found;
    for (const auto& [id, run] : now_.runs)
      if (run.state == state) found.push_back(without_tail(run));
    return found;
  }

  Result<std::vector<job::Run>> cancel_requests() override {
    std::vector<job::Run> found;
    for (const auto& [id, run] : now_.runs)
      if (run.state == job::RunState::running && run.cancel_requested)
        found.push_back(without_tail(run));
    return found;
  }

  Result<std::vector<job::Run>> signal_requests() override {
    std::vector<job::Run> found;
    for (const auto& [id, run] : now_.runs)
      if (run.state == job::RunState::running && run.signal_requested != 0)
        found.push_back(without_tail(run));
    return found;
  }

  Result<void> insert_attempt(RunId id, const job::AttemptResult& attempt, job::Reason) override {
    now_.attempts.push_back({id, attempt});
    return {};
  }

  Result<std::vector<job::AttemptResult>> list_attempts(RunId id) override {
    std::vector<job::AttemptResult> found;
    for (const AttemptRow& row : now_.attempts)
      if (row.run_id == id) found.push_back(row.result);
    return found;
  }

  Result<std::optional<Time>> next_wake(Time due_after) override {
    std::optional<Time> wake;
    auto consider = [&wake](Time t) { wake = std::min(wake.value_or(t), t); };
    for (const auto& [id, job] : now_.jobs)
      if (job.next_fire) consider(*job.next_fire);
    for (const auto& [id, run] : now_.runs) {
      if (run.state != job::RunState::pending) continue;
      if (run.due_at > due_after) consider(run.due_at);
      if (run.give_up_at) consider(*run.give_up_at);
    }
    return wake;
  }

  Result<Counts> counts() override {
    Counts counts{.jobs = static_cast<std::int64_t>(now_.jobs.size())};
    for (const auto& [id, run] : now_.runs) {
      if (run.state == job::RunState::running) ++counts.runs_running;
      if (run.state == job::RunState::pending) ++counts.runs_pending;
    }
    for (const auto& [id, alert] : now_.alerts) counts.alerts_open += alert.open() ? 1 : 0;
    for (const auto& [id, job] : now_.jobs)
      if (const auto fire = job.upcoming_fire())
        counts.next_fire = std::min(counts.next_fire.value_or(*fire), *fire);
    return counts;
  }

  Result<void> insert_backfill(Backfill& backfill) override {
    backfill.id = BackfillId{++now_.last_backfill_id};
    now_.backfills[backfill.id] = backfill;
    return {};
  }

  Result<void> update_backfill(const Backfill& backfill) override {
    if (auto it = now_.backfills.find(backfill.id); it != now_.backfills.end())
      it->second = backfill;
    return {};
  }

  Result<std::vector<Backfill>> list_backfills(const BackfillFilter& filter) override {
    std::vector<Backfill> found;
    for (auto it = now_.backfills.rbegin(); it != now_.backfills.rend(); ++it) {
      const Backfill& backfill = it->second;
      if (found.size() >= filter.limit) break;
      if (filter.open_only && backfill.ended_at) continue;
      if (!filter.job_id || backfill.job_id == *filter.job_id) found.push_back(backfill);
    }
    return found;
  }

  Result<void> insert_alert(job::Alert& alert) override {
    alert.id = AlertId{++now_.last_alert_id};
    now_.alerts[alert.id] = alert;
    return {};
  }

  Result<void> update_alert(const job::Alert& alert) override {
    if (auto it = now_.alerts.find(alert.id); it != now_.alerts.end()) it->second = alert;
    return {};
  }

  Result<std::optional<job::Alert>> latest_alert(JobId job, job::AlertKind kind,
                                                 const std::string& subject) override {
    for (auto it = now_.alerts.rbegin(); it != now_.alerts.rend(); ++it) {
      const job::Alert& alert = it->second;
      if (alert.job_id == job && alert.kind == kind && (job || alert.subject == subject))
        return alert;
    }
    return std::nullopt;
  }

  Result<std::vector<job::Alert>> list_alerts(const AlertFilter& filter) override {
    std::vector<job::Alert> found;
    for (auto it = now_.alerts.rbegin(); it != now_.alerts.rend(); ++it) {
      const job::Alert& alert = it->second;
      if (found.size() >= filter.limit) break;
      if (filter.open_only && !alert.open()) continue;
      if (!filter.job_id || alert.job_id == *filter.job_id) found.push_back(alert);
    }
    return found;
  }

  Result<std::vector<JobId>> alerted_jobs() override {
    std::set<JobId> jobs;
    for (const auto& [id, alert] : now_.alerts)
      if (alert.open()) jobs.insert(alert.job_id);
    return std::vector<JobId>(jobs.begin(), jobs.end());
  }

  Result<std::int64_t> end_alerts(JobId job, const std::vector<job::AlertKind>& kinds,
                                  job::AlertEnd how, const std::string& who, Time now) override {
    std::int64_t ended = 0;
    for (auto& [id, alert] : now_.alerts) {
      if (alert.job_id != job || !alert.open()) continue;
      if (!kinds.empty() && std::ranges::find(kinds, alert.kind) == kinds.end()) continue;
      alert.ended_at = now;
      alert.ended_by = how;
      alert.ended_who = who;
      alert.over_untold = true;
      if (alert.told_at) alert.tell_at.reset();
      ++ended;
    }
    return ended;
  }

  Result<std::vector<job::Alert>> alerts_to_tell(Time by, std::size_t limit) override {
    std::vector<job::Alert> found;
    for (const auto& [id, alert] : now_.alerts) {
      if (found.size() >= limit) break;
      if ((alert.tell_at && *alert.tell_at <= by) || alert.over_untold) found.push_back(alert);
    }
    return found;
  }

  Result<void> insert_message(Message& message) override {
    message.id = MessageId{++now_.last_message_id};
    now_.messages[message.id] = message;
    return {};
  }

  Result<void> update_message(const Message& message) override {
    if (auto it = now_.messages.find(message.id); it != now_.messages.end()) it->second = message;
    return {};
  }

  Result<std::vector<Message>> waiting_messages(const std::string& notifier,
                                                std::size_t limit) override {
    std::vector<Message> found;
    for (const auto& [id, message] : now_.messages) {
      if (found.size() >= limit) break;
      if (!message.settled_at && (notifier.empty() || message.notifier == notifier))
        found.push_back(message);
    }
    return found;
  }

  Result<std::optional<Message>> get_message(MessageId id) override {
    auto it = now_.messages.find(id);
    return it == now_.messages.end() ? std::nullopt : std::optional(it->second);
  }

  Result<void> put_notifier(const NotifierState& state) override {
    now_.notifiers[state.name] = state;
    return {};
  }

  Result<std::vector<NotifierState>> list_notifiers() override {
    std::vector<NotifierState> found;
    for (const auto& [name, state] : now_.notifiers) found.push_back(state);
    return found;
  }

  Result<std::optional<Time>> next_telling() override {
    std::optional<Time> next;
    auto consider = [&next](Time t) { next = std::min(next.value_or(t), t); };
    for (const auto& [id, alert] : now_.alerts) {
      if (alert.tell_at) consider(*alert.tell_at);
      if (alert.over_untold && alert.ended_at) consider(*alert.ended_at);
    }
    return next;
  }

  Result<void> put_node(const Node& node) override {
    now_.nodes[node.id] = node;
    return {};
  }

  Result<std::vector<Node>> list_nodes() override {
    std::vector<Node> nodes;
    for (const auto& [id, node] : now_.nodes) nodes.push_back(node);
    return nodes;
  }

  Result<void> add_event(const Event& event) override {
    now_.events.push_front(event);
    return {};
  }

  Result<std::vector<Event>> list_events(const EventFilter& filter) override {
    std::vector<Event> found;
    for (const Event& event : now_.events) {
      if (found.size() >= filter.limit) break;
      if (filter.since && event.at < *filter.since) continue;
      if (filter.until && event.at >= *filter.until) continue;
      const auto& kinds = filter.kinds;
      if (kinds.empty() || std::ranges::find(kinds, event.kind) != kinds.end())
        found.push_back(event);
    }
    return found;
  }

  Result<void> add_audit(const Audit& audit) override {
    now_.audits.push_front(audit);
    return {};
  }

  Result<std::vector<Audit>> list_audit(const std::string& job, std::size_t limit) override {
    std::vector<Audit> found;
    for (const Audit& audit : now_.audits) {
      if (found.size() >= limit) break;
      if (job.empty() || audit.job == job) found.push_back(audit);
    }
    return found;
  }

  Result<HistoryPage> history(const HistoryFilter& filter) override {
    return memory::history(now_, filter);
  }
  Result<std::vector<Surplus>> surplus_runs(JobId after, std::int64_t keep,
                                            std::size_t limit) override {
    return memory::surplus_runs(now_, after, keep, limit);
  }
  Result<std::int64_t> delete_runs(const std::vector<RunId>& ids) override {
    return memory::delete_runs(now_, ids);
  }
  Result<void> forget_outputs(const std::vector<RunId>& ids) override {
    memory::forget_outputs(now_, ids);
    return {};
  }
  Result<RecordPage> prune_records(const RecordFilter& filter) override {
    return memory::prune_records(now_, filter);
  }

 private:
  std::uint64_t revision_ = 0;
  const job::Job* named(const std::string& name) const {
    auto it = std::ranges::find(now_.jobs, name, [](const auto& row) { return row.second.name; });
    return it == now_.jobs.end() ? nullptr : &it->second;
  }

  void record_version(const job::Job& job) {
    now_.versions.push_back({.job_id = job.id,
                             .name = job.name,
                             .version = job.version,
                             .since = job.defined_at,
                             .definition = job.definition});
  }

  static tl::unexpected<Error> taken(const std::string& name) {
    return fail(ErrorKind::conflict, "a job named '" + name + "' exists already");
  }

  static job::Run without_tail(job::Run run) {
    run.result.output_tail.clear();
    return run;
  }

  std::string id_ = new_id();
  Tables now_;
  std::optional<Tables> before_;
};

}  // namespace

std::unique_ptr<Store> open_memory() {
  return std::make_unique<MemoryStore>();
}

}  // namespace schedctl::store
