// Whatever jobs print and people name: the message to Slack is JSON within Slack's limits, and what
// strangers wrote in it can mention nobody, link nowhere and end no block of output.

#include <nlohmann/json.hpp>

#include "schedctl/alert/note.hpp"
#include "target.hpp"

namespace schedctl::fuzz {
namespace {

using nlohmann::json;

constexpr std::size_t kMostPayload = 13'000;
constexpr std::size_t kMostBlocks = 50;
constexpr std::size_t kMostSection = 3000;
constexpr std::size_t kMostField = 2000;
constexpr std::size_t kMostFields = 10;
constexpr std::string_view kFence = "```";

bool mentions(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  for (const char* all : {"@channel", "@here", "@everyone", "@group"}) {
    if (text.find(all) != std::string::npos) return true;
  }
  return false;
}

void check_text(const std::string& text) {
  require(text.find_first_of("<>") == std::string::npos, "nothing links or mentions");
  require(!mentions(text), "nobody is mentioned by an old webhook");
  for (std::size_t at = text.find('&'); at != std::string::npos; at = text.find('&', at + 1)) {
    const std::string_view rest = std::string_view(text).substr(at);
    require(rest.starts_with("&amp;") || rest.starts_with("&lt;") || rest.starts_with("&gt;"),
            "every entity is whole");
  }
  for (const char c : text) {
    require(static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t', "nothing controls");
  }
}

void check_section(const std::string& text) {
  require(text.size() <= kMostSection, "a section is not too long");
  check_text(text);
  const std::size_t first = text.find(kFence);
  if (first == std::string::npos) return;
  require(first == 0 && text.size() > 2 * kFence.size() && text.ends_with(kFence),
          "a block of output is the whole section");
  require(text.find(kFence, 1) == text.size() - kFence.size(), "and nothing in it ends it");
}

void check(const json& payload) {
  check_text(payload.at("text").get<std::string>());
  require(payload.at("link_names") == false, "names are not looked for");
  if (!payload.contains("blocks")) return;
  require(payload["blocks"].size() <= kMostBlocks, "there are not too many blocks");
  for (const json& block : payload["blocks"]) {
    if (block.contains("text")) check_section(block["text"].at("text").get<std::string>());
    for (const char* parts : {"fields", "elements"}) {
      if (!block.contains(parts)) continue;
      require(!block[parts].empty() && block[parts].size() <= kMostFields, "as many as may be");
      for (const json& part : block[parts]) {
        const std::string text = part.at("text").get<std::string>();
        require(!text.empty() && text.size() <= kMostField, "a part is not too long");
        check_text(text);
      }
    }
  }
}

alert::Note read_note(Input& input) {
  alert::Note note;
  note.tone = static_cast<alert::Note::Tone>(input.byte() % 4);
  note.headline = input.text();
  // Repeated, since the fuzzer is slow at writing much.
  for (unsigned n = input.byte() % 40, i = 0; i < n; ++i) {
    note.facts.emplace_back(input.text(), input.text());
  }
  const std::string line = input.text();
  note.list.assign(input.byte(), line);
  const std::size_t times = 1 + input.byte() * 4;
  const std::string output = input.text();
  for (std::size_t i = 0; i < times; ++i) note.output += output;
  return note;
}

std::string seed(const std::string& text, unsigned many) {
  return Recipe()
      .byte(0)
      .text(text)
      .byte(2)
      .text("Expected")
      .text("2026-03-29 02:30 +02:00")
      .text(text)
      .text(text)
      .text(text)
      .byte(many)
      .byte(many)
      .text(text + "\n")
      .text("production")
      .text("web-1")
      .text("#dev")
      .rest("schedctl");
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (const std::string text :
       {"backup failed: exit status 1", "<!channel> <@U123> <https://x|y>", "@channel @HERE a@b.c",
        "```", "`` ` ```` ~*_", "&amp;&lt;<>&", "\x1b[31m\r\n\ttab", "\xff\xc3\xa9\xe2\x80\xae",
        "a\rb\r\nc\n\n\n", ""}) {
    for (const unsigned many : {0U, 3U, 255U}) all.push_back(seed(text, many));
  }
  return all;
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace schedctl;
  fuzz::Input input(data, size);
  const alert::Note note = fuzz::read_note(input);
  const alert::Sender sender{.environment = input.text(), .node = input.text()};
  const alert::SlackOptions options{.channel = input.text(), .username = input.rest()};
  const std::string line = alert::plain_line(note, sender);
  fuzz::require(line.find('\n') == std::string::npos, "a line is one line");
  for (const std::string& payload :
       {alert::slack_payload(note, sender, options), alert::slack_plain_payload(line, options)}) {
    fuzz::require(payload.size() <= fuzz::kMostPayload, "a message is not too long");
    const auto parsed = nlohmann::json::parse(payload, nullptr, false);
    fuzz::require(!parsed.is_discarded(), "a message is JSON");
    fuzz::check(parsed);
  }
  return 0;
}
