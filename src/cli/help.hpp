#pragma once

#include <string>

#include "src/cli/command.hpp"

/// Help, made from the table of commands. Examples come first: they are what most people look for.
namespace schedctl::cli {

/// `schedctl --help`.
std::string overview();
/// `schedctl COMMAND --help`.
std::string help_of(const Command& command);

}  // namespace schedctl::cli
