#pragma once

#include <sys/stat.h>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "schedctl/host/build.hpp"

/// Builds of this test's program that differ in nothing but the build id.
namespace schedctl::keeper::test {

inline std::string own_program() {
  return std::filesystem::read_symlink("/proc/self/exe");
}

/// The build id of this program with `change` in its last byte, as bytes.
inline std::string build_bytes(int change) {
  std::string bytes;
  const std::string& hex = host::own_build();
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  bytes.back() = static_cast<char>(bytes.back() ^ change);
  return bytes;
}

inline std::string read_program() {
  std::ifstream in(own_program(), std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Puts a build of this program under the path, as a package does: a new file takes the name.
inline void install(const std::string& path, int change) {
  std::string bytes = read_program();
  const std::string from = build_bytes(0);
  const std::string to = build_bytes(change);
  REQUIRE(from.size() >= 16);
  std::size_t at = bytes.find(from);
  REQUIRE(at != std::string::npos);
  for (; at != std::string::npos; at = bytes.find(from, at + 1)) {
    bytes.replace(at, from.size(), to);
  }
  std::ofstream(path + ".new", std::ios::binary) << bytes;
  REQUIRE(::chmod((path + ".new").c_str(), 0755) == 0);
  std::filesystem::rename(path + ".new", path);
}

}  // namespace schedctl::keeper::test
