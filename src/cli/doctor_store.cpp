#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

#include "schedctl/base/bytes.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "schedctl/host/file_system.hpp"
#include "schedctl/host/host.hpp"
#include "src/cli/doctor.hpp"
#include "src/cli/output.hpp"

// doctor: the database, and what its rows say of jobs.

namespace schedctl::cli {
namespace {

constexpr std::size_t kNamesShown = 5;
constexpr std::size_t kLinesShown = 5;
constexpr std::size_t kEventsLooked = 1000;
/// What SQLite looks through in a few seconds; longer nobody waits for a first look.
constexpr std::int64_t kBytesChecked = std::int64_t{512} * 1024 * 1024;

std::string names_text(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kNamesShown; ++i)
    text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kNamesShown)
    text += " and " + std::to_string(names.size() - kNamesShown) + " more";
  return text;
}

// --- the file ----------------------------------------------------------------------------------

void look_at_file_system(Findings& findings, const std::string& path) {
  const std::optional<host::NetworkFileSystem> network = host::network_file_system(path);
  if (!network) return;
  const std::string what = "the database " + path + " lies on " + network->name;
  const std::string remedy =
      "set state_dir (or store) to a directory on a local disk, and move the database there";
  if (network->is_certain)
    findings.error(what + ", where SQLite's locks do not hold", remedy);
  else
    findings.warning(what + ", which may be no local file system", remedy);
}

void look_at_database_file(Findings& findings, const Patient& patient, const struct stat& status) {
  const std::string path = patient.config().sqlite_path();
  if ((status.st_mode & (S_IRGRP | S_IROTH)) != 0)
    findings.warning("others can read the database " + path, quote_command({"chmod", "600", path}));
  struct stat directory {};
  const bool known = ::stat(parent_directory(path).c_str(), &directory) == 0;
  if (known && status.st_uid != directory.st_uid && status.st_uid != 0)
    findings.error("the database " + path + " belongs to user id " + std::to_string(status.st_uid) +
                       ", its directory to " + std::to_string(directory.st_uid),
                   quote_command({"chown", std::to_string(directory.st_uid), path}));
}

std::string restore_remedy(const Patient& patient) {
  return patient.schedctl() + " stop; " + patient.schedctl() + " db restore BACKUP; " +
         patient.schedctl() + " start";
}

