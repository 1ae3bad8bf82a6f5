// Abseil keeps each zone it has loaded for the life of the process and answers from sorted tables;
// files with a footer rule are continued for 400 years. What is added here: names are checked
// before a file is opened, an unknown one gets a suggestion, and changes that leave the offset
// alone (a new abbreviation) are passed over.
//
// Replaced data. Abseil keeps a zone, and also that there is none, by the name it was asked for,
// and has no way to forget. But the name is only a path below the database: "./Europe/Berlin" is
// the same file and another name. So each state of the data has a generation, and a zone is loaded
// under the alias that its generation spells ("./" for a 0, ".//" for a 1, as many as it has binary
// digits): the file is read afresh, whoever still holds an old zone keeps it, and what stays behind
// in Abseil's table is some 50 KB for each zone in use and each replacement. UTC is built in and
// needs no file; it has no alias. A zone that the new data lacks, or that cannot be read in that
// moment because it is being written, stays as it was.
//
// That data was replaced is told by its content. To read all of it costs milliseconds, so that is
// done only after names, sizes, times or inodes of the files have changed.
#include "schedctl/zone/system_zones.hpp"

#include <absl/time/civil_time.h>
#include <absl/time/time.h>

#include <atomic>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "schedctl/base/text.hpp"
#include "src/zone/data.hpp"
#include "src/zone/names.hpp"

namespace schedctl::zone {
namespace {

using std::chrono::seconds;

absl::Time to_absl(Time t) {
  return absl::FromUnixMicros(to_us(t));
}
/// Only for instants of whole seconds that came from a Time.
Time from_absl(absl::Time t) {
  return time_from_us(absl::ToUnixMicros(t));
}

const absl::CivilSecond& civil_epoch() {
  static const absl::CivilSecond kEpoch(1970, 1, 1, 0, 0, 0);
  return kEpoch;
}
CivilTime from_civil(const absl::CivilSecond& civil) {
  return CivilTime{seconds{civil - civil_epoch()}};
}
absl::CivilSecond to_civil(CivilTime civil) {
  return civil_epoch() + civil.time_since_epoch().count();
}

class SystemZone final : public job::Zone {
 public:
  SystemZone(std::string name, absl::TimeZone zone) : name_(std::move(name)), zone_(zone) {}

  const std::string& name() const override { return name_; }

  seconds offset(Time t) const override { return seconds{zone_.At(to_absl(t)).offset}; }

  CivilTime civil(Time t) const override { return from_civil(zone_.At(to_absl(t)).cs); }

  job::CivilMeaning meaning(CivilTime civil) const override {
    const absl::TimeZone::TimeInfo info = zone_.At(to_civil(civil));
    using Kind = job::CivilMeaning::Kind;
    switch (info.kind) {
      case absl::TimeZone::TimeInfo::UNIQUE:
        return {Kind::unique, from_absl(info.pre), {}, {}};
      case absl::TimeZone::TimeInfo::SKIPPED:
        return {Kind::skipped, {}, {}, from_absl(info.trans)};
      case absl::TimeZone::TimeInfo::REPEATED:
        return {Kind::repeated, from_absl(info.pre), from_absl(info.post), from_absl(info.trans)};
    }
    return {};
  }

  std::optional<job::ZoneChange> next_change(Time t) const override {
    absl::TimeZone::CivilTransition change;
    absl::Time from = to_absl(t);
    while (zone_.NextTransition(from, &change)) {
      const absl::TimeZone::TimeInfo info = zone_.At(change.to);
      from = info.kind == absl::TimeZone::TimeInfo::REPEATED ? info.trans : info.pre;
      if (change.from == change.to) continue;
      const seconds after{zone_.At(from).offset};
      return job::ZoneChange{from_absl(from), after - seconds{change.to - change.from}, after};
    }
    return std::nullopt;
  }

 private:
  const std::string name_;
  const absl::TimeZone zone_;
};

/// Of the process, like Abseil's table.
std::atomic<std::uint64_t> last_generation{0};

class SystemZones final : public job::ZoneSource {
 public:
  Result<job::ZonePtr> find(const std::string& name) const override {
    {
      const std::shared_lock lock(mutex_);
      if (const auto known = zones_.find(name); known != zones_.end()) return known->second;
    }
    TRY_VOID(check_zone_name(name));
    const std::unique_lock lock(mutex_);
    job::ZonePtr& zone = zones_[name];
    if (zone) return zone;
    absl::TimeZone loaded;
    if (absl::LoadTimeZone(alias_of(name), &loaded)) {
      zone = std::make_shared<SystemZone>(name, loaded);
    } else if (const auto old = old_zones_.find(name); old != old_zones_.end()) {
      zone = old->second;
    } else {
      zones_.erase(name);
      return unknown(name);
    }
    return zone;
  }

  std::string refresh() const override {
    const std::unique_lock lock(mutex_);
    const std::vector<DataFile> files = data_files();
    const std::uint64_t look = look_of(files);
    if (look_ == look) return state_;
    std::string state = state_of(files);
    if (look_ && state != state_) {
      generation_ = ++last_generation;
      for (auto& [name, zone] : zones_) old_zones_[name] = std::move(zone);
      zones_.clear();
    }
    look_ = look;
    state_ = std::move(state);
    return state_;
  }

 private:
  /// The name under which this generation's zone is asked for.
  std::string alias_of(const std::string& name) const {
    if (name == "UTC") return name;
    std::string alias;
    for (std::uint64_t rest = generation_; rest != 0; rest /= 2) {
      alias += rest % 2 == 0 ? "./" : ".//";
    }
    return alias + name;
  }

  static tl::unexpected<Error> unknown(const std::string& name) {
    std::string message = "unknown time zone '" + escape_control(name) + "'";
    if (const auto near = nearest_zone_name(name)) {
      message += "; did you mean " + *near + "?";
    } else if (zone_names().size() <= 1) {
      message += "; this machine has no time zone database (install the package tzdata)";
    } else {
      message += "; expected an IANA name like Europe/Berlin, or UTC";
    }
    return fail(ErrorKind::usage, std::move(message), "timezone");
  }

  mutable std::shared_mutex mutex_;
  mutable std::map<std::string, job::ZonePtr> zones_;      ///< of this generation
  mutable std::map<std::string, job::ZonePtr> old_zones_;  ///< the latest ones of those before
  mutable std::uint64_t generation_ = 0;
  mutable std::optional<std::uint64_t> look_;  ///< of the files, when refresh() last looked
  mutable std::string state_;                  ///< what it said
};

}  // namespace

std::unique_ptr<job::ZoneSource> system_zones() {
  return std::make_unique<SystemZones>();
}

}  // namespace schedctl::zone
