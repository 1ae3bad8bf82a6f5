#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "schedctl/config/crontab.hpp"
#include "schedctl/ops/apply.hpp"

/// What `import-crontab` asks for and what it did.
namespace schedctl::ops {

struct ImportOptions {
  std::string source = {};  ///< absolute path of the crontab; empty: it came through standard input
  std::string prefix = {};  ///< of the jobs' names: that of a file in cron.d; empty: none
  std::string user = {};    ///< as whom jobs run: lines of other users are not imported
  std::string timezone = {};  ///< in which cron counts
  bool paused = false;        ///< new jobs begin paused
  bool dry_run = false;       ///< only say what would be done
};

/// What became of a line that is a job now.
struct ImportedJob {
  enum class Did {
    added,
    changed,
    unchanged,
    present,  ///< another job, of another origin, runs the same at the same time; nothing was done
  };
  std::size_t line = 0;
  std::string name;
  Did did = Did::added;
  job::Definition definition;      ///< as it is now
  std::vector<KeyChange> changes;  ///< of a changed one
  std::vector<std::string> kept;   ///< variables of the job that the crontab does not set
  std::vector<std::string> notes;
  std::string mailto;
};

struct Imported {
  std::vector<ImportedJob> jobs;              ///< in the order of the lines
  std::vector<config::CrontabNote> left_out;  ///< every other line that runs something, and why
  std::vector<std::string> gone;  ///< jobs of an earlier import whose lines are gone; not touched
};

/// The tag that jobs from this crontab have: "crontab.etc.crontab", "crontab.stdin".
std::string crontab_tag(const std::string& source);

}  // namespace schedctl::ops
