#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/cli/cli.hpp"

/// `check` as monitoring plug-ins are (Monitoring Plugins Development Guidelines): one line on
/// stdout, the state as the exit code.
namespace schedctl::cli {

/// The values are exit codes.
enum class CheckState { ok = 0, warning = 1, critical = 2, unknown = 3 };
const char* to_string(CheckState state);

/// What was found. The worst decides: critical, then unknown (nobody can vouch for the rest), then
/// warning.
class CheckReport {
 public:
  void add(CheckState state, std::string words);
  void measure(std::string label, std::int64_t value) {
    perfdata_.emplace_back(std::move(label), value);
  }
  /// What is said if nothing else is.
  void all_is_well(std::string words) { well_ = std::move(words); }

  CheckState state() const { return state_; }
  /// The words of the worst state first, on one line, without what a reader of perfdata or a
  /// terminal would take for its own; cut where nobody reads on.
  std::string message() const;
  /// "OK - 12 jobs, next fire in 4m | jobs=12 running=2 alerts=0"
  std::string line() const;
  const std::vector<std::pair<std::string, std::int64_t>>& perfdata() const { return perfdata_; }

 private:
  CheckState state_ = CheckState::ok;
  std::vector<std::pair<CheckState, std::string>> found_;
  std::vector<std::pair<std::string, std::int64_t>> perfdata_;
  std::string well_;
};

/// Whether a command line, which perhaps cannot be parsed, asks for `check`.
bool is_check(const std::vector<std::string>& argv);
/// For a plug-in every error is UNKNOWN: another program's exit codes would say something else.
Done report_check(const Error& error, bool json);

}  // namespace schedctl::cli
