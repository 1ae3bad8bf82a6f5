#include "schedctl/ops/why.hpp"

#include <algorithm>

#include "src/cli/errors.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/run_text.hpp"
#include "src/cli/session.hpp"
#include "src/cli/table.hpp"
#include "src/cli/times.hpp"

// why: what became of an occurrence of a job, and what stands in its way now.

namespace schedctl::cli {
namespace {

using ops::Finding;
using ops::Verdict;
using ops::WhyAnswer;

Color color_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::succeeded:
      return Color::green;
    case Verdict::failed:
    case Verdict::lost:
      return Color::red;
    case Verdict::running:
      return Color::cyan;
    case Verdict::cancelled:
    case Verdict::skipped:
    case Verdict::missed:
    case Verdict::due:
      return Color::yellow;
    case Verdict::waiting:
    case Verdict::upcoming:
    case Verdict::not_due:
    case Verdict::no_job:
    case Verdict::unknown:
      return Color::none;
  }
  return Color::none;
}

void print_explained(const Finding& finding) {
  std::string text = paint(color_of(finding.verdict), escape_lines(finding.headline)) + "\n";
  for (const std::string& line : finding.details) text += "  " + escape_lines(line) + "\n";
  print(text);
}

/// "02:30:00"; the day is in the heading.
std::string clock_time(Time t, const job::Zone& zone) {
  const std::string text = absolute(t, zone);
  return text.substr(text.find(' ') + 1);
}

std::string thousands(std::int64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

void print_lines(const WhyAnswer& answer) {
  const std::string from = absolute(answer.window->from, *answer.zone);
  const std::string when = answer.window->is_day ? " on " + from.substr(0, 10)
                                                 : " from " + from + " to " +
                                                       clock_time(answer.window->to, *answer.zone);
  std::string head = answer.job + when + " (" + answer.zone->name() +
                     "): " + thousands(answer.occurrences) +
                     (answer.occurrences == 1 ? " occurrence" : " occurrences");
  for (const auto& [kind, count] : answer.totals)
    head += (&kind == &answer.totals.front().first ? ": " : ", ") + thousands(count) + " " + kind;
  print(paint(Color::bold, escape_lines(head)) + "\n");
  for (const Finding& finding : answer.findings) {
    std::string line = "  " + clock_time(finding.at, *answer.zone);
    if (finding.count > 1 && finding.last)
      line += " to " + clock_time(*finding.last, *answer.zone) + "  " + thousands(finding.count) +
              " times";
    line += "  " + paint(color_of(finding.verdict), escape_lines(finding.brief));
    print(line + "\n");
  }
  if (answer.left_out > 0)
    print("  ... and " + thousands(answer.left_out) + (answer.left_out == 1 ? " line" : " lines") +
          " more; --at with a " +
          (answer.window->is_day ? "time of that day" : "second of that minute") +
          " tells of one\n");
}

/// Without what was said of the occurrence above already.
void print_now(const WhyAnswer& answer) {
  if (!answer.now.exists) return;
  std::string text;
  for (const std::string& line : answer.now.sentences) {
    const bool said = std::ranges::any_of(answer.findings, [&](const Finding& finding) {
      return std::ranges::find(finding.details, line) != finding.details.end();
    });
    if (!said) text += "  " + escape_lines(line) + "\n";
  }
  if (!text.empty()) print("now\n" + text);
}

}  // namespace

Result<Outcome> run_why(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::read));
  const ops::Context context = session->context();
  TRY(const WhyAnswer answer, with_flag(ops::why(context, {.name = call.words[0],
                                                           .at = call.value("at"),
                                                           .served = session->is_served()})));
  if (call.globals.json) {
    print(json_why(answer, session->store->id()) + "\n");
    return Done{};
  }
  const bool as_lines = answer.window && !answer.totals.empty();
  if (as_lines) {
    print_lines(answer);
  } else {
    for (const Finding& finding : answer.findings) print_explained(finding);
  }
  if (!answer.window) print_now(answer);
  return Done{};
}

}  // namespace schedctl::cli
