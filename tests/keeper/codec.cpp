#include "src/keeper/codec.hpp"

#include <doctest/doctest.h>

#include "schedctl/base/limits.hpp"

namespace schedctl::keeper {
namespace {

template <class M>
std::string bytes_of(const M& message) {
  std::string bytes;
  Frames::encode(message, bytes);
  return bytes;
}

const RunKey kKey{"5f3c1c52-store", RunId(42), 7};

StartOrder full_order() {
  StartOrder order;
  order.key = kKey;
  order.argv = {"/bin/sh", "-c", std::string(300, 'x'), ""};
  order.env = {"A=1", "B="};
  order.cwd = "/home/anna";
  order.timeout = std::chrono::seconds(90);
  order.kill_grace = std::chrono::milliseconds(250);
  return order;
}

Started full_started() {
  return {kKey, 811, time_from_us(1'774'746'000'000'001), "/var/lib/x/output/a-1.log"};
}

Ended full_ended() {
  Ended ended;
  ended.key = kKey;
  ended.pid = 811;
  ended.started_at = time_from_us(-5);
  ended.ended_at = time_from_us(1'774'746'000'000'001);
  ended.wait_status = 9;
  ended.timed_out = true;
  ended.ended_on_order = true;
  ended.cpu = Duration(123'456);
  ended.max_rss_kb = 4096;
  ended.output_path = "/var/lib/x/output/a-1.log";
  ended.output_bytes = 1LL << 40;
  return ended;
}

Estate full_estate() {
  Estate estate;
  estate.instance = "0123456789abcdef";
  estate.program = "/usr/bin/schedctl";
  estate.last_epoch = ~0ULL;
  estate.files_made = 5;
  estate.lock = 3;
  estate.keeper_dir = 4;
  estate.listener = 5;
  estate.output_dir = 6;
  estate.files = {1024, ~0ULL};
  estate.oom_score = "-17";
  return estate;
}

HeldRun full_held_run() {
  HeldRun run;
  run.launched = {full_started(), Duration(77)};
  run.phase = RunPhase::held;
  run.output = 7;
  run.output_device = ~0ULL;
  run.output_inode = 9;
  run.ending = true;
  run.killed = true;
  run.timed_out = true;
  run.ended_on_order = true;
  run.kill_grace = Duration(1);
  run.deadline = Duration(2);
  run.care.user = "anna";
  return run;
}

StartOrder order_on_terms() {
  StartOrder order = full_order();
  order.terms.user = "anna";
  order.terms.group = "staff";
  order.terms.umask = 077;
  order.terms.stdin_file = "/home/anna/in";
  order.terms.stdin_text = std::string("a\0b", 3);
  order.terms.env_file = "/etc/default/x";
  order.terms.nice = -5;
  order.terms.io_class = IoClass::idle;
  order.terms.io_level = 7;
  order.terms.limits = {{Resource::as, ~0ULL}, {Resource::fsize, 0}};
  order.terms.oom_score_adj = 1000;
  order.terms.memory_max = 1LL << 40;
  order.terms.cpu_max = 150;
  order.terms.pids_max = 12;
  order.terms.stop_signal = 3;
  order.terms.keep_children = true;
  order.terms.output = Output::discard;
  order.terms.max_output = 0;
  return order;
}

Ended cut_ended() {
  Ended ended = full_ended();
  ended.output_cut = 1LL << 41;
  ended.oom_killed = true;
  return ended;
}

Care full_care() {
  return {"anna", 3, true, true, 4096, 99, {"SCHEDCTL_KEY=1f2e3d", "SCHEDCTL_ATTEMPT=2"}};
}

Leftover full_leftover() {
  return {kKey, 811, Duration(77), true, true, Duration(5), Duration(6), full_care()};
}

std::vector<std::string> one_of_each() {
  return {bytes_of(Hello{1, 2}),
          bytes_of(Welcome{1, 2, 3, "0123456789abcdef"}),
          bytes_of(Refused{1, 9}),
          bytes_of(InventoryEnd{}),
          bytes_of(full_order()),
          bytes_of(End{kKey, std::chrono::seconds(10)}),
          bytes_of(Acknowledge{{kKey, kKey, {"", RunId(-1), -1}}}),
          bytes_of(QuitIfIdle{}),
          bytes_of(Ping{~0ULL}),
          bytes_of(Pong{1}),
          bytes_of(full_started()),
          bytes_of(StartFailed{kKey, Stage::cwd, 2, time_from_us(3)}),
          bytes_of(full_ended()),
          bytes_of(JournalHead{1, "0123456789abcdef", "boot"}),
          bytes_of(Launched{full_started(), Duration(77)}),
          bytes_of(Welcome{2, 2, 3, "0123456789abcdef", "1f2e3d"}),
          bytes_of(Reexec{}),
          bytes_of(Stayed{"no such file"}),
          bytes_of(full_estate()),
          bytes_of(full_held_run()),
          bytes_of(Intended{kKey, Duration(77), "SCHEDCTL_KEY=1f2e3d"}),
          bytes_of(order_on_terms()),
          bytes_of(cut_ended()),
          bytes_of(Signal{kKey, 3}),
          bytes_of(full_leftover())};
}

TEST_CASE("every message reads back as it was written") {
  for (const std::string& bytes : one_of_each()) {
    CAPTURE(int(bytes[0]));
    std::string_view rest = bytes;
    const Result<Message> message = decode(rest);
    REQUIRE(message);
    CHECK(rest.empty());
    CHECK(std::visit([](const auto& m) { return bytes_of(m); }, *message) == bytes);
  }
  std::string_view rest;
  const std::string order_bytes = bytes_of(full_order());
  rest = order_bytes;
  const auto order = std::get<StartOrder>(*decode(rest));
  CHECK(order.key == kKey);
  CHECK(order.argv == full_order().argv);
  CHECK(order.env == full_order().env);
  CHECK(order.cwd == "/home/anna");
  CHECK(order.timeout == std::chrono::seconds(90));
  CHECK(order.kill_grace == std::chrono::milliseconds(250));
  const std::string ended_bytes = bytes_of(full_ended());
  rest = ended_bytes;
  const auto ended = std::get<Ended>(*decode(rest));
  CHECK(ended.started_at == time_from_us(-5));
  CHECK(ended.wait_status == 9);
  CHECK(ended.timed_out);
  CHECK(ended.ended_on_order);
  CHECK(ended.cpu == Duration(123'456));
  CHECK(ended.max_rss_kb == 4096);
  CHECK(ended.output_bytes == 1LL << 40);
}

TEST_CASE("the terms of an order and what became of its output read back as they were written") {
  const std::string order_bytes = bytes_of(order_on_terms());
  std::string_view rest = order_bytes;
  CHECK(std::get<StartOrder>(*decode(rest)).terms == order_on_terms().terms);
  const std::string ended_bytes = bytes_of(cut_ended());
  rest = ended_bytes;
  const auto ended = std::get<Ended>(*decode(rest));
  CHECK(ended.output_cut == 1LL << 41);
  CHECK(ended.oom_killed);
  const std::string leftover_bytes = bytes_of(full_leftover());
  rest = leftover_bytes;
  const auto leftover = std::get<Leftover>(*decode(rest));
  CHECK(leftover.kill_at == Duration(6));
  CHECK(leftover.care.marks == full_care().marks);
  CHECK(leftover.care.output_cut == 99);
}

TEST_CASE("an order on no terms, and an end with nothing to add, are what older programs know") {
  CHECK(bytes_of(full_order())[0] == 5);
  CHECK(bytes_of(full_ended())[0] == 13);
  CHECK(bytes_of(order_on_terms())[0] == 21);
  CHECK(bytes_of(as_told_in(2, cut_ended()))[0] == 13);
  CHECK(bytes_of(as_told_in(3, cut_ended()))[0] == 22);
  StartFailed failed{kKey, Stage::cgroup, 1, {}};
  CHECK(as_told_in(2, failed).stage == Stage::setup);
  CHECK(as_told_in(3, failed).stage == Stage::cgroup);
}

TEST_CASE("a run that a keeper of an older version held is read without what came later") {
  HeldRun run = full_held_run();
  CHECK(bytes_of(run)[0] == 23);
  run.care = {};
  const std::string bytes = bytes_of(run);
  CHECK(bytes[0] == 19);
  std::string_view rest = bytes;
  const Result<Message> message = decode(rest);
  REQUIRE(message);
  CHECK(rest.empty());
  CHECK(std::get<HeldRun>(*message).care == Care{});
  CHECK(bytes_of(std::get<HeldRun>(*message)) == bytes);
}

TEST_CASE("messages in one packet are taken off one by one") {
  std::string packet;
  for (const std::string& bytes : one_of_each()) packet += bytes;
  std::string_view rest = packet;
  std::size_t taken = 0;
  while (!rest.empty()) {
    REQUIRE(decode(rest));
    ++taken;
  }
  CHECK(taken == one_of_each().size());
}

TEST_CASE("a message cut off at any byte is an error and takes nothing") {
  for (const std::string& bytes : one_of_each()) {
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      // A copy of its own, so that reading over its end is seen.
      const std::string cut = bytes.substr(0, length);
      std::string_view rest = cut;
      CHECK_FALSE(decode(rest));
      CHECK(rest.size() == length);
    }
  }
}

TEST_CASE("a frame that ends inside its message, or after it, is an error") {
  for (const std::string& bytes : one_of_each()) {
    for (std::size_t length = 0; length + 5 < bytes.size(); ++length) {
      std::string wrong = bytes.substr(0, 5 + length);
      for (int i = 0; i < 4; ++i) wrong[1 + i] = static_cast<char>(length >> (8 * i));
      std::string_view rest = wrong;
      CHECK_FALSE(decode(rest));
    }
    std::string longer = bytes + "x";
    longer[1] = static_cast<char>(longer[1] + 1);
    if (longer[1] == 0) continue;
    std::string_view rest = longer;
    CHECK_FALSE(decode(rest));
  }
}

TEST_CASE("any single byte changed is either another message or an error, never a crash") {
  for (const std::string& bytes : one_of_each()) {
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (const int flip : {0x01, 0x40, 0x80, 0xff}) {
        std::string changed = bytes;
        changed[at] = static_cast<char>(changed[at] ^ flip);
        std::string_view rest = changed;
        const Result<Message> message = decode(rest);
        if (message) CHECK(rest.size() < changed.size());
      }
    }
  }
}

TEST_CASE("counts and lengths that the bytes cannot hold are refused") {
  // acknowledge, a body of five bytes: a count of 2^32 - 1 keys.
  std::string bytes("\x07\x05\x00\x00\x00\xff\xff\xff\xff\x0f", 10);
  std::string_view rest = bytes;
  CHECK_FALSE(decode(rest));
  // A count that never ends.
  bytes = std::string("\x07\x08\x00\x00\x00", 5) + std::string(8, '\xff');
  rest = bytes;
  CHECK_FALSE(decode(rest));
}

TEST_CASE("durations are brought into range by the writer and refused out of it by the reader") {
  StartOrder order = full_order();
  order.timeout = Duration::max();
  order.kill_grace = Duration(-1);
  std::string bytes = bytes_of(order);
  std::string_view rest = bytes;
  const Result<Message> message = decode(rest);
  REQUIRE(message);
  CHECK(std::get<StartOrder>(*message).timeout == limits::kLongestDuration);
  CHECK(std::get<StartOrder>(*message).kill_grace == Duration::zero());
  bytes[bytes.size() - 1] = '\x7f';
  rest = bytes;
  CHECK_FALSE(decode(rest));
}

TEST_CASE("unknown types, stages and booleans are refused") {
  std::string bytes = bytes_of(QuitIfIdle{});
  for (const int type : {0, 26, 255}) {
    bytes[0] = static_cast<char>(type);
    std::string_view rest = bytes;
    CHECK_FALSE(decode(rest));
  }
  bytes = bytes_of(StartFailed{{"", RunId(1), 1}, Stage::exec, 2, {}});
  bytes[5 + 1 + 16] = static_cast<char>(Stage::oom_score) + 1;
  std::string_view rest = bytes;
  CHECK_FALSE(decode(rest));
}

}  // namespace
}  // namespace schedctl::keeper
