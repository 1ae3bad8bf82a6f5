#pragma once

#include <utility>
#include <vector>

#include "schedctl/alert/courier.hpp"

namespace schedctl::alert {

/// A courier that goes nowhere and remembers what it was given. For tests of whoever hands things
/// out: they play the outcomes themselves. Not thread safe.
class ScriptedCourier final : public Courier {
 public:
  std::vector<Delivery> deliveries;
  int heartbeats = 0;

  void deliver(Delivery delivery) override { deliveries.push_back(std::move(delivery)); }
  void heartbeat() override { ++heartbeats; }
};

}  // namespace schedctl::alert
