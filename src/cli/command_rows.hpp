#pragma once

#include <vector>

#include "src/cli/command.hpp"

/// The rows of the table of commands, by family; commands.cpp puts them together.
namespace schedctl::cli {

std::vector<Command> daemon_commands();
/// add, set.
std::vector<Command> defining_commands();
/// remove, pause, resume.
std::vector<Command> holding_commands();
/// show, list, next and what else only looks.
std::vector<Command> looking_commands();
std::vector<Command> run_commands();
/// why, simulate.
std::vector<Command> explaining_commands();
/// Many jobs at once: files, crontabs.
std::vector<Command> bulk_commands();
std::vector<Command> house_commands();

}  // namespace schedctl::cli
