#include "schedctl/host/connection.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <utility>

#include "tests/base/scratch.hpp"

namespace schedctl::host {
namespace {

using test::Scratch;
using test::write_file;

std::pair<UniqueFd, UniqueFd> ends() {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

TEST_CASE("short messages share a packet, and the longest one that is taken arrives whole") {
  auto [a, b] = ends();
  Connection here(std::move(a));
  Connection there(std::move(b));
  CHECK_FALSE(*there.receive());
  CHECK(here.post("one"));
  CHECK(here.post("two"));
  here.flush();
  CHECK_FALSE(here.has_unsent());
  CHECK(*there.receive());
  CHECK(there.unread() == "onetwo");
  there.unread() = {};
  CHECK_FALSE(here.post(std::string(kMessageBytes + 1, 'x')));
  CHECK(here.post(std::string(kMessageBytes, 'x')));
  here.flush();
  CHECK(*there.receive());
  CHECK(there.unread().size() == kMessageBytes);
}

TEST_CASE("what the socket does not take waits, and comes when the peer reads") {
  auto [a, b] = ends();
  Connection here(std::move(a));
  Connection there(std::move(b));
  constexpr int kCount = 100;
  for (int i = 0; i < kCount; ++i) here.post(std::string(kPacketBytes, 'x'));
  here.flush();
  REQUIRE(here.has_unsent());
  CHECK(here.unsent_bytes() > 0);
  int got = 0;
  for (; got < kCount && *there.receive(); ++got) {
    there.unread() = {};
    here.flush();
  }
  CHECK(got == kCount);
  CHECK(here.unsent_bytes() == 0);
}

TEST_CASE("what a peer sent before it went can be received, and what is for it is dropped") {
  auto [a, b] = ends();
  Connection here(std::move(a));
  {
    Connection there(std::move(b));
    there.post("last words");
    there.flush();
  }
  here.post("too late");
  here.flush();
  CHECK_FALSE(here.has_unsent());
  CHECK(*here.receive());
  CHECK(here.unread() == "last words");
  here.unread() = {};
  CHECK_FALSE(here.receive());
}

TEST_CASE("a socket is found by its name in a directory, however long the directory's path is") {
  Scratch scratch;
  std::string path = scratch.path();
  for (int i = 0; i < 3; ++i) {
    path += "/" + std::string(100, 'd');
    REQUIRE(::mkdir(path.c_str(), 0700) == 0);
  }
  const UniqueFd dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  CHECK(connect_in(dir.get(), "socket").error().kind == ErrorKind::unavailable);
  const Result<UniqueFd> listener = listen_in(dir.get(), "socket");
  REQUIRE(listener);
  struct stat st {};
  REQUIRE(::stat((path + "/socket").c_str(), &st) == 0);
  CHECK((st.st_mode & 0777) == 0600);
  const Result<UniqueFd> caller = connect_in(dir.get(), "socket");
  REQUIRE(caller);
  CHECK(listener_of(caller->get()) == ::getpid());
  const UniqueFd peer(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
  CHECK(is_trusted(peer.get(), ::geteuid()));
  REQUIRE(::unlink((path + "/socket").c_str()) == 0);
  write_file(path + "/socket", "");
  CHECK(connect_in(dir.get(), "socket").error().message.find("no socket") != std::string::npos);
  CHECK(listen_in(dir.get(), "socket"));
}

TEST_CASE("a listener takes the callers that it trusts, and turns one away without descriptors") {
  Scratch scratch;
  const UniqueFd dir(::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Listener listener(*listen_in(dir.get(), "socket"));
  CHECK_FALSE(listener.accept(::geteuid()));
  const Connection first(*connect_in(dir.get(), "socket"));
  Connection second(*connect_in(dir.get(), "socket"));
  const UniqueFd peer = listener.accept(::geteuid());
  REQUIRE(peer);
  CHECK((::fcntl(peer.get(), F_GETFL) & O_NONBLOCK) != 0);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const UniqueFd next(::fcntl(0, F_DUPFD_CLOEXEC, 0));
  const rlimit none_left{static_cast<rlim_t>(next.get()) + 1, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none_left) == 0);
  const bool taken = static_cast<bool>(listener.accept(::geteuid()));
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK_FALSE(taken);
  CHECK_FALSE(second.receive());
  const UniqueFd third = *connect_in(dir.get(), "socket");
  CHECK(listener.accept(::geteuid()));
}

}  // namespace
}  // namespace schedctl::host
