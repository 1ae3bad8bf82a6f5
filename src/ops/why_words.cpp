#include "src/ops/why_words.hpp"

#include <cstdio>

#include "schedctl/base/text.hpp"

namespace schedctl::ops {

std::string rough(Duration d) {
  using namespace std::chrono;
  if (d < Duration::zero()) return "-" + rough(-d);
  if (d == Duration::zero()) return "0s";
  if (d < milliseconds(1)) return "1ms";
  if (d < seconds(1)) return format_duration(Duration(floor<milliseconds>(d)));
  if (d < seconds(10)) {
    char text[16];
    std::snprintf(text, sizeof text, "%.1fs", static_cast<double>(d.count()) / 1e6);
    return text;
  }
  if (d < minutes(10)) return format_duration(Duration(round<seconds>(d)));
  if (d < hours(24)) return format_duration(Duration(round<minutes>(d)));
  const hours whole = round<hours>(d);
  const auto rest = (whole % hours(24)).count();
  return std::to_string(whole / hours(24)) + "d" + (rest > 0 ? std::to_string(rest) + "h" : "");
}

std::string quoted_line(std::string_view text) {
  text = trimmed(text);
  text = trimmed(text.substr(0, text.find('\n')));
  while (text.ends_with('.')) text.remove_suffix(1);
  return escape_control(text);
}

std::string capital(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') {
    text[0] = static_cast<char>(text[0] - 'a' + 'A');
  }
  return text;
}

std::string counted(std::int64_t n, std::string_view noun) {
  std::string digits = std::to_string(n);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits + " " + std::string(noun) + (n == 1 ? "" : "s");
}

std::string all_runs(std::int64_t max_runs) {
  return max_runs == 1 ? "its one run" : "all its " + counted(max_runs, "run");
}

std::string number(RunId id) {
  return "#" + std::to_string(id.value);
}

std::string number(const job::Run& run) {
  return number(run.id);
}

std::string who(const std::optional<store::Audit>& audit) {
  return audit && !audit->who.empty() ? escape_control(audit->who) : "somebody";
}

std::string sentence(std::string text) {
  if (!text.empty() && !text.ends_with('.')) text += '.';
  return text;
}

std::string Moments::full(Time t) const {
  std::string text = job::format_local(t, zone_);
  if (const std::size_t at = text.find('T'); at != std::string::npos) text[at] = ' ';
  return text;
}

std::string Moments::with_age(Time t) const {
  return full(t) + " (" + age(t) + ")";
}

std::string Moments::brief(Time t) const {
  std::string text = full(t);
  const std::string reference = full(reference_);
  const std::size_t time = text.find(' ');
  const std::size_t offset = text.find_first_of("+-", time);
  const bool same_offset =
      text.substr(offset) == reference.substr(reference.find_first_of("+-", reference.find(' ')));
  const bool same_day = text.substr(0, time) == reference.substr(0, reference.find(' '));
  if (same_offset) text.resize(offset);
  return same_day ? text.substr(time + 1) : text;
}

std::string Moments::span(Time from, Time to) const {
  return "from " + brief(from) + " to " + brief(to) + " (" + rough(to - from) + ")";
}

std::string Moments::age(Time t) const {
  const Duration past = now_ - t;
  if (past >= std::chrono::seconds(1)) return rough(past) + " ago";
  if (past <= -std::chrono::seconds(1)) return "in " + rough(-past);
  return "now";
}

std::string gap_words(const Gap& gap, const Moments& moments) {
  // Before the first daemon there was no beginning to count from.
  const std::string span = gap.kind == Gap::Kind::never ? "" : moments.span(gap.from, gap.to);
  switch (gap.kind) {
    case Gap::Kind::never:
      return "the first daemon of this store was started at " + moments.brief(gap.to);
    case Gap::Kind::stopped:
      return "no daemon was running " + span + "; it had been stopped";
    case Gap::Kind::died:
      return "no daemon was running: the last sign of life of one was at " +
             moments.brief(gap.from) +
             ", it ended without being stopped, and the next was started at " +
             moments.brief(gap.to);
    case Gap::Kind::off:
      return "the machine was restarted: the last sign of life of the daemon before was at " +
             moments.brief(gap.from) + ", the next was started at " + moments.brief(gap.to);
    case Gap::Kind::clock:
      return "the clock was set forward by " + rough(gap.to - gap.from) + ", from " +
             moments.brief(gap.from) + " to " + moments.brief(gap.to);
    case Gap::Kind::asleep:
      return "the machine slept " + span;
    case Gap::Kind::store:
      return "the store could not be written " + span +
             (gap.detail.empty() ? "" : ": " + quoted_line(gap.detail));
    case Gap::Kind::keeper:
      return "the keeper, which starts commands, could not be reached " + span;
    case Gap::Kind::slots:
      return (gap.detail.empty() ? "all slots were taken (max_running)" : quoted_line(gap.detail)) +
             " " + span;
  }
  return "";
}

std::string_view gap_reason(Gap::Kind kind) {
  switch (kind) {
    case Gap::Kind::never:
    case Gap::Kind::stopped:
    case Gap::Kind::died:
      return "daemon_down";
    case Gap::Kind::off:
      return "machine_off";
    case Gap::Kind::clock:
      return "clock_jump";
    case Gap::Kind::asleep:
      return "asleep";
    case Gap::Kind::store:
      return "store_failed";
    case Gap::Kind::keeper:
      return "keeper_lost";
    case Gap::Kind::slots:
      return "slots";
  }
  return "";
}

std::string deed_words(const std::optional<store::Audit>& audit, const Moments& moments) {
  if (!audit) return "by somebody (the audit does not say who)";
  return "by " + who(audit) + " at " + moments.brief(audit->at);
}

}  // namespace schedctl::ops
