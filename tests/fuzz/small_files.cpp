// What may stand in the small files of a daemon's directories: a pidfile names a process or nobody,
// a node id is a UUID or an error.

#include "schedctl/host/host.hpp"
#include "target.hpp"

namespace schedctl::fuzz {

std::vector<std::string> seeds() {
  return {"811\n",
          "811",
          "-1\n",
          "0",
          "4194305\n",
          "99999999999999999999",
          "",
          "811 812\n",
          "5f3c1c52-9c5a-4a5e-8f0a-1b2c3d4e5f60\n",
          "5f3c1c52-9c5a-4a5e-8f0a-1b2c3d4e5f6g\n",
          std::string(5000, '1'),
          std::string("81\0"
                      "1",
                      4)};
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace schedctl;
  static const fuzz::Scratch scratch;
  const std::string text(reinterpret_cast<const char*>(data), size);
  fuzz::require(host::read_pidfile(scratch.write("pid", text)) >= 0, "a pid is none, or one");
  scratch.write("node-id", text);
  std::filesystem::permissions(scratch / "node-id", std::filesystem::perms(0600));
  const Result<std::string> id = host::node_id(scratch / "");
  if (id) {
    fuzz::require(id->size() == 36, "a node id is a UUID");
    fuzz::require(host::node_id(scratch / "").value_or("") == *id, "and stays the same");
  } else {
    fuzz::require(fuzz::is_utf8(id.error().message), "an error can be printed");
  }
  return 0;
}
