// A later import of the same crontab must find its jobs again, also those whose lines were edited.
// All of them carry the crontab's tag; among these a line's job is the first that has
//   the same schedule and action,  the same action,  the same schedule and the line's name,
//   the line's name
// where each step looks at all lines before the next begins. What no line found is gone; a line
// that found nothing is a new job, under the first free name.
#include "schedctl/ops/import.hpp"

#include <algorithm>
#include <cctype>
#include <functional>
#include <map>
#include <set>

#include "schedctl/base/limits.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/ops/ops.hpp"
#include "src/ops/change.hpp"
#include "src/ops/compile.hpp"
#include "src/ops/manager.hpp"

namespace schedctl::ops {
namespace {

constexpr const char* kAction = "import";
constexpr std::string_view kTagPrefix = "crontab.";
constexpr std::size_t kPrefixBytes = 50;

bool is_word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

/// "sysstat" before "sa1": once is enough, in "munin" before "munin-cron".
std::string prefixed(const std::string& prefix, const std::string& name) {
  std::string front;
  for (const char c : prefix.substr(0, kPrefixBytes))
    if (is_word_char(c) && (!front.empty() || (c != '.' && c != '_' && c != '-'))) front += c;
  if (front.empty()) return name;
  const bool has_it =
      name.starts_with(front) && (name.size() == front.size() ||
                                  !std::isalnum(static_cast<unsigned char>(name[front.size()])));
  return has_it ? name : front + "-" + name;
}

/// "backup" and "backup-3" are names of "backup".
bool is_name_of(const std::string& base, const std::string& name) {
  if (name == base) return true;
  if (!name.starts_with(base + "-")) return false;
  const std::string number = name.substr(base.size() + 1);
  return !number.empty() && number.find_first_not_of("0123456789") == std::string::npos;
}

bool same_fires(const job::Schedule& a, const job::Schedule& b) {
  return a.kind == b.kind && a.cron == b.cron &&
         (a.timezone == b.timezone || a.kind == job::ScheduleKind::reboot);
}

class Import {
 public:
  Import(const Context& context, const config::Crontab& crontab, const ImportOptions& options,
         Time now)
      : context_(context), crontab_(crontab), options_(options), now_(now) {}

  Result<void> plan() {
    TRY_VOID(read_store());
    for (const config::CrontabEntry& entry : crontab_.entries) read_entry(entry);
    match();
    for (Line& line : lines_) TRY_VOID(plan_line(line));
    for (const job::Job& job : ours_)
      if (!taken_.contains(job.name)) out_.gone.push_back(job.name);
    out_.left_out.insert(out_.left_out.end(), crontab_.unread.begin(), crontab_.unread.end());
    std::stable_sort(out_.left_out.begin(), out_.left_out.end(),
                     [](const auto& a, const auto& b) { return a.line < b.line; });
    return {};
  }

  Result<void> write() {
    const std::string from =
        "from " + (options_.source.empty() ? "standard input" : options_.source) + ", line ";
    for (std::size_t i = 0; i < out_.jobs.size(); ++i) {
      const ImportedJob& job = out_.jobs[i];
      const std::string detail = from + std::to_string(job.line);
      if (job.did == ImportedJob::Did::added) {
        TRY_VOID(
            create(context_, job.name, job.definition, Birth{.paused = options_.paused}, now_));
        TRY_VOID(audit(context_, kAction, job.name, "added " + detail, now_));
      } else if (job.did == ImportedJob::Did::changed) {
        job::Job before = *existing_of_[i];
        const std::string what = changed_keys(before.definition, job.definition);
        TRY_VOID(redefine(context_, before, job.definition, false, now_));
        TRY_VOID(audit(context_, kAction, job.name, "changed " + detail + ": " + what, now_));
      }
    }
    return {};
  }

  bool changes_something() const {
    return std::any_of(out_.jobs.begin(), out_.jobs.end(), [](const ImportedJob& job) {
      return job.did == ImportedJob::Did::added || job.did == ImportedJob::Did::changed;
    });
  }
  Imported take() { return std::move(out_); }

 private:
  struct Line {
    const config::CrontabEntry* entry = nullptr;
    std::string base;  ///< of its name
    config::CrontabJob job;
    std::optional<job::Definition> definition;  ///< none: it cannot be a job, as `error` says
    Error error;
    const job::Job* existing = nullptr;
  };

