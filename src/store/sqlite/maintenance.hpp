#pragma once

#include "schedctl/store/store.hpp"

namespace schedctl::store::sqlite {

/// Backs up a database of an older version beside it, before it is migrated; the caller holds the
/// write lock, so that the copy has everything. Gives back its name, PATH.vN-SECONDS.bak.
Result<std::string> backup_of_version(const std::string& path, std::int64_t version);

}  // namespace schedctl::store::sqlite
