#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/cli/daemon_health.hpp"
#include "src/cli/session.hpp"

/// doctor: what is looked at, and what was found. It is needed most where something is broken, so
/// nothing it looks at may end it.
namespace schedctl::cli {

enum class Level { ok, warning, error };
const char* to_string(Level level);

struct Finding {
  Level level = Level::ok;
  std::string area;  ///< "store": what is looked at together
  std::string what;
  std::string remedy;  ///< a command or a line to type; empty only where all is well
};

/// In the order in which they were found.
class Findings {
 public:
  /// What follows is about this.
  void begin(std::string area) { area_ = std::move(area); }
  void ok(std::string what) { add(Level::ok, std::move(what), {}); }
  void warning(std::string what, std::string remedy) {
    add(Level::warning, std::move(what), std::move(remedy));
  }
  void error(std::string what, std::string remedy) {
    add(Level::error, std::move(what), std::move(remedy));
  }

  const std::vector<Finding>& all() const { return all_; }
  std::int64_t count(Level level) const;
  /// "2 errors, 1 warning"; "no errors, no warnings".
  std::string summary() const;
  /// For people, by area.
  std::string text() const;

 private:
  void add(Level level, std::string what, std::string remedy);
  std::string area_;
  std::vector<Finding> all_;
};

/// What is looked at. Most of it is asked for once and looked at from several sides.
struct Patient {
  Session& session;
  DaemonHealth daemon;
  std::int64_t keeper_pid = 0;                              ///< 0: none
  std::optional<std::vector<store::JobListing>> jobs = {};  ///< none: the store cannot be read
  std::optional<store::Node> node = {};  ///< this machine's, as the store knows it

  const config::Config& config() const { return session.config(); }
  /// "schedctl", with the flags that lead to this patient again: for remedies.
  std::string schedctl() const;
};

// Settings, secrets and files (doctor_settings.cpp).
void look_at_settings(Findings& findings, const Patient& patient);
void look_at_directories(Findings& findings, const Patient& patient);
void look_at_job_files(Findings& findings, const Patient& patient);

// The database and what it says (doctor_store.cpp). Opens the store, for all that come after.
void look_at_store(Findings& findings, Patient& patient);
void look_at_jobs(Findings& findings, const Patient& patient);
void look_at_other_stores(Findings& findings, const Patient& patient);

// The machine (doctor_machine.cpp).
void look_at_disks(Findings& findings, const config::Config& config);
void look_at_clock(Findings& findings);
void look_at_clock_steps(Findings& findings, const Patient& patient);
void look_at_zone_data(Findings& findings, const job::ZoneSource& zones);

// Daemon and keeper (doctor_daemon.cpp).
void look_at_daemon(Findings& findings, const Patient& patient);
void look_at_keeper(Findings& findings, const Patient& patient);
void look_at_limits(Findings& findings, const Patient& patient);
/// It waits for a disk or a network file system, and got on with nothing for a second. One look
/// would not tell: a parent in vfork(2) waits in the same state, for its child to exec.
bool is_stuck_in_kernel(std::int64_t pid);

// Whether anybody would hear (doctor_alerts.cpp).
void look_at_notifiers(Findings& findings, const Patient& patient);
void look_at_alerts(Findings& findings, const Patient& patient);

/// The directory itself, or the nearest one above it that exists.
std::string nearest_directory(const std::string& path);
std::string parent_directory(const std::string& path);

}  // namespace schedctl::cli
