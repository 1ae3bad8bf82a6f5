#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "schedctl/base/result.hpp"

namespace schedctl {

/// A regular expression in RE2's syntax: its time is linear in the text whatever the expression.
/// `^` and `$` are the ends of a line, `.` is any byte but a line's end; texts are bytes, not
/// characters, so that output in any encoding can be searched. May be used by many threads.
class Pattern {
 public:
  /// Kind usage: it is no expression (the message says why), or one that takes too much memory.
  static Result<Pattern> compile(const std::string& expression);

  /// Whether it is found in the bytes [from, to) of the open file, wherever its offset stands. What
  /// is to be found may span at most limits::kPatternWindow bytes.
  Result<bool> is_in_file(int fd, std::int64_t from, std::int64_t to) const;
  bool is_in(std::string_view text) const;

  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;
  ~Pattern();

 private:
  struct Compiled;
  explicit Pattern(std::unique_ptr<const Compiled> compiled);
  std::unique_ptr<const Compiled> compiled_;
};

}  // namespace schedctl
