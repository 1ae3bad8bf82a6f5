#pragma once

#include <string>
#include <utility>
#include <vector>

#include "schedctl/job/alert.hpp"

namespace schedctl::alert {

/// Something to tell people, before any notifier has given it its form. Texts are raw: they may
/// hold what jobs wrote, and each notifier escapes as its other end needs.
struct Note {
  enum class Tone {
    begun,  ///< something is wrong
    still,  ///< it has been for long
    over,   ///< it is not any more
    test,
  };
  Tone tone = Tone::begun;
  std::string headline;  ///< "backup failed: exit status 1"; one line
  std::vector<std::pair<std::string, std::string>> facts;  ///< "Expected", "2026-03-29 02:30 ..."
  std::vector<std::string> list;                           ///< of many at once: one line each
  std::string output;  ///< the last lines of a run's output; may be empty
};

/// How messages name this scheduler.
struct Sender {
  std::string environment;  ///< "production"; may be empty
  std::string node;         ///< the host's name
};

/// One line for a log, a list, or a message without markup: "[production] backup failed: exit
/// status 1 (web-1)".
std::string plain_line(const Note& note, const Sender& sender);

struct SlackOptions {
  std::string channel;   ///< empty: the webhook's own
  std::string username;  ///< likewise
};

/// The JSON body for an incoming webhook: `text` as the fallback, and blocks. Nothing in the note
/// can mention anybody, link anywhere or break a block; lengths stay below Slack's limits (50
/// blocks, 3000 characters a section, some 13,000 in all), by cutting the output first.
std::string slack_payload(const Note& note, const Sender& sender, const SlackOptions& options);
/// The same without blocks or markup, for a webhook that refuses them.
std::string slack_plain_payload(const std::string& line, const SlackOptions& options);

}  // namespace schedctl::alert