std::string remedy_of(const Error& error, const Patient& patient) {
  const std::string path = patient.config().sqlite_path();
  switch (error.kind) {
    case ErrorKind::not_allowed:
      return patient.session.begun_by_root()
                 ? quote_command({"ls", "-l", path, parent_directory(path)})
                 : "sudo " + patient.schedctl() + " doctor";
    case ErrorKind::unavailable:
      return quote_command({"fuser", "-v", path}) + " (who uses it), then doctor again";
    case ErrorKind::config: {
      struct stat status {};
      if (::stat(path.c_str(), &status) == 0 && (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return quote_command({"chmod", "600", path});
      if (error.message.find("newer") != std::string::npos)
        return "install the schedctl that wrote it, or a newer one";
      return restore_remedy(patient);
    }
    default:
      return restore_remedy(patient);
  }
}

/// The schema of a database that opening it would migrate, which is not for an examination to do.
/// Only to be asked while SQLite does not have the file open: closing a descriptor of it would drop
/// SQLite's locks.
std::optional<std::int64_t> older_schema(const std::string& path) {
  constexpr std::string_view kMagic = "SQLite format 3";
  constexpr std::size_t kUserVersion = 60;  // https://www.sqlite.org/fileformat.html
  std::array<char, 100> header{};
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  const bool is_read =
      fd && ::read(fd.get(), header.data(), header.size()) == static_cast<ssize_t>(header.size());
  if (!is_read || !std::string_view(header.data(), header.size()).starts_with(kMagic))
    return std::nullopt;
  std::int64_t version = 0;
  for (std::size_t i = 0; i < 4; ++i)
    version = version * 256 + static_cast<unsigned char>(header[kUserVersion + i]);
  // Of a young database the schema is still in its log.
  struct stat wal {};
  if (version == 0 && ::stat((path + "-wal").c_str(), &wal) == 0 && wal.st_size > 0)
    return std::nullopt;
  if (version >= store::schema_version()) return std::nullopt;
  return version;
}

void look_inside(Findings& findings, const Patient& patient) {
  const std::string path = patient.config().sqlite_path();
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && status.st_size > kBytesChecked)
    return findings.ok("too large to be looked through for damage here; " + patient.schedctl() +
                       " db check does that");
  const auto wrong = store::check_sqlite(path);
  if (!wrong)
    return findings.error("the database cannot be checked: " + wrong.error().message,
                          remedy_of(wrong.error(), patient));
  for (std::size_t i = 0; i < wrong->size() && i < kLinesShown; ++i)
    findings.error("the database is damaged: " + (*wrong)[i], restore_remedy(patient));
  if (wrong->size() > kLinesShown)
    findings.error(plural(static_cast<std::int64_t>(wrong->size() - kLinesShown), "more finding"),
                   patient.schedctl() + " db check");
}

/// False: there is nothing to be opened. Opening it would put a schema into it.
bool look_at_empty_database(Findings& findings, const Patient& patient) {
  const std::string what = "the database " + patient.config().sqlite_path() +
                           " is an empty file: jobs that were in it are gone";
  if (patient.daemon.state == DaemonHealth::State::dead)
    findings.warning(what, restore_remedy(patient) + "; if there were none, start fills it");
  else
    findings.error(what, restore_remedy(patient));
  return false;
}

/// True: the database is there to be opened.
bool look_for_database(Findings& findings, Patient& patient) {
  const std::string path = patient.config().sqlite_path();
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) {
    look_at_database_file(findings, patient, status);
    if (S_ISREG(status.st_mode) && status.st_size == 0)
      return look_at_empty_database(findings, patient);
    // A daemon that lives has migrated it, if only in the log.
    if (patient.daemon.state != DaemonHealth::State::dead) return true;
    const auto older = older_schema(path);
    if (!older) return true;
    findings.warning("the database " + path + " is of schema " + std::to_string(*older) +
                         ", this program's is " + std::to_string(store::schema_version()) +
                         "; its jobs are not looked at before it is migrated",
                     patient.schedctl() + " db migrate (start does it, too; with a backup)");
    look_inside(findings, patient);
    return false;
  }
  if (errno != ENOENT && errno != ENOTDIR) return true;
  if (patient.daemon.state == DaemonHealth::State::dead) {
    findings.ok("no database yet: " + path + "; start, or the first job, makes it");
    patient.session.store = store::open_memory();
    patient.jobs.emplace();
  } else {
    findings.error("the database " + path + " is gone under a living daemon",
                   restore_remedy(patient));
  }
  return false;
}

void describe_store(Findings& findings, Patient& patient) {
  const std::string path = patient.config().sqlite_path();
  struct stat status {};
  struct stat wal {};
  std::string text = path + ", schema " + std::to_string(store::schema_version());
  if (::stat(path.c_str(), &status) == 0) text += ", " + about_bytes(status.st_size);
  if (::stat((path + "-wal").c_str(), &wal) == 0 && wal.st_size > 0)
    text += " and " + about_bytes(wal.st_size) + " of log";
  if (const auto counts = patient.session.store->counts())
    text += ", " + plural(counts->jobs, "job");
  findings.ok(text);
}

// --- jobs --------------------------------------------------------------------------------------

/// The latest event that tells why a job was set aside.
std::string why_set_aside(const std::vector<store::Event>& events, const std::string& name) {
  for (const store::Event& event : events) {
    if (event.kind != "job-error") continue;
    if (event.detail.starts_with(name + ": ")) return event.detail.substr(name.size() + 2);
    if (event.detail.starts_with("job '" + name + "' ")) return event.detail;
  }
  return {};
}

