#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace schedctl {

/// "SIGTERM", "SIGRTMIN+2"; "SIG99" for a number that is no signal.
std::string signal_name(int number);

/// Reads "TERM", "SIGTERM", "term", "RTMIN+2" or a number.
std::optional<int> parse_signal(std::string_view text);

}  // namespace schedctl
