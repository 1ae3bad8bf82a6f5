// A lexer that knows as much of TOML as it takes to tell what is text and what is not: comments and
// the four kinds of strings. Where it and the parser would part ways (a string that is not closed
// in its line, a quote in the middle of a bare word) the parser stops, so that of what it has read
// until then everything was judged here.
#include "src/config/bounds.hpp"

#include <algorithm>
#include <utility>

namespace schedctl::config {
namespace {

class Lexer {
 public:
  Lexer(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  Result<void> run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (c == '"' || c == '\'') {
        skip_string(c);
      } else {
        TRY_VOID(take(c));
        ++at_;
      }
    }
    return {};
  }

 private:
  Result<void> take(char c) {
    switch (c) {
      case '.':  // of a key, or the only one of a number
        if (++dots_ >= kDocumentDepth) return fail(too_deep(here()));
        break;
      case '[':
      case '{':
        dots_ = 0;
        if (++open_ > kDocumentDepth) return fail(too_deep(here()));
        break;
      case ']':
      case '}':
        dots_ = 0;
        if (open_ > 0) --open_;
        return {};
      case '=':
      case ',':
        dots_ = 0;
        break;
      case '\n':
        dots_ = 0;
        return {};
      default:
        return {};
    }
    if (++parts_ <= kDocumentParts) return {};
    return fail(ErrorKind::config, "it has more than " + std::to_string(kDocumentParts) + " values",
                here());
  }

  /// To behind its end; one of a single line ends with its line at the latest.
  void skip_string(char quote) {
    const std::string three(3, quote);
    const bool many_lines = text_.substr(at_, 3) == three;
    at_ += many_lines ? 3 : 1;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\\' && quote == '"') {
        at_ += 2;
      } else if (many_lines && text_.substr(at_, 3) == three) {
        at_ += 3;
        // Up to two more belong to it.
        for (int i = 0; i < 2 && at_ < text_.size() && text_[at_] == quote; ++i) ++at_;
        return;
      } else {
        if (!many_lines && c == '\n') return;
        ++at_;
        if (!many_lines && c == quote) return;
      }
    }
    at_ = text_.size();
  }

  std::string here() const {
    const std::string_view before = text_.substr(0, at_);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t newline = before.rfind('\n');
    std::size_t column = 1;
    for (std::size_t i = newline == std::string_view::npos ? 0 : newline + 1; i < at_; ++i) {
      // A character is its first byte.
      if ((static_cast<unsigned char>(text_[i]) & 0xC0U) != 0x80U) ++column;
    }
    return path_ + ":" + std::to_string(line) + ":" + std::to_string(column);
  }

  const std::string_view text_;
  const std::string& path_;
  std::size_t at_ = 0;
  std::size_t dots_ = 0;  ///< since the last mark that ends a key
  std::size_t open_ = 0;
  std::size_t parts_ = 0;
};

}  // namespace

Result<void> check_bounds(std::string_view text, const std::string& path) {
  return Lexer(text, path).run();
}

Error too_deep(std::string where) {
  return Error{
      ErrorKind::config,
      "tables and lists are nested more than " + std::to_string(kDocumentDepth) + " levels deep",
      std::move(where)};
}

}  // namespace schedctl::config
