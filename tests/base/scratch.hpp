#pragma once

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>

namespace schedctl::test {

/// A directory of the test's own, removed with it.
class Scratch {
 public:
  explicit Scratch(std::string pattern = "/tmp/schedctl-test-XXXXXX") {
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// While it lives, nothing can be removed from the directory, by root neither.
class Locked {
 public:
  explicit Locked(std::string path) : path_(std::move(path)), uid_(::geteuid()) {
    REQUIRE(::chmod(path_.c_str(), 0555) == 0);
    if (uid_ == 0) REQUIRE(::seteuid(65534) == 0);
  }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;
  ~Locked() {
    if (uid_ == 0 && ::seteuid(0) != 0) std::abort();
    ::chmod(path_.c_str(), 0700);
  }

 private:
  std::string path_;
  uid_t uid_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

/// Waits for a fact that nothing tells.
inline bool comes_true(const std::function<bool()>& fact) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!fact()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    ::poll(nullptr, 0, 2);
  }
  return true;
}

}  // namespace schedctl::test
