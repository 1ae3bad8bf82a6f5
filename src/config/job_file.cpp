#include "schedctl/config/job_file.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>

#include "schedctl/base/text.hpp"
#include "schedctl/job/job.hpp"
#include "src/config/document.hpp"

namespace schedctl::config {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> job_keys() {
  std::vector<std::string> keys{"every",       "cron",       "at",      "manual",   "anchor",
                                "immediately", "timezone",   "dst_gap", "dst_fold", "command",
                                "shell",       "cwd",        "env",     "tags",     "retry",
                                "on_reboot",   "weeks",      "until",   "only",     "exclude",
                                "not_before",  "on_excluded"};
  keys.insert(keys.end(), job::policy_keys().begin(), job::policy_keys().end());
  return keys;
}

tl::unexpected<Error> wrong(std::string message, const std::string& where) {
  return fail(ErrorKind::config, std::move(message), where);
}

/// "2026-03-29...": a moment that means the same whenever the file is read.
bool names_a_date(const std::string& text) {
  return text.size() >= 10 && text[4] == '-' && text[7] == '-' &&
         std::all_of(text.begin(), text.begin() + 4,
                     [](unsigned char c) { return std::isdigit(c) != 0; });
}

/// Reads one [job.NAME]; errors go to `errors`, all of them.
class JobReader {
 public:
  JobReader(FileJob& job, std::vector<Error>& errors) : job_(job), errors_(errors) {}

  void read(const Value& table) {
    for (const Entry& entry : table.table) {
      if (entry.key == "retry") {
        job_.positions["retry"] = entry.where;
        read_retry(entry);
        continue;
      }
      keep(read_entry(entry, entry.key));
    }
  }

 private:
  void keep(Result<void> result) {
    if (!result) errors_.push_back(std::move(result).error());
  }

  void read_retry(const Entry& entry) {
    if (entry.value.kind != Value::Kind::table) {
      keep(wrong("retry must be a table: retry = { max_attempts = 3, backoff = \"30s\" }",
                 entry.value.where));
      return;
    }
    if (Result<void> known = check_retry_table(entry.value); !known) return keep(known);
    for (const Entry& inner : entry.value.table) keep(read_entry(inner, "retry." + inner.key));
  }

  /// `name` is the key as written, "retry.backoff" inside the retry table.
  Result<void> read_entry(const Entry& entry, const std::string& name) {
    const auto first = job_.positions.find(entry.key);
    if (first != job_.positions.end()) {
      return wrong(entry.key + " is set twice, the first time at " + first->second, entry.where);
    }
    job_.positions[entry.key] = entry.where;
    job_.positions[name] = entry.where;
    const auto& policies = job::policy_keys();
    if (std::find(policies.begin(), policies.end(), entry.key) != policies.end()) {
      const bool may_be_list = entry.key == "success_codes" || entry.key == "after";
      const bool is_list = may_be_list && entry.value.kind == Value::Kind::list;
      TRY(const std::string text,
          is_list ? joined_parts(entry.value, name) : scalar_text(entry.value, name));
      const Result<void> set = job::set_policy(job_.draft.policy, entry.key, text);
      if (!set) return wrong(name + ": " + set.error().message, entry.value.where);
      return {};
    }
    return read_own_key(entry);
  }

  static Result<std::string> joined_parts(const Value& value, const std::string& name) {
    std::string text;
    for (const Value& item : value.list) {
      TRY(const std::string part, scalar_text(item, "each part of " + name));
      text += (text.empty() ? "" : ",") + part;
    }
    return text;
  }

  Result<void> read_own_key(const Entry& entry) {
    job::JobDraft& draft = job_.draft;
    const std::string& key = entry.key;
    if (key == "every") return read_text(entry, draft.every);
    if (key == "cron") return read_text(entry, draft.cron);
    if (key == "at") return read_moment(entry, draft.at);
    if (key == "anchor") return read_moment(entry, draft.anchor);
    if (key == "manual") return read_flag(entry, draft.manual);
    if (key == "immediately") return read_flag(entry, draft.immediately);
    if (key == "timezone") return read_text(entry, draft.timezone);
    if (key == "dst_gap") return read_text(entry, draft.dst_gap);
    if (key == "dst_fold") return read_text(entry, draft.dst_fold);
    if (key == "on_reboot") return read_flag(entry, draft.on_reboot);
    if (key == "weeks") return read_number(entry, draft.weeks);
    if (key == "not_before") return read_moment(entry, draft.not_before);
    if (key == "until") return read_moment(entry, draft.until);
    if (key == "only") return read_list(entry, draft.only);
    if (key == "exclude") return read_list(entry, draft.exclude);
    if (key == "on_excluded") return read_text(entry, draft.on_excluded);
    if (key == "command") return read_list(entry, draft.command);
    if (key == "shell") return read_text(entry, draft.shell);
    if (key == "cwd") return read_text(entry, draft.cwd);
    if (key == "env") return read_env(entry);
    if (key == "tags") return read_list(entry, draft.tags);
    return unknown(entry);
  }

