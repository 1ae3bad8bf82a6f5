#include "src/cli/parse.hpp"

#include <algorithm>
#include <boost/program_options.hpp>

#include "schedctl/base/text.hpp"

namespace schedctl::cli {
namespace {

namespace po = boost::program_options;
using Words = std::vector<std::string>;

const Option* find_option(const std::vector<Option>& options, std::string_view name) {
  const auto found = std::find_if(options.begin(), options.end(),
                                  [&](const Option& option) { return option.name == name; });
  return found == options.end() ? nullptr : &*found;
}

/// "--cron" -> "cron", "-n" -> "n", "--cron=x" -> "cron".
std::string bare(std::string_view token) {
  token.remove_prefix(std::min(token.find_first_not_of('-'), token.size()));
  return std::string(token.substr(0, token.find('=')));
}

/// Where the command's word stands: the first that is neither a global flag nor the value of one.
Result<std::size_t> find_command_word(const Words& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.size() < 2 || word[0] != '-') return i;
    if (word[1] != '-') continue;  // letters take no values among the global flags
    const Option* option = find_option(global_options(), bare(word));
    if (option == nullptr)
      return fail(ErrorKind::usage,
                  is_later_option(bare(word))
                      ? "is not available in this version"
                      : "is not a global option; the options of a command come after its name",
                  word.substr(0, word.find('=')));
    if (!option->value.empty() && word.find('=') == std::string::npos) ++i;
  }
  return words.size();
}

std::vector<Option> all_options(const Command* command) {
  std::vector<Option> options = global_options();
  if (command != nullptr)
    options.insert(options.end(), command->options.begin(), command->options.end());
  return options;
}

Error unknown_option(const std::string& token, const Command* command) {
  const std::string flag = token.substr(0, token.find('='));
  if (is_later_option(bare(token)))
    return {ErrorKind::usage, "is not available in this version", flag};
  std::vector<std::string> names;
  for (const Option& option : all_options(command)) names.emplace_back(option.name);
  std::string message = "unknown option";
  if (const auto near = nearest(bare(token), names); near && flag.starts_with("--"))
    message += "; did you mean --" + *near + "?";
  else if (command != nullptr && command->takes_argv)
    message += "; the command to run goes after \"--\"";
  else if (command != nullptr)
    message += "; see schedctl " + std::string(command->name) + " --help";
  else
    message += "; see schedctl --help";
  return {ErrorKind::usage, message, flag};
}

Error missing_value(const Option& option, const std::string& flag) {
  return {ErrorKind::usage,
          "needs a value: --" + std::string(option.name) + " " + std::string(option.value), flag};
}

Error bad_syntax(const po::invalid_command_line_syntax& error, const std::vector<Option>& options) {
  using Kind = po::invalid_syntax::kind_t;
  const std::string flag = error.get_option_name();
  if (error.kind() == Kind::extra_parameter) return {ErrorKind::usage, "takes no value", flag};
  const Option* option = find_option(options, bare(flag));
  if (option == nullptr) return {ErrorKind::usage, "needs a value", flag};
  return missing_value(*option, flag);
}

/// Whether what was taken for a flag's value is the next flag: "--every --cron ...".
bool swallowed_a_flag(const po::option& found, const std::vector<Option>& options) {
  if (found.value.empty() || found.original_tokens.size() < 2) return false;
  const std::string& value = found.value.front();
  return value.starts_with("--") && find_option(options, bare(value)) != nullptr;
}

/// Runs program_options over the words. Only its parser is used: what it found is stored by hand,
/// for messages that say which flag came twice and what to do about it.
Result<po::parsed_options> split(const Words& words, const std::vector<Option>& options,
                                 const Command* command) {
  po::options_description description;
  for (const Option& option : options) {
    std::string spec(option.name);
    if (option.letter != 0) spec += std::string(",") + option.letter;
    if (option.value.empty())
      description.add_options()(spec.c_str(), "");
    else
      description.add_options()(spec.c_str(), po::value<std::string>(), "");
  }
  try {
    constexpr int style =
        po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    po::parsed_options parsed =
        po::command_line_parser(words).options(description).style(style).run();
    // What was parsed points at the description, which ends here; nobody asks for it.
    parsed.description = nullptr;
    return parsed;
  } catch (const po::unknown_option& error) {
    return fail(unknown_option(error.get_option_name(), command));
  } catch (const po::invalid_command_line_syntax& error) {
    return fail(bad_syntax(error, options));
  } catch (const po::error& error) {
    return fail(ErrorKind::usage, error.what());
  }
}

