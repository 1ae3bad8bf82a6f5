#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
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

constexpr Duration kLook = std::chrono::milliseconds(200);
/// Runs of a job that are looked through for one with output.
constexpr std::size_t kRunsSearched = 100;
constexpr std::int64_t kMostLines = 1'000'000'000;
constexpr std::size_t kBlock = 65'536;
/// What a program leaves out itself is no more than a block or two.
constexpr off_t kSmallestHole = off_t{64} * 1024;
/// Lines longer than this are not looked for to their beginning.
constexpr off_t kFarthestBack = off_t{256} * 1024 * 1024;
/// What --json takes along at most: a document is read as a whole.
constexpr off_t kMostJsonBytes = off_t{64} * 1024 * 1024;

void look_again_later() {
  const timespec time{0, kLook.count() * 1000};
  ::nanosleep(&time, nullptr);
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

bool is_cut(const job::Run& run) {
  return run.result.output_bytes > static_cast<std::int64_t>(run.result.output_tail.size());
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
    truncated = is_cut(run);
    if (truncated)
      talk(call, (result.output_path.empty()
                      ? "the output file is gone (retention, or output = log)"
                      : "the output file " + result.output_path + " cannot be read") +
                     std::string("; this is its end, as the run's row keeps it"));
    if (lines != 0) sink(last_lines(result.output_tail, lines));
  }
  if (call.globals.json) print(json_output(run, document, truncated) + "\n");
}

bool has_output(const job::Run& run) {
  return !run.result.output_path.empty() || !run.result.output_tail.empty();
}

bool is_live(const job::Run& run) {
  return run.occupies_slot();
}

Error no_such_run(Session& session, RunId id) {
  const auto newest = session.store->list_runs({.limit = 1});
  const bool has_been = newest && !newest->empty() && id < newest->front().id;
  return {ErrorKind::not_found, "there is no run #" + std::to_string(id.value) +
                                    (has_been ? pruned_words(session) : std::string())};
}

/// The run meant by the command line; a null run where the job has none with output yet.
Result<std::optional<job::Run>> chosen_run(Session& session, bool live_only) {
  const std::string& word = session.call.words[0];
  auto target = run_target(word);
  if (target && target->bare) {
    TRY(const std::optional<job::Job> job, session.store->find_job(word));
    if (job) target.reset();
  }
  if (target) {
    TRY(std::optional<job::Run> run, session.store->get_run(target->id));
    if (!run) return fail(no_such_run(session, target->id));
    return run;
  }
  TRY(std::vector<job::Run> runs,
      session.store->list_runs({.job_name = word, .limit = kRunsSearched}));
  if (runs.empty()) TRY_VOID(session.job(word));
  for (job::Run& run : runs)
    if (live_only ? is_live(run) : has_output(run)) return std::move(run);
  return std::nullopt;
}

/// The first run of the job that starts after now.
Result<job::Run> wait_for_next(Session& session) {
  const std::string& name = session.call.words[0];
  TRY_VOID(session.job(name));
  TRY(const std::vector<job::Run> newest, session.store->list_runs({.job_name = name, .limit = 1}));
  const RunId before = newest.empty() ? RunId() : newest.front().id;
  talk(session.call, "waiting for the next run of " + name);
  while (true) {
    TRY(std::vector<job::Run> runs, session.store->list_runs({.job_name = name, .limit = 20}));
    // Oldest of the new ones first: a quick run must not be passed over for the one after it.
    for (auto run = runs.rbegin(); run != runs.rend(); ++run)
      if (run->id > before && (is_live(*run) || has_output(*run))) return std::move(*run);
    look_again_later();
  }
}

/// Prints what a run writes until it has ended, over its retries.
Result<void> follow(Session& session, job::Run run, std::int64_t lines) {
  std::string path;
  UniqueFd fd;
  off_t offset = 0;
  bool printed = false;
  while (true) {
    // The row first, the file after it: what was written before the end is then never missed.
    const bool ended = job::is_final(run.state);
    if (path != run.result.output_path) {
      path = run.result.output_path;
      fd.reset();
      offset = 0;
      printed = false;
    }
    if (!fd) {
      fd = open_output(path);
      if (fd && lines > 0) offset = offset_of_last(fd.get(), size_of(fd.get()), lines);
      if (fd && lines == 0) offset = size_of(fd.get());
      if (fd) lines = -1;
    }
    if (fd) {
      const off_t until =
          copy_around_hole(fd.get(), offset, [](std::string_view bytes) { print(bytes); });
      printed = printed || until > offset;
      offset = until;
      TRY_VOID(finish_output());
    }
    if (ended) {
      if (!printed && !fd) print(last_lines(run.result.output_tail, lines));
      return {};
    }
    look_again_later();
    TRY(std::optional<job::Run> row, session.store->get_run(run.id));
    if (!row) return {};
    run = std::move(*row);
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
  TRY(std::optional<job::Run> run, chosen_run(*session, following));
  if (following) {
    if (!run) {
      TRY(run, wait_for_next(*session));
    }
    TRY_VOID(follow(*session, *run, lines));
    return Done{};
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
