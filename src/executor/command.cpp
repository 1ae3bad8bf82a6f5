#include "schedctl/executor/command.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "held_starts.hpp"
#include "keeper_link.hpp"
#include "schedctl/base/clock.hpp"
#include "schedctl/base/crash_point.hpp"
#include "schedctl/base/limits.hpp"

namespace schedctl::executor {
namespace {

/// How long the keeper may have to remember what is recorded already.
constexpr Duration kForgetting = std::chrono::milliseconds(50);

/// How long reports may wait for the next start, which this thread wakes for in any case.
constexpr Duration kReportsMayWait = std::chrono::milliseconds(100);

std::string read_tail(const std::string& path, std::int64_t size) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!file) return {};
  const std::int64_t wanted = std::min<std::int64_t>(size, limits::kOutputTail);
  std::string tail(static_cast<std::size_t>(wanted), '\0');
  const ssize_t n = ::pread(file.get(), tail.data(), tail.size(), size - wanted);
  tail.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  // Where the beginning is cut off, half a character may be left of it.
  std::size_t broken = 0;
  while (wanted < size && broken < std::min<std::size_t>(tail.size(), 3) &&
         (static_cast<unsigned char>(tail[broken]) & 0xC0) == 0x80) {
    ++broken;
  }
  return tail.substr(broken);
}

std::string_view stage_words(keeper::Stage stage) {
  switch (stage) {
    case keeper::Stage::output:
      return "cannot make its output file";
    case keeper::Stage::fork:
      return "cannot start a process";
    case keeper::Stage::setup:
      return "cannot set up its process";
    case keeper::Stage::cwd:
      return "cannot enter its working directory";
    case keeper::Stage::exec:
      return "cannot execute the command";
    case keeper::Stage::user:
      return "cannot run as its user";
    case keeper::Stage::group:
      return "cannot run in its group";
    case keeper::Stage::limits:
      return "cannot set its limits";
    case keeper::Stage::input:
      return "cannot open its standard input";
    case keeper::Stage::env_file:
      return "cannot read its env_file";
    case keeper::Stage::cgroup:
      return "cannot set its limits of memory, processors or processes";
    case keeper::Stage::nice:
      return "cannot set its nice value";
    case keeper::Stage::io_class:
      return "cannot set its I/O priority";
    case keeper::Stage::oom_score:
      return "cannot set its oom_score_adj";
  }
  return "cannot start";
}

/// In words, where the error's own say too little.
std::string failure_words(const keeper::StartFailed& failed) {
  if (failed.stage == keeper::Stage::user && failed.error_number == EPERM)
    return "neither allow_users nor job_user, as the keeper read them when it started, name it, or "
           "others than root can change the settings file or move it (see allow_users in "
           "schedctl(1))";
  if (failed.stage == keeper::Stage::user && failed.error_number == ENOENT)
    return "there is no user of that name";
  if (failed.stage == keeper::Stage::group && failed.error_number == EPERM)
    return "its user is not in that group";
  if (failed.stage == keeper::Stage::group && failed.error_number == ENOENT)
    return "there is no group of that name";
  if (failed.stage == keeper::Stage::env_file && failed.error_number == EBADMSG)
    return "a line of it is not NAME=VALUE";
  if (failed.stage == keeper::Stage::cgroup && failed.error_number == EOPNOTSUPP)
    return "there is no control group (version 2) with that controller here";
  if (failed.stage == keeper::Stage::setup && failed.error_number == EPROTONOSUPPORT)
    return "the keeper is older than its settings need (schedctl stop and start)";
  return errno_text(failed.error_number);
}

/// Of what is set up only a file can meet a disk: the journal, without which nothing is started.
bool is_of_the_journal(const keeper::StartFailed& failed) {
  if (failed.stage != keeper::Stage::setup) return false;
  const int error = failed.error_number;
  return error == ENOSPC || error == EDQUOT || error == EFBIG || error == EIO || error == EROFS;
}

Report report_of(const keeper::Started& started) {
  Report report;
  report.kind = Report::Kind::started;
  report.run = started.key.run;
  report.fence = started.key.fence;
  report.result.pid = started.pid;
  report.result.started_at = started.at;
  report.result.output_path = started.output_path;
  return report;
}

