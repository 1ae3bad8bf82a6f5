#include <cstdio>

#include "schedctl/base/text.hpp"
#include "schedctl/config/job_file.hpp"
#include "src/cli/draft.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/session.hpp"
#include "src/cli/understood.hpp"

// apply: make the store as job files say. The difference is printed first, before anything is
// locked: who reads it through a pager keeps nobody waiting.

namespace schedctl::cli {
namespace {

constexpr std::size_t kNamed = 5;
constexpr std::size_t kKeyColumn = 16;

/// "a, b and 3 more".
std::string first_of(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kNamed; ++i)
    text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kNamed) text += " and " + std::to_string(names.size() - kNamed) + " more";
  return text;
}

/// `every  "5m" -> "1h"`; of a new job only the value.
void print_key(const Invocation& call, const ops::KeyChange& change, bool new_job) {
  const auto value = [](const std::optional<config::JobKey>& key) {
    return key ? config::toml_value(*key) : std::string("(not set)");
  };
  std::string line = "    " + change.key;
  line.append(line.size() < 4 + kKeyColumn ? 4 + kKeyColumn - line.size() : 1, ' ');
  if (!new_job) line += value(change.before) + " -> ";
  print_result(call, line + value(change.after));
}

void print_difference(const Invocation& call, const ops::Difference& difference) {
  for (const ops::JobChange& job : difference.added) {
    print_result(call, paint(Color::green, "+ " + job.name));
    for (const ops::KeyChange& key : job.keys) print_key(call, key, true);
  }
  for (const ops::JobChange& job : difference.changed) {
    print_result(call, paint(Color::yellow, "~ " + job.name));
    for (const ops::KeyChange& key : job.keys) print_key(call, key, false);
  }
  for (const std::string& name : difference.removed)
    print_result(call, paint(Color::red, "- " + name));
  print_result(call, std::to_string(difference.added.size()) + " to add, " +
                         std::to_string(difference.changed.size()) + " to change, " +
                         std::to_string(difference.removed.size()) + " to remove, " +
                         std::to_string(difference.unchanged) + " unchanged");
}

void talk_of_rest(const Invocation& call, const ops::Difference& difference) {
  for (const std::string& words : difference.warnings) warn(call, words);
  if (!difference.left.empty()) {
    const bool one = difference.left.size() == 1;
    talk(call, first_of(difference.left) + (one ? " is" : " are") +
                   " no longer in the files; --prune removes " + (one ? "it" : "them"));
  }
  if (!difference.others.empty()) {
    const bool one = difference.others.size() == 1;
    talk(call, first_of(difference.others) + (one ? " is" : " are") +
                   " as the files say, but managed elsewhere, and stay" + (one ? "s" : "") +
                   " so; --adopt takes over jobs of the command line and of other sets");
  }
}

/// The most helpful code: that somebody else has the job only if nothing is wrong with the files.
int exit_of(const std::vector<Error>& errors) {
  for (const Error& error : errors)
    if (error.kind != ErrorKind::conflict) return exit_code(error.kind);
  return exit_code(ErrorKind::conflict);
}

Outcome refuse(const Invocation& call, ops::Difference difference, bool dry_run) {
  for (Error& error : difference.errors) error = clipped(std::move(error));
  if (call.globals.json) {
    print(json_difference(difference, dry_run) + "\n");
  } else {
    for (const Error& error : difference.errors) print_error(error_line(error));
    talk(call, "nothing was applied");
  }
  return Done{exit_of(difference.errors)};
}

void warn_of_commands(Session& session, const std::vector<ops::JobChange>& jobs) {
  for (const ops::JobChange& one : jobs) {
    const auto job = session.store->find_job(one.name);
    if (!job || !*job) continue;
    if (const std::string trouble = command_trouble((*job)->definition); !trouble.empty())
      warn(session.call,
           "the command of " + one.name + " cannot be executed as things are: " + trouble);
  }
}

}  // namespace

Result<Outcome> run_apply(const Invocation& call) {
  const bool dry_run = call.has("dry-run");
  const ops::ApplyOptions options{.set = call.value("name").value_or(""),
                                  .prune = call.has("prune"),
                                  .adopt = call.has("adopt")};
  if (call.has("name") && options.set.empty())
    return fail(ErrorKind::usage, "the name of the set is empty", "--name");
  // Before root becomes another user.
  const config::JobFiles files = config::read_job_files(call.words, true);
  TRY(const std::unique_ptr<Session> session,
      Session::open(call, dry_run ? Access::read : Access::write));
  session->name_other_store();
  TRY(const ops::Difference difference, with_flag(session->ops().compare(files, options)));
  if (!difference.errors.empty()) return refuse(call, difference, dry_run);
  if (!call.globals.json) {
    print_difference(call, difference);
    TRY_VOID(finish_output());
    talk_of_rest(call, difference);
  }
  if (!dry_run) TRY_VOID(session->ops().apply(files, options, difference));
  if (call.globals.json) print(json_difference(difference, dry_run) + "\n");
  if (dry_run) {
    talk(call, "nothing was written (--dry-run)");
    return Done{};
  }
  if (difference.empty()) return Done{};
  warn_of_commands(*session, difference.added);
  warn_of_commands(*session, difference.changed);
  warn_of_daemon(*session);
  return Done{};
}

}  // namespace schedctl::cli
