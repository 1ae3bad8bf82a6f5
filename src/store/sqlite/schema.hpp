#pragma once

#include <cstdint>

#include "src/store/sqlite/database.hpp"

namespace schedctl::store::sqlite {

/// "scdl": tells a schedctl database from every other SQLite file (`file` shows it too).
inline constexpr std::int32_t kApplicationId = 0x7363646c;

/// Makes sure that the file is a schedctl database of the schema this program writes: refuses a
/// stranger's file and a newer schema without changing anything, makes or migrates the tables
/// otherwise (one transaction; any number of processes may try at once), and configures the
/// connection.
Result<void> prepare(Database& database);

/// The schema version of a database that is ours; kinds as open_sqlite.
Result<std::int64_t> version_of(Database& database);

}  // namespace schedctl::store::sqlite
