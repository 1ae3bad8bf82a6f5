#pragma once

#include <string>
#include <string_view>

#include "src/cli/command.hpp"

/// Data goes to stdout, talk to stderr.
namespace schedctl::cli {

/// Decided once a command, before anything is printed: colour if wished and sensible.
void set_output(const Globals& globals);

void print(std::string_view text);
/// A line that is the result of a command that changes something: stdout, nothing with --quiet.
void print_result(const Invocation& call, std::string_view line);
/// Talk: "schedctl: TEXT" on stderr, nothing with --quiet.
void talk(const Invocation& call, std::string_view text);
void warn(const Invocation& call, std::string_view text);
/// Talk that only --verbose wants.
void tell(const Invocation& call, std::string_view text);
void print_error(std::string_view line);
/// Flushes stdout: a full disk is an error, a reader that has gone is none.
Result<void> finish_output();

/// "schedctl: --cron: message"; a message of several lines keeps them, so that a caret stays under
/// its character. Control characters are escaped.
std::string error_line(const Error& error);

/// Control characters escaped in each line for itself; the lines stay.
std::string escape_lines(std::string_view text);

enum class Color { none, bold, dim, red, green, yellow, cyan };
/// The text, coloured if colour is on.
std::string paint(Color color, std::string_view text);
/// Columns of the terminal on stdout; 0: not a terminal.
int terminal_width();

/// "a", "b" and "c" quoted for a shell where they need it, control characters escaped.
std::string quote_command(const std::vector<std::string>& argv);
/// "1 job", "2 jobs".
std::string plural(std::int64_t count, std::string_view noun);

}  // namespace schedctl::cli
