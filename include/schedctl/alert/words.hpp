#pragma once

#include <optional>
#include <string>
#include <vector>

#include "schedctl/alert/note.hpp"
#include "schedctl/job/alert.hpp"
#include "schedctl/job/run.hpp"
#include "schedctl/job/zone.hpp"

namespace schedctl::alert {

/// An alert, and the run it speaks of where there is one.
struct Case {
  job::Alert alert;
  std::optional<job::Run> run;
};

/// What is said of one. `zone` is the one in which times are told. Pure.
Note note_of(const Case& one, Note::Tone tone, const job::Zone& zone, Time now);
/// What is said of many at once: how many of each kind, the cause that most of them share, the
/// first ten. `cases` is not empty. Pure.
Note digest_of(const std::vector<Case>& cases, Note::Tone tone, const job::Zone& zone, Time now);

/// "exit status 3", "killed by SIGKILL", "timed out", ...: how a run that is over failed.
std::string failure_words(const job::Run& run);
/// "backup has failed: exit status 3", without when and where.
std::string headline_of(const job::Alert& alert, Note::Tone tone);

}  // namespace schedctl::alert
