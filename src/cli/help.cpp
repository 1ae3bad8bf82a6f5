#include "src/cli/help.hpp"

#include <algorithm>

#include "src/cli/output.hpp"

namespace schedctl::cli {
namespace {

constexpr std::size_t kNameColumn = 15;
constexpr std::size_t kOptionColumn = 26;
constexpr std::size_t kWidth = 96;

/// "  LEFT      right right", the right side wrapped under itself.
std::string two_columns(const std::string& left, std::string_view right, std::size_t column) {
  std::string out = "  " + left;
  if (out.size() + 1 > column)
    out += "\n" + std::string(column, ' ');
  else
    out.append(column - out.size(), ' ');
  std::size_t used = column;
  while (!right.empty()) {
    const std::size_t end = std::min(right.find(' '), right.size());
    if (used + end > kWidth && used > column) {
      out.back() = '\n';
      out.append(column, ' ');
      used = column;
    }
    out += std::string(right.substr(0, end)) + " ";
    used += end + 1;
    right.remove_prefix(std::min(end + 1, right.size()));
  }
  out.back() = '\n';
  return out;
}

std::string heading(std::string_view text) {
  return "\n" + paint(Color::bold, text) + "\n";
}

std::string option_text(const Option& option) {
  std::string left = option.letter != 0 ? std::string("-") + option.letter + ", " : "";
  left += "--" + std::string(option.name);
  if (!option.value.empty()) left += " " + std::string(option.value);
  return two_columns(left, option.help, kOptionColumn);
}

}  // namespace

std::string overview() {
  std::string out = "schedctl runs jobs on schedules and records what became of every run.\n";
  out += heading("examples");
  out +=
      "  schedctl start\n"
      "  schedctl add backup --cron \"30 2 * * *\" -- /usr/local/bin/backup --full\n"
      "  schedctl list\n"
      "  schedctl runs backup\n";
  out += heading("usage");
  out += "  schedctl [OPTION]... COMMAND [ARGUMENT]...\n";
  std::string_view group;
  for (const Command& command : commands()) {
    if (command.group.empty()) continue;
    if (command.group != group) out += heading(command.group);
    group = command.group;
    out += two_columns(std::string(command.name), command.summary, kNameColumn);
  }
  out += heading("options of every command, before or after its name");
  for (const Option& option : global_options()) out += option_text(option);
  return out +
         "\nschedctl COMMAND --help shows a command's own options; man schedctl has the rest.\n";
}

std::string help_of(const Command& command) {
  std::string out =
      "schedctl " + std::string(command.name) + ": " + std::string(command.summary) + "\n";
  if (!command.examples.empty()) out += heading("examples");
  for (const std::string_view example : command.examples) out += "  " + std::string(example) + "\n";
  out += heading("usage");
  out += "  schedctl " + std::string(command.name);
  out += (command.synopsis.empty() ? "" : " ") + std::string(command.synopsis) + "\n";
  if (!command.options.empty()) out += heading("options");
  for (const Option& option : command.options) out += option_text(option);
  out += heading("options of every command");
  for (const Option& option : global_options()) out += option_text(option);
  out += heading("exit status");
  out += command.exits.empty() ? "  0   done\n  1   it was tried and did not work\n"
                               : std::string(command.exits);
  out +=
      "  2   the command line cannot be understood\n"
      "  3   the job or run does not exist\n"
      "  5   it exists already, or its state forbids this\n"
      "  69  the store or the daemon cannot be reached\n"
      "  77  not allowed\n"
      "  78  the configuration or the store is unusable\n";
  return out;
}

}  // namespace schedctl::cli
