#include "src/store/new_id.hpp"

#include <uuid/uuid.h>

#include <array>

namespace schedctl::store {

std::string new_id() {
  uuid_t bytes;
  uuid_generate_random(bytes);
  std::array<char, UUID_STR_LEN> text{};
  uuid_unparse_lower(bytes, text.data());
  return text.data();
}

}  // namespace schedctl::store
