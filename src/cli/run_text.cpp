#include "src/cli/run_text.hpp"

#include "schedctl/base/signals.hpp"
#include "src/cli/json.hpp"
#include "src/cli/table.hpp"
#include "src/cli/times.hpp"

namespace schedctl::cli {
namespace {

/// What stands in brackets behind the state.
std::string detail_text(const job::Run& run) {
  const job::AttemptResult& result = run.result;
  if (run.reason == job::Reason::exit_status && result.exit_code)
    return "exit " + std::to_string(*result.exit_code);
  if (run.reason == job::Reason::signal && result.signal != 0) {
    return signal_name(result.signal) + (result.error.empty() ? "" : ", " + result.error);
  }
  const bool worded = run.reason == job::Reason::exec_error ||
                      run.reason == job::Reason::start_error || run.reason == job::Reason::output;
  if (worded && !result.error.empty()) return result.error;
  if (run.reason == job::Reason::none && run.state == job::RunState::pending && run.attempt > 1)
    return "retry";
  return std::string(job::to_string(run.reason));
}

std::string fire_text(const job::Run& run, const job::Zone& zone, Time now) {
  if (run.last_fire_time && run.count > 1)
    return absolute(run.fire_time, zone) + " to " + absolute(*run.last_fire_time, zone);
  return absolute_and_relative(run.fire_time, zone, now);
}

}  // namespace

Color state_color(job::RunState state) {
  switch (state) {
    case job::RunState::succeeded:
      return Color::green;
    case job::RunState::failed:
    case job::RunState::lost:
      return Color::red;
    case job::RunState::running:
      return Color::cyan;
    case job::RunState::cancelled:
    case job::RunState::skipped:
    case job::RunState::missed:
      return Color::yellow;
    case job::RunState::pending:
      return Color::none;
  }
  return Color::none;
}

std::string outcome_text(const job::Run& run) {
  std::string text(job::to_string(run.state));
  if (const std::string detail = detail_text(run); !detail.empty()) text += " (" + detail + ")";
  if (run.count > 1) text += " " + std::to_string(run.count) + " times";
  return text;
}

Time awaited_since(const job::Run& run) {
  return run.cause == job::Cause::backfill ? run.created_at : run.fire_time;
}

std::string runs_table(const std::vector<job::Run>& runs, const job::Zone& zone, Time now) {
  Table table({{.title = "RUN"},
               {.title = "JOB"},
               {.title = "CAUSE"},
               {.title = "STATE"},
               {.title = "TRY", .right = true},
               {.title = "FIRE TIME"},
               {.title = "DELAY", .right = true},
               {.title = "TOOK", .right = true},
               {.title = "CPU", .right = true}});
  for (const job::Run& run : runs) {
    const job::AttemptResult& result = run.result;
    const bool started = result.started_at.has_value();
    const bool ended = started && result.ended_at.has_value();
    std::string took = "-";
    if (ended)
      took = rough(since(*result.started_at, *result.ended_at));
    else if (started && run.state == job::RunState::running)
      took = rough(since(*result.started_at, now));
    table.add({{"#" + std::to_string(run.id.value)},
               {run.job_name},
               {std::string(job::to_string(run.cause))},
               {outcome_text(run), state_color(run.state)},
               {std::to_string(run.attempt)},
               {fire_text(run, zone, now)},
               {started ? rough(*result.started_at - awaited_since(run)) : "-"},
               {took},
               {ended ? rough(result.cpu) : "-"}});
  }
  return table.render(terminal_width());
}

}  // namespace schedctl::cli