  Result<void> read_store() {
    TRY(std::vector<store::JobListing> all, context_.store.list_jobs(""));
    const std::string tag = crontab_tag(options_.source);
    for (store::JobListing& listing : all) {
      names_.insert(listing.job.name);
      const std::vector<std::string>& tags = listing.job.definition.tags;
      const bool ours = std::find(tags.begin(), tags.end(), tag) != tags.end();
      (ours ? ours_ : others_).push_back(std::move(listing.job));
    }
    return {};
  }

  void read_entry(const config::CrontabEntry& entry) {
    const bool as_other = !entry.user.empty() && entry.user != options_.user;
    if (as_other && !may_run_as(entry.user)) {
      left_out(entry, "runs as " + escape_control(utf8_prefix(entry.user, limits::kJobName)) +
                          (options_.user == "root"
                               ? ", whom allow_users in the settings does not list; add it there "
                                 "and import again"
                               : "; only a daemon of root can run commands as other users"));
      return;
    }
    Line& line = lines_.emplace_back();
    line.entry = &entry;
    line.base = prefixed(options_.prefix, config::crontab_job_name(entry));
    Result<config::CrontabJob> job = config::crontab_job(entry, options_.timezone);
    if (!job) {
      line.error = std::move(job).error();
      return;
    }
    line.job = std::move(*job);
    if (as_other) line.job.draft.policy.user = entry.user;
    Result<job::Definition> definition = compile_draft(context_, line.job.draft, nullptr, now_);
    if (definition)
      line.definition = std::move(*definition);
    else
      line.error = std::move(definition).error();
  }

  bool may_run_as(const std::string& user) const {
    const std::vector<std::string>& allowed = context_.config.allow_users;
    return options_.user == "root" && std::ranges::find(allowed, user) != allowed.end();
  }

  void left_out(const config::CrontabEntry& entry, std::string message) {
    out_.left_out.push_back({entry.line, entry.column, std::move(message)});
  }

  void match() {
    using Test = std::function<bool(const Line&, const job::Job&)>;
    const Test same_schedule = [](const Line& line, const job::Job& job) {
      return line.definition && same_fires(line.definition->schedule, job.definition.schedule);
    };
    const Test same_action = [](const Line& line, const job::Job& job) {
      return line.definition && line.definition->action == job.definition.action;
    };
    const Test same_name = [](const Line& line, const job::Job& job) {
      return is_name_of(line.base, job.name);
    };
    const Test tests[] = {
        [&](const Line& l, const job::Job& j) { return same_schedule(l, j) && same_action(l, j); },
        same_action,
        [&](const Line& l, const job::Job& j) { return same_schedule(l, j) && same_name(l, j); },
        same_name};
    // By name, but -2 before -10.
    std::sort(ours_.begin(), ours_.end(), [](const job::Job& a, const job::Job& b) {
      return std::pair(a.name.size(), a.name) < std::pair(b.name.size(), b.name);
    });
    for (const Test& fits : tests) {
      for (Line& line : lines_) {
        for (const job::Job& job : ours_) {
          if (line.existing != nullptr || taken_.contains(job.name) || !fits(line, job)) continue;
          line.existing = &job;
          taken_.insert(job.name);
        }
      }
    }
  }

  Result<void> plan_line(Line& line) {
    if (!line.definition) {
      std::string message = line.error.message;
      if (!line.error.where.empty() && line.error.where != "cron")
        message = line.error.where + ": " + message;
      if (line.existing != nullptr) message += "\njob " + line.existing->name + " stays as it is";
      left_out(*line.entry, std::move(message));
      return {};
    }
    ImportedJob done{.line = line.entry->line,
                     .name = {},
                     .definition = std::move(*line.definition),
                     .changes = {},
                     .kept = {},
                     .notes = std::move(line.job.notes),
                     .mailto = std::move(line.job.mailto)};
    if (line.existing != nullptr) return plan_existing(line, std::move(done));
    if (const job::Job* twin = twin_of(done.definition)) {
      done.did = ImportedJob::Did::present;
      done.name = twin->name;
      done.definition = twin->definition;
    } else {
      done.name = free_name(line.base);
      done.definition.tags = {crontab_tag(options_.source)};
    }
    keep(std::move(done), nullptr);
    return {};
  }

