#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "schedctl/base/text.hpp"
#include "schedctl/config/job_file.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/families.hpp"
#include "src/cli/output.hpp"
#include "src/cli/session.hpp"
#include "src/cli/understood.hpp"
#include "src/cli/written.hpp"

// edit: a job's text in the user's editor. What somebody has typed is never thrown away: unless it
// was taken, or is as it was given, the file stays and its name is told.

extern char** environ;

namespace schedctl::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSensibleEditor = "/usr/bin/sensible-editor";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// As crontab -e finds it; a shell command, so that it may have options.
std::string editor() {
  for (const char* name : {"VISUAL", "EDITOR"})
    if (std::string value = variable(name); !value.empty()) return value;
  return ::access(kSensibleEditor, X_OK) == 0 ? kSensibleEditor : "vi";
}

/// A file in a directory of its own, which only we may enter: editors leave copies beside it.
class EditedFile {
 public:
  static Result<EditedFile> make(const std::string& name, std::string text) {
    std::string parent = variable("TMPDIR");
    if (!parent.starts_with('/')) parent = "/tmp";
    std::string directory = parent + "/schedctl-edit-XXXXXX";
    if (::mkdtemp(directory.data()) == nullptr)
      return fail(error_from_errno("cannot make a directory in " + parent, errno));
    EditedFile file(directory, directory + "/" + name + ".toml", std::move(text));
    std::ofstream out(file.path_, std::ios::binary);
    TRY_VOID(file.protect());
    out << file.given_;
    out.close();
    if (!out) return fail(ErrorKind::failed, "cannot write " + file.path_);
    return file;
  }

  const std::string& path() const { return path_; }

  /// Some editors make the file anew, with the rights that others' files have.
  Result<void> protect() const {
    if (::chmod(path_.c_str(), 0600) == 0) return {};
    return fail(error_from_errno("cannot chmod " + path_, errno));
  }
  /// Nothing was typed. A file that is gone was not left as it was.
  bool is_as_given() const {
    std::ifstream in(path_, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return in && text.str() == given_;
  }
  void remove() const {
    std::error_code error;
    fs::remove_all(directory_, error);
  }

 private:
  EditedFile(std::string directory, std::string path, std::string text)
      : directory_(std::move(directory)), path_(std::move(path)), given_(std::move(text)) {}
  std::string directory_, path_, given_;
};

/// Ctrl-C in an editor is the editor's.
class LeaveSignals {
 public:
  LeaveSignals() {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGINT, &ignore, &interrupt_);
    ::sigaction(SIGQUIT, &ignore, &quit_);
  }
  ~LeaveSignals() {
    ::sigaction(SIGINT, &interrupt_, nullptr);
    ::sigaction(SIGQUIT, &quit_, nullptr);
  }
  LeaveSignals(const LeaveSignals&) = delete;
  LeaveSignals& operator=(const LeaveSignals&) = delete;

 private:
  struct sigaction interrupt_ {};
  struct sigaction quit_ {};
};

Result<void> run_editor(const std::string& path) {
  std::string command = editor();
  // With a trap the shell lives through a Ctrl-C that its editor lives through.
  std::string line = "trap : INT QUIT\n" + command + " \"$@\"";
  std::string file = path, shell = "/bin/sh", option = "-c";
  char* const argv[] = {shell.data(),   option.data(), line.data(),
                        command.data(), file.data(),   nullptr};
  const LeaveSignals leave;
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t own;
  ::sigemptyset(&own);
  ::sigaddset(&own, SIGINT);
  ::sigaddset(&own, SIGQUIT);
  ::posix_spawnattr_setsigdefault(&attributes, &own);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int failed = ::posix_spawn(&pid, shell.c_str(), nullptr, &attributes, argv, environ);
  ::posix_spawnattr_destroy(&attributes);
  if (failed != 0) return fail(error_from_errno("cannot run the editor", failed));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return fail(error_from_errno("cannot wait for the editor", errno));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail(
      ErrorKind::failed,
      "the editor (" + escape_control(command) + ") " +
          (WIFSIGNALED(status) ? "was ended by signal " + std::to_string(WTERMSIG(status))
                               : "ended with exit status " + std::to_string(WEXITSTATUS(status))));
}

