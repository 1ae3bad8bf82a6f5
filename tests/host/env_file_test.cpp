#include "schedctl/host/env_file.hpp"

#include <doctest/doctest.h>

namespace schedctl::host {
namespace {

TEST_CASE("an environment file is read as systemd and docker write them") {
  using Variables = std::vector<std::string>;
  const auto parsed = [](std::string_view text) {
    return parse_env_file(text).value_or(Variables{"?"});
  };
  CHECK(parsed("") == Variables{});
  CHECK(parsed("A=1") == Variables{"A=1"});
  CHECK(parsed("A=1\r\nB=2\r\n") == Variables{"A=1", "B=2"});
  CHECK(parsed("  ; x\n # y\nA=\n") == Variables{"A="});
  CHECK(parsed("A=b=c # d\n") == Variables{"A=b=c # d"});
  CHECK(parsed("A='it is $HOME \\'\n") == Variables{"A=it is $HOME \\"});
  CHECK(parsed("A=\"a \\\"b\\\" \\$c \\\\ \\n\"\n") == Variables{"A=a \"b\" $c \\ \\n"});
  CHECK(parsed("A=it's\n") == Variables{"A=it's"});
  for (const std::string& bad :
       {std::string("A='x\n"), std::string("A=\"x\\\"\n"), std::string("A='x'y'\n"),
        std::string("A=\0x\n", 5), std::string("export A=1\n")}) {
    CAPTURE(bad);
    CHECK(parsed(bad) == Variables{"?"});
  }
}

}  // namespace
}  // namespace schedctl::host
