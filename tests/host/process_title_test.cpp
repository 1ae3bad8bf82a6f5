#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "schedctl/host/host.hpp"
#include "tests/base/scratch.hpp"

using namespace schedctl;
using namespace schedctl::host;

namespace {

// glibc hands main's arguments to constructors; doctest's main keeps its own to itself.
int g_argc = 0;
char** g_argv = nullptr;
__attribute__((constructor)) void keep_arguments(int argc, char** argv, char**) {
  g_argc = argc;
  g_argv = argv;
}

bool in_child(const std::function<bool()>& check) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) ::_exit(check() ? 0 : 1);
  int status = -1;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// Strings one behind the other on the heap, as the kernel lays argv and environment out on the
/// stack; the address sanitizer watches both ends.
struct Laid {
  Laid(const std::vector<std::string>& arguments, const std::vector<std::string>& variables) {
    std::string all;
    for (const auto& list : {arguments, variables}) {
      for (const std::string& text : list) all.append(text).append(1, '\0');
    }
    size = all.size();
    memory = new char[size];
    std::memcpy(memory, all.data(), size);
    char* at = memory;
    for (const auto& text : arguments) argv.push_back(at), at += text.size() + 1;
    for (const auto& text : variables) envp.push_back(at), at += text.size() + 1;
    argv.push_back(nullptr);
    envp.push_back(nullptr);
  }
  std::string text() const { return {memory, size}; }
  char* memory = nullptr;
  std::size_t size = 0;
  std::vector<char*> argv;
  std::vector<char*> envp;
};

/// What stands in the memory afterwards; "" where getenv went wrong.
std::string titled(const std::vector<std::string>& arguments,
                   const std::vector<std::string>& variables, const std::string& title) {
  const Laid laid(arguments, variables);
  char** kept = environ;
  environ = const_cast<char**>(laid.envp.data());
  remember_argv(static_cast<int>(arguments.size()), const_cast<char**>(laid.argv.data()));
  set_process_title(title);
  bool right = true;
  for (const std::string& variable : variables) {
    const std::size_t equals = variable.find('=');
    const char* value = std::getenv(variable.substr(0, equals).c_str());
    right = right && value != nullptr && variable.substr(equals + 1) == value;
  }
  for (std::size_t i = 0; i < variables.size(); ++i) std::free(laid.envp[i]);
  environ = kept;
  remember_argv(0, nullptr);
  const std::string text = laid.text();
  delete[] laid.memory;
  return right ? text : "";
}

std::string padded(const std::string& title, std::size_t size) {
  return title + std::string(size - title.size(), '\0');
}

}  // namespace

TEST_CASE("the title replaces arguments and environment in memory, and getenv is right") {
  CHECK(titled({"schedctl", "start"}, {"HOME=/root", "EMPTY=", "TZ=UTC"}, "schedctl: daemon") ==
        padded("schedctl: daemon", 15 + 11 + 7 + 7));
}

TEST_CASE("a title that is too long is cut, and ends with a NUL") {
  CHECK(titled({"s"}, {"A=1"}, "schedctl: daemon") == padded("sched", 6));
  CHECK(titled({"ab"}, {"A=1"}, "123456") == padded("123456", 7));
  CHECK(titled({"ab"}, {"A=1"}, "1234567") == padded("123456", 7));
}

TEST_CASE("the shortest command line without an environment is survived") {
  CHECK(titled({"s", "x"}, {"ABCDEFGH=1"}, "") == std::string(4 + 11, '\0'));
  CHECK(in_child([] {
    char empty[] = "";
    char* argv[] = {empty, nullptr};
    char* envp[] = {nullptr};
    environ = envp;
    remember_argv(1, argv);
    set_process_title("schedctl: daemon");
    return std::getenv("HOME") == nullptr && empty[0] == '\0';
  }));
  CHECK(in_child([] {
    char name[] = "s";
    char* argv[] = {name, nullptr};
    ::clearenv();  // leaves no environment at all, not an empty one
    remember_argv(1, argv);
    set_process_title("schedctl: daemon");
    return std::string(name).empty() || std::string(name) == "s";
  }));
}

TEST_CASE("no arguments at all and a title before any are survived") {
  CHECK(in_child([] {
    char* argv[] = {nullptr};
    remember_argv(0, argv);
    set_process_title("schedctl: daemon");
    return true;
  }));
}

TEST_CASE("a variable that was changed in between keeps its new value") {
  CHECK(in_child([] {
    remember_argv(g_argc, g_argv);
    ::setenv("SCHEDCTL_TITLE_TEST", "new", 1);
    set_process_title("schedctl: daemon");
    const char* path = std::getenv("PATH");
    return std::string(std::getenv("SCHEDCTL_TITLE_TEST")) == "new" && path != nullptr &&
           std::strchr(path, '/') != nullptr && ::setenv("PATH", "/bin", 1) == 0 &&
           std::string(std::getenv("PATH")) == "/bin";
  }));
}

TEST_CASE("ps shows the title, and again the next one") {
  REQUIRE(g_argc > 0);
  CHECK(in_child([] {
    const auto shown = [] { return test::read_file("/proc/self/cmdline"); };
    remember_argv(g_argc, g_argv);
    set_process_title("schedctl: daemon");
    std::string first = shown();
    if (first.substr(0, first.find('\0')) != "schedctl: daemon") return false;
    // Far longer than the old command line: it goes on in the environment's place.
    const std::string longer = "schedctl: " + std::string(200, 'x');
    set_process_title(longer);
    const std::string second = shown();
    if (second.substr(0, second.find('\0')) != longer) return false;
    set_process_title("s");
    const std::string third = shown();
    return third.substr(0, third.find('\0')) == "s" &&
           third.find_first_not_of('\0', 1) == std::string::npos &&
           test::read_file("/proc/self/comm") == "schedctl\n";
  }));
}

TEST_CASE("the program's path is absolute and exists") {
  CHECK(in_child([] {
    remember_argv(g_argc, g_argv);
    return program_path().starts_with('/') && ::access(program_path().c_str(), X_OK) == 0;
  }));
}
