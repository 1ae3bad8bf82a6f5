// Settings from a file, the environment and flags, as anybody may write them: refused with a place,
// or every setting reads back as `config` prints it.

#include <unistd.h>

#include "schedctl/config/config.hpp"
#include "src/config/settings.hpp"
#include "target.hpp"

namespace schedctl::fuzz {
namespace {

/// Between the file and what else is said: lines "e NAME=VALUE" and "s KEY=VALUE".
constexpr std::string_view kBeside = "\n=====\n";

std::pair<std::string, std::string> halves(const std::string& line) {
  const std::size_t equals = std::min(line.find('='), line.size());
  return {line.substr(0, equals), line.substr(std::min(equals + 1, line.size()))};
}

config::Sources sources_of(const std::string& text, const Scratch& scratch) {
  config::Sources sources;
  sources.uid = ::geteuid();
  sources.home = "/home/anna";
  sources.host_timezone = "Europe/Berlin";
  const std::size_t end = text.find(kBeside);
  sources.config_file = scratch.write("schedctl.toml", text.substr(0, end));
  if (end == std::string::npos) return sources;
  std::string_view rest = std::string_view(text).substr(end + kBeside.size());
  while (!rest.empty()) {
    const std::size_t length = std::min(rest.find('\n'), rest.size());
    const std::string line(rest.substr(0, length));
    rest.remove_prefix(std::min(length + 1, rest.size()));
    if (line.starts_with("e ")) sources.environment.insert(halves(line.substr(2)));
    if (line.starts_with("s ")) sources.set.push_back(halves(line.substr(2)));
  }
  return sources;
}

void check(const config::Loaded& loaded) {
  for (const std::string& path : {loaded.config.state_dir, loaded.config.runtime_dir}) {
    require(path.starts_with('/') && path.find('\n') == std::string::npos, "paths are absolute");
  }
  require(loaded.config.sqlite_path().starts_with('/'), "the store has an absolute path");
  config::Config again;
  for (const config::Setting& setting : loaded.settings) {
    const config::SettingSpec* spec = config::find_setting(setting.key);
    require(spec != nullptr, "a setting that is printed exists");
    // Lists are joined for people, and addresses may be secrets.
    if (spec->type == config::SettingSpec::Type::list || setting.key == "heartbeat_url" ||
        setting.key.starts_with("alerts.slack.webhook")) {
      continue;
    }
    const std::string printed = spec->print(loaded.config, setting.key);
    if (printed.empty()) continue;
    const auto read =
        spec->read(again, setting.key, {.text = printed, .list = {}, .relative_allowed = false});
    require(read && spec->print(again, setting.key) == printed, "a setting reads back as printed");
  }
}

}  // namespace

std::vector<std::string> seeds() {
  const std::string file = R"(store = "sqlite:<state_dir>/schedctl.db"
state_dir = "/var/lib/schedctl"
runtime_dir = "/run/schedctl"
log_file = "/var/log/schedctl/info.log"
log_level = "info"
jobs_dirs = ["/etc/schedctl/jobs.d", "/a/../b/"]
environment = "production"
timezone = "UTC"
max_running = 100
stop_timeout = "30s"
on_sigterm = "leave"
heartbeat_url = "https://example.org/ping"
heartbeat_interval = "60s"
[defaults]
misfire_grace = "1h"
retry = { max_attempts = 3, backoff = "30s" }
[alerts]
realert_after = "24h"
flap_window = "1h"
[alerts.slack]
webhook_url_file = "/etc/schedctl/slack_url"
channel = "#dev-notify"
)";
  const std::string beside(kBeside);
  return {file,
          file + beside + "e SCHEDCTL_LOG_LEVEL=debug\ne SCHEDCTL_JOBS_DIRS=/a:/b\n",
          beside + "s store=sqlite:/x/y.db\ns defaults.timeout=5m\ne SCHEDCTL_PORT=1",
          beside + "s store=postgresql://x/y\n",
          "storre = 1\n",
          "[alerts.slack]\nwebhook_url = \"https://hooks.example.org/x\"\nusername = \"u\"\n",
          "job = {}\n",
          "log_file = \"-\"\nstate_dir = \"relative\"\n"};
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace schedctl;
  static const fuzz::Scratch scratch;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Result<config::Loaded> loaded = config::load(fuzz::sources_of(text, scratch));
  if (!loaded) {
    fuzz::require(fuzz::is_utf8(loaded.error().message), "an error can be printed");
    return 0;
  }
  for (const std::string& warning : loaded->warnings) {
    fuzz::require(fuzz::is_utf8(warning), "a warning can be printed");
  }
  fuzz::check(*loaded);
  return 0;
}