Report report_of(const keeper::StartFailed& failed) {
  Report report;
  report.run = failed.key.run;
  report.fence = failed.key.fence;
  // What the machine lacks for the moment is tried again; what the command lacks is the job's
  // fault.
  const bool machine = failed.stage == keeper::Stage::fork ||
                       failed.stage == keeper::Stage::output ||
                       failed.stage == keeper::Stage::setup || failed.error_number == EAGAIN ||
                       failed.error_number == ENOMEM || failed.error_number == ENFILE;
  report.happening = machine ? job::Happening::start_refused : job::Happening::exec_failed;
  report.result.ended_at = failed.at;
  report.result.error =
      std::string(is_of_the_journal(failed) ? "the keeper cannot write its journal"
                                            : stage_words(failed.stage)) +
      ": " + failure_words(failed);
  return report;
}

Report report_of(const keeper::Ended& ended) {
  Report report;
  report.run = ended.key.run;
  report.fence = ended.key.fence;
  job::AttemptResult& result = report.result;
  result.pid = ended.pid;
  result.started_at = ended.started_at;
  result.ended_at = ended.ended_at;
  result.cpu = ended.cpu;
  result.max_rss_kb = ended.max_rss_kb;
  result.output_path = ended.output_path;
  result.output_bytes = ended.output_bytes;
  result.output_cut = ended.output_cut;
  if (ended.oom_killed) result.error = "the kernel killed it for memory_max";
  if (!ended.output_path.empty() && ended.output_bytes > 0) {
    result.output_tail = read_tail(ended.output_path, ended.output_bytes);
  }
  if (WIFEXITED(ended.wait_status)) {
    result.exit_code = WEXITSTATUS(ended.wait_status);
    report.happening =
        *result.exit_code == 0 ? job::Happening::exited_zero : job::Happening::exited_nonzero;
  } else if (WIFSIGNALED(ended.wait_status)) {
    result.signal = WTERMSIG(ended.wait_status);
    report.happening = job::Happening::killed_by_signal;
  } else {
    report.happening = job::Happening::exited_nonzero;
    result.error = "its wait status, " + std::to_string(ended.wait_status) + ", says no end";
  }
  if (ended.timed_out) report.happening = job::Happening::timed_out;
  report.ended_on_order = ended.ended_on_order;
  return report;
}

Report never_started(const StartRequest& request) {
  Report report;
  report.run = request.run;
  report.fence = request.fence;
  report.happening = job::Happening::never_started;
  return report;
}

}  // namespace

