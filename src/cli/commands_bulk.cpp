// Rows of the table of commands: many jobs at once.

#include "src/cli/families.hpp"
#include "src/cli/command_rows.hpp"

namespace schedctl::cli {

std::vector<Command> bulk_commands() {
  return {};
}

}  // namespace schedctl::cli
