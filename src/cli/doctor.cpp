#include "src/cli/doctor.hpp"

#include <unistd.h>

#include <algorithm>

#include "schedctl/base/text.hpp"
#include "schedctl/keeper/client.hpp"
#include "schedctl/zone/system_zones.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"

namespace schedctl::cli {
namespace {

constexpr Duration kPatience = std::chrono::seconds(3);
/// A row or a file that somebody spoiled may have any length.
constexpr std::size_t kTextBytes = 1000;

/// All that can be looked at where the settings are known.
void examine(Findings& findings, Session& session) {
  Patient patient{.session = session,
                  .daemon = ask_daemon(session.config(), kPatience),
                  .keeper_pid = keeper::living_keeper(session.config().keeper_dir)};
  session.now = session.clock.wall();
  look_at_settings(findings, patient);
  look_at_directories(findings, patient);
  look_at_disks(findings, session.config());
  look_at_store(findings, patient);
  look_at_jobs(findings, patient);
  look_at_job_files(findings, patient);
  look_at_other_stores(findings, patient);
  look_at_clock(findings);
  look_at_clock_steps(findings, patient);
  look_at_zone_data(findings, *session.zones);
  look_at_daemon(findings, patient);
  look_at_keeper(findings, patient);
  look_at_limits(findings, patient);
  look_at_notifiers(findings, patient);
  look_at_alerts(findings, patient);
}

/// Without settings nobody knows where anything is; the machine can be looked at all the same.
void examine_machine(Findings& findings, const Error& error) {
  findings.begin("settings");
  findings.error((error.where.empty() ? "" : error.where + ": ") + error.message,
                 error.kind == ErrorKind::not_allowed
                     ? "sudo schedctl doctor"
                     : "mend that, then: schedctl doctor (until then nothing else can be found)");
  look_at_clock(findings);
  look_at_zone_data(findings, *zone::system_zones());
}

Color color_of(Level level) {
  switch (level) {
    case Level::ok:
      return Color::green;
    case Level::warning:
      return Color::yellow;
    case Level::error:
      return Color::red;
  }
  return Color::none;
}

/// The lines of a text that follow the first are indented as far as it is.
std::string indented(std::string_view text, std::size_t columns) {
  std::string out;
  for (const char c : escape_lines(text)) {
    out += c;
    if (c == '\n') out.append(columns, ' ');
  }
  return out;
}

}  // namespace

const char* to_string(Level level) {
  switch (level) {
    case Level::ok:
      return "ok";
    case Level::warning:
      return "warning";
    case Level::error:
      return "error";
  }
  return "error";
}

void Findings::add(Level level, std::string what, std::string remedy) {
  for (std::string* text : {&what, &remedy})
    if (text->size() > kTextBytes) *text = std::string(utf8_prefix(*text, kTextBytes)) + "...";
  all_.push_back({level, area_, std::move(what), std::move(remedy)});
}

std::int64_t Findings::count(Level level) const {
  return std::count_if(all_.begin(), all_.end(),
                       [level](const Finding& one) { return one.level == level; });
}

std::string Findings::summary() const {
  const auto words = [this](Level level) {
    const std::int64_t n = count(level);
    return n == 0 ? std::string("no ") + to_string(level) + "s" : plural(n, to_string(level));
  };
  return words(Level::error) + ", " + words(Level::warning);
}

std::string Findings::text() const {
  constexpr std::size_t kMargin = 11;
  std::string out;
  std::string area;
  for (const Finding& finding : all_) {
    if (finding.area != area) {
      area = finding.area;
      out += paint(Color::bold, area) + "\n";
    }
    std::string level = to_string(finding.level);
    const std::string space(kMargin - 2 - level.size(), ' ');
    out += "  " + paint(color_of(finding.level), level) + space + indented(finding.what, kMargin) +
           "\n";
    if (!finding.remedy.empty())
      out += std::string(kMargin, ' ') + "-> " + indented(finding.remedy, kMargin + 3) + "\n";
  }
  return out;
}

std::string Patient::schedctl() const {
  std::vector<std::string> words{"schedctl"};
  const Globals& globals = session.call.globals;
  if (globals.own || (config().own && ::geteuid() == 0)) words.emplace_back("--own");
  if (globals.config) words.insert(words.end(), {"--config", *globals.config});
  if (globals.store) words.insert(words.end(), {"--store", *globals.store});
  for (const auto& [key, value] : globals.set)
    words.insert(words.end(), {"--set", key + "=" + value});
  return quote_command(words);
}

Result<Outcome> run_doctor(const Invocation& call) {
  // What it would warn of is among the findings.
  Invocation hushed = call;
  hushed.globals.quiet = true;
  Findings findings;
  const Result<std::unique_ptr<Session>> session = Session::open(hushed, Access::none);
  if (session)
    examine(findings, **session);
  else
    examine_machine(findings, session.error());
  if (call.globals.json)
    print(json_findings(findings) + "\n");
  else
    print(findings.text() + "\n" + findings.summary() + "\n");
  return Done{findings.count(Level::error) == 0 ? 0 : 1};
}

}  // namespace schedctl::cli