  Result<void> unknown(const Entry& entry) {
    if (entry.key == "in") {
      return wrong("in counts from a moment that a file does not have; write at = \"DATE TIME\"",
                   entry.where);
    }
    if (entry.key == "paused") {
      return wrong(
          "whether a job is paused is not part of its definition; use schedctl pause " + job_.name,
          entry.where);
    }
    std::string message = unknown_key(entry.key, "a key of a job", job_keys());
    if (entry.value.kind == Value::Kind::table) {
      message += "; a name with dots is quoted: [job.\"" +
                 escape_control(job_.name + "." + entry.key) + "\"]";
    }
    return wrong(std::move(message), entry.where);
  }

  Result<void> read_text(const Entry& entry, std::optional<std::string>& member) {
    if (entry.value.kind == Value::Kind::string) {
      member = entry.value.text;
      return {};
    }
    std::string message =
        entry.key + " must be a string, not " + std::string(kind_name(entry.value.kind));
    if (entry.key == "every" && entry.value.kind == Value::Kind::integer) {
      message +=
          "; write it with its unit, such as \"" + std::to_string(entry.value.integer) + "s\"";
    }
    return wrong(std::move(message), entry.value.where);
  }

  Result<void> read_number(const Entry& entry, std::optional<std::string>& member) {
    TRY(member, scalar_text(entry.value, entry.key));
    return {};
  }

  Result<void> read_moment(const Entry& entry, std::optional<std::string>& member) {
    if (entry.value.kind == Value::Kind::moment) {
      member = entry.value.text;
    } else {
      TRY_VOID(read_text(entry, member));
    }
    if (names_a_date(*member)) return {};
    return wrong(entry.key + " must be a date and time, such as \"2026-03-29 02:30\": '" +
                     escape_control(*member) + "' would mean another moment at each reading",
                 entry.value.where);
  }

  Result<void> read_flag(const Entry& entry, bool& member) {
    if (entry.value.kind != Value::Kind::boolean) {
      return wrong(
          entry.key + " must be true or false, not " + std::string(kind_name(entry.value.kind)),
          entry.value.where);
    }
    member = entry.value.boolean;
    return {};
  }

  Result<void> read_list(const Entry& entry, std::optional<std::vector<std::string>>& member) {
    TRY(member, string_list(entry.value, entry.key));
    return {};
  }

  Result<void> read_env(const Entry& entry) {
    if (entry.value.kind != Value::Kind::table) {
      return wrong("env must be a table: env = { NAME = \"value\" }", entry.value.where);
    }
    for (const Entry& variable : entry.value.table) {
      if (variable.value.kind != Value::Kind::string) {
        return wrong("env." + escape_control(variable.key) + " must be a string, not " +
                         std::string(kind_name(variable.value.kind)) + "; put it in quotes",
                     variable.value.where);
      }
      job_.positions["env." + variable.key] = variable.where;
      job_.draft.env.emplace_back(variable.key, variable.value.text);
    }
    return {};
  }

