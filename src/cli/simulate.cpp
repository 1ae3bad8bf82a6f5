#include "schedctl/ops/simulate.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "schedctl/base/text.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json_parts.hpp"
#include "src/cli/json_text.hpp"
#include "src/cli/output.hpp"
#include "src/cli/session.hpp"
#include "src/cli/table.hpp"
#include "src/cli/times.hpp"

// simulate: all jobs over a span to come, as their schedules and their past durations have it.

namespace schedctl::cli {
namespace {

using Json = nlohmann::ordered_json;
using ops::Simulation;

constexpr Duration kSpan = std::chrono::hours(24);
/// Of the longest bar.
constexpr std::int64_t kBar = 40;
/// Names of a list that is only named.
constexpr std::size_t kListed = 20;

struct Span {
  Time from{};
  Time to{};
};

/// "8h" is that long: from now, or from --from.
Result<Span> span_of(Session& session) {
  const auto moment = [&](const char* name, Time base) -> Result<std::optional<Time>> {
    const auto text = session.call.value(name);
    if (!text) return std::nullopt;
    if (const auto length = parse_duration(*text)) return base + *length;
    Result<Time> time = job::parse_time(*text, session.local_zone(), session.now);
    if (!time)
      return fail(ErrorKind::usage, std::move(time.error().message), std::string("--") + name);
    return *time;
  };
  TRY(const std::optional<Time> from, moment("from", session.now));
  // What is due at this very moment has had its turn.
  Span span{.from = from.value_or(session.now + Duration(1))};
  TRY(const std::optional<Time> to, moment("to", span.from));
  span.to = to.value_or(span.from + kSpan);
  return span;
}

std::string thousands(std::int64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

/// Times of a span, "2026-11-21 14:00"; with their offset where the clock is changed in the span.
class Minutes {
 public:
  Minutes(const Simulation& s, const job::Zone& zone) : zone_(zone) {
    const auto change = zone.next_change(s.from);
    changes_ = change && change->at < s.to;
  }
  std::string operator()(Time t) const {
    const std::string text = absolute(t, zone_);
    return text.substr(0, 16) + (changes_ ? text.substr(19) : "");
  }

 private:
  const job::Zone& zone_;
  bool changes_ = false;
};

std::string names_of(const std::vector<std::string>& names, std::size_t all) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kListed); ++i)
    text += (i == 0 ? "" : ", ") + names[i];
  const std::size_t shown = std::min(names.size(), kListed);
  if (all > shown) text += " and " + thousands(static_cast<std::int64_t>(all - shown)) + " more";
  return text;
}

void heading(const std::string& text) {
  print("\n" + paint(Color::bold, text) + "\n");
}

void print_slots(const Simulation& s, const job::Zone& zone) {
  std::int64_t most = 1;
  for (const Simulation::Slot& slot : s.slots) most = std::max(most, slot.fires);
  Table table({{.title = "FROM"}, {.title = "FIRES", .right = true}, {.title = ""}});
  const Minutes to_the_minute(s, zone);
  for (const Simulation::Slot& slot : s.slots) {
    const std::int64_t length = (slot.fires * kBar + most - 1) / most;
    table.add({{to_the_minute(slot.from)},
               {thousands(slot.fires)},
               {std::string(static_cast<std::size_t>(length), '#')}});
  }
  heading("fires");
  print(table.render(0));
}

void print_busiest(const Simulation& s, const job::Zone& zone) {
  if (s.busiest.empty()) {
    if (s.usual_minute > 0)
      print("\nno minute is busier than the others: " + thousands(s.usual_minute) +
            " fires each\n");
    return;
  }
  heading(s.minutes_cut ? "busiest minutes (of the first 14 days)" : "busiest minutes");
  Table table({{.title = "MINUTE"}, {.title = "FIRES", .right = true}, {.title = "JOBS"}});
  const Minutes to_the_minute(s, zone);
  for (const Simulation::Minute& minute : s.busiest)
    table.add({{to_the_minute(minute.at)},
               {thousands(minute.fires)},
               {names_of(minute.jobs, static_cast<std::size_t>(minute.job_count))}});
  print(table.render(terminal_width()));
}

