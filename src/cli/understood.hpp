#pragma once

#include "src/cli/session.hpp"

/// What every command that defines a job answers.
namespace schedctl::cli {

/// Says what was understood: words, zone, next fires; with --json one document. `verb` is "added".
Result<void> print_understood(Session& session, const job::Job& job, const char* verb);
/// What follows: warnings about what will not work, a command that is not there or no daemon.
void warn_of_trouble(Session& session, const job::Job& job);
/// Of a user that the keeper will refuse.
void warn_of_user(Session& session, const job::Job& job);
void warn_of_daemon(Session& session);

}  // namespace schedctl::cli
