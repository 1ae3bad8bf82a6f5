// Texts of strangers: escaped they can do nothing, cut they are still UTF-8, and looking for a near
// match takes them as they are.

#include "schedctl/base/text.hpp"
#include "target.hpp"

namespace schedctl::fuzz {
namespace {

bool is_harmless(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7F) return false;
    if (c == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0) return false;
  }
  for (const std::string_view turn : {"\xE2\x80\xAE", "\xE2\x80\xA8", "\xE2\x81\xA6"}) {
    if (text.find(turn) != std::string_view::npos) return false;
  }
  return true;
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (const std::string text :
       {"backup failed", "a\tb\nc\\d", "\x1b[31mred\x1b[0m", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
        "\xc2\x85\xe2\x80\xae\xe2\x81\xa6", "\xff\xfe\xed\xa0\x80\xc0\x80", "stauts", "-17"}) {
    all.push_back(Recipe().byte(3).rest(text));
  }
  return all;
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace schedctl;
  fuzz::Input input(data, size);
  const std::size_t limit = input.byte();
  const std::string text = input.rest();
  const std::string escaped = escape_control(text);
  fuzz::require(fuzz::is_utf8(escaped), "what is escaped is UTF-8");
  fuzz::require(fuzz::is_harmless(escaped), "what is escaped can do nothing");
  const std::string_view cut = utf8_prefix(text, limit);
  fuzz::require(cut.size() <= limit && text.starts_with(cut), "a prefix is one, within its limit");
  fuzz::require(cut.size() + 4 > std::min(limit, text.size()), "no more is cut than a character");
  if (fuzz::is_utf8(text)) fuzz::require(fuzz::is_utf8(cut), "whole characters are cut");
  const auto near = nearest(text, {"status", "start", "stop", "restart", "a", ""});
  fuzz::require(!near || !text.empty(), "nothing is near to nothing");
  if (const auto number = parse_int(text)) {
    fuzz::require(parse_int(std::to_string(*number)) == number, "a number reads back");
  }
  return 0;
}