  /// What the line does not say stays, as with set.
  Result<void> plan_existing(const Line& line, ImportedJob done) {
    const job::Job& existing = *line.existing;
    Result<job::Definition> amended = amend(context_, existing, line.job.draft, {}, now_);
    if (!amended) {
      left_out(*line.entry, amended.error().where + ": " + amended.error().message + "\njob " +
                                existing.name + " stays as it is");
      return {};
    }
    done.name = existing.name;
    done.definition = std::move(*amended);
    const bool same = done.definition == existing.definition;
    if (const std::string elsewhere = place_of_definition(existing); !same && !elsewhere.empty()) {
      left_out(*line.entry, "job " + existing.name + " " + elsewhere);
      return {};
    }
    done.did = same ? ImportedJob::Did::unchanged : ImportedJob::Did::changed;
    if (!same) {
      TRY(done.changes, changes(existing.definition, done.definition));
    }
    for (const auto& [name, value] : existing.definition.env) {
      const auto& said = line.job.draft.env;
      if (std::none_of(said.begin(), said.end(),
                       [&name = name](const auto& one) { return one.first == name; }))
        done.kept.push_back(name);
    }
    keep(std::move(done), &existing);
    return {};
  }

  void keep(ImportedJob done, const job::Job* existing) {
    out_.jobs.push_back(std::move(done));
    existing_of_.push_back(existing);
  }

  /// Two crontabs, or a crontab and a person, that say the same: it must not run twice.
  const job::Job* twin_of(const job::Definition& definition) const {
    const auto found = std::find_if(others_.begin(), others_.end(), [&](const job::Job& job) {
      return job.definition.action == definition.action &&
             same_fires(job.definition.schedule, definition.schedule);
    });
    return found == others_.end() ? nullptr : &*found;
  }

  std::string free_name(const std::string& base) {
    std::string name = base;
    for (std::size_t number = 2; !names_.insert(name).second; ++number)
      name = base + "-" + std::to_string(number);
    return name;
  }

  Result<std::vector<KeyChange>> changes(const job::Definition& before,
                                         const job::Definition& after) const {
    TRY(const job::ZonePtr zone, zone_of(context_, after.schedule));
    std::map<std::string, KeyChange> by_key;
    std::vector<std::string> order;
    const auto at = [&](const std::string& key) -> KeyChange& {
      const auto [found, fresh] = by_key.try_emplace(key, KeyChange{.key = key});
      if (fresh) order.push_back(key);
      return found->second;
    };
    for (config::JobKey& key : config::job_keys(after, *zone)) at(key.key).after = std::move(key);
    for (config::JobKey& key : config::job_keys(before, *zone)) at(key.key).before = std::move(key);
    std::vector<KeyChange> out;
    for (const std::string& key : order)
      if (by_key[key].before != by_key[key].after) out.push_back(std::move(by_key[key]));
    return out;
  }

  const Context& context_;
  const config::Crontab& crontab_;
  const ImportOptions& options_;
  const Time now_;
  std::vector<job::Job> ours_;  ///< from this crontab
  std::vector<job::Job> others_;
  std::set<std::string> names_;  ///< in use
  std::set<std::string> taken_;  ///< of ours_, by a line
  std::vector<Line> lines_;
  Imported out_;
  std::vector<const job::Job*> existing_of_;  ///< for each of out_.jobs
};

}  // namespace

std::string crontab_tag(const std::string& source) {
  if (source.empty()) return std::string(kTagPrefix) + "stdin";
  std::string tag(kTagPrefix);
  bool exact = true;
  for (const char c : source.substr(source.starts_with('/') ? 1 : 0)) {
    exact = exact && (c == '/' || is_word_char(c));
    tag += c == '/' ? '.' : is_word_char(c) ? c : '_';
  }
  if (exact && tag.size() <= limits::kJobName) return tag;
  const std::string hash = "." + std::to_string(stable_hash(source));
  return tag.substr(0, limits::kJobName - hash.size()) + hash;
}

Result<Imported> Ops::import_crontab(const config::Crontab& crontab, const ImportOptions& options) {
  Import import(context_, crontab, options, context_.clock.wall());
  if (options.dry_run) {
    TRY_VOID(import.plan());
    return import.take();
  }
  TRY(store::Transaction transaction, store::Transaction::begin(context_.store));
  TRY_VOID(import.plan());
  if (!import.changes_something()) return import.take();
  TRY_VOID(import.write());
  TRY_VOID(transaction.commit());
  context_.poke();
  return import.take();
}

}  // namespace schedctl::ops
