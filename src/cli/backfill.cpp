#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <ctime>

#include "schedctl/base/limits.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/store/backfill_fires.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/parse.hpp"
#include "src/cli/prune.hpp"
#include "src/cli/session.hpp"
#include "src/cli/table.hpp"
#include "src/cli/times.hpp"

// backfill: ask for a past range of a job, and perhaps watch it. Watching looks at the rows of its
// runs; the daemon does the work and needs nobody to watch it.

namespace schedctl::cli {
namespace {

using job::RunState;

constexpr Duration kLook = std::chrono::milliseconds(200);
/// How often the daemon is asked for a sign of life, and how many may be missing: a restart takes
/// less.
constexpr Duration kAsk = std::chrono::seconds(5);
constexpr int kMissing = 3;
constexpr int kExitInterrupted = 128 + SIGINT;
constexpr std::size_t kShown = 50;

volatile std::sig_atomic_t g_interrupted = 0;

/// Ctrl-C ends the watching, not this program: there is something to be said first.
class CatchInterrupt {
 public:
  CatchInterrupt() {
    struct sigaction action {};
    action.sa_handler = [](int) { g_interrupted = 1; };
    ::sigaction(SIGINT, &action, &before_);
  }
  ~CatchInterrupt() { ::sigaction(SIGINT, &before_, nullptr); }
  CatchInterrupt(const CatchInterrupt&) = delete;
  CatchInterrupt& operator=(const CatchInterrupt&) = delete;

