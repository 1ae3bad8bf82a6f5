#include <exception>
#include <string>
#include <vector>

#include "schedctl/cli/cli.hpp"
#include "src/cli/check.hpp"
#include "src/cli/command.hpp"
#include "src/cli/completion.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/help.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/parse.hpp"

namespace schedctl::cli {
namespace {

Result<Outcome> dispatch(const std::vector<std::string>& argv) {
  TRY(const Invocation call, parse(argv));
  set_output(call.globals);
  if (call.version) {
    print(call.globals.json ? json_version() + "\n" : "schedctl " + std::string(version()) + "\n");
    return Done{};
  }
  if (call.help) {
    print(call.command == nullptr ? overview() : help_of(*call.command));
    return Done{};
  }
  if (call.command == nullptr)
    return fail(ErrorKind::usage, "which command? schedctl --help shows them all");
  return call.command->function(call);
}

/// Flushes what was printed; a failure of that counts unless something worse was reported. To a
/// monitoring system a state that comes without its words is unknown.
Outcome finish(Outcome outcome, bool json, bool check) {
  const Result<void> flushed = finish_output();
  if (flushed) return outcome;
  const int code = report(flushed.error(), json);
  if (check) return Done{static_cast<int>(CheckState::unknown)};
  const Done* done = std::get_if<Done>(&outcome);
  return done != nullptr && done->exit_code == 0 ? Done{code} : outcome;
}

}  // namespace

Outcome run(const std::vector<std::string>& argv) {
  const bool json = wants_json(argv);
  const bool check = is_check(argv);
  const auto failed = [&](const Error& error) -> Outcome {
    return check ? report_check(error, json) : Done{report(error, json)};
  };
  if (argv.size() > 1 && argv[1] == kComplete) {
    print(complete(argv));
    static_cast<void>(finish_output());
    return Done{};
  }
  try {
    Result<Outcome> outcome = dispatch(argv);
    if (!outcome) return finish(failed(outcome.error()), json, check);
    return finish(std::move(*outcome), json, check);
  } catch (const std::exception& error) {
    return finish(failed({ErrorKind::failed, std::string("internal error: ") + error.what()}), json,
                  check);
  }
}

}  // namespace schedctl::cli
