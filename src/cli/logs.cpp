#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "schedctl/base/bytes.hpp"
#include "schedctl/base/limits.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/parse.hpp"
#include "src/cli/prune.hpp"
#include "src/cli/session.hpp"
#include "src/cli/target.hpp"

// logs: the output of a run, byte for byte, from its file, or what its row keeps of the end where
// the file is gone or may not be read.

namespace schedctl::cli {
namespace {

constexpr int kLookMs = 200;
/// Ended runs of a job that are looked through for one with output: mostly one of the newest has
/// some, and each row brings the end of its output along.
constexpr std::size_t kRunsSearched = 100;
constexpr std::size_t kMostRunsSearched = 10'000;
/// Of a job that run, or wait to: more wait only where somebody has queued that many.
constexpr std::size_t kOpenRunsSearched = 10'000;
constexpr std::int64_t kMostLines = 1'000'000'000;
constexpr std::size_t kBlock = 65'536;
/// What a program leaves out itself is no more than a block or two.
constexpr off_t kSmallestHole = off_t{64} * 1024;
/// Lines longer than this are not looked for to their beginning.
constexpr off_t kFarthestBack = off_t{256} * 1024 * 1024;
/// What --json takes along at most: a document is read as a whole.
constexpr off_t kMostJsonBytes = off_t{64} * 1024 * 1024;

/// Waits until it is time to look again; false at once if nobody reads any more what is printed.
bool look_again_later() {
  pollfd reader{STDOUT_FILENO, 0, 0};
  return ::poll(&reader, 1, kLookMs) <= 0;
}

std::string name_of(const job::Run& run) {
  return "run #" + std::to_string(run.id.value) + " of " + run.job_name;
}

UniqueFd open_output(const std::string& path) {
  if (path.empty()) return {};
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status {};
  if (fd && (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode))) fd.reset();
  return fd;
}

off_t size_of(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 ? status.st_size : 0;
}

/// Where the last `lines` lines of a file begin. A newline at the very end ends a line, it does not
/// begin one.
off_t offset_of_last(int fd, off_t size, std::int64_t lines) {
  std::string block(kBlock, '\0');
  std::int64_t seen = 0;
  for (off_t end = size; end > 0;) {
    const off_t start = std::max<off_t>(0, end - static_cast<off_t>(kBlock));
    const ssize_t n = ::pread(fd, block.data(), static_cast<std::size_t>(end - start), start);
    if (n != end - start || size - start > kFarthestBack) return start;
    for (off_t i = end; i-- > start;) {
      if (block[static_cast<std::size_t>(i - start)] != '\n' || i == size - 1) continue;
      if (++seen == lines) return i + 1;
    }
    end = start;
  }
  return 0;
}

std::string_view last_lines(std::string_view text, std::int64_t lines) {
  std::int64_t seen = 0;
  for (std::size_t i = text.size(); i-- > 0;)
    if (text[i] == '\n' && i != text.size() - 1 && ++seen == lines) return text.substr(i + 1);
  return text;
}

/// Everything from `offset` to `end`, or to the end of the file; the offset after it.
off_t copy_until(int fd, off_t offset, off_t end,
                 const std::function<void(std::string_view)>& sink) {
  std::string block(kBlock, '\0');
  while (offset < end) {
    const std::size_t wanted = std::min(block.size(), static_cast<std::size_t>(end - offset));
    const ssize_t n = ::pread(fd, block.data(), wanted, offset);
    if (n <= 0) break;
    sink(std::string_view(block).substr(0, static_cast<std::size_t>(n)));
    offset += n;
  }
  return offset;
}

/// Everything from `offset` to the end as it is now; the offset after it.
off_t copy_from(int fd, off_t offset, const std::function<void(std::string_view)>& sink) {
  return copy_until(fd, offset, std::numeric_limits<off_t>::max(), sink);
}

/// The same without the hole where the middle was cut out, and with a line that says so.
off_t copy_around_hole(int fd, off_t offset, const std::function<void(std::string_view)>& sink) {
  while (true) {
    const off_t hole = ::lseek(fd, offset, SEEK_HOLE);
    const off_t after = hole < 0 ? -1 : ::lseek(fd, hole, SEEK_DATA);
    if (after < 0 || after - hole < kSmallestHole) return copy_from(fd, offset, sink);
    copy_until(fd, offset, hole, sink);
    sink("\n[... " + about_bytes(after - hole) + " cut out here (max_output) ...]\n");
    offset = after;
  }
}

bool is_cut(const job::AttemptResult& result) {
  return result.output_bytes > static_cast<std::int64_t>(result.output_tail.size());
}

void tell_of_tail(const Invocation& call, const job::AttemptResult& result) {
  talk(call,
       (result.output_path.empty() ? "the output file is gone (retention, or output = log)"
                                   : "the output file " + result.output_path + " cannot be read") +
           std::string("; this is its end, as the run's row keeps it"));
}

/// Prints the output of a run as far as it has come.
void print_output(const Invocation& call, const job::Run& run, std::int64_t lines) {
  const job::AttemptResult& result = run.result;
  std::string document;
  bool truncated = false;
  const auto sink = [&](std::string_view bytes) {
    if (call.globals.json)
      document += bytes;
    else
      print(bytes);
  };
  if (const UniqueFd fd = open_output(result.output_path)) {
    const off_t size = size_of(fd.get());
    off_t offset = lines > 0 ? offset_of_last(fd.get(), size, lines) : 0;
    if (lines == 0) offset = size;
    if (call.globals.json && size - offset > kMostJsonBytes) {
      offset = size - kMostJsonBytes;
      truncated = true;
    }
    copy_around_hole(fd.get(), offset, sink);
    truncated = truncated || result.output_cut > 0;
  } else {
    truncated = is_cut(result);
    if (truncated) tell_of_tail(call, result);
    if (lines != 0) sink(last_lines(result.output_tail, lines));
  }
  if (call.globals.json) print(json_output(run, document, truncated) + "\n");
}

bool has_output(const job::Run& run) {
  return !run.result.output_path.empty() || !run.result.output_tail.empty();
}

Error no_such_run(Session& session, RunId id) {
  const auto newest = session.store->list_runs({.limit = 1});
  const bool has_been = newest && !newest->empty() && id < newest->front().id;
  return {ErrorKind::not_found, "there is no run #" + std::to_string(id.value) +
                                    (has_been ? pruned_words(session) : std::string())};
}

/// The run that the command line names by its number; none: it names a job.
Result<std::optional<job::Run>> run_by_number(Session& session) {
  const std::string& word = session.call.words[0];
  const auto target = run_target(word);
  if (!target) return std::nullopt;
  if (target->bare) {
    TRY(const std::optional<job::Job> job, session.store->find_job(word));
    if (job) return std::nullopt;
  }
  TRY(std::optional<job::Run> run, session.store->get_run(target->id));
  if (!run) return fail(no_such_run(session, target->id));
  return run;
}

// --- which run of a job ------------------------------------------------------------------------
// Rows of what did not run can be many more than those of what did, so runs are looked for by the
// states that can have output. A job's name may have been another's before: its runs are those of
// its id.

std::vector<job::RunState> ended_states() {
  return {job::RunState::succeeded, job::RunState::failed, job::RunState::cancelled,
          job::RunState::lost};
}

/// Newest first.
Result<std::vector<job::Run>> open_runs(Session& session, store::RunFilter of_job) {
  of_job.states = {job::RunState::running, job::RunState::pending};
  of_job.limit = kOpenRunsSearched;
  return session.store->list_runs(of_job);
}

/// The newest ended one with output.
Result<std::optional<job::Run>> ended_with_output(Session& session, store::RunFilter of_job) {
  of_job.states = ended_states();
  for (const std::size_t limit : {kRunsSearched, kMostRunsSearched}) {
    of_job.limit = limit;
    TRY(std::vector<job::Run> runs, session.store->list_runs(of_job));
    for (job::Run& run : runs)
      if (has_output(run)) return std::move(run);
    if (runs.size() < limit) break;
  }
  return std::nullopt;
}

Result<std::optional<job::Run>> newest_with_output(Session& session,
                                                   const store::RunFilter& of_job) {
  // The open ones before the ended ones: what ends in between is then in one of the two.
  TRY(std::vector<job::Run> open, open_runs(session, of_job));
  TRY(std::optional<job::Run> newest, ended_with_output(session, of_job));
  const auto found = std::ranges::find_if(open, has_output);
  if (found != open.end() && (!newest || newest->id < found->id)) newest = std::move(*found);
  return newest;
}

/// The newest output of a job of this name that was removed.
Result<std::optional<job::Run>> output_of_removed_job(Session& session, const std::string& name) {
  TRY(std::vector<job::Run> runs,
      session.store->list_runs(
          {.job_name = name, .states = ended_states(), .limit = kRunsSearched}));
  for (job::Run& run : runs) {
    if (!has_output(run)) continue;
    TRY(const std::optional<job::Job> job, session.store->get_job(run.job_id));
    if (!job) return std::move(run);
  }
  return std::nullopt;
}

/// None: the job has written nothing yet.
Result<std::optional<job::Run>> run_with_output(Session& session) {
  const std::string& name = session.call.words[0];
  TRY(const std::optional<job::Job> job, session.store->find_job(name));
  if (job) {
    TRY(std::optional<job::Run> own, newest_with_output(session, {.job_id = job->id}));
    if (own) return own;
    return output_of_removed_job(session, name);
  }
  TRY(std::optional<job::Run> run, newest_with_output(session, {.job_name = name}));
  if (run) return run;
  TRY(const std::vector<job::Run> any, session.store->list_runs({.job_name = name, .limit = 1}));
  if (any.empty()) TRY_VOID(session.job(name));
  return std::nullopt;
}

/// The one that runs, or else the one that waits for its retry; the newest of several.
const job::Run* live_run(const std::vector<job::Run>& open) {
  for (const job::Run& run : open)
    if (run.state == job::RunState::running) return &run;
  const auto found = std::ranges::find_if(open, &job::Run::occupies_slot);
  return found == open.end() ? nullptr : &*found;
}

/// The first that has begun, or has ended with output, of those that had not when `seen` was the
/// newest row and `waiting` had not been tried. Oldest first: a quick run must not be passed over
/// for the one after it.
Result<std::optional<job::Run>> next_run(Session& session, const store::RunFilter& of_job,
                                         RunId seen, const std::vector<RunId>& waiting) {
  // The open ones first, as above.
  TRY(std::vector<job::Run> runs, open_runs(session, of_job));
  store::RunFilter filter = of_job;
  filter.states = ended_states();
  filter.limit = kRunsSearched;
  TRY(std::vector<job::Run> ended, session.store->list_runs(filter));
  std::erase_if(runs, [](const job::Run& run) { return !run.occupies_slot(); });
  std::erase_if(ended, [](const job::Run& run) { return !has_output(run); });
  runs.insert(runs.end(), std::make_move_iterator(ended.begin()),
              std::make_move_iterator(ended.end()));
  std::erase_if(runs, [&](const job::Run& run) {
    return run.id <= seen && std::ranges::find(waiting, run.id) == waiting.end();
  });
  const auto first = std::ranges::min_element(runs, {}, &job::Run::id);
  return first == runs.end() ? std::nullopt : std::optional(std::move(*first));
}

// --- follow ------------------------------------------------------------------------------------

/// A run and its attempts before the one in its row, as of one moment.
struct Standing {
  job::Run run;
  std::vector<job::AttemptResult> earlier;
};

/// None: there is no such run any more.
Result<std::optional<Standing>> standing_of(Session& session, RunId id) {
  TRY(std::optional<job::Run> run, session.store->get_run(id));
  while (run) {
    TRY(std::vector<job::AttemptResult> earlier, session.store->list_attempts(id));
    TRY(std::optional<job::Run> again, session.store->get_run(id));
    // Each attempt raises the fence.
    if (again && again->fence == run->fence && again->state == run->state)
      return Standing{*std::move(again), std::move(earlier)};
    run = std::move(again);
  }
  return std::nullopt;
}

/// The row keeps the result of a try until the next one begins.
bool has_own_result(const Standing& standing) {
  if (standing.earlier.empty()) return true;
  const job::AttemptResult& last = standing.earlier.back();
  const job::AttemptResult& own = standing.run.result;
  return own.attempt != last.attempt || own.started_at != last.started_at || own.pid != last.pid;
}

/// Prints what a run writes until it has ended, over its retries, each to its end.
class Follower {
 public:
  Follower(Session& session, std::int64_t lines) : session_(session), lines_(lines) {}