std::vector<std::string> build_environment(const StartRequest& request,
                                           const Accounts::Account& account) {
  const host::User& user = account.user;
  const std::string run = std::to_string(request.run.value);
  const std::string fire_time = format_rfc3339(request.fire_time);
  const std::string attempt = std::to_string(request.attempt);
  // Of one name, the last counts: the job's own over the defaults, and over them what is reserved.
  std::vector<std::pair<std::string_view, std::string_view>> variables{
      {"PATH", account.is_root ? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
                               : "/usr/local/bin:/usr/bin:/bin"},
      {"HOME", user.home},
      {"USER", user.name},
      {"LOGNAME", user.name},
      {"SHELL", user.shell},
      {"LANG", "C.UTF-8"}};
  // An empty TZ would mean UTC; none means the machine's zone.
  if (!request.timezone.empty()) variables.emplace_back("TZ", request.timezone);
  variables.insert(variables.end(), request.env.begin(), request.env.end());
  variables.insert(variables.end(), {{"SCHEDCTL_RUN_ID", run},
                                     {"SCHEDCTL_JOB", request.job},
                                     {"SCHEDCTL_FIRE_TIME", fire_time},
                                     {"SCHEDCTL_ATTEMPT", attempt},
                                     {"SCHEDCTL_KEY", request.key}});
  std::stable_sort(variables.begin(), variables.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> result;
  result.reserve(variables.size());
  for (std::size_t i = 0; i < variables.size(); ++i) {
    const auto& [name, value] = variables[i];
    if (i + 1 < variables.size() && variables[i + 1].first == name) continue;
    std::string& entry = result.emplace_back();
    entry.reserve(name.size() + 1 + value.size());
    entry.append(name).append(1, '=').append(value);
  }
  return result;
}

Result<std::unique_ptr<CommandExecutor>> CommandExecutor::create(loop::Loop& loop, Options options,
                                                                 ReportSink& sink) {
  TRY(loop::Mailbox<Order> orders, loop::Mailbox<Order>::create());
  TRY(loop::MonotonicTimer telling, loop::MonotonicTimer::create());
  TRY(HeldStarts held, HeldStarts::create());
  std::unique_ptr<CommandExecutor> executor(new CommandExecutor(
      loop, std::move(options), sink, std::move(orders), std::move(telling), std::move(held)));
  CommandExecutor* raw = executor.get();
  TRY(raw->link_,
      KeeperLink::create(
          loop, raw->options_.paths, raw->options_.program,
          {.connected = [raw](keeper::Client& client) { raw->adopt(client.inventory()); },
           .lost =
               [raw](const std::string& why) {
                 raw->give_back_held();
                 raw->sink_.keeper_lost(why);
               },
           .keeper_is_roots = raw->options_.keeper_is_roots,
           .orphaned =
               [raw] {
                 if (raw->options_.orphaned) raw->options_.orphaned();
               },
           .reports = {.started =
                           [raw](const keeper::Started& m) { raw->sink_.report(report_of(m)); },
                       .start_failed =
                           [raw](const keeper::StartFailed& m) { raw->sink_.report(report_of(m)); },
                       .ended =
                           [raw](const keeper::Ended& m) {
                             raw->sink_.report(report_of(m));
                             CRASH_POINT("daemon.reported");
                           },
                       .pong = [raw](std::uint64_t) { raw->sink_.alive(); },
                       .closed = {}}}));
  TRY_VOID(loop.watch(raw->orders_.fd(), EPOLLIN, [raw](auto) { raw->carry_out_orders(); }));
  TRY_VOID(loop.watch(raw->telling_.fd(), EPOLLIN, [raw](auto) {
    raw->telling_.drain();
    raw->tells_soon_ = false;
    raw->carry_out_orders();
  }));
  TRY_VOID(loop.watch(raw->held_->fd(), EPOLLIN, [raw](auto) { raw->start_due(); }));
  return executor;
}

CommandExecutor::CommandExecutor(loop::Loop& loop, Options options, ReportSink& sink,
                                 loop::Mailbox<Order> orders, loop::MonotonicTimer telling,
                                 HeldStarts held)
    : loop_(loop),
      options_(std::move(options)),
      accounts_(options_.job_user),
      sink_(sink),
      orders_(std::move(orders)),
      telling_(std::move(telling)),
      held_(std::make_unique<HeldStarts>(std::move(held))) {}

CommandExecutor::~CommandExecutor() {
  loop_.unwatch(held_->fd());
  loop_.unwatch(orders_.fd());
  loop_.unwatch(telling_.fd());
}

Result<void> CommandExecutor::connect(Duration patience) {
  return link_->connect(patience);
}

void CommandExecutor::adopt(const keeper::Inventory& known) {
  give_back_held();
  Adoption adoption;
  adoption.keeper = known.instance;
  adoption.keeper_pid = keeper_pid();
  adoption.generation = ++generation_;
  const auto take_over = [&](const auto& entries) {
    for (const auto& entry : entries) {
      if (entry.key.store_id == options_.store_id) adoption.reports.push_back(report_of(entry));
    }
  };
  take_over(known.running);
  take_over(known.failed);
  take_over(known.ended);
  sink_.adopt(std::move(adoption));
}

std::int64_t CommandExecutor::keeper_pid() const {
  const keeper::Client* client = link_->client();
  return client != nullptr ? client->pid() : 0;
}

void CommandExecutor::dismiss_keeper() {
  // What the runner has told last, that runs are recorded above all, still counts.
  carry_out_orders();
  link_->dismiss();
}

void CommandExecutor::start(std::vector<StartRequest> requests) {
  orders_.post(Order(std::move(requests)));
}

void CommandExecutor::end(RunId run, std::int64_t fence, Duration kill_grace) {
  orders_.post(Order(EndOrder{run, fence, kill_grace}));
}

void CommandExecutor::signal(RunId run, std::int64_t fence, int number) {
  orders_.post(Order(SignalOrder{run, fence, number}));
}

void CommandExecutor::recorded(std::vector<std::pair<RunId, std::int64_t>> runs) {
  // It only lets the keeper forget: not worth waking two processes for, if another order follows.
  orders_.leave(Order(std::move(runs)));
  if (!tells_soon_.exchange(true)) telling_.arm(kForgetting);
}

void CommandExecutor::ping() {
  orders_.post(Order(PingOrder{}));
}

keeper::RunKey CommandExecutor::key_of(RunId run, std::int64_t fence) const {
  return keeper::RunKey{options_.store_id, run, fence};
}

void CommandExecutor::carry_out_orders() {
  keeper::Client* client = link_->client();
  for (Order& order : orders_.take()) {
    if (auto* requests = std::get_if<std::vector<StartRequest>>(&order)) {
      start_all(client, std::move(*requests));
      continue;
    }
    const auto* end = std::get_if<EndOrder>(&order);
    if (end != nullptr && end_held(*end)) continue;
    // Without a keeper there is nobody to tell: what it knows comes with the next adoption.
    if (client == nullptr) continue;
    if (end != nullptr) {
      client->end(key_of(end->run, end->fence), end->kill_grace);
    } else if (const auto* signal = std::get_if<SignalOrder>(&order)) {
      client->signal(key_of(signal->run, signal->fence), signal->number);
    } else if (const auto* done = std::get_if<Recorded>(&order)) {
      std::vector<keeper::RunKey> keys;
      keys.reserve(done->size());
      for (const auto& [run, fence] : *done) keys.push_back(key_of(run, fence));
      client->acknowledge(keys);
    } else if (std::holds_alternative<PingOrder>(order)) {
      client->ping(0);
    }
  }
  link_->send_orders();
}

void CommandExecutor::start_all(keeper::Client* client, std::vector<StartRequest> requests) {
  const Time now = SystemClock().wall();
  bool holds = false;
  for (StartRequest& request : requests) {
    // An order from before the keeper was connected anew: the adoption has told the runner that
    // this run was never started, so it must not be started now.
    if (client == nullptr || request.generation != generation_) {
      sink_.report(never_started(request));
      continue;
    }
    if (request.not_before > now) {
      held_->hold(std::move(request));
      holds = true;
      continue;
    }
    keeper::StartOrder order;
    order.key = key_of(request.run, request.fence);
    order.terms = terms_of(request.policy);
    const Accounts::Account& account = accounts_.find(order.terms.user);
    order.env = build_environment(request, account);
    order.argv = std::move(request.argv);
    order.cwd = std::move(request.cwd);
    if (order.cwd.empty()) order.cwd = account.default_cwd;
    order.timeout = request.policy.timeout;
    order.kill_grace = request.policy.kill_grace;
    client->start(order);
  }
  if (holds) tend_held();
}

// A clock that was set says nothing of when those that wait are due; whoever ordered them does.
void CommandExecutor::start_due() {
  if (held_->was_clock_set()) {
    give_back_held();
    return;
  }
  start_all(link_->client(), held_->take_due(SystemClock().wall()));
  link_->send_orders();
  tend_held();
  link_->read_reports();
}

bool CommandExecutor::end_held(const EndOrder& order) {
  const std::optional<StartRequest> held = held_->take(order.run, order.fence);
  if (!held) return false;
  tend_held();
  Report report = never_started(*held);
  report.ended_on_order = true;
  sink_.report(std::move(report));
  return true;
}

void CommandExecutor::give_back_held() {
  for (const StartRequest& request : held_->take_all()) sink_.report(never_started(request));
  tend_held();
}

void CommandExecutor::tend_held() {
  held_->arm();
  const std::optional<Time> next = held_->next();
  link_->let_reports_wait(next && *next - SystemClock().wall() <= kReportsMayWait);
}

}  // namespace schedctl::executor
