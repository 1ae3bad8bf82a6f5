#include "src/store/sqlite/words.hpp"

#include <array>
#include <charconv>
#include <cstdint>

namespace schedctl::store::sqlite {
namespace {

void append_quoted(std::string& out, std::string_view word) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (char c : word) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_utf8(std::string& out, std::uint32_t code) {
  auto byte = [&out](std::uint32_t b) { out += static_cast<char>(b); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xc0 | code >> 6), byte(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    byte(0xe0 | code >> 12), byte(0x80 | (code >> 6 & 0x3f)), byte(0x80 | (code & 0x3f));
  } else {
    byte(0xf0 | code >> 18), byte(0x80 | (code >> 12 & 0x3f));
    byte(0x80 | (code >> 6 & 0x3f)), byte(0x80 | (code & 0x3f));
  }
}

/// Reads the tokens of the two shapes; space between them is allowed, for rows that a person wrote.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool take(char token) {
    while (!rest_.empty() && std::string_view(" \t\r\n").find(rest_.front()) != rest_.npos)
      rest_.remove_prefix(1);
    if (rest_.empty() || rest_.front() != token) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool word(std::string& out) {
    if (!take('"')) return false;
    while (true) {
      std::size_t plain = 0;
      while (plain < rest_.size() && rest_[plain] != '"' && rest_[plain] != '\\') ++plain;
      if (plain == rest_.size()) return false;
      out.append(rest_.substr(0, plain));
      char stop = rest_[plain];
      rest_.remove_prefix(plain + 1);
      if (stop == '"') return true;
      if (!escape(out)) return false;
    }
  }

  bool at_end() { return rest_.find_first_not_of(" \t\r\n") == rest_.npos; }

 private:
  bool escape(std::string& out) {
    if (rest_.empty()) return false;
    char c = rest_.front();
    rest_.remove_prefix(1);
    if (c == 'u') return unicode(out);
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    std::size_t which = kLetters.find(c);
    if (which == kLetters.npos) return false;
    out += kMeanings[which];
    return true;
  }

  bool unicode(std::string& out) {
    std::uint32_t code = 0;
    if (!hex4(code)) return false;
    if (code >= 0xd800 && code < 0xdc00) {
      std::uint32_t low = 0;
      if (!rest_.starts_with("\\u")) return false;
      rest_.remove_prefix(2);
      if (!hex4(low) || low < 0xdc00 || low > 0xdfff) return false;
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(out, code);
    return true;
  }

  bool hex4(std::uint32_t& code) {
    if (rest_.size() < 4) return false;
    auto [end, error] = std::from_chars(rest_.data(), rest_.data() + 4, code, 16);
    if (error != std::errc() || end != rest_.data() + 4) return false;
    rest_.remove_prefix(4);
    return true;
  }

  std::string_view rest_;
};

}  // namespace

std::optional<std::string> encode_words(const Words& words) {
  if (words.empty()) return std::nullopt;
  std::string text = "[";
  for (const std::string& word : words) {
    if (text.size() > 1) text += ',';
    append_quoted(text, word);
  }
  return text += ']';
}

std::optional<std::string> encode_pairs(const WordPairs& pairs) {
  if (pairs.empty()) return std::nullopt;
  std::string text = "{";
  for (const auto& [key, value] : pairs) {
    if (text.size() > 1) text += ',';
    append_quoted(text, key);
    text += ':';
    append_quoted(text, value);
  }
  return text += '}';
}

bool decode_words(std::string_view text, Words& words) {
  Reader reader(text);
  if (!reader.take('[')) return false;
  if (reader.take(']')) return reader.at_end();
  do {
    if (!reader.word(words.emplace_back())) return false;
  } while (reader.take(','));
  return reader.take(']') && reader.at_end();
}

bool decode_pairs(std::string_view text, WordPairs& pairs) {
  Reader reader(text);
  if (!reader.take('{')) return false;
  if (reader.take('}')) return reader.at_end();
  do {
    auto& [key, value] = pairs.emplace_back();
    if (!reader.word(key) || !reader.take(':') || !reader.word(value)) return false;
  } while (reader.take(','));
  return reader.take('}') && reader.at_end();
}

}  // namespace schedctl::store::sqlite
