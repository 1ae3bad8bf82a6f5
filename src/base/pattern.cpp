// A file is searched in pieces. Each begins where the one before it ended, less the window that a
// match may span, and has one byte more on either side than is searched, so that `^`, `$` and `\b`
// see what really stands there.

#include "schedctl/base/pattern.hpp"

#include <re2/re2.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>

#include "schedctl/base/limits.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/base/time.hpp"

namespace schedctl {
namespace {

constexpr std::size_t kPiece = std::size_t{256} * 1024;

/// Of this thread's processor time: what else the machine does is not to say how it ends.
constexpr Duration kLongestSearch = std::chrono::seconds(2);

Duration time_of_this_thread() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::duration_cast<Duration>(std::chrono::seconds(used.tv_sec) +
                                              std::chrono::nanoseconds(used.tv_nsec));
}

RE2::Options options() {
  RE2::Options all;
  all.set_encoding(RE2::Options::EncodingLatin1);
  all.set_log_errors(false);
  return all;
}

/// Reads all that is wanted, or up to the end of the file.
Result<std::size_t> read_at(int fd, char* into, std::size_t wanted, std::int64_t offset) {
  std::size_t got = 0;
  while (got < wanted) {
    const ssize_t n = ::pread(fd, into + got, wanted - got, offset + static_cast<off_t>(got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(error_from_errno("cannot read", errno));
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  return got;
}

}  // namespace

struct Pattern::Compiled {
  explicit Compiled(const std::string& expression) : re("(?m)" + expression, options()) {}
  RE2 re;
};

Pattern::Pattern(std::unique_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

Result<Pattern> Pattern::compile(const std::string& expression) {
  const auto bad = [&](const std::string& why) {
    return fail(ErrorKind::usage,
                "\"" + escape_control(utf8_prefix(expression, 64)) +
                    "\" is not a regular expression (RE2 syntax): " + escape_control(why));
  };
  if (expression.size() > limits::kPatternBytes)
    return bad("it is longer than " + std::to_string(limits::kPatternBytes) + " bytes");
  auto compiled = std::make_unique<const Compiled>(expression);
  if (!compiled->re.ok()) {
    // The flag in front is ours.
    std::string why = compiled->re.error();
    if (const std::size_t ours = why.find("(?m)"); ours != std::string::npos) why.erase(ours, 4);
    return bad(why);
  }
  return Pattern(std::move(compiled));
}

bool Pattern::is_in(std::string_view text) const {
  return RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), compiled_->re);
}

Result<bool> Pattern::is_in_file(int fd, std::int64_t from, std::int64_t to) const {
  std::string buffer;
  std::size_t kept = 0;  // of the piece before, at the front of the buffer
  std::int64_t offset = from;
  const Duration begun = time_of_this_thread();
  while (true) {
    // Linear in the text, but some expressions cost a microsecond a byte.
    if (time_of_this_thread() - begun > kLongestSearch)
      return fail(ErrorKind::failed, "the search for " + compiled_->re.pattern().substr(4) +
                                         " in it takes too long (" +
                                         format_duration(kLongestSearch) + ")");
    const auto wanted =
        static_cast<std::size_t>(std::clamp<std::int64_t>(to - offset, 0, std::int64_t{kPiece}));
    buffer.resize(kept + wanted);
    TRY(const std::size_t got, read_at(fd, buffer.data() + kept, wanted, offset));
    buffer.resize(kept + got);
    offset += static_cast<std::int64_t>(got);
    const bool last = got < wanted || offset >= to;
    const std::size_t begin = kept > 0 ? 1 : 0;
    const std::size_t end = last ? buffer.size() : buffer.size() - 1;
    const re2::StringPiece text(buffer.data(), buffer.size());
    if (compiled_->re.Match(text, begin, end, RE2::UNANCHORED, nullptr, 0)) return true;
    if (last) return false;
    kept = std::min(buffer.size(), limits::kPatternWindow);
    buffer.erase(0, buffer.size() - kept);
  }
}

}  // namespace schedctl
