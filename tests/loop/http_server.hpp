#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <string>
#include <utility>

#include "schedctl/base/unique_fd.hpp"

namespace schedctl::test {

/// A real HTTP server on a port of its own (http_server.py says what its paths do).
class HttpServer {
 public:
  HttpServer() {
    // A proxy of the machine's is no part of these tests.
    for (const char* name : {"http_proxy", "all_proxy", "ALL_PROXY"}) ::unsetenv(name);
    std::array<int, 2> input{};
    std::array<int, 2> output{};
    REQUIRE(::pipe2(input.data(), O_CLOEXEC) == 0);
    REQUIRE(::pipe2(output.data(), O_CLOEXEC) == 0);
    const UniqueFd its_input(input[0]);
    const UniqueFd its_output(output[1]);
    input_.reset(input[1]);
    const UniqueFd port(output[0]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, its_input.get(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, its_output.get(), STDOUT_FILENO);
    std::string python = "python3";
    std::string script = "tests/loop/http_server.py";
    std::array<char*, 3> argv{python.data(), script.data(), nullptr};
    REQUIRE(::posix_spawnp(&pid_, "python3", &actions, nullptr, argv.data(), environ) == 0);
    ::posix_spawn_file_actions_destroy(&actions);
    std::string line;
    for (char c = 0; c != '\n'; line += c) REQUIRE(::read(port.get(), &c, 1) == 1);
    port_ = std::atoi(line.c_str());
    REQUIRE(port_ > 0);
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer() { kill(); }

  int port() const { return port_; }
  std::string operator/(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/" + path;
  }
  /// Dead, at once: its connections are closed, its port refuses new ones.
  void kill() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, 0), nullptr, 0);
  }

 private:
  pid_t pid_ = 0;
  UniqueFd input_;
  int port_ = 0;
};

}  // namespace schedctl::test
