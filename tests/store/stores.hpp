#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "schedctl/store/store.hpp"

namespace schedctl::store {

/// A directory that goes away with its contents.
class ScratchDir {
 public:
  ScratchDir() {
    std::string name = (std::filesystem::temp_directory_path() / "schedctl-store-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  ~ScratchDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

template <class T>
T must(Result<T> result) {
  if (!result) FAIL(result.error().message);
  return std::move(*result);
}
inline void must(Result<void> result) {
  if (!result) FAIL(result.error().message);
}

template <class T>
Error error_of(const Result<T>& result) {
  if (result) FAIL("this should have failed");
  return result.error();
}

constexpr Time at(std::int64_t seconds) {
  return time_from_us(seconds * 1'000'000);
}

inline job::Job job_named(const std::string& name) {
  job::Job job;
  job.name = name;
  job.created_at = at(1'000);
  job.definition.schedule.kind = job::ScheduleKind::every;
  job.definition.schedule.every = std::chrono::minutes(5);
  job.definition.action.command = {"/bin/true"};
  return job;
}

inline job::Job add_job(Store& store, const std::string& name) {
  job::Job job = job_named(name);
  must(store.insert_job(job));
  return job;
}

inline job::Run run_of(const job::Job& job, Time fire_time) {
  job::Run run;
  run.job_id = job.id;
  run.job_name = job.name;
  run.job_version = job.version;
  run.fire_time = fire_time;
  run.created_at = fire_time;
  run.due_at = fire_time;
  run.key = "00000000-0000-5000-8000-000000000000";
  return run;
}

inline job::Run add_run(Store& store, job::Run run) {
  REQUIRE(must(store.insert_run(run)));
  return run;
}

}  // namespace schedctl::store
