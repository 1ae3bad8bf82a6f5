#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "schedctl/base/time.hpp"
#include "schedctl/config/config.hpp"

namespace schedctl::cli {

/// What a daemon answers to `health`.
struct Health {
  std::string store;   ///< "ok", "failing"
  std::string keeper;  ///< "ok", "lost", "silent"
  Duration beat_age{};
  std::string why;  ///< of a store that fails
};
/// "ok store=ok keeper=ok beat_age_us=812"; nothing for an answer of another shape. Words that this
/// program does not know are left out, for the daemon may be a newer one.
std::optional<Health> parse_health(std::string_view reply);

/// How the daemon of a configuration stands.
struct DaemonHealth {
  enum class State {
    answers,  ///< `health` is what it said
    foreign,  ///< it answers, but is of a version that does not know the question
    silent,   ///< it holds its lock and says nothing
    refuses,  ///< it answers root and its own user, which the caller is not
    cut_off,  ///< it lives, but what was in its runtime_dir is gone: nobody can reach it
    dead,     ///< there is none
    unknowable,
  };
  State state = State::unknowable;
  pid_t pid = 0;        ///< 0: none, or one of another pid namespace
  Health health{};      ///< if it answers
  std::string words{};  ///< what was heard instead, for people
};

/// Asks it; waits for an answer for at most `patience`.
DaemonHealth ask_daemon(const config::Config& config, Duration patience);

}  // namespace schedctl::cli
