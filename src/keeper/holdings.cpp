#include "holdings.hpp"

#include <utility>

#include "codec.hpp"

namespace schedctl::keeper {

std::string to_bytes(const Holdings& holdings) {
  std::string bytes = encoded(holdings.estate);
  for (const HeldRun& run : holdings.runs) Frames::encode(run, bytes);
  for (const Leftover& leftover : holdings.leftovers) Frames::encode(leftover, bytes);
  for (const Report& report : holdings.finished) Frames::encode(report, bytes);
  Frames::encode(InventoryEnd{}, bytes);
  return bytes;
}

Result<Holdings> holdings_from(std::string_view bytes) {
  Holdings holdings;
  TRY(Message first, decode(bytes));
  auto* estate = std::get_if<Estate>(&first);
  if (estate == nullptr || estate->version > kEstateVersion) {
    return fail(ErrorKind::failed, "a keeper of another version left this");
  }
  holdings.estate = std::move(*estate);
  while (true) {
    TRY(Message message, decode(bytes));
    if (auto* run = std::get_if<HeldRun>(&message)) {
      holdings.runs.push_back(std::move(*run));
    } else if (auto* leftover = std::get_if<Leftover>(&message)) {
      holdings.leftovers.push_back(std::move(*leftover));
    } else if (auto* failed = std::get_if<StartFailed>(&message)) {
      holdings.finished.emplace_back(std::move(*failed));
    } else if (auto* ended = std::get_if<Ended>(&message)) {
      holdings.finished.emplace_back(std::move(*ended));
    } else if (std::holds_alternative<InventoryEnd>(message) && bytes.empty()) {
      return holdings;
    } else {
      return fail(ErrorKind::failed, "what a keeper left makes no sense");
    }
  }
}

std::vector<int> descriptors_of(const Holdings& holdings) {
  const Estate& estate = holdings.estate;
  std::vector<int> fds{estate.lock, estate.keeper_dir, estate.listener, estate.output_dir};
  for (const HeldRun& run : holdings.runs) {
    if (run.output >= 0) fds.push_back(run.output);
    if (run.pending >= 0) fds.push_back(run.pending);
  }
  return fds;
}

}  // namespace schedctl::keeper
