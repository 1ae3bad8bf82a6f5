#include "schedctl/job/schedule.hpp"
#include "src/job/allowed_fires.hpp"
#include "src/job/plain_fires.hpp"

namespace schedctl::job {
namespace {

bool names_calendars(const Schedule& schedule) {
  return !schedule.only.empty() || !schedule.exclude.empty();
}

}  // namespace

struct FireSeries::Impl {
  std::variant<PlainFires, AllowedFires> fires;

  const AllowedFires* narrowed() const { return std::get_if<AllowedFires>(&fires); }
};

Result<FireSeries> FireSeries::make(const Schedule& schedule, ZonePtr zone, std::uint64_t seed,
                                    const CalendarSource& calendars) {
  if (!names_calendars(schedule)) return make(schedule, std::move(zone), seed);
  if (!zone) {
    return fail(ErrorKind::usage, "a schedule with calendars needs a time zone", "timezone");
  }
  TRY(CalendarFilter filter, CalendarFilter::make(schedule, zone, calendars));
  TRY(PlainFires plain, PlainFires::make(schedule, std::move(zone), seed));
  return FireSeries(std::make_unique<const Impl>(
      Impl{AllowedFires{std::move(plain), std::move(filter), schedule.on_excluded}}));
}

Result<FireSeries> FireSeries::make(const Schedule& schedule, ZonePtr zone, std::uint64_t seed) {
  if (names_calendars(schedule)) {
    return fail(ErrorKind::usage, "the schedule names calendars, and none are known here",
                schedule.only.empty() ? "exclude" : "only");
  }
  TRY(PlainFires plain, PlainFires::make(schedule, std::move(zone), seed));
  return FireSeries(std::make_unique<const Impl>(Impl{std::move(plain)}));
}

std::optional<Time> FireSeries::next_after(Time t) const {
  return std::visit([t](const auto& fires) { return fires.next_after(t); }, impl_->fires);
}

std::optional<Time> FireSeries::last_before(Time t) const {
  constexpr std::chrono::days kSpans[] = {std::chrono::days(1), std::chrono::days(32),
                                          std::chrono::days(400), std::chrono::days(14'610)};
  if (t == Time::min()) return std::nullopt;
  for (const std::chrono::days span : kSpans) {
    const Stretch before = count(std::max(t, Time::min() + span) - span, t - Duration(1));
    if (before.count > 0) return before.last;
  }
  return std::nullopt;
}

FireSeries::Stretch FireSeries::count(Time after, Time through) const {
  return std::visit([&](const auto& fires) { return fires.count(after, through); }, impl_->fires);
}

FireSeries::Stretch FireSeries::count_excluded(Time after, Time through) const {
  const AllowedFires* narrowed = impl_->narrowed();
  return narrowed != nullptr ? narrowed->count_excluded(after, through) : Stretch{};
}

FireSeries::Stretch FireSeries::moved_to(Time fire) const {
  const AllowedFires* narrowed = impl_->narrowed();
  return narrowed != nullptr ? narrowed->moved_to(fire) : Stretch{};
}

std::optional<RuledOut> FireSeries::ruled_out(Time t) const {
  const AllowedFires* narrowed = impl_->narrowed();
  if (narrowed == nullptr || narrowed->filter.allows(t)) return std::nullopt;
  return narrowed->filter.why(t);
}

FireSeries::FireSeries(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
FireSeries::FireSeries(FireSeries&&) noexcept = default;
FireSeries& FireSeries::operator=(FireSeries&&) noexcept = default;
FireSeries::~FireSeries() = default;

}  // namespace schedctl::job
