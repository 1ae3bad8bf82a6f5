// Packets of the keeper's protocol from anybody: what decodes reads back as it was written, and
// what does not is left as it was.

#include "messages.hpp"
#include "target.hpp"

namespace schedctl::fuzz {

std::vector<std::string> seeds() {
  std::vector<std::string> all = one_of_each();
  std::string packet;
  for (const std::string& message : all) packet += message;
  all.push_back(packet);
  return all;
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace schedctl;
  const std::string packet(reinterpret_cast<const char*>(data), size);
  std::string_view rest = packet;
  while (!rest.empty()) {
    const std::string_view before = rest;
    const Result<keeper::Message> message = keeper::decode(rest);
    if (!message) {
      fuzz::require(rest == before, "an error takes nothing");
      break;
    }
    fuzz::require(rest.size() < before.size(), "a message takes something");
    const auto encoded = [](const keeper::Message& m) {
      return std::visit([](const auto& one) { return fuzz::bytes_of(one); }, m);
    };
    const std::string again = encoded(*message);
    std::string_view view = again;
    const Result<keeper::Message> second = keeper::decode(view);
    fuzz::require(second && view.empty(), "what was encoded can be decoded");
    fuzz::require(encoded(*second) == again, "and says the same");
  }
  return 0;
}
