#include "schedctl/host/file_system.hpp"

#include <sys/statfs.h>

#include <cstdint>
#include <filesystem>

namespace schedctl::host {
namespace {

struct Type {
  std::uint32_t magic;  ///< f_type of statfs(2)
  NetworkFileSystem file_system;
};

constexpr Type kTypes[] = {
    {0x6969, {"NFS"}},
    {0x517B, {"SMB"}},
    {0xFF534D42, {"CIFS"}},
    {0xFE534D42, {"SMB2"}},
    {0x00C36400, {"Ceph"}},
    {0x5346414F, {"AFS"}},
    {0x0BD00BD0, {"Lustre"}},
    {0x7461636F, {"OCFS2"}},
    {0x01161970, {"GFS2"}},
    {0x01021997, {"9p", false}},
    {0x65735546, {"FUSE", false}},
};

}  // namespace

std::optional<NetworkFileSystem> network_file_system(const std::string& path) {
  std::filesystem::path place(path);
  struct statfs status {};
  while (::statfs(place.c_str(), &status) != 0) {
    const std::filesystem::path parent = place.parent_path();
    if (parent == place || parent.empty()) return std::nullopt;
    place = parent;
  }
  for (const Type& type : kTypes) {
    if (static_cast<std::uint32_t>(status.f_type) == type.magic) return type.file_system;
  }
  return std::nullopt;
}

}  // namespace schedctl::host
