#include "schedctl/base/limits.hpp"
#include "schedctl/ops/ops.hpp"
#include "schedctl/store/backfill_fires.hpp"
#include "src/ops/change.hpp"
#include "src/ops/compile.hpp"

// A backfill is one row that says which range somebody wants; the daemon makes the runs of it as
// there is room for them, so that neither a range of thousands of fires nor a daemon that is down
// costs anything here.

namespace schedctl::ops {
namespace {

constexpr Duration kTick{1};

std::string range_words(Time from, Time to) {
  return "from " + format_rfc3339(from) + " to " + format_rfc3339(to);
}

/// As the one who asked thinks of it: by the clock of the job.
std::string local_range(const job::Zone& zone, Time from, Time to) {
  return "from " + job::format_local(from, zone) + " to " + job::format_local(to, zone);
}

Result<void> check_request(const BackfillRequest& request, const job::Zone& zone, Time now) {
  const int parallel = request.max_parallel.value_or(1);
  if (parallel < 1 || parallel > limits::kMaxParallel) {
    return fail(ErrorKind::usage,
                std::to_string(parallel) + " is out of range; from 1 to " +
                    std::to_string(limits::kMaxParallel),
                "max_parallel");
  }
  const auto future = [&zone, now](Time t, const char* where) {
    return fail(ErrorKind::usage,
                job::format_local(t, zone) + " lies in the future (it is " +
                    job::format_local(now, zone) +
                    "); a backfill runs what is past, schedctl next shows what is to come",
                where);
  };
  if (request.to && *request.to > now) return future(*request.to, "to");
  if (request.from > now) return future(request.from, "from");
  const Time to = request.to.value_or(now);
  if (request.from >= to) {
    return fail(ErrorKind::usage,
                job::format_local(request.from, zone) + " is not before the end of the range, " +
                    job::format_local(to, zone) + "; --to itself is not part of it",
                "from");
  }
  return {};
}

/// Why a range without fires has none, where it can be told.
Error no_fires(const job::Job& job, const job::Zone& zone, Time from, Time to) {
  std::string message = "job " + job.name + " has no fires " + local_range(zone, from, to);
  const job::Schedule& schedule = job.definition.schedule;
  if (schedule.kind == job::ScheduleKind::every && to <= schedule.anchor) {
    message += ": its grid begins at " + job::format_local(schedule.anchor, zone) + " (--anchor)";
  } else if (schedule.not_before && to <= *schedule.not_before) {
    message += ": nothing of it fires before " + job::format_local(*schedule.not_before, zone);
  } else if (schedule.until && from > *schedule.until) {
    message += ": nothing of it fires after " + job::format_local(*schedule.until, zone);
  }
  return Error{ErrorKind::usage, std::move(message), "from"};
}

Result<void> check_fires(const job::Job& job, const job::Zone& zone, std::int64_t count, Time from,
                         Time to) {
  if (count == 0) return fail(no_fires(job, zone, from, to));
  if (count <= store::kMostBackfillFires) return {};
  return fail(ErrorKind::usage,
              "job " + job.name + " has " + std::to_string(count) + " fires " +
                  local_range(zone, from, to) + ", and one backfill may have " +
                  std::to_string(store::kMostBackfillFires) +
                  "; narrow the range, and ask for the next part when it is done",
              "from");
}

Result<std::optional<store::Backfill>> open_backfill(const Context& context, JobId id) {
  TRY(const std::vector<store::Backfill> open,
      context.store.list_backfills({.open_only = true, .job_id = id, .limit = 1}));
  if (open.empty()) return std::nullopt;
  return open.front();
}

/// Somebody asks again for what is open: they mean that one.
Result<Backfilled> take_up(const Context& context, const job::Job& job, store::Backfill open,
                           const BackfillRequest& request, const job::Zone& zone, Time now) {
  if (open.from != request.from || (request.to && open.to != *request.to)) {
    return fail(ErrorKind::conflict, "job " + open.job_name + " is being backfilled already, " +
                                         local_range(zone, open.from, open.to) +
                                         "; wait for that one, or end it with " +
                                         "schedctl cancel " + open.job_name);
  }
  TRY(const job::Schedule schedule, store::schedule_of(context.store, open, job));
  TRY(const job::FireSeries series, series_of(context, schedule, job.seed()));
  const auto range = series.count(open.from - kTick, open.to - kTick);
  const int parallel = request.max_parallel.value_or(open.max_parallel);
  if (parallel != open.max_parallel && !request.dry_run) {
    open.max_parallel = parallel;
    TRY_VOID(context.store.update_backfill(open));
    TRY_VOID(audit(context, "backfill", open.job_name,
                   "backfill " + std::to_string(open.id.value) + ": now " +
                       std::to_string(parallel) + " at once",
                   now));
  }
  return Backfilled{.backfill = std::move(open),
                    .fires_in_range = range.count,
                    .first = range.first,
                    .last = range.last,
                    .resumed = true};
}

/// Counts the fires that are to run into `asked`.
Result<void> count_fires(const Context& context, Backfilled& asked, job::FireSeries series) {
  const store::Backfill& backfill = asked.backfill;
  const auto range = series.count(backfill.from - kTick, backfill.to - kTick);
  asked.fires_in_range = asked.backfill.fires = range.count;
  asked.first = range.first;
  asked.last = range.last;
  if (!backfill.missing || range.count == 0 || range.count > store::kMostBackfillFires) return {};
  TRY(const auto fires, store::BackfillFires::make(context.store, backfill, std::move(series)));
  asked.backfill.fires = 0;
  asked.first = asked.last = std::nullopt;
  Time through = backfill.from - kTick;
  while (true) {
    TRY(const auto look, fires.next(context.store, through, store::kMostBackfillFires));
    if (!look.fire) return {};
    ++asked.backfill.fires;
    if (!asked.first) asked.first = look.fire;
    asked.last = look.fire;
    through = *look.fire;
  }
}

std::string audit_words(const Backfilled& asked) {
  const store::Backfill& backfill = asked.backfill;
  std::string words = "backfill " + std::to_string(backfill.id.value) + ": " +
                      std::to_string(backfill.fires) + " fires " +
                      range_words(backfill.from, backfill.to);
  if (backfill.fires < asked.fires_in_range) {
    words += ", those missing of " + std::to_string(asked.fires_in_range);
  }
  if (backfill.max_parallel > 1) words += ", " + std::to_string(backfill.max_parallel) + " at once";
  return words;
}

Result<Backfilled> ask(const Context& context, const job::Job& job, const BackfillRequest& request,
                       const job::Zone& zone, Time now) {
  Backfilled asked;
  store::Backfill& backfill = asked.backfill;
  backfill.job_id = job.id;
  backfill.job_name = job.name;
  backfill.from = request.from;
  backfill.to = request.to.value_or(now);
  backfill.through = request.from - kTick;
  backfill.missing = request.missing;
  backfill.max_parallel = request.max_parallel.value_or(1);
  backfill.who = context.who;
  backfill.created_at = now;
  TRY(job::FireSeries series, series_of(context, job.definition.schedule, job.seed()));
  TRY_VOID(count_fires(context, asked, std::move(series)));
  TRY_VOID(check_fires(job, zone, asked.fires_in_range, backfill.from, backfill.to));
  if (request.dry_run || backfill.fires == 0) return asked;
  TRY_VOID(context.store.insert_backfill(backfill));
  TRY_VOID(audit(context, "backfill", job.name, audit_words(asked), now));
  return asked;
}

}  // namespace

Result<Backfilled> Ops::backfill(const std::string& name, const BackfillRequest& request) {
  const Time now = context_.clock.wall();
  TRY(store::Transaction transaction, store::Transaction::begin(context_.store));
  TRY(const job::Job job, find_job(context_, name));
  TRY(const job::ZonePtr zone, zone_of(context_, job.definition.schedule));
  TRY_VOID(check_request(request, *zone, now));
  const job::ScheduleKind kind = job.definition.schedule.kind;
  if (kind == job::ScheduleKind::manual || kind == job::ScheduleKind::reboot) {
    return fail(ErrorKind::conflict, "job " + name +
                                         " fires by no clock, so there is nothing to backfill; "
                                         "schedctl trigger " +
                                         name + " runs it now");
  }
  TRY(std::optional<store::Backfill> open, open_backfill(context_, job.id));
  Result<Backfilled> asked = open ? take_up(context_, job, std::move(*open), request, *zone, now)
                                  : ask(context_, job, request, *zone, now);
  if (!asked) return asked;
  TRY_VOID(transaction.commit());
  if (asked->backfill.id && !request.dry_run) context_.poke();
  return asked;
}

Result<std::size_t> end_backfills(const Context& context, JobId id, Time now) {
  TRY(std::vector<store::Backfill> open,
      context.store.list_backfills({.open_only = true, .job_id = id}));
  for (store::Backfill& backfill : open) {
    backfill.cancelled = true;
    backfill.ended_at = now;
    TRY_VOID(context.store.update_backfill(backfill));
    TRY_VOID(audit(context, "cancel", backfill.job_name,
                   "backfill " + std::to_string(backfill.id.value), now));
  }
  return open.size();
}

}  // namespace schedctl::ops
