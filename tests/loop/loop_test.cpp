#include "schedctl/loop/loop.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "schedctl/loop/mailbox.hpp"
#include "schedctl/loop/timer.hpp"

using namespace schedctl;
using namespace schedctl::loop;
using namespace std::chrono_literals;

namespace {

std::unique_ptr<Loop> make_loop() {
  auto loop = Loop::create();
  REQUIRE(loop);
  return std::move(*loop);
}

Bell make_bell() {
  auto bell = Bell::create();
  REQUIRE(bell);
  return std::move(*bell);
}

bool turn(Loop& loop) {
  return loop.run_once(Duration(0)).has_value();
}

}  // namespace

TEST_CASE("a ready descriptor's handler is called, and called again while it is ready") {
  const auto loop = make_loop();
  const Bell bell = make_bell();
  int calls = 0;
  REQUIRE(loop->watch(bell.fd(), EPOLLIN, [&](std::uint32_t events) {
    CHECK(events == EPOLLIN);
    ++calls;
  }));
  REQUIRE(turn(*loop));
  CHECK(calls == 0);
  bell.ring();
  REQUIRE(turn(*loop));
  REQUIRE(turn(*loop));
  CHECK(calls == 2);
  bell.drain();
  REQUIRE(turn(*loop));
  CHECK(calls == 2);
}

TEST_CASE("a handler may take itself out while it runs") {
  const auto loop = make_loop();
  const Bell bell = make_bell();
  bell.ring();
  int calls = 0;
  // What it has captured must live until it returns.
  const auto precious = std::make_shared<int>(7);
  const std::weak_ptr<int> watched = precious;
  REQUIRE(loop->watch(bell.fd(), EPOLLIN, [&, held = std::make_shared<int>(7)](auto) {
    loop->unwatch(bell.fd());
    CHECK(*held == 7);
    ++calls;
  }));
  REQUIRE(turn(*loop));
  REQUIRE(turn(*loop));
  CHECK(calls == 1);
}

TEST_CASE("a handler may replace itself while it runs") {
  const auto loop = make_loop();
  const Bell bell = make_bell();
  bell.ring();
  int first = 0;
  int second = 0;
  REQUIRE(loop->watch(bell.fd(), EPOLLIN, [&, held = std::make_shared<int>(7)](auto) {
    REQUIRE(loop->watch(bell.fd(), EPOLLIN, [&](auto) { ++second; }));
    CHECK(*held == 7);
    ++first;
  }));
  REQUIRE(turn(*loop));
  REQUIRE(turn(*loop));
  CHECK(first == 1);
  CHECK(second == 1);
}

TEST_CASE("a handler that takes out another ready one keeps it from being called") {
  const auto loop = make_loop();
  const Bell one = make_bell();
  const Bell two = make_bell();
  int calls = 0;
  REQUIRE(loop->watch(one.fd(), EPOLLIN, [&](auto) { loop->unwatch(two.fd()), ++calls; }));
  REQUIRE(loop->watch(two.fd(), EPOLLIN, [&](auto) { loop->unwatch(one.fd()), ++calls; }));
  one.ring();
  two.ring();
  REQUIRE(turn(*loop));
  REQUIRE(turn(*loop));
  CHECK(calls == 2);  // whichever was first, twice
}