 private:
  struct sigaction before_ {};
};

/// One line of a terminal that is drawn again and again; does nothing elsewhere.
class StatusLine {
 public:
  explicit StatusLine(bool shown) : shown_(shown) {}
  ~StatusLine() { clear(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  void draw(const std::string& text) {
    if (!shown_ || text == drawn_) return;
    // A line that is wrapped could not be drawn over.
    const int width = terminal_width();
    const std::size_t room = width > 1 ? static_cast<std::size_t>(width) - 1 : text.size();
    put("\r" + std::string(utf8_prefix(text, room)) + "\x1b[K");
    drawn_ = text;
  }
  void clear() {
    if (!drawn_.empty()) put("\r\x1b[K");
    drawn_.clear();
  }

 private:
  static void put(const std::string& text) {
    std::fflush(stdout);
    std::fwrite(text.data(), 1, text.size(), stderr);
  }
  bool shown_;
  std::string drawn_;
};

std::string name_of(const store::Backfill& backfill) {
  return "backfill " + std::to_string(backfill.id.value) + " of " + backfill.job_name;
}

std::string parallel_words(const store::Backfill& backfill) {
  if (backfill.max_parallel <= 1) return "one after the other";
  return "up to " + std::to_string(backfill.max_parallel) + " at once";
}

/// ", 3 failed, 1 lost": what did not go well.
std::string trouble_words(const store::BackfillTally& tally) {
  std::string text;
  for (const RunState state : {RunState::failed, RunState::lost, RunState::cancelled,
                               RunState::missed, RunState::skipped}) {
    if (const std::int64_t n = tally.in(state); n > 0)
      text += ", " + std::to_string(n) + " " + std::string(job::to_string(state));
  }
  return text;
}

std::string state_of(const store::Backfill& backfill) {
  if (backfill.cancelled) return "cancelled";
  return backfill.ended_at ? "done" : "open";
}

// --- what is asked for -------------------------------------------------------------------------

/// "7d" is that long ago; anything else a moment, in the zone in which the job counts.
Result<std::optional<Time>> moment(Session& session, const job::Job& job, const char* name) {
  const auto text = session.call.value(name);
  if (!text) return std::nullopt;
  if (const auto ago = parse_duration(*text)) return session.now - *ago;
  TRY(const job::ZonePtr zone, session.zone_of(job.definition.schedule));
  Result<Time> time = job::parse_time(*text, *zone, session.now);
  if (!time)
    return fail(ErrorKind::usage, std::move(time.error().message), std::string("--") + name);
  return *time;
}

Result<ops::BackfillRequest> request_of(Session& session) {
  const Invocation& call = session.call;
  TRY(const job::Job job, session.job(call.words[0]));
  ops::BackfillRequest request{.missing = call.has("missing"), .dry_run = call.has("dry-run")};
  TRY(const std::optional<Time> from, moment(session, job, "from"));
  request.from = *from;
  TRY(request.to, moment(session, job, "to"));
  if (call.has("max-parallel")) {
    TRY(const std::int64_t n, number_option(call, "max-parallel", 1, 1, limits::kMaxParallel));
    request.max_parallel = static_cast<int>(n);
  }
  return request;
}

/// What is going to happen, or would.
void say_plan(Session& session, const ops::Backfilled& asked, const job::Zone& zone) {
  const Invocation& call = session.call;
  const store::Backfill& backfill = asked.backfill;
  const std::string& name = backfill.job_name;
  if (backfill.fires == 0) {
    print_result(call, "nothing to do: each of the " + plural(asked.fires_in_range, "fire") +
                           " of " + name +
                           " in that range has a run that succeeded, or is on its "
                           "way");
    return;
  }
  std::string line = call.has("dry-run") && !asked.resumed ? "would run "
                     : asked.resumed                       ? name_of(backfill) + " is open: "
                                                           : name_of(backfill) + ": ";
  if (backfill.fires < asked.fires_in_range)
    line += "the missing " + std::to_string(backfill.fires) + " of " +
            plural(asked.fires_in_range, "fire");
  else
    line += plural(backfill.fires, "fire");
  if (call.has("dry-run") && !asked.resumed) line += " of " + name;
  if (asked.first && asked.last)
    line += asked.first == asked.last
                ? ", at " + absolute(*asked.first, zone)
                : ", " + absolute(*asked.first, zone) + " to " + absolute(*asked.last, zone);
  if (backfill.fires > 1) line += ", " + parallel_words(backfill);
  print_result(call, line);
}

// --- watching ----------------------------------------------------------------------------------

/// How long the rest will take, judged by what has been seen.
class Forecast {
 public:
  std::string words(Duration now, std::int64_t ended, std::int64_t left) {
    if (!since_) {
      since_ = now;
      ended_then_ = ended;
    }
    const std::int64_t seen = ended - ended_then_;
    if (seen <= 0 || left <= 0) return "";
    return ", about " + rough((now - *since_) / seen * left) + " left";
  }

 private:
  std::optional<Duration> since_;
  std::int64_t ended_then_ = 0;
};

std::string progress_words(const store::Backfill& backfill, const store::BackfillTally& tally,
                           const std::string& forecast) {
  std::string text = backfill.job_name + ": " + std::to_string(tally.ended()) + " of " +
                     std::to_string(backfill.fires) + " done" + trouble_words(tally);
  const std::int64_t running = tally.in(RunState::running);
  text += running > 0 ? ", " + std::to_string(running) + " running" : ", none running now";
  return text + forecast;
}

Outcome conclude(Session& session, const store::Backfill& backfill,
                 const store::BackfillTally& tally) {
  const Invocation& call = session.call;
  const bool well = tally.unsuccessful() == 0 && !backfill.cancelled;
  if (call.globals.json) {
    print(json_backfill({.backfill = backfill, .runs = tally.counts()}) + "\n");
    return Done{well ? 0 : kExitFailed};
  }
  std::string line = name_of(backfill);
  if (backfill.cancelled)
    line += " was ended after " + std::to_string(tally.runs()) + " of " +
            plural(backfill.fires, "fire") + ": ";
  else
    line += " is done: ";
  line += std::to_string(tally.in(RunState::succeeded)) + " succeeded" + trouble_words(tally);
  print_result(call, line);
  if (tally.unsuccessful() > 0)
    talk(call, "schedctl runs " + backfill.job_name +
                   " --cause backfill shows them; the same range with --missing runs again what "
                   "did not succeed");
  return Done{well ? 0 : kExitFailed};
}

Result<store::Backfill> look(Session& session, const store::Backfill& backfill) {
  TRY(const std::vector<store::Backfill> all,
      session.store->list_backfills({.job_id = backfill.job_id}));
  for (const store::Backfill& one : all)
    if (one.id == backfill.id) return one;
  return fail(ErrorKind::failed, name_of(backfill) + " is gone from the store");
}

std::string left_alone_words(const store::Backfill& backfill) {
  return name_of(backfill) + " goes on without you: schedctl backfill " + backfill.job_name +
         " shows it, with --wait it watches it again, schedctl cancel " + backfill.job_name +
         " ends it";
}

Result<Outcome> watch(Session& session, store::Backfill backfill, bool on_terminal) {
  const CatchInterrupt caught;
  StatusLine line(on_terminal);
  store::BackfillTally tally(backfill.id);
  Forecast forecast;
  Duration asked = session.clock.elapsed();
  int missing = 0;
  while (true) {
    // The row first: once it has ended, the runs that are counted then are all of them.
    TRY(backfill, look(session, backfill));
    TRY_VOID(tally.count(*session.store));
    if (backfill.ended_at) break;
    const Duration now = session.clock.elapsed();
    const std::int64_t left = backfill.fires - tally.ended();
    line.draw(progress_words(backfill, tally, forecast.words(now, tally.ended(), left)));
    if (g_interrupted == 0) {
      const timespec time{0, kLook.count() * 1000};
      ::nanosleep(&time, nullptr);
    }
    if (g_interrupted != 0) {
      line.clear();
      talk(session.call, left_alone_words(backfill));
      return Done{kExitInterrupted};
    }
    if (now - asked < kAsk) continue;
    asked = now;
    missing = session.is_served() ? 0 : missing + 1;
    if (missing >= kMissing)
      return fail(ErrorKind::unavailable, "the daemon is gone; " + name_of(backfill) +
                                              " goes on when one is back (schedctl start)");
  }
  line.clear();
  return conclude(session, backfill, tally);
}

// --- the commands ------------------------------------------------------------------------------

bool sits_at_terminal(const Invocation& call) {
  return !call.globals.json && !call.globals.quiet && ::isatty(STDOUT_FILENO) == 1 &&
         ::isatty(STDERR_FILENO) == 1;
}

Result<Outcome> ask(Session& session) {
  const Invocation& call = session.call;
  TRY(const ops::BackfillRequest request, request_of(session));
  const bool wait = call.has("wait");
  if (wait && !session.is_served())
    return fail(ErrorKind::unavailable,
                "no daemon is running, so there is nothing to wait for; start it with schedctl "
                "start");
  TRY(const ops::Backfilled asked, with_flag(session.ops().backfill(call.words[0], request)));
  const store::Backfill& backfill = asked.backfill;
  const std::string pruned = request.missing ? pruned_words(session) : "";
  if (!pruned.empty() && request.from < session.now - limits::kKeptAlways)
    warn(call, "a fire counts as missing, too, when its row is gone" + pruned);
  const bool goes_on = backfill.id && !request.dry_run;
  if (call.globals.json && !(wait && goes_on)) {
    print(json_backfill({.backfill = backfill,
                         .runs = {},
                         .first = asked.first,
                         .last = asked.last,
                         .dry_run = request.dry_run}) +
          "\n");
  } else if (!call.globals.json) {
    say_plan(session, asked, session.local_zone());
  }
  if (!goes_on) return Done{};
  if (!session.is_served()) {
    warn(call, "no daemon is running: the backfill waits for one (schedctl start)");
    return Done{};
  }
  const bool on_terminal = sits_at_terminal(call);
  if (wait || on_terminal) return watch(session, backfill, on_terminal);
  return Done{};
}

void add_row(Table& table, const store::Backfill& backfill, const store::BackfillTally& tally,
             const job::Zone& zone, Time now) {
  const Color color = backfill.cancelled  ? Color::yellow
                      : backfill.ended_at ? Color::green
                                          : Color::cyan;
  table.add(
      {{std::to_string(backfill.id.value)},
       {state_of(backfill), color},
       {absolute(backfill.from, zone)},
       {absolute(backfill.to, zone)},
       {std::to_string(tally.ended()) + " of " + std::to_string(backfill.fires)},
       {std::to_string(tally.unsuccessful()), tally.unsuccessful() > 0 ? Color::red : Color::none},
       {backfill.who},
       {absolute_and_relative(backfill.created_at, zone, now)}});
}

Result<Outcome> show(Session& session) {
  const Invocation& call = session.call;
  TRY(const job::Job job, session.job(call.words[0]));
  TRY(const std::vector<store::Backfill> all,
      session.store->list_backfills({.job_id = job.id, .limit = kShown}));
  if (call.has("wait")) {
    if (all.empty()) return fail(ErrorKind::conflict, job.name + " has no backfills");
    // The newest; where that has ended meanwhile, how it went is what was waited for.
    return watch(session, all.front(), sits_at_terminal(call));
  }
  Table table({{.title = "BACKFILL", .right = true},
               {.title = "STATE"},
               {.title = "FROM"},
               {.title = "TO"},
               {.title = "DONE"},
               {.title = "NOT WELL", .right = true},
               {.title = "BY"},
               {.title = "ASKED"}});
  std::vector<std::string> elements;
  for (const store::Backfill& backfill : all) {
    store::BackfillTally tally(backfill.id);
    TRY_VOID(tally.count(*session.store));
    elements.push_back(json_backfill({.backfill = backfill, .runs = tally.counts()}));
    add_row(table, backfill, tally, session.local_zone(), session.now);
  }
  if (call.globals.json)
    print(json_array(elements));
  else if (all.empty())
    talk(call, job.name + " has no backfills; schedctl backfill " + job.name +
                   " --from A --to B runs a past range of it");
  else
    print(table.render(terminal_width()));
  return Done{};
}

}  // namespace

Result<Outcome> run_backfill(const Invocation& call) {
  const bool asks = call.has("from");
  for (const char* name : {"to", "max-parallel", "missing", "dry-run"})
    if (call.has(name) && !asks)
      return fail(ErrorKind::usage, "only goes with --from", std::string("--") + name);
  const bool writes = asks && !call.has("dry-run");
  TRY(const std::unique_ptr<Session> session,
      Session::open(call, writes ? Access::write : Access::read));
  return asks ? ask(*session) : show(*session);
}

}  // namespace schedctl::cli
