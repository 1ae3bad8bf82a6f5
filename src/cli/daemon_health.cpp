#include "src/cli/daemon_health.hpp"

#include <algorithm>

#include "schedctl/base/text.hpp"
#include "schedctl/host/control.hpp"
#include "schedctl/host/host.hpp"

namespace schedctl::cli {
namespace {

using State = DaemonHealth::State;

/// The next word of `text`, which loses it.
std::string_view take_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  return word;
}

/// There is no answer, so the locks must tell. They are looked at after the question: a daemon that
/// ended meanwhile is dead, not silent.
DaemonHealth judge_by_locks(const config::Config& config, const std::string& said) {
  DaemonHealth found{.state = State::silent, .words = said};
  const Result<pid_t> holder = host::lock_holder(config.lock_file());
  if (!holder) return {.state = State::unknowable, .words = holder.error().message};
  found.pid = *holder;
  if (found.pid != 0) return found;
  // The database's lock lies elsewhere, and outlives a runtime_dir that somebody cleaned up.
  found.pid = host::lock_holder(config.sqlite_path() + ".lock").value_or(0);
  found.state = found.pid != 0 ? State::cut_off : State::dead;
  return found;
}

}  // namespace

std::optional<Health> parse_health(std::string_view reply) {
  if (take_word(reply) != "ok") return std::nullopt;
  Health health;
  constexpr std::string_view kWhy = "why=";
  for (std::string_view word = take_word(reply); !word.empty(); word = take_word(reply)) {
    if (word.starts_with(kWhy)) {
      health.why = std::string(word.substr(kWhy.size())) + std::string(reply);
      break;
    }
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view key = word.substr(0, equals);
    const std::string_view value = word.substr(equals + 1);
    if (key == "store") health.store = value;
    if (key == "keeper") health.keeper = value;
    if (key == "beat_age_us") health.beat_age = Duration(parse_int(value).value_or(0));
  }
  if (health.store.empty() || health.keeper.empty()) return std::nullopt;
  return health;
}

DaemonHealth ask_daemon(const config::Config& config, Duration patience) {
  const Result<std::string> reply =
      host::control_request(config.control_socket(), "health", patience);
  if (!reply && reply.error().kind == ErrorKind::unavailable)
    return judge_by_locks(config, reply.error().message);
  DaemonHealth found;
  found.pid = host::lock_holder(config.lock_file()).value_or(0);
  if (reply) {
    if (std::optional<Health> health = parse_health(*reply)) {
      found.state = State::answers;
      found.health = std::move(*health);
    } else {
      found.state = State::foreign;
      found.words = *reply;
    }
    return found;
  }
  found.words = reply.error().message;
  switch (reply.error().kind) {
    case ErrorKind::not_allowed:
      // The socket's file of a daemon that died may still be there, and refuse just as well.
      if (found.pid == 0) return judge_by_locks(config, found.words);
      found.state = State::refuses;
      break;
    case ErrorKind::usage:
      found.state = State::foreign;
      break;
    default:
      found.state = State::unknowable;
      break;
  }
  return found;
}

}  // namespace schedctl::cli