bool should_have_next_fire(const job::Job& job, Time now) {
  if (job.paused) return false;
  const job::Schedule& schedule = job.definition.schedule;
  switch (schedule.kind) {
    case job::ScheduleKind::manual:
    case job::ScheduleKind::reboot:
      return false;
    case job::ScheduleKind::at:
      return schedule.at > now;
    case job::ScheduleKind::every:
    case job::ScheduleKind::cron:
      return (!schedule.until || *schedule.until > now) && !job.definition.policy.max_runs;
  }
  return false;
}

/// Why it will not fire though it should, and what to do; nothing if all is well.
struct JobTrouble {
  std::string what;
  std::string remedy;
};

bool is_narrowed(const job::Schedule& schedule) {
  return !schedule.only.empty() || !schedule.exclude.empty();
}

/// A calendar that the job names and nobody defines (any more). `set` is the command up to the job.
std::optional<JobTrouble> calendar_trouble(const Patient& patient, const job::Job& job,
                                           const std::string& set) {
  const job::Schedule& schedule = job.definition.schedule;
  const job::CalendarSource calendars(patient.config().calendars, *patient.session.zones);
  for (const auto& [names, key] :
       {std::pair(&schedule.only, "only"), std::pair(&schedule.exclude, "exclude")}) {
    for (const std::string& name : *names) {
      const auto found = calendars.find(name, nullptr);
      if (found) continue;
      const std::string& file = patient.config().config_file;
      return JobTrouble{"job " + job.name + ": " + found.error().message,
                        "define it" + (file.empty() ? "" : " in " + file) +
                            ", then: " + patient.schedctl() + " reload; or do without: " + set +
                            " --unset " + key};
    }
  }
  return std::nullopt;
}

/// That it does not fire is what its calendars say.
bool calendars_allow_nothing(const Patient& patient, const job::Job& job) {
  if (!is_narrowed(job.definition.schedule)) return false;
  const auto fires =
      patient.session.ops().next(job.definition.schedule, job.seed(), patient.session.now, 1);
  return fires && fires->empty();
}

std::optional<JobTrouble> trouble_of(const Patient& patient, const job::Job& job,
                                     const std::vector<store::Event>& events) {
  const job::Schedule& schedule = job.definition.schedule;
  const bool has_zone =
      schedule.kind == job::ScheduleKind::cron || schedule.kind == job::ScheduleKind::at;
  const std::string set = patient.schedctl() + " set " + quote_command({job.name});
  if (has_zone) {
    if (const auto zone = patient.session.zone_of(schedule); !zone)
      return JobTrouble{"job " + job.name + ": " + zone.error().message,
                        set + " --timezone Z, or install what is missing: apt-get install tzdata"};
  }
  if (auto trouble = calendar_trouble(patient, job, set)) return trouble;
  if (job.next_fire || !should_have_next_fire(job, patient.session.now)) return std::nullopt;
  if (calendars_allow_nothing(patient, job)) return std::nullopt;
  const std::string why = why_set_aside(events, job.name);
  return JobTrouble{"job " + job.name + " was set aside and does not fire any more" +
                        (why.empty() ? "" : ": " + why),
                    is_narrowed(schedule)
                        ? patient.schedctl() + " reload (its calendars are there now)"
                        : set + " --every D (or --cron E, --at T): give it a schedule that works"};
}

// --- two stores --------------------------------------------------------------------------------

std::string other_store(const Patient& patient, bool own) {
  config::Sources sources;
  sources.uid = patient.session.sources.uid;
  sources.home = patient.session.sources.home;
  sources.host_timezone = patient.session.sources.host_timezone;
  sources.system_config_file = patient.session.sources.system_config_file;
  sources.own = own;
  sources.system_daemon = !own;
  for (const char* name : {"XDG_CONFIG_HOME", "XDG_STATE_HOME"}) {
    const auto found = patient.session.sources.environment.find(name);
    if (found != patient.session.sources.environment.end()) sources.environment.insert(*found);
  }
  const auto loaded = config::load(sources);
  return loaded ? loaded->config.sqlite_path() : "";
}

