#pragma once

#include <string>

#include "schedctl/alert/courier.hpp"
#include "schedctl/config/config.hpp"
#include "schedctl/daemon/daemon.hpp"
#include "schedctl/runner/runner.hpp"

namespace schedctl::daemon {

/// Reads the secrets that name where people are told. Kind config, not_allowed.
Result<alert::Addresses> addresses_of(const config::Config& config);

/// What a configuration means to the runner. Kind config: its timezone is unknown.
Result<runner::Runner::Tuning> tuning_of(const config::Config& config,
                                         const alert::Addresses& addresses, const Parts& parts,
                                         const std::string& hostname);

}  // namespace schedctl::daemon
