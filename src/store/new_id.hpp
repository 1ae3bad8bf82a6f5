#pragma once

#include <string>

namespace schedctl::store {

/// A fresh random UUID, for a store that is being made.
std::string new_id();

}  // namespace schedctl::store
