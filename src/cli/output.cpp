#include "src/cli/output.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "schedctl/base/text.hpp"

namespace schedctl::cli {
namespace {

bool g_color = false;
/// errno of the first write to stdout that failed; later calls do not tell it any more.
int g_write_error = 0;

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

bool sensible_color() {
  const char* term = std::getenv("TERM");
  return !is_set("NO_COLOR") && isatty(STDOUT_FILENO) == 1 && term != nullptr &&
         std::strcmp(term, "dumb") != 0;
}

bool is_plain(std::string_view word) {
  return !word.empty() && word.find_first_not_of(
                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "@%+=:,./_-") == std::string_view::npos;
}

}  // namespace

void set_output(const Globals& globals) {
  g_color = globals.color == "always" || (globals.color == "auto" && sensible_color());
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) < text.size() && g_write_error == 0)
    g_write_error = errno;
}

void print_result(const Invocation& call, std::string_view line) {
  if (call.globals.quiet) return;
  print(line);
  print("\n");
}

void talk(const Invocation& call, std::string_view text) {
  if (!call.globals.quiet) print_error("schedctl: " + escape_lines(text));
}

void warn(const Invocation& call, std::string_view text) {
  talk(call, "warning: " + std::string(text));
}

void tell(const Invocation& call, std::string_view text) {
  if (call.globals.verbose) talk(call, text);
}

void print_error(std::string_view line) {
  // One write a line, and what stdout already has comes first, so that mixed output reads in order.
  std::fflush(stdout);
  std::string text(line);
  text += '\n';
  std::fwrite(text.data(), 1, text.size(), stderr);
}

Result<void> finish_output() {
  if (std::fflush(stdout) != 0 && g_write_error == 0) g_write_error = errno;
  const int error = std::exchange(g_write_error, 0);
  std::clearerr(stdout);
  if (error == 0 || error == EPIPE) return {};
  return fail(ErrorKind::failed, "cannot write to standard output: " + errno_text(error));
}

std::string error_line(const Error& error) {
  std::string line = "schedctl: ";
  // "cannot read /x: no such file" needs no "/x: " before it.
  const bool told =
      error.where.starts_with('/') && error.message.find(error.where) != std::string::npos;
  if (!error.where.empty() && !told) line += escape_control(error.where) + ": ";
  return line + escape_lines(error.message);
}

std::string escape_lines(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t end = text.find_first_of("\n\\");
    out += escape_control(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    out += text[end];
    text.remove_prefix(end + 1);
  }
}

std::string paint(Color color, std::string_view text) {
  static constexpr const char* kCodes[] = {"", "1", "2", "31", "32", "33", "36"};
  if (!g_color || color == Color::none) return std::string(text);
  return std::string("\x1b[") + kCodes[static_cast<int>(color)] + "m" + std::string(text) +
         "\x1b[0m";
}

int terminal_width() {
  if (isatty(STDOUT_FILENO) != 1) return 0;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

std::string quote_command(const std::vector<std::string>& argv) {
  std::string out;
  for (const std::string& word : argv) {
    if (!out.empty()) out += ' ';
    if (is_plain(word)) {
      out += word;
      continue;
    }
    out += '\'';
    for (const char c : word) {
      if (c == '\'')
        out += "'\\''";
      else
        out += c;
    }
    out += '\'';
  }
  return out;
}

std::string plural(std::int64_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

}  // namespace schedctl::cli
