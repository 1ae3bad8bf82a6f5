#pragma once

#include <string>
#include <variant>
#include <vector>

#include "schedctl/config/config.hpp"
#include "schedctl/keeper/client.hpp"

namespace schedctl::cli {

/// Carried out, or refused with a message: exit with this.
struct Done {
  int exit_code = 0;
};

/// `start`: main hands it to daemon/.
struct StartRequest {
  bool foreground = false;
  bool json = false;        ///< errors as JSON
  config::Sources sources;  ///< to read the configuration again at reload
  config::Loaded loaded;
};

/// `keeper`: main hands it to keeper/.
struct KeeperRequest {
  keeper::KeeperPaths paths;
  int ready_fd = -1;
};

using Outcome = std::variant<Done, StartRequest, KeeperRequest>;

/// Parses a whole command line (argv[0], the program's name, included) and carries out every
/// command but the two above. Never throws.
Outcome run(const std::vector<std::string>& argv);

/// Prints an error as every command does ("schedctl: --cron: ..." or JSON) and gives its exit code.
int report(const Error& error, bool json);

/// "0.1.0"
const char* version();

}  // namespace schedctl::cli