Result<void> take_globals(Invocation& call) {
  Globals& globals = call.globals;
  globals.config = call.value("config");
  globals.store = call.value("store");
  globals.own = call.has("own");
  globals.json = call.has("json");
  globals.quiet = call.has("quiet");
  globals.verbose = call.has("verbose");
  call.help = call.has("help");
  call.version = call.has("version");
  if (globals.quiet && globals.verbose)
    return fail(ErrorKind::usage, "cannot be combined with --verbose", "--quiet");
  if (const auto color = call.value("color")) {
    if (*color != "auto" && *color != "always" && *color != "never")
      return fail(ErrorKind::usage,
                  "\"" + escape_control(*color) + "\" is not one of auto, always, never",
                  "--color");
    globals.color = *color;
  }
  for (const std::string& pair : call.values("set")) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(ErrorKind::usage,
                  "\"" + escape_control(pair) + "\" is not KEY=VALUE; see schedctl config",
                  "--set");
    globals.set.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return {};
}

Result<void> check_words(const Invocation& call) {
  const Command& command = *call.command;
  const std::string usage =
      "usage: schedctl " + std::string(command.name) + " " + std::string(command.synopsis);
  if (call.words.size() < command.min_words)
    return fail(ErrorKind::usage, std::string(command.missing) + "; " + usage);
  if (call.words.size() <= command.max_words) return {};
  const std::string extra = "\"" + escape_control(call.words[command.max_words]) + "\"";
  if (command.takes_argv)
    return fail(ErrorKind::usage,
                extra + " is too much; the command to run goes after \"--\": schedctl " +
                    std::string(command.name) + " NAME ... -- COMMAND ARG...");
  if (!command.extra.empty())
    return fail(ErrorKind::usage, extra + ": " + std::string(command.extra));
  return fail(ErrorKind::usage, extra + " is too much; " + usage);
}

/// How people type a flag: its letter if it has one.
std::string flag_of(const Invocation& call, std::string_view name) {
  const Option* option = find_option(call.command->options, name);
  if (option != nullptr && option->letter != 0) return std::string("-") + option->letter;
  return "--" + std::string(name);
}

}  // namespace

Result<Invocation> parse(const Words& argv) {
  const auto begin = argv.empty() ? argv.end() : argv.begin() + 1;
  const auto dashes = std::find(begin, argv.end(), "--");
  Words words(begin, dashes);
  Invocation call;

  TRY(const std::size_t at, find_command_word(words));
  if (at < words.size()) {
    call.command = find_command(words[at]);
    if (call.command == nullptr) return fail(unknown_command(words[at]));
    words.erase(words.begin() + static_cast<std::ptrdiff_t>(at));
  }
  const std::vector<Option> options = all_options(call.command);
  TRY(const po::parsed_options parsed, split(words, options, call.command));
  for (const po::option& found : parsed.options) {
    if (found.string_key.empty()) {
      call.words.insert(call.words.end(), found.value.begin(), found.value.end());
      continue;
    }
    const Option* option = find_option(options, found.string_key);
    if (swallowed_a_flag(found, options))
      return fail(missing_value(*option, "--" + found.string_key));
    std::vector<std::string>& values = call.options[found.string_key];
    if (option != nullptr && !option->value.empty() && !option->repeatable && !values.empty())
      return fail(ErrorKind::usage, "is given twice", "--" + found.string_key);
    values.insert(values.end(), found.value.begin(), found.value.end());
  }
  if (dashes != argv.end()) {
    Words rest(dashes + 1, argv.end());
    if (call.command != nullptr && call.command->takes_argv)
      call.argv = std::move(rest);
    else
      call.words.insert(call.words.end(), rest.begin(), rest.end());
  }
  TRY_VOID(take_globals(call));
  if (call.command != nullptr && !call.help && !call.version) TRY_VOID(check_words(call));
  return call;
}

bool wants_json(const Words& argv) {
  const auto dashes = std::find(argv.begin(), argv.end(), "--");
  return std::find(argv.begin(), dashes, "--json") != dashes;
}

Result<std::int64_t> number_option(const Invocation& call, std::string_view name,
                                   std::int64_t fallback, std::int64_t least, std::int64_t most) {
  const std::optional<std::string> text = call.value(name);
  if (!text) return fallback;
  const std::optional<std::int64_t> number = parse_int(*text);
  if (!number || *number < least || *number > most)
    return fail(ErrorKind::usage,
                "\"" + escape_control(*text) + "\" is not a number from " + std::to_string(least) +
                    " to " + std::to_string(most),
                flag_of(call, name));
  return *number;
}

Result<std::optional<Duration>> duration_option(const Invocation& call, std::string_view name) {
  const std::optional<std::string> text = call.value(name);
  if (!text) return std::nullopt;
  Result<Duration> duration = parse_duration(*text);
  if (!duration)
    return fail(ErrorKind::usage, std::move(duration.error().message), "--" + std::string(name));
  return *duration;
}

}  // namespace schedctl::cli
