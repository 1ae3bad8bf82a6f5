#include "src/store/sqlite/schema.hpp"
#include "src/store/sqlite/sqlite_store.hpp"

namespace schedctl::store::sqlite {

Result<void> SqliteStore::put_node(const Node& node) {
  // Each beat writes it: an update touches one page, a replacement the index as well.
  return execute(
      "INSERT INTO node(id, hostname, pid, boot_id, version, control_path, keeper, started_at, "
      "stopped_at, last_beat) VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET "
      "(hostname, pid, boot_id, version, control_path, keeper, started_at, stopped_at, last_beat) "
      "= (excluded.hostname, excluded.pid, excluded.boot_id, excluded.version, "
      "excluded.control_path, excluded.keeper, excluded.started_at, excluded.stopped_at, "
      "excluded.last_beat)",
      node.id, node.hostname, node.pid, node.boot_id, node.version, node.control_path, node.keeper,
      node.started_at, node.stopped_at, node.last_beat);
}

Result<std::vector<Node>> SqliteStore::list_nodes() {
  return database_->read([&]() -> Result<std::vector<Node>> {
    std::vector<Node> nodes;
    Query rows = query(
        "SELECT id, hostname, pid, boot_id, version, control_path, keeper, started_at, stopped_at, "
        "last_beat FROM node ORDER BY id");
    while (rows.next()) {
      Node& n = nodes.emplace_back();
      rows.read(n.id, n.hostname, n.pid, n.boot_id, n.version, n.control_path, n.keeper,
                n.started_at, n.stopped_at, n.last_beat);
    }
    return nodes;
  });
}

Result<void> SqliteStore::add_event(const Event& event) {
  return execute("INSERT INTO event(at, node, kind, detail) VALUES (?,?,?,?)", event.at, event.node,
                 event.kind, event.detail);
}

Result<std::vector<Event>> SqliteStore::list_events(const EventFilter& filter) {
  return database_->read([&]() -> Result<std::vector<Event>> {
    std::string sql = "SELECT at, node, kind, detail FROM event WHERE true";
    if (filter.since) sql += " AND at >= ?";
    if (filter.until) sql += " AND at < ?";
    for (std::size_t i = 0; i < filter.kinds.size(); ++i) sql += i == 0 ? " AND kind IN (?" : ",?";
    if (!filter.kinds.empty()) sql += ")";
    Statement statement(database_->raw(), sql + " ORDER BY id DESC LIMIT ?");
    Query rows(statement);
    if (filter.since) rows.bind_all(*filter.since);
    if (filter.until) rows.bind_all(*filter.until);
    for (const std::string& kind : filter.kinds) rows.bind_all(kind);
    rows.bind_all(filter.limit);
    std::vector<Event> events;
    while (rows.next()) {
      Event& e = events.emplace_back();
      rows.read(e.at, e.node, e.kind, e.detail);
    }
    return events;
  });
}

Result<void> SqliteStore::add_audit(const Audit& audit) {
  return execute("INSERT INTO audit(at, who, action, job, detail) VALUES (?,?,?,?,?)", audit.at,
                 audit.who, audit.action, audit.job, audit.detail);
}

Result<std::vector<Audit>> SqliteStore::list_audit(const std::string& job, std::size_t limit) {
  return database_->read([&]() -> Result<std::vector<Audit>> {
    Query rows =
        job.empty()
            ? query("SELECT at, who, action, job, detail FROM audit ORDER BY id DESC LIMIT ?",
                    limit)
            : query(
                  "SELECT at, who, action, job, detail FROM audit WHERE job = ? ORDER BY id DESC "
                  "LIMIT ?",
                  job, limit);
    std::vector<Audit> audits;
    while (rows.next()) {
      Audit& a = audits.emplace_back();
      rows.read(a.at, a.who, a.action, a.job, a.detail);
    }
    return audits;
  });
}

}  // namespace schedctl::store::sqlite

namespace schedctl::store {

Result<std::unique_ptr<Store>> open_sqlite(const SqliteOptions& options) {
  TRY(std::unique_ptr<sqlite::Database> database, sqlite::Database::open(options));
  TRY_VOID(sqlite::prepare(*database));
  std::string id;
  TRY_VOID(database->read([&]() -> Result<void> {
    sqlite::Query row(database->statement("SELECT id FROM store_meta"));
    if (!row.next())
      return fail(ErrorKind::config, "database " + options.path +
                                         " is damaged (store_meta is empty); put back a backup "
                                         "(schedctl db restore FILE)");
    row.read(id);
    return {};
  }));
  return std::make_unique<sqlite::SqliteStore>(std::move(database), std::move(id));
}

}  // namespace schedctl::store
