#include "schedctl/job/run.hpp"

#include "src/job/names.hpp"

namespace schedctl::job {

std::string_view to_string(Cause v) {
  switch (v) {
    case Cause::schedule:
      return "schedule";
    case Cause::manual:
      return "manual";
    case Cause::backfill:
      return "backfill";
    case Cause::reboot:
      return "reboot";
  }
  return "";
}

std::string_view to_string(RunState v) {
  switch (v) {
    case RunState::pending:
      return "pending";
    case RunState::running:
      return "running";
    case RunState::succeeded:
      return "succeeded";
    case RunState::failed:
      return "failed";
    case RunState::cancelled:
      return "cancelled";
    case RunState::lost:
      return "lost";
    case RunState::skipped:
      return "skipped";
    case RunState::missed:
      return "missed";
  }
  return "";
}

std::string_view to_string(Reason v) {
  switch (v) {
    case Reason::none:
      return "";
    case Reason::overlap:
      return "overlap";
    case Reason::queue_full:
      return "queue_full";
    case Reason::coalesced:
      return "coalesced";
    case Reason::paused:
      return "paused";
    case Reason::schedule_changed:
      return "schedule_changed";
    case Reason::removed:
      return "removed";
    case Reason::excluded:
      return "excluded";
    case Reason::max_runs:
      return "max_runs";
    case Reason::misfire:
      return "misfire";
    case Reason::expired:
      return "expired";
    case Reason::waited_too_long:
      return "waited_too_long";
    case Reason::exit_status:
      return "exit_status";
    case Reason::signal:
      return "signal";
    case Reason::timeout:
      return "timeout";
    case Reason::output:
      return "output";
    case Reason::exec_error:
      return "exec_error";
    case Reason::start_error:
      return "start_error";
    case Reason::keeper_died:
      return "keeper_died";
    case Reason::rebooted:
      return "rebooted";
    case Reason::operator_:
      return "operator";
    case Reason::replaced:
      return "replaced";
    case Reason::shutdown:
      return "shutdown";
  }
  return "";
}

std::optional<Cause> parse_cause(std::string_view text) {
  static constexpr Cause kAll[] = {Cause::schedule, Cause::manual, Cause::backfill, Cause::reboot};
  return find_by_name(text, kAll);
}

std::optional<RunState> parse_run_state(std::string_view text) {
  static constexpr RunState kAll[] = {RunState::pending, RunState::running,   RunState::succeeded,
                                      RunState::failed,  RunState::cancelled, RunState::lost,
                                      RunState::skipped, RunState::missed};
  return find_by_name(text, kAll);
}

std::optional<Reason> parse_reason(std::string_view text) {
  static constexpr Reason kAll[] = {
      Reason::none,        Reason::overlap,          Reason::coalesced, Reason::paused,
      Reason::removed,     Reason::schedule_changed, Reason::misfire,   Reason::expired,
      Reason::exit_status, Reason::signal,           Reason::timeout,   Reason::exec_error,
      Reason::start_error, Reason::keeper_died,      Reason::rebooted,  Reason::operator_,
      Reason::shutdown,    Reason::excluded,         Reason::max_runs,  Reason::waited_too_long,
      Reason::queue_full,  Reason::replaced,         Reason::output};
  return find_by_name(text, kAll);
}

}  // namespace schedctl::job
