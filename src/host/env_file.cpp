#include "schedctl/host/env_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "schedctl/base/fd_io.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::host {
namespace {

/// An exec takes no more of all variables together by default than this and a bit.
constexpr std::size_t kLongestFile = std::size_t{128} * 1024;

bool is_name(std::string_view name) {
  const auto is_letter = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
  };
  return !name.empty() && is_letter(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

/// Nothing: a quote is missing.
std::optional<std::string> unquoted(std::string_view value) {
  const char quote = value.empty() ? '\0' : value.front();
  if (quote != '"' && quote != '\'') return std::string(value);
  if (value.size() < 2 || value.back() != quote) return std::nullopt;
  value = value.substr(1, value.size() - 2);
  std::string plain;
  for (std::size_t at = 0; at < value.size(); ++at) {
    if (value[at] == quote) return std::nullopt;
    const bool escaped = quote == '"' && value[at] == '\\';
    // The backslash before the final quote: it has no end.
    if (escaped && at + 1 == value.size()) return std::nullopt;
    if (escaped && std::string_view("\"\\$`").find(value[at + 1]) != std::string_view::npos) ++at;
    plain.push_back(value[at]);
  }
  return plain;
}

std::string_view name_of(std::string_view entry) {
  return entry.substr(0, entry.find('='));
}

}  // namespace

tl::expected<std::vector<std::string>, int> parse_env_file(std::string_view text) {
  std::vector<std::string> variables;
  if (text.find('\0') != std::string_view::npos) return tl::unexpected(EBADMSG);
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) return tl::unexpected(EBADMSG);
    const std::string_view name = trimmed(line.substr(0, equals));
    const std::optional<std::string> value = unquoted(trimmed(line.substr(equals + 1)));
    if (!is_name(name) || !value) return tl::unexpected(EBADMSG);
    std::erase_if(variables, [&](const std::string& entry) { return name_of(entry) == name; });
    variables.push_back(std::string(name) + "=" + *value);
  }
  return variables;
}

tl::expected<std::vector<std::string>, int> read_env_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0) return tl::unexpected(errno);
  if (S_ISDIR(st.st_mode)) return tl::unexpected(EISDIR);
  if (!S_ISREG(st.st_mode)) return tl::unexpected(EINVAL);
  std::string text;
  const int error_number = read_to_end(fd.get(), kLongestFile + 1, text);
  if (error_number != 0) return tl::unexpected(error_number);
  if (text.size() > kLongestFile) return tl::unexpected(EFBIG);
  return parse_env_file(text);
}

std::vector<std::string> merge_environment(const std::vector<std::string>& env,
                                           std::vector<std::string> file) {
  std::erase_if(file, [&](const std::string& entry) {
    const std::string_view name = name_of(entry);
    return name.starts_with("SCHEDCTL_") ||
           std::any_of(env.begin(), env.end(),
                       [&](const std::string& own) { return name_of(own) == name; });
  });
  file.insert(file.begin(), env.begin(), env.end());
  return file;
}

}  // namespace schedctl::host
