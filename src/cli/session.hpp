#pragma once

#include <memory>
#include <string>
#include <vector>

#include "schedctl/base/clock.hpp"
#include "schedctl/config/config.hpp"
#include "schedctl/host/privilege.hpp"
#include "schedctl/job/zone.hpp"
#include "schedctl/ops/ops.hpp"
#include "schedctl/store/store.hpp"
#include "src/cli/command.hpp"

namespace schedctl::cli {

/// What a command does with the store.
enum class Access {
  none,   ///< nothing
  read,   ///< looks; where there is no database yet, an empty one in memory is looked at
  write,  ///< changes; makes the database if there is none
};

/// The configuration read and the store opened for one command.
class Session {
 public:
  static Result<std::unique_ptr<Session>> open(const Invocation& call, Access access);

  const Invocation& call;
  config::Sources sources;
  config::Loaded loaded;
  std::unique_ptr<job::ZoneSource> zones;
  SystemClock clock;
  std::unique_ptr<store::Store> store;  ///< null for Access::none
  Time now{};                           ///< when the command began

  const config::Config& config() const { return loaded.config; }
  ops::Ops ops();
  ops::Context context();
  /// The zone in which tables show instants: the caller's.
  const job::Zone& local_zone();
  /// The zone of a schedule; the local one if it names none.
  Result<job::ZonePtr> zone_of(const job::Schedule& schedule);
  /// An error where the setting timezone names none, for the commands that put settings in force.
  Result<void> check_timezone() const;
  /// Whoever can write the store decides what runs. An error where others can; a daemon does not
  /// start then, other commands warn.
  Result<void> check_trust() const;
  /// Kind not_found, with the nearest name.
  Result<job::Job> job(const std::string& name);
  /// Live runs among a job's, as `list` counts them.
  Result<store::JobListing> listing(const job::Job& job);

  /// Opens the store; with Access::none the caller may still do so later. Root becomes daemon_user
  /// first, where one is set: what is to be done as root comes before.
  Result<void> open_store(Access access);
  /// Whom root has to become before it touches the store; nobody where that is as it should be.
  Result<std::optional<host::Account>> store_user() const;
  /// For as long as the result lives.
  Result<host::ActingAs> act_as_store_user() const;
  /// For good. Nothing where there is nobody to become. Who is going to write finds the store's
  /// directory made.
  Result<void> become_store_user(Access access);
  /// This command was begun by root, whoever it is by now.
  bool begun_by_root() const { return sources.uid == 0; }
  /// Whom commands run as that name nobody.
  std::string job_user() const;
  /// Whether a daemon of this store answers. Costs a round trip to it, so only asked where the
  /// answer is said.
  bool is_served();
  /// Wakes the daemons of this store after a change that ops did not make.
  void poke() { poked_ = request_nodes("poke") || poked_; }
  /// Names the store on stderr if it is not the machine's, where there is one.
  void name_other_store();

  explicit Session(const Invocation& c) : call(c) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

 private:
  /// Sends a request to every node of the store; whether one answered.
  bool request_nodes(const std::string& request);
  bool lives(pid_t pid, bool wake);

  std::string who_;  ///< began this command: for the audit
  job::ZonePtr local_;
  bool poked_ = false;  ///< a daemon took the poke of this command's own change
};

}  // namespace schedctl::cli