void print_overlaps(const Simulation& s) {
  if (s.overlaps.empty()) return;
  heading("still running when due again");
  Table table({{.title = "JOB"},
               {.title = "FIRES", .right = true},
               {.title = "SKIPPED", .right = true},
               {.title = "TAKES", .right = true},
               {.title = "95%", .right = true},
               {.title = "OF RUNS", .right = true}});
  for (const Simulation::Overlap& one : s.overlaps)
    table.add({{one.job},
               {thousands(one.fires)},
               {"up to " + thousands(one.skipped)},
               {rough(one.median)},
               {rough(one.p95)},
               {thousands(one.sample)}});
  print(table.render(terminal_width()));
}

void print_idle(const Simulation& s) {
  if (s.idle.empty()) return;
  heading("no fires");
  Table table({{.title = "JOB"}, {.title = "WHY"}});
  for (std::size_t i = 0; i < std::min(s.idle.size(), kListed); ++i)
    table.add({{s.idle[i].job}, {s.idle[i].why}});
  print(table.render(terminal_width()));
  if (s.idle.size() > kListed)
    print("... and " + thousands(static_cast<std::int64_t>(s.idle.size() - kListed)) + " more\n");
}

void print_people(Session& session, const Simulation& s) {
  const job::Zone& zone = session.local_zone();
  print(plural(s.jobs, "job") + ", " + thousands(s.fires) + (s.fires == 1 ? " fire" : " fires") +
        " from " + absolute(s.from, zone) + " to " + absolute(s.to, zone) + "\n");
  std::string peak = "nothing that is known to take time";
  if (s.peak > 0)
    peak = thousands(s.peak) + " at once, first at " + absolute(s.peak_at, zone) + "; at most " +
           thousands(s.max_running) + " may run at once";
  if (s.peak > s.max_running) peak = paint(Color::yellow, peak + ": some will wait");
  print("most runs: " + peak + "\n");
  if (!s.unmeasured.empty())
    print("taken for short, since none of their runs has ended yet: " +
          escape_lines(names_of(s.unmeasured, s.unmeasured.size())) + "\n");
  if (s.fires > 0) print_slots(s, zone);
  print_busiest(s, zone);
  print_overlaps(s);
  print_idle(s);
}

std::string json_simulation(const Simulation& s) {
  Json json{{"from", format_rfc3339(s.from)},
            {"to", format_rfc3339(s.to)},
            {"jobs", s.jobs},
            {"fires", s.fires},
            {"max_running", s.max_running},
            {"peak", s.peak}};
  json["peak_at"] = s.peak > 0 ? Json(format_rfc3339(s.peak_at)) : Json();
  json["usual_minute"] = s.usual_minute;
  Json slots = Json::array(), busiest = Json::array(), overlaps = Json::array(),
       idle = Json::array();
  for (const auto& one : s.slots)
    slots.push_back({{"from", format_rfc3339(one.from)}, {"fires", one.fires}});
  for (const auto& one : s.busiest)
    busiest.push_back({{"minute", format_rfc3339(one.at)},
                       {"fires", one.fires},
                       {"job_count", one.job_count},
                       {"jobs", one.jobs}});
  for (const auto& one : s.overlaps)
    overlaps.push_back({{"job", one.job},
                        {"fires", one.fires},
                        {"skipped", one.skipped},
                        {"median_s", seconds(one.median)},
                        {"p95_s", seconds(one.p95)},
                        {"runs", one.sample}});
  for (const auto& one : s.idle) idle.push_back({{"job", one.job}, {"why", one.why}});
  json["slot_s"] = seconds(s.slot);
  json["slots"] = std::move(slots);
  json["busiest"] = std::move(busiest);
  json["overlaps"] = std::move(overlaps);
  json["without_fires"] = std::move(idle);
  json["unmeasured"] = s.unmeasured;
  return text_of(json) + "\n";
}

}  // namespace

Result<Outcome> run_simulate(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::read));
  TRY(const Span span, span_of(*session));
  const ops::Context context = session->context();
  Result<Simulation> simulation = ops::simulate(context, session->local_zone(), span.from, span.to);
  if (!simulation) {
    Error error = simulation.error();
    if (error.where == "to") error.where = "--to";
    return fail(std::move(error));
  }
  if (call.globals.json)
    print(json_simulation(*simulation));
  else
    print_people(*session, *simulation);
  return Done{};
}

}  // namespace schedctl::cli
