// The form that Slack's incoming webhooks take: blocks of "mrkdwn", Slack's markup.
//
// What jobs and people wrote goes through three sieves, character by character. Control characters
// and broken UTF-8 become visible. & < > become entities, which is all that Slack documents: links
// and mentions (<!channel>, <@U123>) are made of these. Markup has no escape of its own, so that
// zero-width spaces disarm the rest: on both sides of * _ ~ ` where they could begin or end
// something (between two letters they cannot, and job_names stay as they are to copy), between the
// backticks that would end a block of output, and after the @ of @channel, which old webhooks make
// a mention of. "verbatim" keeps Slack from finding names and addresses in what is left.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "schedctl/alert/note.hpp"
#include "schedctl/base/text.hpp"

namespace schedctl::alert {
namespace {

using nlohmann::json;

/// Slack takes 3000 characters in a section; bytes are never fewer.
constexpr std::size_t kMostSection = 2900;
/// Slack refuses whole messages from some 13,000 characters on.
constexpr std::size_t kMostPayload = 12'000;
constexpr std::size_t kMostHeadline = 500;
constexpr std::size_t kMostFallback = 700;
constexpr std::size_t kMostLabel = 40;
constexpr std::size_t kMostFact = 300;
constexpr std::size_t kLeastFact = 100;  ///< where the message is full
constexpr std::size_t kMostListLine = 300;
constexpr std::size_t kMostContext = 200;
constexpr std::size_t kMostName = 80;  ///< of a channel, or of who sends
constexpr std::size_t kFactsASection = 10;
constexpr std::size_t kMostFacts = 20;
constexpr std::size_t kMostLines = 20;
constexpr std::string_view kNothing = "\xE2\x80\x8B";  // a zero-width space
constexpr std::string_view kMore = "\xE2\x80\xA6";     // an ellipsis

enum class Place {
  markup,    ///< where * _ ~ ` mean something
  verbatim,  ///< between ``` and ```
  plain,     ///< where only entities and mentions are looked for
};

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// Whether the @ that `rest` follows begins a mention. In user@host it does only for the names
/// that mean everybody.
bool begins_mention(std::string_view rest, bool after_word) {
  if (rest.empty() || !is_word(rest[0])) return false;
  if (!after_word) return true;
  std::string word;
  for (const char c : rest.substr(0, 8)) word += c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  return word.starts_with("channel") || word.starts_with("here") || word.starts_with("everyone") ||
         word.starts_with("group");
}

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

/// The length of the character at the start of `text`, which is valid UTF-8.
std::size_t character_length(std::string_view text) {
  std::size_t length = 1;
  while (length < text.size() && is_continuation(text[length])) ++length;
  return length;
}

/// Control characters and broken UTF-8 made visible. Tabs stay, and so do backslashes: they do
/// nothing here, and somebody wants to copy them.
std::string visible(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("\t\\"), text.size());
    out += escape_control(text.substr(0, end));
    if (end < text.size()) out += text[end];
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

/// One line as it may stand in that place, one element a character, so that it can be cut between
/// any two.
std::vector<std::string> disarmed(std::string_view raw, Place place) {
  const std::string text = visible(raw);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < text.size();) {
    const std::string_view rest = std::string_view(text).substr(i);
    const std::size_t length = character_length(rest);
    const bool after_word = i > 0 && is_word(text[i - 1]);
    const bool before_word = rest.size() > 1 && is_word(rest[1]);
    std::string one(rest.substr(0, length));
    if (one == "&") one = "&amp;";
    if (one == "<") one = "&lt;";
    // At the start of a line it would be a quotation.
    if (one == ">")
      one = i == 0 && place == Place::markup ? std::string(kNothing) + "&gt;" : "&gt;";
    if (one == "@" && begins_mention(rest.substr(1), after_word)) one += kNothing;
    if (place == Place::markup && std::string_view("*_~`").find(rest[0]) != rest.npos &&
        !(after_word && before_word)) {
      one = std::string(kNothing) + one + std::string(kNothing);
    }
    if (place != Place::markup && one == "`" && i > 0 && text[i - 1] == '`') {
      one = std::string(kNothing) + one;
    }
    out.push_back(std::move(one));
    i += length;
  }
  return out;
}

/// At most `limit` bytes of it, the beginning.
std::string beginning(std::string_view raw, Place place, std::size_t limit) {
  // Nothing becomes shorter, so that what lies far behind is not needed.
  const std::string_view enough = utf8_prefix(raw, limit + 1);
  const std::vector<std::string> characters = disarmed(enough, place);
  std::size_t size = 0;
  for (const std::string& one : characters) size += one.size();
  std::string out;
  if (size <= limit && enough.size() == raw.size()) {
    for (const std::string& one : characters) out += one;
    return out;
  }
  for (const std::string& one : characters) {
    if (out.size() + one.size() + kMore.size() > limit) break;
    out += one;
  }
  return out + std::string(kMore);
}

struct Ending {
  std::string text;
  bool whole = false;
};
/// At most `limit` bytes of it, the end.
Ending ending(std::string_view raw, Place place, std::size_t limit) {
  std::string_view enough = raw.substr(raw.size() - std::min(raw.size(), limit + 1));
  // Not from the middle of a character, of which three bytes at most are left.
  for (int i = 0;
       i < 3 && !enough.empty() && enough.size() < raw.size() && is_continuation(enough[0]); ++i) {
    enough.remove_prefix(1);
  }
  const std::vector<std::string> characters = disarmed(enough, place);
  std::size_t size = 0;
  auto first = characters.end();
  while (first != characters.begin() && size + std::prev(first)->size() <= limit) {
    --first;
    size += first->size();
  }
  Ending out;
  out.whole = first == characters.begin() && enough.size() == raw.size();
  for (; first != characters.end(); ++first) out.text += *first;
  return out;
}

// --- the parts of a message --------------------------------------------------------------------

std::string_view emoji(Note::Tone tone) {
  switch (tone) {
    case Note::Tone::begun:
      return ":red_circle:";
    case Note::Tone::still:
      return ":hourglass_flowing_sand:";
    case Note::Tone::over:
      return ":large_green_circle:";
    case Note::Tone::test:
      return ":bell:";
  }
  return "";
}

json text_object(std::string text) {
  return {{"type", "mrkdwn"}, {"text", std::move(text)}, {"verbatim", true}};
}

json section(std::string text) {
  return {{"type", "section"}, {"text", text_object(std::move(text))}};
}

json headline_block(const Note& note) {
  std::string text(emoji(note.tone));
  // A space inside the asterisks, and they are none.
  const std::string headline = beginning(trimmed(note.headline), Place::markup, kMostHeadline);
  if (!headline.empty()) text += " *" + headline + "*";
  return section(std::move(text));
}

void add_facts(json& blocks, const Note& note, std::size_t most_fact) {
  json fields = json::array();
  const auto close = [&] {
    if (!fields.empty()) blocks.push_back({{"type", "section"}, {"fields", std::move(fields)}});
    fields = json::array();
  };
  for (std::size_t i = 0; i < std::min(note.facts.size(), kMostFacts); ++i) {
    const auto& [label, value] = note.facts[i];
    const std::string name = beginning(trimmed(label), Place::markup, kMostLabel);
    fields.push_back(text_object((name.empty() ? std::string(kNothing) : "*" + name + "*") + "\n" +
                                 beginning(value, Place::markup, most_fact)));
    if (fields.size() == kFactsASection) close();
  }
  close();
}

void add_list(json& blocks, const Note& note, std::size_t limit) {
  std::string text;
  std::size_t shown = 0;
  for (; shown < std::min(note.list.size(), kMostLines); ++shown) {
    const std::string line = (shown > 0 ? "\n\xE2\x80\xA2 " : "\xE2\x80\xA2 ") +
                             beginning(note.list[shown], Place::markup, kMostListLine);
    if (text.size() + line.size() > limit) break;
    text += line;
  }
  if (shown < note.list.size()) {
    if (!text.empty()) text += "\n";
    text += std::string(kMore) + " " + std::to_string(note.list.size() - shown) + " more lines";
  }
  if (!text.empty()) blocks.push_back(section(std::move(text)));
}

/// The last lines of the output that fit. A carriage return ends a line too: programs that show
/// their progress write over it.
std::string output_lines(std::string_view raw, std::size_t limit) {
  constexpr std::string_view kCut = "... cut\n";
  constexpr std::string_view kEnds = "\r\n";
  raw = raw.substr(0, raw.find_last_not_of(kEnds) + 1);
  std::string out;
  while (!raw.empty()) {
    const std::size_t end = raw.find_last_of(kEnds);
    const std::string_view line = end == raw.npos ? raw : raw.substr(end + 1);
    const std::size_t room = limit - std::min(limit, out.size() + kCut.size() + 1);
    Ending shown = ending(line, Place::verbatim, room);
    // Of a single line that is too long, at least the end; else whole lines.
    if (!shown.whole) return std::string(kCut) + (out.empty() ? shown.text : out);
    out = std::move(shown.text) + (out.empty() ? "" : "\n") + out;
    if (end == raw.npos) break;
    const bool is_pair = end > 0 && raw[end] == '\n' && raw[end - 1] == '\r';
    raw = raw.substr(0, is_pair ? end - 1 : end);
    // An empty first line.
    if (raw.empty()) out = "\n" + out;
  }
  return out;
}

void add_output(json& blocks, const Note& note, std::size_t limit) {
  const std::string text = output_lines(note.output, limit);
  if (!text.empty()) blocks.push_back(section("```\n" + text + "\n```"));
}

void add_context(json& blocks, const Sender& sender) {
  std::string text = beginning(trimmed(sender.environment), Place::markup, kMostContext);
  const std::string node = beginning(trimmed(sender.node), Place::markup, kMostContext);
  if (!text.empty()) text = "*" + text + "*";
  if (!text.empty() && !node.empty()) text += " \xC2\xB7 ";
  text += node;
  if (text.empty()) return;
  blocks.push_back({{"type", "context"}, {"elements", json::array({text_object(text)})}});
}

json envelope(std::string_view line, std::size_t limit, const SlackOptions& options) {
  json payload = {{"text", beginning(line, Place::plain, limit)},
                  {"mrkdwn", false},
                  {"link_names", false},
                  {"unfurl_links", false},
                  {"unfurl_media", false}};
  // Names, and no text: what is visible of them is enough.
  const auto name = [](const std::string& raw) {
    return std::string(utf8_prefix(visible(raw), kMostName));
  };
  if (!options.channel.empty()) payload["channel"] = name(options.channel);
  if (!options.username.empty()) payload["username"] = name(options.username);
  return payload;
}

/// Never throws: what is not UTF-8 after all is replaced.
std::string dumped(const json& payload) {
  return payload.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string slack_payload(const Note& note, const Sender& sender, const SlackOptions& options) {
  json payload = envelope(plain_line(note, sender), kMostFallback, options);
  std::size_t most_output = kMostSection;
  std::size_t most_list = kMostSection;
  std::size_t most_fact = kMostFact;
  while (true) {
    json blocks = json::array({headline_block(note)});
    add_facts(blocks, note, most_fact);
    add_list(blocks, note, most_list);
    if (most_output > 0) add_output(blocks, note, most_output);
    add_context(blocks, sender);
    payload["blocks"] = std::move(blocks);
    std::string text = dumped(payload);
    if (text.size() <= kMostPayload) return text;
    // What says least goes first. Each round takes something away, and the rest always fits.
    const std::size_t excess = text.size() - kMostPayload;
    if (most_output > 0 && !note.output.empty()) {
      most_output -= std::min(most_output, excess);
    } else if (most_list > 0 && !note.list.empty()) {
      most_list -= std::min(most_list, excess);
    } else if (most_fact > kLeastFact) {
      most_fact = kLeastFact;
    } else {
      return text;
    }
  }
}

std::string slack_plain_payload(const std::string& line, const SlackOptions& options) {
  return dumped(envelope(line, kMostSection, options));
}

}  // namespace schedctl::alert
