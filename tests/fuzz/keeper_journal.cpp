// A keeper's journal after a crash, a power cut, a broken disk: reading it gives what its good
// records say, each run once, and never fails.

#include <set>

#include "messages.hpp"
#include "schedctl/base/text.hpp"
#include "src/keeper/journal.hpp"
#include "target.hpp"

namespace schedctl::fuzz {
namespace {

std::string record(const std::string& body) {
  return std::string(Recipe().number(stable_hash(body))) + body;
}

/// Every message of the input gets its right checksum, so that what lies behind the checksum is
/// tried too.
std::string with_checksums(std::string_view messages) {
  std::string out;
  while (!messages.empty()) {
    const std::string_view before = messages;
    if (!keeper::decode(messages)) return out + std::string(before);
    out += record(std::string(before.substr(0, before.size() - messages.size())));
  }
  return out;
}

void check(const keeper::JournalContents& contents) {
  std::set<keeper::RunKey> keys;
  const auto add = [&](const keeper::RunKey& key) {
    require(keys.insert(key).second, "a run has one end, or is running, or failed to start");
  };
  for (const auto& launched : contents.launched) add(launched.started.key);
  for (const auto& failed : contents.failed) add(failed.key);
  for (const auto& ended : contents.ended) add(ended.key);
}

}  // namespace

std::vector<std::string> seeds() {
  using namespace keeper;
  const std::string head = bytes_of(JournalHead{kJournalVersion, "0123456789abcdef", "boot"});
  const std::string launched = bytes_of(Launched{started_of(1), Duration(77)});
  const std::string ended = bytes_of(ended_of(1));
  const std::string failed = bytes_of(failed_of(2));
  const std::string gone = bytes_of(Acknowledge{{key_of(1), key_of(2)}});
  std::vector<std::string> all;
  for (const std::string& body : {head, head + launched, head + launched + ended,
                                  head + launched + ended + failed + gone + launched}) {
    all.push_back(Recipe().byte(1).rest(body));
    all.push_back(Recipe().byte(0).rest(with_checksums(body)));
  }
  return all;
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace schedctl;
  fuzz::Input input(data, size);
  const bool mend = (input.byte() & 1) != 0;
  const std::string bytes = mend ? fuzz::with_checksums(input.rest()) : input.rest();
  const keeper::JournalContents whole = keeper::parse_journal(bytes);
  fuzz::check(whole);
  // A tail that was torn off loses what it said, and makes nothing up.
  const std::size_t cut = bytes.size() - bytes.size() / 3;
  fuzz::check(keeper::parse_journal(std::string_view(bytes).substr(0, cut)));
  return 0;
}