  /// Begins with the attempt that runs or ran last, or with the first.
  Result<void> follow(RunId id, bool from_first) {
    TRY(std::optional<Standing> standing, standing_of(session_, id));
    if (!standing) return {};
    const std::size_t tried = standing->earlier.size();
    if (!from_first) printed_ = tried - (has_own_result(*standing) ? 0 : 1);
    while (true) {
      const job::Run& run = standing->run;
      for (; printed_ < standing->earlier.size(); ++printed_)
        print_rest(standing->earlier[printed_]);
      if (job::is_final(run.state)) {
        if (has_own_result(*standing)) print_rest(run.result);
        return finish_output();
      }
      TRY(const bool changed, print_until_change(run));
      if (!changed) return {};
      TRY(standing, standing_of(session_, id));
      if (!standing) return {};
    }
  }

 private:
  /// False: there is nothing more to print, or nobody who reads it.
  Result<bool> print_until_change(const job::Run& was) {
    while (true) {
      // The row first, the file after it: a file that its run left empty is soon another's.
      TRY(const std::optional<job::Run> run, session_.store->get_run(was.id));
      if (!run) return false;
      if (run->state != was.state || run->fence != was.fence) return true;
      if (run->state == job::RunState::running) print_news(run->result);
      TRY_VOID(finish_output());
      if (!look_again_later()) return false;
    }
  }

