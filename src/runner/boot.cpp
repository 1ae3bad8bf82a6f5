// Jobs that fire on reboot: once a boot, whenever the daemon comes after it. The job's row says
// which boot it has seen, so that neither a restart of the daemon nor one that came late fires it
// twice, and a job that was made in this boot waits for the next one.

#include "schedctl/store/record_plan.hpp"
#include "work.hpp"

namespace schedctl::runner {

Result<void> Runner::fire_reboots(Work& work) {
  const std::string& boot = settings_.node.boot_id;
  TRY(const std::vector<job::Job> jobs, store_.reboot_jobs(boot));
  for (const job::Job& job : jobs) {
    const job::Policy policy = policy_of(job);
    job::Run run = store::new_run(job, policy, job::Cause::reboot, work.now, work.now);
    run.due_at += job::jitter_of(policy.jitter, job.seed(), work.now);
    if (job.paused) {
      run.state = job::RunState::skipped;
      run.reason = job::Reason::paused;
    }
    TRY_VOID(store_.insert_run(run));
    TRY_VOID(store_.set_boot(job.id, boot));
    work.dirty = true;
    if (job.paused) work.run_line(log::Level::info, "run-skipped", run, {{"reason", "paused"}});
  }
  work.reboots_fired = true;
  return {};
}

}  // namespace schedctl::runner
