#include "output.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "schedctl/base/bytes.hpp"
#include "schedctl/base/limits.hpp"
#include "schedctl/base/pattern.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::runner {
namespace {

/// A line of the log has its own words around it: short lines are to cost no more than long ones.
constexpr std::ptrdiff_t kLoggedLines = 1000;

/// Nothing that is no plain file is waited for, or followed.
Result<UniqueFd> open_output(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0)
    return fail(error_from_errno("cannot read " + path, errno));
  if (!S_ISREG(status.st_mode)) return fail(ErrorKind::failed, path + " is no file");
  return file;
}

using Part = std::pair<std::int64_t, std::int64_t>;

/// What is there of a file whose middle may have been cut out, from where to where.
std::vector<Part> parts_of(int fd, const job::AttemptResult& result) {
  const std::int64_t size = result.output_bytes;
  std::int64_t head = size, tail = size;
  if (result.output_cut > 0) {
    head = std::min<std::int64_t>(std::max<off_t>(::lseek(fd, 0, SEEK_HOLE), 0), size);
    tail = std::min(head + result.output_cut, size);
  }
  // What is left unread of a long one is a hole, too.
  constexpr auto half = static_cast<std::int64_t>(limits::kJudgedOutput / 2);
  if (size > 2 * half) {
    head = std::min(head, half);
    tail = std::max(tail < size ? tail : 0, size - half);
  }
  if (tail >= size) return {{0, head}};
  return {{0, head}, {tail, size}};
}

Result<bool> has_match(const std::string& expression, int fd, const std::vector<Part>& parts) {
  TRY(const Pattern pattern, Pattern::compile(expression));
  if (fd < 0) return pattern.is_in({});
  for (const auto& [from, to] : parts) {
    TRY(const bool found, pattern.is_in_file(fd, from, to));
    if (found) return true;
  }
  return false;
}

Result<std::string> fault_of(const job::Policy& policy, const job::AttemptResult& result) {
  if (result.output_bytes < policy.min_output) {
    return "it wrote " + about_bytes(result.output_bytes) + ", and min_output is " +
           format_bytes(policy.min_output);
  }
  if (policy.success_match.empty() && policy.fail_match.empty()) return std::string();
  UniqueFd file;
  if (!result.output_path.empty()) {
    TRY(file, open_output(result.output_path));
  }
  const std::vector<Part> parts = parts_of(file.get(), result);
  if (!policy.fail_match.empty()) {
    TRY(const bool found, has_match(policy.fail_match, file.get(), parts));
    if (found) return "its output has a match of fail_match: " + policy.fail_match;
  }
  if (!policy.success_match.empty()) {
    TRY(const bool found, has_match(policy.success_match, file.get(), parts));
    if (!found) return "its output has no match of success_match: " + policy.success_match;
  }
  return std::string();
}

}  // namespace

bool judges_output(const job::Policy& policy) {
  return searches_output(policy) || policy.min_output > 0 || policy.output == job::Output::log;
}

bool searches_output(const job::Policy& policy) {
  return !policy.success_match.empty() || !policy.fail_match.empty();
}

std::string output_fault(const job::Policy& policy, const job::AttemptResult& result) {
  Result<std::string> fault = fault_of(policy, result);
  // What cannot be looked at cannot be called good.
  return fault ? *std::move(fault) : fault.error().message;
}

LoggedOutput output_for_log(const job::AttemptResult& result) {
  LoggedOutput logged;
  if (result.output_path.empty()) return logged;
  const Result<UniqueFd> file = open_output(result.output_path);
  if (!file) return logged;
  const std::int64_t size = result.output_bytes;
  const std::int64_t wanted =
      std::min<std::int64_t>(size, static_cast<std::int64_t>(limits::kLoggedOutput));
  std::string text(static_cast<std::size_t>(wanted), '\0');
  const ssize_t got = ::pread(file->get(), text.data(), text.size(), size - wanted);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  // Half a line is none, unless there is nothing else.
  const std::size_t end = wanted < size ? text.find('\n') : std::string::npos;
  if (end != std::string::npos && end + 1 < text.size()) text.erase(0, end + 1);
  logged.before = size - static_cast<std::int64_t>(text.size());
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t stop = std::min(text.find('\n', begin), text.size());
    logged.lines.push_back(text.substr(begin, stop - begin));
    begin = stop + 1;
  }
  if (logged.lines.size() <= kLoggedLines) return logged;
  const auto last = logged.lines.end() - kLoggedLines;
  for (auto line = logged.lines.begin(); line != last; ++line)
    logged.before += static_cast<std::int64_t>(line->size()) + 1;
  logged.lines.erase(logged.lines.begin(), last);
  return logged;
}

}  // namespace schedctl::runner