void compare_with(Findings& findings, const Patient& patient, const std::string& path) {
  struct stat status {};
  // Somebody else's is none of ours to open, and whether it is this one, an inode tells.
  struct stat ours {};
  if (path.empty() || ::lstat(path.c_str(), &status) != 0 || status.st_uid != ::geteuid()) return;
  if (::stat(patient.config().sqlite_path().c_str(), &ours) == 0 && ours.st_dev == status.st_dev &&
      ours.st_ino == status.st_ino)
    return;
  if (!S_ISREG(status.st_mode) || status.st_size == 0 || older_schema(path)) return;
  const auto store = store::open_sqlite({.path = path, .create = false});
  if (!store) return;
  const auto theirs = (*store)->list_jobs("");
  if (!theirs) return;
  std::set<std::string> names;
  for (const store::JobListing& listing : *patient.jobs) names.insert(listing.job.name);
  std::vector<std::string> both;
  for (const store::JobListing& listing : *theirs)
    if (names.count(listing.job.name) != 0) both.push_back(listing.job.name);
  if (both.empty()) return;
  findings.warning(
      (both.size() == 1 ? "a job of the same name is in " : "jobs of the same names are in ") +
          path + ", so that they may run twice: " + names_text(both),
      "schedctl --store " + quote_command({"sqlite:" + path}) + " remove " +
          (both.size() == 1 ? quote_command({both[0]}) : "NAME...") + " (or remove them here)");
}

}  // namespace

void look_at_store(Findings& findings, Patient& patient) {
  findings.begin("store");
  const std::string path = patient.config().sqlite_path();
  look_at_file_system(findings, path);
  if (!look_for_database(findings, patient)) return;
  if (const Result<void> opened = patient.session.open_store(Access::read); !opened) {
    findings.error(opened.error().message, remedy_of(opened.error(), patient));
    return;
  }
  describe_store(findings, patient);
  look_inside(findings, patient);
  auto jobs = patient.session.store->list_jobs("");
  if (!jobs)
    findings.error(jobs.error().message, remedy_of(jobs.error(), patient));
  else
    patient.jobs = std::move(*jobs);
  if (const auto nodes = patient.session.store->list_nodes())
    for (const store::Node& node : *nodes)
      if (!patient.node || (node.pid != 0 && node.pid == patient.daemon.pid)) patient.node = node;
}

void look_at_jobs(Findings& findings, const Patient& patient) {
  if (!patient.jobs) return;
  findings.begin("jobs");
  const std::vector<store::Event> events =
      patient.session.store->list_events({.limit = kEventsLooked})
          .value_or(std::vector<store::Event>{});
  // Searched for those that are shown only: it may be most of a hundred thousand jobs.
  const std::vector<store::Event> none;
  std::size_t bad = 0;
  for (const store::JobListing& listing : *patient.jobs) {
    const auto trouble = trouble_of(patient, listing.job, bad < kLinesShown ? events : none);
    if (!trouble || ++bad > kLinesShown) continue;
    findings.error(trouble->what, trouble->remedy);
  }
  if (bad > kLinesShown)
    findings.error(
        plural(static_cast<std::int64_t>(bad - kLinesShown), "more job") + " of this kind",
        patient.schedctl() + " list (those without a next fire)");
  if (bad == 0) findings.ok(plural(static_cast<std::int64_t>(patient.jobs->size()), "job"));
}

void look_at_other_stores(Findings& findings, const Patient& patient) {
  if (!patient.jobs || patient.jobs->empty()) return;
  findings.begin("other stores");
  const std::string machines = other_store(patient, false);
  compare_with(findings, patient, machines);
  if (const std::string own = other_store(patient, true); own != machines)
    compare_with(findings, patient, own);
}

}  // namespace schedctl::cli