/// The text's one job; errors as read_job_files tells them.
struct Reading {
  std::optional<config::FileJob> job;
  std::vector<Error> errors;
};

Reading read_back(const job::Job& job, const EditedFile& file) {
  Reading reading;
  if (const Result<void> done = file.protect(); !done) reading.errors.push_back(done.error());
  if (!reading.errors.empty()) return reading;
  config::JobFiles files = config::read_job_files({file.path()}, true);
  reading.errors = std::move(files.errors);
  if (!reading.errors.empty()) return reading;
  const auto refuse = [&](std::string message, const std::string& where) {
    reading.errors.push_back(Error{ErrorKind::config, std::move(message), where});
  };
  if (files.jobs.empty()) {
    refuse("there is no job in the text any more; schedctl remove " + job.name + " removes it",
           file.path());
  } else if (files.jobs.size() > 1) {
    refuse("only job " + job.name + " is edited here; schedctl add makes others",
           files.jobs[files.jobs[0].name == job.name ? 1 : 0].position);
  } else if (files.jobs[0].name != job.name) {
    refuse("the job's name is " + job.name + ", and edit does not change it; schedctl rename " +
               job.name + " " + files.jobs[0].name + " does",
           files.jobs[0].position);
  } else {
    reading.job = std::move(files.jobs[0]);
  }
  return reading;
}

bool asks_again() {
  if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDERR_FILENO) != 1) return false;
  std::fputs("edit again? [Y/n] ", stderr);
  std::fflush(stderr);
  char answer[64];
  if (std::fgets(answer, sizeof answer, stdin) == nullptr) return false;
  return answer[0] != 'n' && answer[0] != 'N';
}

std::string introduction(const job::Job& job) {
  return "# Job " + job.name +
         ". Save this and leave the editor to change it; leave without saving to keep it as it "
         "is.\n# The keys are those of job files: schedctl-jobs(5).\n\n";
}

enum class Step { done, again };

/// One look at what the editor left.
Result<Step> take(Session& session, const job::Job& job, const EditedFile& file) {
  const Invocation& call = session.call;
  if (file.is_as_given()) {
    file.remove();
    if (call.globals.json)
      TRY_VOID(print_understood(session, job, "unchanged"));
    else
      print_result(call, job.name + " is unchanged");
    return Step::done;
  }
  const std::string kept = "the text is kept in " + file.path();
  Reading reading = read_back(job, file);
  if (reading.job) {
    Result<job::Job> edited = session.ops().edit(job, *reading.job);
    if (edited) {
      file.remove();
      const bool changed = edited->version != job.version;
      if (!changed && !call.globals.json) {
        print_result(call, job.name + " is unchanged");
        return Step::done;
      }
      TRY_VOID(print_understood(session, *edited, changed ? "changed" : "unchanged"));
      if (changed) warn_of_trouble(session, *edited);
      return Step::done;
    }
    if (edited.error().kind != ErrorKind::config)
      return fail(edited.error().kind, edited.error().message + "; " + kept, edited.error().where);
    reading.errors.push_back(std::move(edited.error()));
  }
  for (const Error& error : reading.errors) print_error(error_line(clipped(error)));
  if (asks_again()) return Step::again;
  return fail(ErrorKind::usage, "job " + job.name + " was not changed; " + kept);
}

}  // namespace

Result<Outcome> run_edit(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::write));
  TRY(const job::Job job, session->job(call.words[0]));
  if (const std::string elsewhere = ops::place_of_definition(job); !elsewhere.empty())
    return fail(ErrorKind::conflict, "job " + job.name + " " + elsewhere);
  TRY(const std::string text, job_file_text(*session, job));
  TRY(const EditedFile file, EditedFile::make(job.name, introduction(job) + text));
  while (true) {
    if (Result<void> run = run_editor(file.path()); !run) {
      Error error = std::move(run.error());
      if (file.is_as_given())
        file.remove();
      else
        error.message += "; the text is kept in " + file.path();
      return fail(error.kind, "job " + job.name + " was not changed: " + error.message);
    }
    session->now = session->clock.wall();
    TRY(const Step step, take(*session, job, file));
    if (step == Step::done) return Done{};
  }
}

}  // namespace schedctl::cli
