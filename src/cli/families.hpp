#pragma once

#include "src/cli/command.hpp"

/// What the table's rows call, by family. A returned Error is reported by run().
namespace schedctl::cli {

Result<Outcome> run_start(const Invocation& call);
Result<Outcome> run_keeper(const Invocation& call);
Result<Outcome> run_stop(const Invocation& call);
Result<Outcome> run_restart(const Invocation& call);
Result<Outcome> run_reload(const Invocation& call);
Result<Outcome> run_reopen_logs(const Invocation& call);
Result<Outcome> run_status(const Invocation& call);

Result<Outcome> run_add(const Invocation& call);
Result<Outcome> run_set(const Invocation& call);
Result<Outcome> run_remove(const Invocation& call);
Result<Outcome> run_pause(const Invocation& call);
Result<Outcome> run_resume(const Invocation& call);
Result<Outcome> run_show(const Invocation& call);
Result<Outcome> run_list(const Invocation& call);
Result<Outcome> run_next(const Invocation& call);
Result<Outcome> run_why(const Invocation& call);
Result<Outcome> run_simulate(const Invocation& call);

Result<Outcome> run_trigger(const Invocation& call);
Result<Outcome> run_backfill(const Invocation& call);
Result<Outcome> run_cancel(const Invocation& call);
Result<Outcome> run_signal(const Invocation& call);
Result<Outcome> run_ps(const Invocation& call);
Result<Outcome> run_runs(const Invocation& call);
Result<Outcome> run_logs(const Invocation& call);

Result<Outcome> run_import_crontab(const Invocation& call);
Result<Outcome> run_rename(const Invocation& call);
Result<Outcome> run_edit(const Invocation& call);
Result<Outcome> run_apply(const Invocation& call);
Result<Outcome> run_export(const Invocation& call);
Result<Outcome> run_validate(const Invocation& call);
Result<Outcome> run_config(const Invocation& call);
Result<Outcome> run_db(const Invocation& call);
Result<Outcome> run_alerts(const Invocation& call);
Result<Outcome> run_check(const Invocation& call);
Result<Outcome> run_doctor(const Invocation& call);
Result<Outcome> run_completion(const Invocation& call);
Result<Outcome> run_help(const Invocation& call);

}  // namespace schedctl::cli
