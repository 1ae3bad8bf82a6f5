#include <doctest/doctest.h>

#include "src/cli/doctor.hpp"

namespace schedctl::cli {
namespace {

TEST_CASE("findings are counted by level, and summed up in words") {
  Findings findings;
  CHECK(findings.summary() == "no errors, no warnings");
  findings.begin("store");
  findings.ok("well");
  findings.error("bad", "mend it");
  findings.error("worse", "mend that");
  findings.warning("odd", "look");
  CHECK(findings.count(Level::ok) == 1);
  CHECK(findings.count(Level::error) == 2);
  CHECK(findings.summary() == "2 errors, 1 warning");
}

TEST_CASE("findings are shown by area, with the remedy under each") {
  Findings findings;
  findings.begin("clock");
  findings.ok("synchronised");
  findings.begin("disk");
  findings.error("full", "rm it\nor that");
  findings.warning("old", "new");
  CHECK(findings.text() ==
        "clock\n"
        "  ok       synchronised\n"
        "disk\n"
        "  error    full\n"
        "           -> rm it\n"
        "              or that\n"
        "  warning  old\n"
        "           -> new\n");
}

TEST_CASE("a finding may quote what does things to a terminal") {
  Findings findings;
  findings.begin("jobs");
  findings.error("\x1b[2J\rjob", "say \x07");
  CHECK(findings.text() ==
        "jobs\n"
        "  error    \\x1b[2J\\x0djob\n"
        "           -> say \\x07\n");
}

TEST_CASE("the nearest directory is the one above what is not there") {
  CHECK(nearest_directory("/") == "/");
  CHECK(nearest_directory("/proc") == "/proc");
  CHECK(nearest_directory("/proc/no/such/thing") == "/proc");
  CHECK(nearest_directory("/no-such-directory-at-all/x") == "/");
  CHECK(parent_directory("/a/b") == "/a");
  CHECK(parent_directory("/a") == "/");
  CHECK(parent_directory("/") == "/");
}

}  // namespace
}  // namespace schedctl::cli
