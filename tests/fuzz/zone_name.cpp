// Names of zones from anybody: only those of the tz database are found, and no file outside it is
// looked at.

#include "zones.hpp"

namespace schedctl::fuzz {

std::vector<std::string> seeds() {
  return {"UTC",
          "Europe/Berlin",
          "europe/berlin",
          "../../etc/passwd",
          "/etc/localtime",
          "Etc/GMT+14",
          "Europe/../UTC",
          "zone.tab",
          "posixrules",
          "Europe",
          "",
          "Europe/Berlin/",
          std::string("UTC\0x", 5),
          "EST5EDT"};
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace schedctl;
  const std::string name(reinterpret_cast<const char*>(data), size);
  const Result<job::ZonePtr> zone = fuzz::zone_source().find(name);
  if (!zone) {
    fuzz::require(zone.error().kind == ErrorKind::usage, "an error of use");
    return 0;
  }
  fuzz::require(!name.empty() && name.front() != '/' && name.find("..") == std::string::npos,
                "a zone lies in the tz database");
  static_cast<void>((*zone)->civil(Time{}));
  static_cast<void>((*zone)->next_change(Time{}));
  return 0;
}
