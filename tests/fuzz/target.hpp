#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What every fuzz target is made of. A target is one file: LLVMFuzzerTestOneInput, which takes an
/// input apart with Input and states with require() what must hold, and seeds(), real messages to
/// begin with, put together with Recipe. Included once in each program.
namespace schedctl::fuzz {

/// Defined by the target.
std::vector<std::string> seeds();

/// What must hold. If it does not, the process ends, and the fuzzer keeps the input.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

/// An input, read from its front. At its end there are only zeros and empty texts.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  std::uint8_t byte() { return static_cast<std::uint8_t>(number(1)); }
  std::uint64_t number(std::size_t bytes = 8) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes && i < rest_.size(); ++i) {
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(rest_[i])) << (8 * i);
    }
    rest_.remove_prefix(std::min(bytes, rest_.size()));
    return value;
  }
  /// A text with its length (two bytes) before it. A copy: reading over its end is then seen.
  std::string text() {
    const std::size_t length = std::min<std::size_t>(number(2), rest_.size());
    const std::string taken(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return taken;
  }
  std::string rest() { return std::string(std::exchange(rest_, {})); }

 private:
  std::string_view rest_;
};

/// The bytes that an Input reads back.
class Recipe {
 public:
  Recipe& byte(unsigned value) { return number(value, 1); }
  Recipe& number(std::uint64_t value, std::size_t bytes = 8) {
    for (std::size_t i = 0; i < bytes; ++i) out_.push_back(static_cast<char>(value >> (8 * i)));
    return *this;
  }
  Recipe& text(std::string_view value) {
    number(value.size(), 2);
    return rest(value);
  }
  Recipe& rest(std::string_view value) {
    out_ += value;
    return *this;
  }
  operator std::string() const { return out_; }

 private:
  std::string out_;
};

/// A directory of this process, removed at its end.
class Scratch {
 public:
  Scratch() {
    std::string path = (std::filesystem::temp_directory_path() / "schedctl-fuzz-XXXXXX").string();
    require(::mkdtemp(path.data()) != nullptr, "a scratch directory can be made");
    path_ = path;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(*this / name, std::ios::binary) << text;
    return *this / name;
  }

 private:
  std::string path_;
};

inline bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto lead = static_cast<unsigned char>(text[0]);
    const std::size_t length = lead < 0x80             ? 1
                               : (lead & 0xE0) == 0xC0 ? 2
                               : (lead & 0xF0) == 0xE0 ? 3
                               : (lead & 0xF8) == 0xF0 ? 4
                                                       : 0;
    if (length == 0 || text.size() < length) return false;
    std::uint32_t point = length == 1 ? lead : lead & (0x7FU >> length);
    for (std::size_t i = 1; i < length; ++i) {
      const auto next = static_cast<unsigned char>(text[i]);
      if ((next & 0xC0) != 0x80) return false;
      point = point << 6 | (next & 0x3FU);
    }
    constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < kLeast[length] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) {
      return false;
    }
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace schedctl::fuzz

/// `PROGRAM --write-seeds=DIR` writes the seeds and ends.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr std::string_view kFlag = "--write-seeds=";
  for (int i = 1; i < *argc; ++i) {
    const std::string_view word = (*argv)[i];
    if (!word.starts_with(kFlag)) continue;
    const std::filesystem::path directory(word.substr(kFlag.size()));
    std::size_t number = 0;
    for (const std::string& seed : schedctl::fuzz::seeds()) {
      std::ofstream(directory / ("seed-" + std::to_string(number++)), std::ios::binary) << seed;
    }
    std::exit(0);
  }
  return 0;
}
