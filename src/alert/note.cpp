#include "schedctl/alert/note.hpp"

#include "schedctl/base/text.hpp"

namespace schedctl::alert {

/// The line is kept with each message and shown in tables; what is longer is in the message.
constexpr std::size_t kMostLine = 500;

std::string plain_line(const Note& note, const Sender& sender) {
  std::string line;
  if (!sender.environment.empty()) line += "[" + escape_control(sender.environment) + "] ";
  const std::string headline = escape_control(note.headline);
  line += utf8_prefix(headline, kMostLine);
  if (headline.size() > kMostLine) line += "...";
  if (!sender.node.empty()) line += " (" + escape_control(sender.node) + ")";
  return line;
}

}  // namespace schedctl::alert
