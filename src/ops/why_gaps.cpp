// The events of which gaps are read. Each of them is written when its gap is over, and its words
// say since when it lasted; an event that says nothing of the kind ended no gap.

#include <string_view>

#include "schedctl/job/schedule.hpp"
#include "src/ops/why_facts.hpp"

namespace schedctl::ops {
namespace {

class UtcZone final : public job::Zone {
 public:
  const std::string& name() const override { return name_; }
  std::chrono::seconds offset(Time) const override { return {}; }
  CivilTime civil(Time t) const override {
    return CivilTime(std::chrono::floor<std::chrono::seconds>(t).time_since_epoch());
  }
  job::CivilMeaning meaning(CivilTime civil) const override {
    const Time t{std::chrono::sys_seconds(civil.time_since_epoch())};
    return {.first = t, .second = t, .transition = t};
  }
  std::optional<job::ZoneChange> next_change(Time) const override { return std::nullopt; }

 private:
  std::string name_ = "UTC";
};

std::optional<Gap> before_daemon(const store::Event& event) {
  Gap gap{.kind = Gap::Kind::never, .from = Time::min(), .to = event.at, .detail = {}};
  if (event.detail == "first start") return gap;
  const auto stopped = instant_after(event.detail, "stopped at ");
  const auto died = instant_after(event.detail, "died after ");
  if (!stopped && !died) return std::nullopt;
  gap.from = stopped ? *stopped : *died;
  gap.kind = stopped ? Gap::Kind::stopped : Gap::Kind::died;
  if (event.detail.find("the machine was restarted") != std::string::npos) {
    gap.kind = Gap::Kind::off;
  }
  return gap;
}

/// "forward by 2h to 2026-03-29T03:00:00Z (from 2026-03-29T01:00:00Z)": the clock did not show what
/// lies between. A step back left nothing out.
std::optional<Gap> clock_jump(const store::Event& event) {
  if (!event.detail.starts_with("forward ")) return std::nullopt;
  const auto from = instant_after(event.detail, "(from ");
  if (!from) return std::nullopt;
  return Gap{.kind = Gap::Kind::clock, .from = *from, .to = event.at, .detail = event.detail};
}

/// "slept for 2h, from 2026-03-29T01:00:00Z to 2026-03-29T03:00:00Z".
std::optional<Gap> suspend(const store::Event& event) {
  const auto from = instant_after(event.detail, "from ");
  if (!from) return std::nullopt;
  return Gap{.kind = Gap::Kind::asleep, .from = *from, .to = event.at, .detail = {}};
}

std::optional<Gap> since(const store::Event& event, Gap::Kind kind) {
  const auto from = instant_after(event.detail, "since ");
  if (!from) return std::nullopt;
  const std::size_t colon = event.detail.find(": ");
  return Gap{.kind = kind,
             .from = *from,
             .to = event.at,
             .detail = colon == std::string::npos ? "" : event.detail.substr(colon + 2)};
}

}  // namespace

std::optional<Time> instant_after(std::string_view text, std::string_view word) {
  const std::size_t at = text.find(word);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + word.size());
  // RFC 3339 in UTC ends at its Z.
  const std::size_t end = text.find('Z');
  if (end == std::string_view::npos) return std::nullopt;
  const Result<Time> t = job::parse_time(text.substr(0, end + 1), UtcZone(), Time{});
  return t ? std::optional(*t) : std::nullopt;
}

std::optional<Gap> gap_ended_by(const store::Event& event) {
  std::optional<Gap> gap;
  if (event.kind == "daemon-up") gap = before_daemon(event);
  if (event.kind == "clock-jump") gap = clock_jump(event);
  if (event.kind == "suspend") gap = suspend(event);
  if (event.kind == "store-failed") gap = since(event, Gap::Kind::store);
  if (event.kind == "keeper-back") gap = since(event, Gap::Kind::keeper);
  if (event.kind == "slots-full") gap = since(event, Gap::Kind::slots);
  if (gap && gap->from > gap->to) return std::nullopt;
  return gap;
}

}  // namespace schedctl::ops
