#include "schedctl/store/record_plan.hpp"

#include <uuid/uuid.h>

#include "schedctl/base/check.hpp"

namespace schedctl::store {
namespace {

job::Run row_of(const job::Job& job, const job::Policy& policy, const job::Planned& planned,
                Time now) {
  job::Run run = new_run(job, policy, job::Cause::schedule, planned.fire_time, now);
  run.last_fire_time = planned.last_fire_time;
  run.count = planned.count;
  run.due_at = planned.due_at;
  run.state = planned.state;
  run.reason = planned.reason;
  run.waits = planned.waits;
  run.give_up_at = planned.give_up_at;
  return run;
}

}  // namespace

job::Run new_run(const job::Job& job, const job::Policy& policy, job::Cause cause, Time fire_time,
                 Time now) {
  job::Run run;
  run.job_id = job.id;
  run.job_name = job.name;
  run.job_version = job.version;
  run.cause = cause;
  run.fire_time = fire_time;
  run.created_at = run.due_at = now;
  run.priority = policy.priority;
  run.group = policy.group;
  return run;
}

Result<std::vector<job::Run>> record_plan(Store& store, const job::Job& job,
                                          const job::Policy& policy, const job::Plan& plan,
                                          Time now, const Finish& finish) {
  std::vector<job::Run> written;
  written.reserve(plan.rows.size());
  for (const job::Planned& planned : plan.rows) {
    job::Run run = row_of(job, policy, planned, now);
    // The key of a scheduled run does not depend on its id, so it can go in with the row.
    run.key = run_key(store.id(), run);
    if (finish) TRY_VOID(finish(run));
    TRY(const bool fresh, store.insert_run(run));
    if (fresh) written.push_back(std::move(run));
  }
  TRY_VOID(store.set_planned(job.id, plan.planned_through, plan.next_fire));
  return written;
}

std::string run_key(const std::string& store_id, const job::Run& run) {
  CHECK(run.cause == job::Cause::schedule || run.id);
  std::string name = std::to_string(run.job_id.value);
  name += '/';
  name += to_string(run.cause);
  name += '/';
  name += std::to_string(run.cause == job::Cause::schedule ? to_us(run.fire_time) : run.id.value);

  uuid_t space;
  if (uuid_parse(store_id.c_str(), space) != 0) {
    uuid_t none;
    uuid_clear(none);
    uuid_generate_sha1(space, none, store_id.data(), store_id.size());
  }
  uuid_t key;
  uuid_generate_sha1(key, space, name.data(), name.size());
  char text[UUID_STR_LEN];
  uuid_unparse_lower(key, text);
  return text;
}

}  // namespace schedctl::store