  void print_news(const job::AttemptResult& result) {
    if (!fd_) {
      fd_ = open_output(result.output_path);
      if (!fd_) return;
      const off_t size = size_of(fd_.get());
      offset_ = lines_ > 0 ? offset_of_last(fd_.get(), size, lines_) : lines_ == 0 ? size : 0;
      lines_ = -1;
    }
    offset_ = copy_around_hole(fd_.get(), offset_, [](std::string_view bytes) { print(bytes); });
  }

  /// Of an attempt that is over. Its file may have gone since it was opened (output = log).
  void print_rest(const job::AttemptResult& result) {
    if (!result.output_path.empty() || result.output_bytes > 0) {
      print_news(result);
      if (!fd_) print_tail(result);
    }
    fd_.reset();
  }

  void print_tail(const job::AttemptResult& result) {
    if (is_cut(result)) tell_of_tail(session_.call, result);
    if (lines_ != 0) print(last_lines(result.output_tail, lines_));
    lines_ = -1;
  }

  Session& session_;
  std::int64_t lines_;       ///< of what is there already; below 0: all
  std::size_t printed_ = 0;  ///< attempts that are over, and have been printed
  UniqueFd fd_;              ///< the output of the attempt that runs
  off_t offset_ = 0;
};

/// What runs of the job, or the first run that starts from now on.
Result<void> follow_job(Session& session, std::int64_t lines) {
  const std::string& name = session.call.words[0];
  TRY(const std::optional<job::Job> job, session.store->find_job(name));
  // What runs of a job outlives it.
  const store::RunFilter of_job =
      job ? store::RunFilter{.job_id = job->id} : store::RunFilter{.job_name = name};
  store::RunFilter newest = of_job;
  newest.limit = 1;
  TRY(const std::vector<job::Run> rows, session.store->list_runs(newest));
  const RunId seen = rows.empty() ? RunId() : rows.front().id;
  TRY(const std::vector<job::Run> open, open_runs(session, of_job));
  if (const job::Run* live = live_run(open))
    return Follower(session, lines).follow(live->id, false);
  if (!job) TRY_VOID(session.job(name));
  std::vector<RunId> waiting;
  waiting.reserve(open.size());
  for (const job::Run& run : open) waiting.push_back(run.id);
  talk(session.call, "waiting for the next run of " + name);
  while (true) {
    TRY(const std::optional<job::Run> next, next_run(session, of_job, seen, waiting));
    if (next) return Follower(session, lines).follow(next->id, true);
    if (!look_again_later()) return {};
  }
}

}  // namespace