TEST_CASE("what an old descriptor was ready for is not told to a new one of the same number") {
  const auto loop = make_loop();
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  std::vector<Bell> bells;
  for (int i = 0; i < 2; ++i) bells.push_back(make_bell());
  int wrong_calls = 0;
  bool replaced = false;
  // Each of the two is ready; the first to be called puts a silent newcomer in the other's place.
  std::vector<int> numbers;
  for (int i = 0; i < 2; ++i) {
    const int fd = ::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    REQUIRE(fd >= 0);
    numbers.push_back(fd);
  }
  for (int i = 0; i < 2; ++i) {
    const int other = numbers[static_cast<std::size_t>(1 - i)];
    REQUIRE(loop->watch(numbers[static_cast<std::size_t>(i)], EPOLLIN, [&, other](auto) {
      if (replaced) return;
      replaced = true;
      loop->unwatch(other);
      REQUIRE(::dup2(ends[0], other) == other);  // closes the old one
      REQUIRE(loop->watch(other, EPOLLIN, [&](auto) { ++wrong_calls; }));
    }));
  }
  REQUIRE(turn(*loop));
  CHECK(replaced);
  CHECK(wrong_calls == 0);
  REQUIRE(::write(ends[1], "x", 1) == 1);
  REQUIRE(turn(*loop));
  CHECK(wrong_calls == 1);  // and its own events it does get
  for (const int fd : numbers) {
    loop->unwatch(fd);
    ::close(fd);
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("watching again changes what for") {
  const auto loop = make_loop();
  const Bell bell = make_bell();
  std::uint32_t seen = 0;
  const auto remember = [&](std::uint32_t events) { seen |= events; };
  REQUIRE(loop->watch(bell.fd(), EPOLLIN, remember));
  REQUIRE(turn(*loop));
  CHECK(seen == 0);
  REQUIRE(loop->watch(bell.fd(), EPOLLIN | EPOLLOUT, remember));
  REQUIRE(turn(*loop));
  CHECK(seen == EPOLLOUT);
}

TEST_CASE("a hang-up is told though nobody asked for it") {
  const auto loop = make_loop();
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  std::uint32_t seen = 0;
  REQUIRE(loop->watch(ends[0], EPOLLIN, [&](std::uint32_t events) { seen = events; }));
  ::close(ends[1]);
  REQUIRE(turn(*loop));
  CHECK((seen & EPOLLHUP) != 0);
  loop->unwatch(ends[0]);
  ::close(ends[0]);
}

TEST_CASE("what cannot be watched is an error, and taking out what is not watched is none") {
  const auto loop = make_loop();
  CHECK_FALSE(loop->watch(-1, EPOLLIN, [](auto) {}));
  CHECK_FALSE(loop->watch(9999, EPOLLIN, [](auto) {}));
  loop->unwatch(9999);
  CHECK(turn(*loop));
}

TEST_CASE("many ready descriptors all get their turn") {
  const auto loop = make_loop();
  constexpr std::size_t kMany = 300;
  std::vector<Bell> bells;
  std::vector<int> calls(kMany);
  for (std::size_t i = 0; i < kMany; ++i) {
    bells.push_back(make_bell());
    bells[i].ring();
    REQUIRE(loop->watch(bells[i].fd(), EPOLLIN, [&, i](auto) { ++calls[i]; }));
  }
  for (int i = 0; i < 10; ++i) REQUIRE(turn(*loop));
  for (const int count : calls) CHECK(count >= 1);
}

TEST_CASE("the loop runs until a handler stops it") {
  const auto loop = make_loop();
  const Bell bell = make_bell();
  bell.ring();
  int calls = 0;
  REQUIRE(loop->watch(bell.fd(), EPOLLIN, [&](auto) {
    if (++calls == 3) loop->stop();
  }));
  CHECK(loop->run());
  CHECK(calls == 3);
  CHECK(loop->run_once(Duration(0)));
}

TEST_CASE("a wait without anything ready ends when its time is over, and not before") {
  const auto loop = make_loop();
  const auto begin = std::chrono::steady_clock::now();
  CHECK(loop->run_once(1500us));
  CHECK(std::chrono::steady_clock::now() - begin >= 1500us);
}

TEST_CASE("no wait is too long or too short to be asked for") {
  const auto loop = make_loop();
  const Bell bell = make_bell();
  bell.ring();
  int calls = 0;
  REQUIRE(loop->watch(bell.fd(), EPOLLIN, [&](auto) { ++calls; }));
  CHECK(loop->run_once(Duration::max()));
  CHECK(loop->run_once(Duration::min()));
  CHECK(loop->run_once());
  CHECK(calls == 3);
}

TEST_CASE("a signal that interrupts the wait is no error") {
  const auto loop = make_loop();
  struct sigaction quiet {};
  struct sigaction old {};
  quiet.sa_handler = [](int) {};
  REQUIRE(::sigaction(SIGALRM, &quiet, &old) == 0);
  REQUIRE(::ualarm(2000, 0) == 0);
  CHECK(loop->run_once(20s));
  ::sigaction(SIGALRM, &old, nullptr);
}

TEST_CASE("a monotonic timer fires once, and not when it is disarmed") {
  const auto loop = make_loop();
  auto timer = MonotonicTimer::create();
  REQUIRE(timer);
  int calls = 0;
  REQUIRE(loop->watch(timer->fd(), EPOLLIN, [&](auto) { timer->drain(), ++calls; }));
  timer->arm(1ms);
  REQUIRE(loop->run_once(20s));
  CHECK(calls == 1);
  timer->arm(Duration(0));  // at once, and not never
  REQUIRE(loop->run_once(20s));
  CHECK(calls == 2);
  timer->arm(-5s);
  REQUIRE(loop->run_once(20s));
  CHECK(calls == 3);
  timer->arm(1ms);
  timer->disarm();
  REQUIRE(loop->run_once(5ms));
  CHECK(calls == 3);
  timer->arm(Duration::max());
  REQUIRE(turn(*loop));
  CHECK(calls == 3);
}

TEST_CASE("a wall timer fires at its instant, and at once for one that is over") {
  const auto loop = make_loop();
  auto timer = WallTimer::create();
  REQUIRE(timer);
  int calls = 0;
  REQUIRE(loop->watch(timer->fd(), EPOLLIN, [&](auto) {
    CHECK_FALSE(timer->drain());
    ++calls;
  }));
  const auto now = [] { return std::chrono::floor<Duration>(std::chrono::system_clock::now()); };
  const Time at = now() + 5ms;
  timer->arm(at);
  REQUIRE(loop->run_once(20s));
  CHECK(calls == 1);
  CHECK(now() >= at);
  for (const Time over : {now() - 1h, time_from_us(0), time_from_us(-1), Time::min()}) {
    timer->arm(over);
    const int before = calls;
    REQUIRE(loop->run_once(20s));
    CHECK(calls == before + 1);
  }
  for (const std::optional<Time> never :
       {std::optional<Time>(), std::optional(now() + 1h), std::optional(Time::max())}) {
    timer->arm(never);
    const int before = calls;
    REQUIRE(turn(*loop));
    CHECK(calls == before);
  }
}
