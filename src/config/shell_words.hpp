#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Words of the POSIX shell: enough of them to quote, and to see what a line of a crontab runs.
namespace schedctl::config {

/// In single quotes; any bytes but NUL.
std::string shell_quoted(std::string_view text);
/// The same where it needs them, for a word that is not the first of a command.
std::string shell_word(std::string_view text);
/// What shell_quoted() made, taken from the front of `text`; nothing if there is no such word.
std::optional<std::string> take_shell_quoted(std::string_view& text);

/// The simple commands of a line, each as its words without quotes, assignments and redirections:
/// `test -x a || { cd / && b "c d" >x; }` is test -x a, cd /, b "c d". Nothing is expanded; what
/// is no valid line gives something, too.
std::vector<std::vector<std::string>> simple_commands(std::string_view line);

}  // namespace schedctl::config