/// Puts the result of one attempt in the place of the last one's.
Result<void> choose_attempt(Session& session, job::Run& run, std::int64_t attempt) {
  if (run.result.attempt == attempt) return {};
  TRY(const std::vector<job::AttemptResult> earlier, session.store->list_attempts(run.id));
  for (const job::AttemptResult& one : earlier) {
    if (one.attempt != attempt) continue;
    run.result = one;
    return {};
  }
  return fail(ErrorKind::not_found, name_of(run) + " had no attempt " + std::to_string(attempt) +
                                        "; its last was " + std::to_string(run.result.attempt));
}

Result<Outcome> run_logs(const Invocation& call) {
  const bool following = call.has("follow");
  TRY(const std::int64_t attempt, number_option(call, "attempt", 0, 1, limits::kMaxAttempts));
  if (following && attempt > 0)
    return fail(ErrorKind::usage, "cannot be combined with --follow", "--attempt");
  TRY(const std::int64_t lines, number_option(call, "lines", -1, 0, kMostLines));
  if (following && call.globals.json)
    return fail(ErrorKind::usage, "cannot be combined with --json", "--follow");
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::read));
  TRY(std::optional<job::Run> run, run_by_number(*session));
  if (following) {
    if (run)
      TRY_VOID(Follower(*session, lines).follow(run->id, false));
    else
      TRY_VOID(follow_job(*session, lines));
    return Done{};
  }
  if (!run) {
    TRY(run, run_with_output(*session));
  }
  if (run && attempt > 0) TRY_VOID(choose_attempt(*session, *run, attempt));
  if (!run) {
    talk(call, call.words[0] + " has written nothing yet");
    if (call.globals.json) print("null\n");
    return Done{};
  }
  if (!has_output(*run))
    talk(call,
         name_of(*run) + " (" + std::string(job::to_string(run->state)) + ") has written nothing");
  print_output(call, *run, lines);
  return Done{};
}

}  // namespace schedctl::cli
