#pragma once

#include <optional>

#include "holdings.hpp"
#include "schedctl/host/launcher.hpp"
#include "schedctl/keeper/allowed.hpp"
#include "schedctl/keeper/messages.hpp"

/// What an order comes to on this machine.
namespace schedctl::keeper {

/// Whom a keeper serves.
struct Masters {
  Rules rules;                          ///< as whom a root keeper runs commands
  std::optional<host::Account> daemon;  ///< if that is another user than the keeper's
};

struct LaunchFailure {
  Stage stage = Stage::exec;
  int error_number = 0;
};
LaunchFailure failure_of(const host::NotLaunched& failed);

/// Nothing: the order may be carried out. What a root keeper may become is decided here, before
/// there is a process for it.
std::optional<LaunchFailure> objection(const StartOrder& order, const Masters& masters);
/// `order` has met with no objection, and lives longer, as `masters` do.
host::Command command_of(const StartOrder& order, const Masters& masters);
/// The terms that go on after the start.
Care care_of(const StartOrder& order);

}  // namespace schedctl::keeper
