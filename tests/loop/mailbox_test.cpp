#include "schedctl/loop/mailbox.hpp"

#include <poll.h>

#include <doctest/doctest.h>

#include <memory>
#include <thread>
#include <vector>

#include "schedctl/loop/loop.hpp"

using namespace schedctl;
using namespace schedctl::loop;

namespace {

bool is_readable(int fd) {
  pollfd poll{fd, POLLIN, 0};
  return ::poll(&poll, 1, 0) == 1;
}

}  // namespace

TEST_CASE("a bell rings until it is drained, however often it was rung") {
  auto bell = Bell::create();
  REQUIRE(bell);
  CHECK_FALSE(is_readable(bell->fd()));
  for (int i = 0; i < 1000; ++i) bell->ring();
  CHECK(is_readable(bell->fd()));
  bell->drain();
  CHECK_FALSE(is_readable(bell->fd()));
  bell->drain();  // does not block
}

TEST_CASE("messages come in the order of posting, all that piled up at once") {
  auto box = Mailbox<std::unique_ptr<int>>::create();
  REQUIRE(box);
  CHECK(box->take().empty());
  for (int i = 0; i < 3; ++i) box->post(std::make_unique<int>(i));
  CHECK(is_readable(box->fd()));
  const auto taken = box->take();
  REQUIRE(taken.size() == 3);
  for (int i = 0; i < 3; ++i) CHECK(*taken[static_cast<std::size_t>(i)] == i);
  CHECK_FALSE(is_readable(box->fd()));
  CHECK(box->take().empty());
}

TEST_CASE("a mailbox that was moved keeps its messages and its descriptor") {
  auto made = Mailbox<int>::create();
  REQUIRE(made);
  made->post(7);
  Mailbox<int> box(std::move(*made));
  CHECK(is_readable(box.fd()));
  CHECK(box.take() == std::vector<int>{7});
}

TEST_CASE("what is left without a ring is taken with what comes next, in order") {
  auto box = Mailbox<int>::create();
  REQUIRE(box);
  box->leave(1);
  CHECK_FALSE(is_readable(box->fd()));
  box->post(2);
  CHECK(is_readable(box->fd()));
  CHECK(box->take() == std::vector<int>{1, 2});
  box->leave(3);
  CHECK_FALSE(is_readable(box->fd()));
  box->ring();
  CHECK(is_readable(box->fd()));
  CHECK(box->take() == std::vector<int>{3});
}

TEST_CASE("from several threads no message is lost, doubled, out of order or slept over") {
  auto loop = Loop::create();
  auto box = Mailbox<std::pair<int, int>>::create();
  REQUIRE((loop && box));
  constexpr int kThreads = 4;
  constexpr int kMessages = 20'000;
  std::vector<int> next(kThreads);
  int total = 0;
  REQUIRE((*loop)->watch(box->fd(), EPOLLIN, [&](auto) {
    for (const auto& [thread, number] : box->take()) {
      if (next[static_cast<std::size_t>(thread)]++ != number) FAIL("out of order");
      ++total;
    }
  }));
  std::vector<std::thread> posters;
  for (int t = 0; t < kThreads; ++t) {
    posters.emplace_back([&box, t] {
      for (int i = 0; i < kMessages; ++i) box->post({t, i});
    });
  }
  // A lost wake-up would sleep here until the time is over.
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (total < kThreads * kMessages && std::chrono::steady_clock::now() < give_up) {
    REQUIRE((*loop)->run_once(std::chrono::seconds(30)));
  }
  for (std::thread& poster : posters) poster.join();
  CHECK(total == kThreads * kMessages);
  CHECK(box->take().empty());
}
