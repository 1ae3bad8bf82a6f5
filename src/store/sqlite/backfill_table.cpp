#include "src/store/sqlite/sqlite_store.hpp"
#include "src/store/sqlite/statements.hpp"

namespace schedctl::store::sqlite {
namespace {

/// Binds the columns of BACKFILL.
void bind_backfill(Query& query, const Backfill& b) {
  query.bind_all(b.job_id, b.job_name, b.from, b.to, b.through, b.fires, b.missing, b.max_parallel,
                 b.who, b.created_at, b.ended_at, b.cancelled);
}

}  // namespace

Result<void> SqliteStore::insert_backfill(Backfill& backfill) {
  return database_->write([&]() -> Result<void> {
    Query insert = query(sql::kInsertBackfill);
    bind_backfill(insert, backfill);
    insert.run();
    backfill.id = BackfillId{database_->raw().getLastInsertRowid()};
    return {};
  });
}

Result<void> SqliteStore::update_backfill(const Backfill& backfill) {
  return database_->write([&]() -> Result<void> {
    Query update = query(sql::kUpdateBackfill);
    bind_backfill(update, backfill);
    update.bind_all(backfill.id).run();
    return {};
  });
}

Result<std::vector<Backfill>> SqliteStore::list_backfills(const BackfillFilter& filter) {
  return database_->read([&]() -> Result<std::vector<Backfill>> {
    std::vector<Backfill> found;
    Query rows = query(filter.open_only ? sql::kOpenBackfills : sql::kListBackfills,
                       filter.job_id.value_or(JobId{}), filter.limit);
    while (rows.next()) {
      Backfill& b = found.emplace_back();
      rows.read(b.id, b.job_id, b.job_name, b.from, b.to, b.through, b.fires, b.missing,
                b.max_parallel, b.who, b.created_at, b.ended_at, b.cancelled);
    }
    return found;
  });
}

}  // namespace schedctl::store::sqlite
