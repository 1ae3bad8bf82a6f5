#include "src/cli/prune.hpp"

#include <algorithm>
#include <ctime>

#include "schedctl/base/bytes.hpp"
#include "schedctl/retention/sweep.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/times.hpp"

// db prune: retention at once, in the same steps as the daemon's.

namespace schedctl::cli {
namespace {

std::string words_of(const retention::Gone& gone) {
  std::string words = plural(gone.runs, "run");
  if (gone.attempts > 0) words += " (with " + plural(gone.attempts, "earlier attempt") + ")";
  words += ", " + plural(gone.files, "output file") + " (" + about_bytes(gone.bytes) + ")";
  const auto add = [&](std::int64_t count, const char* noun) {
    if (count > 0) words += ", " + plural(count, noun);
  };
  add(gone.events, "event");
  add(gone.audits, "audit record");
  add(gone.messages, "sent message");
  add(gone.alerts, "ended alert");
  add(gone.backfills, "ended backfill");
  if (gone.versions > 0) words += ", " + plural(gone.versions, "definition") + " of removed jobs";
  return words;
}

std::string rules_in_words(const config::Loaded& loaded) {
  std::string words = "[retention]";
  for (const config::Setting& setting : loaded.settings) {
    if (!setting.key.starts_with("retention.")) continue;
    words += words.back() == ']' ? ": " : ", ";
    words += setting.key.substr(setting.key.find('.') + 1) + " ";
    words += setting.value.front() == '0' ? "no limit" : setting.value;
  }
  return words;
}

/// Nothing that a daemon wants to write waits for us: half of the time is its own.
void let_others_write(Duration step) {
  const std::int64_t us = std::clamp<std::int64_t>(to_us(step), 100, 50'000);
  const timespec pause{.tv_sec = 0, .tv_nsec = us * 1000};
  ::nanosleep(&pause, nullptr);
}

void tell_result(const Invocation& call, const Session& session, const retention::Gone& gone,
                 bool dry_run, const std::optional<store::SqliteSpace>& space) {
  const std::string rules = rules_in_words(session.loaded);
  if (gone.nothing()) {
    print_result(call, "nothing is older or more than it may be (" + rules + ")");
  } else {
    print_result(call, (dry_run ? "would remove " : "removed ") + words_of(gone));
    if (dry_run) talk(call, rules);
  }
  if (!dry_run && space && space->free > 0)
    talk(call, "of the database's " + about_bytes(space->bytes) + " " + about_bytes(space->free) +
                   " are free now, and new history fills them first; the file does not shrink");
  if (gone.left > 0)
    talk(call, plural(gone.left, "output file") + " named by rows " +
                   (gone.left == 1 ? "was" : "were") + " left, because " +
                   session.config().output_dir() + " is not where it lies, or no daemon made it");
}

}  // namespace

std::string pruned_words(Session& session) {
  const auto events = session.store->list_events({.kinds = {"retention"}, .limit = 1});
  if (!events || events->empty()) return "";
  return ": retention has removed older runs, last at " +
         absolute(events->front().at, session.local_zone());
}

Result<Outcome> run_prune(const Invocation& call, Session& session) {
  if (call.words.size() > 1) return fail(ErrorKind::usage, "db prune takes no file");
  const bool dry_run = call.has("dry-run");
  TRY_VOID(session.open_store(dry_run ? Access::read : Access::write));
  // The files of another store, a copy of this one perhaps, are not to be judged by its rows.
  const bool other_store = call.globals.store.has_value();
  if (other_store)
    talk(call,
         "output files are left alone, because --store names the store: whose they are "
         "is not known");
  retention::Sweep sweep(*session.store, session.clock,
                         {.rules = session.config().retention,
                          .output_dir = other_store ? std::string() : session.config().output_dir(),
                          .dry_run = dry_run});
  while (true) {
    const Duration begun = session.clock.elapsed();
    TRY(const bool more, sweep.step());
    if (!more) break;
    if (!dry_run) let_others_write(session.clock.elapsed() - begun);
  }
  const retention::Gone& gone = sweep.gone();
  if (!dry_run) {
    const Time now = session.clock.wall();
    TRY_VOID(session.store->add_audit({.at = now,
                                       .who = session.context().who,
                                       .action = "prune",
                                       .job = "",
                                       .detail = words_of(gone)}));
    // `why` tells by it what became of rows that are not there.
    if (gone.runs > 0)
      TRY_VOID(session.store->add_event(
          {now, "", "retention", "removed " + std::to_string(gone.runs) + " runs"}));
  }
  const std::string database = session.config().sqlite_path();
  std::optional<store::SqliteSpace> space;
  if (const auto found = store::space_of_sqlite(database)) space = *found;
  if (call.globals.json) {
    print(json_pruned(gone, dry_run, database, space, sweep.trouble()) + "\n");
  } else {
    tell_result(call, session, gone, dry_run, space);
  }
  if (sweep.trouble().empty()) return Done{};
  if (!call.globals.json) warn(call, sweep.trouble() + "; such runs stay, and are tried again");
  return Done{kExitFailed};
}

}  // namespace schedctl::cli