  FileJob& job_;
  std::vector<Error>& errors_;
};

/// The jobs of one file; errors go to `errors`.
std::vector<FileJob> read_jobs(const Value& document, const std::string& file,
                               const std::string& root, std::vector<Error>& errors) {
  std::vector<FileJob> jobs;
  for (const Entry& entry : document.table) {
    if (entry.key != "job") {
      errors.push_back(
          Error{ErrorKind::config,
                unknown_key(entry.key, "known here; a job begins with [job.NAME]", {"job"}),
                entry.where});
      continue;
    }
    if (entry.value.kind != Value::Kind::table) {
      errors.push_back(Error{ErrorKind::config, "a job begins with [job.NAME]", entry.where});
      continue;
    }
    for (const Entry& named : entry.value.table) {
      FileJob job;
      job.name = named.key;
      job.file = file;
      job.root = root;
      job.position = named.where;
      if (Result<void> name = job::check_name(job.name); !name) {
        errors.push_back(Error{ErrorKind::config, name.error().message, named.where});
        continue;
      }
      if (named.value.kind != Value::Kind::table) {
        errors.push_back(
            Error{ErrorKind::config, "a job is a table: [job." + job.name + "]", named.where});
        continue;
      }
      JobReader(job, errors).read(named.value);
      jobs.push_back(std::move(job));
    }
  }
  return jobs;
}

/// Collects over all files.
class Collector {
 public:
  explicit Collector(bool must_exist) : must_exist_(must_exist) {}

  void add_path(const std::string& path) {
    std::error_code error;
    fs::path full = fs::absolute(path, error).lexically_normal();
    if (error || path.empty()) {
      fail_file(path,
                Error{ErrorKind::config, "'" + escape_control(path) + "' is not a path", path});
      return;
    }
    if (!full.has_filename()) full = full.parent_path();
    root_ = full.string();
    if (std::find(out_.roots.begin(), out_.roots.end(), root_) == out_.roots.end())
      out_.roots.push_back(root_);
    const fs::file_status status = fs::status(full, error);
    if (status.type() == fs::file_type::not_found) {
      if (must_exist_) {
        fail_file(full, Error{ErrorKind::not_found, full.string() + " does not exist", full});
      } else {
        out_.missing.push_back(full.string());
      }
    } else if (status.type() == fs::file_type::directory) {
      add_directory(full);
    } else if (status.type() == fs::file_type::none) {
      fail_file(full, cannot_read(full, error));
    } else {
      add_file(full);
    }
  }

  JobFiles take() { return std::move(out_); }

 private:
  static Error cannot_read(const fs::path& path, const std::error_code& code) {
    Error error = error_from_errno("cannot read " + path.string(), code.value());
    if (error.kind == ErrorKind::failed) error.kind = ErrorKind::config;
    error.where = path.string();
    return error;
  }

  void fail_file(const fs::path& path, Error error) {
    out_.bad_files.push_back(path.string());
    out_.errors.push_back(std::move(error));
  }

  void add_directory(const fs::path& directory) {
    std::error_code error;
    std::set<std::string> files;  // in byte order
    for (fs::directory_iterator it(directory, error), end; !error && it != end;
         it.increment(error)) {
      const std::string name = it->path().filename().string();
      if (!name.starts_with('.') && name.ends_with(".toml")) files.insert(it->path().string());
    }
    // Half a directory is worse than none: jobs that were not seen would count as removed.
    if (error) return fail_file(directory, cannot_read(directory, error));
    for (const std::string& file : files) add_file(file);
  }

  void add_file(const fs::path& path) {
    const std::string file = path.string();
    if (!seen_.insert(file).second) return;
    Result<Value> document = read_document(file, ::geteuid());
    if (!document) return fail_file(path, std::move(document).error());

    std::vector<Error> errors;
    std::vector<FileJob> jobs = read_jobs(*document, file, root_, errors);
    for (const FileJob& job : jobs) {
      const auto [first, fresh] = names_.emplace(job.name, job.position);
      if (!fresh) {
        errors.push_back(
            Error{ErrorKind::config,
                  "job " + job.name + " is defined twice, the first time at " + first->second,
                  job.position});
      }
    }
    if (errors.empty()) {
      out_.files.push_back(file);
      std::move(jobs.begin(), jobs.end(), std::back_inserter(out_.jobs));
      return;
    }
    out_.bad_files.push_back(file);
    std::move(errors.begin(), errors.end(), std::back_inserter(out_.errors));
  }

  const bool must_exist_;
  std::string root_;  ///< the path that is read now
  JobFiles out_;
  std::set<std::string> seen_;
  std::map<std::string, std::string> names_;  ///< and where each was first defined
};

}  // namespace

JobFiles read_job_files(const std::vector<std::string>& paths, bool must_exist) {
  Collector collector(must_exist);
  for (const std::string& path : paths) collector.add_path(path);
  return collector.take();
}

}  // namespace schedctl::config
