#include "tuning.hpp"

#include <array>
#include <cstdio>

#include "schedctl/base/text.hpp"

namespace schedctl::daemon {
namespace {

/// Tells one address from another without being it.
std::string fingerprint(const std::string& address) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx",
                static_cast<unsigned long long>(stable_hash(address)));
  return text.data();
}

}  // namespace

Result<alert::Addresses> addresses_of(const config::Config& config) {
  alert::Addresses addresses;
  TRY(addresses.slack, config::slack_webhook_url(config));
  TRY(addresses.heartbeat, config::heartbeat_address(config));
  return addresses;
}

Result<runner::Runner::Tuning> tuning_of(const config::Config& config,
                                         const alert::Addresses& addresses, const Parts& parts,
                                         const std::string& hostname) {
  auto zone = parts.zones->find(config.timezone);
  if (!zone) return fail(ErrorKind::config, zone.error().message, "timezone");
  const alert::SlackOptions slack{config.alerts.slack.channel, config.alerts.slack.username};
  runner::Runner::Tuning tuning;
  const config::Config::Slots slots = config.command_slots();
  tuning.max_running = slots.most;
  tuning.max_running_setting = slots.setting;
  tuning.defaults = config.defaults;
  tuning.voice = {.notifiers = config.alerts.notifiers(),
                  .sender = {config.environment, hostname},
                  .slack = slack,
                  .zone = *zone,
                  .rules = {config.alerts.realert_after, config.alerts.flap_window}};
  for (const std::string& notifier : tuning.voice.notifiers) {
    tuning.outbox.push_back({notifier, fingerprint(addresses.slack + " " + slack.channel), slack});
  }
  for (const auto& [name, calendar] : config.calendars) {
    if (calendar->timezone().empty()) continue;
    const auto found = parts.zones->find(calendar->timezone());
    if (!found) {
      return fail(ErrorKind::config, found.error().message, "calendars." + name + ".timezone");
    }
  }
  tuning.calendars = config.calendars;
  tuning.groups = config.groups;
  tuning.retention = config.retention;
  if (!addresses.heartbeat.empty()) tuning.heartbeat_interval = config.heartbeat_interval;
  return tuning;
}

}  // namespace schedctl::daemon
