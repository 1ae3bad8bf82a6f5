#include "schedctl/base/framed.hpp"

#include <doctest/doctest.h>

namespace schedctl {
namespace {

struct Ping {
  std::int32_t token = 0;
  static void fields(auto& io, auto& m) { io(m.token); }
};
struct Note {
  std::string text;
  std::string added_later;
  static void fields(auto& io, auto& m) { io(m.text); }
  static auto later(auto& m) { return std::tie(m.added_later); }
};
using Message = std::variant<Ping, Note>;
constexpr std::array<FrameNumbers, 2> kNumbers{{{1}, {2, 7}}};
using Frames = Framed<Message, kNumbers>;

std::string bytes_of(const Message& message) {
  std::string bytes;
  Frames::encode(message, bytes);
  return bytes;
}

TEST_CASE("a frame says which message it is, and how long") {
  CHECK(bytes_of(Ping{5}) == std::string("\1\4\0\0\0\5\0\0\0", 9));
  CHECK(bytes_of(Note{"ab", ""}) == std::string("\2\3\0\0\0\2ab", 8));
  CHECK(bytes_of(Note{"ab", "c"}) == std::string("\7\5\0\0\0\2ab\1c", 10));
  const std::string both = bytes_of(Ping{5}) + bytes_of(Note{"ab", "c"});
  CHECK(frame_length(both) == 9);
  std::string_view rest = both;
  const Result<Message> first = Frames::decode(rest, "it");
  REQUIRE(first);
  CHECK(std::get<Ping>(*first).token == 5);
  const Result<Message> second = Frames::decode(rest, "it");
  REQUIRE(second);
  CHECK(std::get<Note>(*second).added_later == "c");
  CHECK(rest.empty());
}

TEST_CASE("what is no message is told apart from one that is cut off, and nothing is taken") {
  const std::string whole = bytes_of(Note{"ab", "c"});
  for (std::size_t length = 0; length < whole.size(); ++length) {
    std::string_view rest = std::string_view(whole).substr(0, length);
    CHECK(frame_length(rest) == 0);
    CHECK(Frames::decode(rest, "it").error().message == "it is cut off");
    CHECK(rest.size() == length);
  }
  for (const std::string& bad :
       {std::string("\3\0\0\0\0", 5), std::string("\0\0\0\0\0", 5), std::string("\1\3\0\0\0abc", 8),
        std::string("\2\2\0\0\0\0a", 7)}) {
    std::string_view rest = bad;
    const Result<Message> message = Frames::decode(rest, "it");
    REQUIRE_FALSE(message);
    CHECK(message.error().message ==
          "it of type " + std::to_string(static_cast<int>(bad[0])) + " makes no sense");
    CHECK(rest == bad);
  }
}

}  // namespace
}  // namespace schedctl
