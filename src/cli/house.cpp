#include "schedctl/base/text.hpp"
#include "schedctl/config/job_file.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/families.hpp"
#include "src/cli/help.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/session.hpp"
#include "src/cli/table.hpp"

// validate, config and help.

namespace schedctl::cli {

Result<Outcome> run_validate(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::none));
  // Nothing is looked up in the real store: what a file says is right or wrong by itself.
  session->store = store::open_memory();
  const config::JobFiles files = config::read_job_files(call.words, true);
  std::vector<Error> warnings;
  std::vector<Error> errors = session->ops().validate(files, &warnings);
  for (std::vector<Error>* found : {&errors, &warnings})
    for (Error& error : *found) error = clipped(std::move(error));
  const std::size_t read = files.files.size() + files.bad_files.size();
  if (call.globals.json) {
    print(json_validated(files.jobs.size(), read, errors, warnings) + "\n");
    return Done{errors.empty() ? 0 : kExitConfig};
  }
  for (const Error& error : warnings)
    warn(call, error_line(error) + ", so it is loaded only if it was before");
  for (const Error& error : errors) print_error(error_line(error));
  if (!errors.empty()) return Done{kExitConfig};
  print_result(call, plural(static_cast<std::int64_t>(files.jobs.size()), "job") + " in " +
                         plural(static_cast<std::int64_t>(read), "file") +
                         (files.jobs.size() == 1 ? " is valid" : " are valid"));
  return Done{};
}

namespace {

std::string flag_of(const config::Setting& setting) {
  if (setting.variable.empty()) return "-";
  return setting.key == "store" ? "--store" : "--set " + setting.key + "=";
}

}  // namespace

Result<Outcome> run_config(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::none));
  const std::vector<config::Setting>& settings = session->loaded.settings;
  if (call.globals.json) {
    std::vector<std::string> elements;
    elements.reserve(settings.size());
    for (const config::Setting& setting : settings) elements.push_back(json_setting(setting));
    print(json_array(elements));
    TRY_VOID(session->check_timezone());
    return Done{};
  }
  Table table({{.title = "KEY"},
               {.title = "VALUE", .flexible = true},
               {.title = "ORIGIN", .flexible = true},
               {.title = "FLAG"},
               {.title = "VARIABLE"}});
  for (const config::Setting& setting : settings)
    table.add({{setting.key},
               {setting.value.empty() ? "-" : setting.value},
               {setting.origin, setting.origin == "default" ? Color::dim : Color::none},
               {flag_of(setting)},
               {setting.variable.empty() ? "-" : setting.variable}});
  print(table.render(terminal_width()));
  // Only now: what they are helps to see what is wrong.
  TRY_VOID(session->check_timezone());
  return Done{};
}

Result<Outcome> run_help(const Invocation& call) {
  if (call.words.empty()) {
    print(overview());
    return Done{};
  }
  const Command* command = find_command(call.words[0]);
  if (command == nullptr) return fail(unknown_command(call.words[0]));
  print(help_of(*command));
  return Done{};
}

}  // namespace schedctl::cli
