#pragma once

#include <initializer_list>

#include "schedctl/base/result.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::host {

/// From here on signals reach this process, which has one thread, through the descriptor alone
/// (signalfd(2), non-blocking), and only those of `heard`: everything that can be blocked is, so
/// that no handler is needed and nothing interrupts. Nothing is ignored, because that, unlike a
/// handler, would pass to the commands that it executes.
Result<UniqueFd> take_signals(std::initializer_list<int> heard);

}  // namespace schedctl::host
