#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "schedctl/alert/note.hpp"

using namespace schedctl;
using namespace schedctl::alert;
using nlohmann::json;

namespace {

const std::string kNothing = "\u200B";

Note backup_failed() {
  return {.tone = Note::Tone::begun,
          .headline = "nightly_backup-2 failed: exit status 1",
          .facts = {{"Expected", "2026-03-29 02:30:00 +02:00"}, {"Run", "#42, attempt 1"}},
          .list = {},
          .output = "copying\ndisk full\n"};
}

const Sender kSender{.environment = "production", .node = "web-1"};

json payload_of(const Note& note, const Sender& sender = kSender,
                const SlackOptions& options = {}) {
  return json::parse(slack_payload(note, sender, options));
}

/// What Slack shows as markup, of all the blocks.
std::vector<std::string> texts_of(const json& value) {
  std::vector<std::string> texts;
  if (value.is_object() && value.contains("text") && value["text"].is_string())
    texts.push_back(value["text"]);
  if (value.is_structured()) {
    for (const json& inner : value) {
      for (std::string& text : texts_of(inner)) texts.push_back(std::move(text));
    }
  }
  return texts;
}

std::string headline_of(const std::string& text) {
  Note note;
  note.headline = text;
  return payload_of(note)["blocks"][0]["text"]["text"];
}

std::string output_of(const std::string& text) {
  Note note;
  note.headline = "x";
  note.output = text;
  const json blocks = payload_of(note, {})["blocks"];
  if (blocks.size() < 2) return "";
  std::string shown = blocks[1]["text"]["text"];
  REQUIRE(shown.starts_with("```\n"));
  REQUIRE(shown.ends_with("\n```"));
  return shown.substr(4, shown.size() - 8);
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size())
    ++count;
  return count;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// What holds for every message, whatever is in it.
void check_harmless(const std::string& payload) {
  CHECK(payload.size() <= 12'000);
  const json message = json::parse(payload);
  REQUIRE(message["blocks"].size() <= 50);
  CHECK(message["text"].get<std::string>().size() <= 3000);
  CHECK(message["mrkdwn"] == false);
  CHECK(message["unfurl_links"] == false);
  CHECK(message["unfurl_media"] == false);
  for (const json& block : message["blocks"]) {
    if (block.contains("fields")) {
      CHECK(block["fields"].size() >= 1);
      CHECK(block["fields"].size() <= 10);
      for (const json& field : block["fields"])
        CHECK(field["text"].get<std::string>().size() <= 2000);
    }
  }
  for (const std::string& text : texts_of(message)) {
    CHECK_FALSE(text.empty());
    CHECK(text.size() <= 3000);
    CHECK(text.find_first_of("<>") == std::string::npos);
    CHECK(count_of(text, "&") ==
          count_of(text, "&lt;") + count_of(text, "&gt;") + count_of(text, "&amp;"));
    for (const std::string word : {"@channel", "@here", "@everyone", "@Channel"})
      CHECK_FALSE(has(text, word));
    const bool is_output = text.starts_with("```\n");
    CHECK(count_of(text, "```") == (is_output ? 2 : 0));
    if (is_output) CHECK(text.ends_with("\n```"));
    CHECK(std::ranges::none_of(text, [](char c) {
      return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7F;
    }));
  }
}

}  // namespace

TEST_CASE("a message says what, when, where and how it ended") {
  const json message = payload_of(backup_failed());
  CHECK(message["text"] == "[production] nightly_backup-2 failed: exit status 1 (web-1)");
  const json& blocks = message["blocks"];
  REQUIRE(blocks.size() == 4);
  CHECK(blocks[0]["type"] == "section");
  CHECK(blocks[0]["text"]["text"] == ":red_circle: *nightly_backup-2 failed: exit status 1*");
  CHECK(blocks[0]["text"]["type"] == "mrkdwn");
  CHECK(blocks[0]["text"]["verbatim"] == true);
  REQUIRE(blocks[1]["fields"].size() == 2);
  CHECK(blocks[1]["fields"][0]["text"] == "*Expected*\n2026-03-29 02:30:00 +02:00");
  CHECK(blocks[1]["fields"][1]["text"] == "*Run*\n#42, attempt 1");
  CHECK(blocks[2]["text"]["text"] == "```\ncopying\ndisk full\n```");
  CHECK(blocks[3]["type"] == "context");
  CHECK(blocks[3]["elements"][0]["text"] == "*production* \u00B7 web-1");
  CHECK_FALSE(message.contains("channel"));
  CHECK_FALSE(message.contains("username"));
  check_harmless(message.dump());
}

TEST_CASE("each tone has its sign") {
  Note note = backup_failed();
  const auto sign = [&](Note::Tone tone) {
    note.tone = tone;
    const std::string text = payload_of(note)["blocks"][0]["text"]["text"];
    return text.substr(0, text.find(' '));
  };
  CHECK(sign(Note::Tone::begun) == ":red_circle:");
  CHECK(sign(Note::Tone::still) == ":hourglass_flowing_sand:");
  CHECK(sign(Note::Tone::over) == ":large_green_circle:");
  CHECK(sign(Note::Tone::test) == ":bell:");
}

TEST_CASE("what is not there leaves no empty block") {
  const json message = payload_of({}, {});
  REQUIRE(message["blocks"].size() == 1);
  CHECK(message["blocks"][0]["text"]["text"] == ":red_circle:");
  Note note;
  note.output = "\n\r\n\n";
  CHECK(payload_of(note, {.environment = "", .node = "n"})["blocks"].size() == 2);
  CHECK(payload_of(note, {.environment = "", .node = "n"})["blocks"][1]["elements"][0]["text"] ==
        "n");
}

TEST_CASE("a channel and a name are handed on") {
  const json message =
      payload_of(backup_failed(), kSender, {.channel = "#dev-notify", .username = "schedctl"});
  CHECK(message["channel"] == "#dev-notify");
  CHECK(message["username"] == "schedctl");
  const json plain = json::parse(slack_plain_payload("x", {.channel = "#a", .username = "b"}));
  CHECK(plain["channel"] == "#a");
  CHECK(plain["username"] == "b");
}

TEST_CASE("names of jobs stay as they are, and nothing else becomes markup") {
  CHECK(headline_of("my_job_1 failed") == ":red_circle: *my_job_1 failed*");
  CHECK(headline_of("a*b~c`d") == ":red_circle: *a*b~c`d*");
  const std::string n = kNothing;
  CHECK(headline_of("a_ b") == ":red_circle: *a" + n + "_" + n + " b*");
  CHECK(headline_of("see *this*.") ==
        ":red_circle: *see " + n + "*" + n + "this" + n + "*" + n + ".*");
  CHECK(headline_of(" \n x ") == ":red_circle: *x*");
  CHECK(headline_of("a\nb\tc") == ":red_circle: *a\\nb\tc*");
  CHECK(headline_of("C:\\temp") == ":red_circle: *C:\\temp*");
}

TEST_CASE("nothing mentions anybody or links anywhere") {
  CHECK(output_of("<!channel> <@U123> <!subteam^S1|x> <https://a.b|c> & &amp;") ==
        "&lt;!channel&gt; &lt;@" + kNothing +
            "U123&gt; &lt;!subteam^S1|x&gt; &lt;https://a.b|c&gt; &amp; &amp;amp;");
  CHECK(output_of("@channel @HERE x@everyone @group @bob") ==
        "@" + kNothing + "channel @" + kNothing + "HERE x@" + kNothing + "everyone @" + kNothing +
            "group @" + kNothing + "bob");
  // Nobody is mentioned by these, and somebody may want to copy them.
  CHECK(output_of("root@web-1 git@github.com:x/y a @ b @") ==
        "root@web-1 git@github.com:x/y a @ b @");
  const std::string plain = json::parse(slack_plain_payload("<!here> @here & *x*", {}))["text"];
  CHECK(plain == "&lt;!here&gt; @" + kNothing + "here &amp; *x*");
}

TEST_CASE("output cannot end its block") {
  CHECK(output_of("a```b") == "a`" + kNothing + "`" + kNothing + "`b");
  CHECK(output_of("`x`") == "`x`");
  CHECK(count_of(output_of("````````"), "``") == 0);
}

TEST_CASE("output keeps its lines and tabs, and shows what would do something") {
  CHECK(output_of("a\tb\\n\nc\r\nd\r10%\r20%\n\n") == "a\tb\\n\nc\nd\n10%\n20%");
  CHECK(output_of("\x1b[31mred\x07\xff\x7f") == "\\x1b[31mred\\x07\\xff\\x7f");
  CHECK(output_of("\u202Eevil \u00e9\u00e8 \U0001F600") ==
        "\\xe2\\x80\\xaeevil \u00e9\u00e8 \U0001F600");
  CHECK(output_of("\n\na\n\nb") == "\n\na\n\nb");
}

TEST_CASE("long output keeps its last lines, whole") {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "line " + std::to_string(i) + "\n";
  const std::string shown = output_of(text);
  CHECK(shown.starts_with("... cut\nline "));
  CHECK(shown.ends_with("\nline 1999"));
  CHECK(shown.size() > 2500);
  CHECK(shown.size() <= 2950);

  const std::string one_line = output_of(std::string(100'000, 'a') + "\u20AC\u20AC\u20AC");
  CHECK(one_line.starts_with("... cut\naaa"));
  CHECK(one_line.ends_with("a\u20AC\u20AC\u20AC"));
  std::string euros;
  for (int i = 0; i < 5000; ++i) euros += "\u20AC";
  for (int shift = 0; shift < 3; ++shift) {
    const std::string cut = output_of(euros + std::string(static_cast<std::size_t>(shift), 'x'));
    CHECK_FALSE(has(cut, "\\x"));  // no character was cut
    CHECK(cut.size() > 2500);
  }
  // A long line before short ones is left out, not cut.
  CHECK(output_of(std::string(5000, 'a') + "\nb\nc\n") == "... cut\nb\nc");
  // Entities count with their length, and stay whole.
  const std::string entities = output_of(std::string(5000, '<'));
  CHECK(entities.size() <= 2950);
  CHECK(count_of(entities, "&lt;") * 4 + 8 == entities.size());
}

TEST_CASE("a list has its lines, and says how many more there are") {
  Note note;
  note.headline = "30 alerts";
  note.list = {"a_b failed", "c > d"};
  const json two = payload_of(note, {});
  CHECK(two["blocks"][1]["text"]["text"] == "\u2022 a_b failed\n\u2022 c &gt; d");
  note.list.assign(30, "job failed");
  const std::string many = payload_of(note, {})["blocks"][1]["text"]["text"];
  CHECK(count_of(many, "\u2022") == 20);
  CHECK(many.ends_with("\n\u2026 10 more lines"));
  note.list.assign(15, std::string(1000, 'x'));
  const std::string wide = payload_of(note, {})["blocks"][1]["text"]["text"];
  CHECK(wide.size() <= 3000);
  CHECK(has(wide, "\u2026\n\u2022 x"));
  CHECK(wide.ends_with("more lines"));
}

TEST_CASE("many facts are told in several sections") {
  Note note;
  for (int i = 0; i < 25; ++i) note.facts.emplace_back("F" + std::to_string(i), "v");
  const json blocks = payload_of(note, {})["blocks"];
  REQUIRE(blocks.size() == 3);
  CHECK(blocks[1]["fields"].size() == 10);
  CHECK(blocks[2]["fields"].size() == 10);
  CHECK(blocks[2]["fields"][9]["text"] == "*F19*\nv");
}

TEST_CASE("a message that is too long loses its output first, and always fits") {
  for (const char filler : {'x', '"', '<', '\\', '\n', '\xff', '_'}) {
    Note note;
    note.headline = std::string(5000, filler);
    for (int i = 0; i < 30; ++i)
      note.facts.emplace_back(std::string(300, filler), std::string(3000, filler));
    note.list.assign(40, std::string(3000, filler));
    note.output = std::string(100'000, filler);
    const std::string long_name(1000, filler);
    const std::string payload = slack_payload(note, {.environment = long_name, .node = long_name},
                                              {.channel = long_name, .username = long_name});
    check_harmless(payload);
    CHECK(payload.size() > 2000);
  }
  Note note = backup_failed();
  note.list.assign(9, std::string(280, '"'));
  note.output = std::string(20'000, '"');
  for (int i = 0; i < 8; ++i) note.facts.emplace_back("F", std::string(250, '"'));
  const json message = payload_of(note);
  check_harmless(message.dump());
  bool has_whole_list = false;
  for (const std::string& text : texts_of(message)) {
    has_whole_list = has_whole_list || count_of(text, "\u2022") == 9;
  }
  CHECK(has_whole_list);
}

TEST_CASE("whatever bytes a job writes, its message is harmless") {
  std::mt19937 random(7);
  const std::vector<std::string> pieces{
      "<!channel>", "<@U1>",   "@here",  "@everyone",   "```",        "`",    "\n",
      "\r\n",       "\x1b[2J", "*",      "_",           "~",          "&",    "&lt;",
      "<",          ">",       "\u200B", "\u202E",      "\xff",       "\xe2", "\xe2\x82",
      "job_a",      "\"",      "\\",     "\\u0000",     "\U0001F600", "@",    "channel",
      " ",          "\t",      "here",   "http://a.b/c"};
  const auto any = [&](std::size_t most) {
    std::string text;
    const std::size_t wanted = random() % (most + 1);
    while (text.size() < wanted) {
      if (random() % 3 == 0) {
        text += static_cast<char>(random() % 256);
      } else {
        text += pieces[random() % pieces.size()];
      }
    }
    return text;
  };
  for (int round = 0; round < 1000; ++round) {
    Note note;
    note.tone = static_cast<Note::Tone>(random() % 4);
    note.headline = any(700);
    for (std::size_t i = random() % 15; i > 0; --i) note.facts.emplace_back(any(60), any(400));
    for (std::size_t i = random() % 25; i > 0; --i) note.list.push_back(any(400));
    note.output = any(6000);
    const std::string payload = slack_payload(note, {.environment = any(50), .node = any(50)},
                                              {.channel = any(100), .username = any(100)});
    INFO("round ", round);
    check_harmless(payload);
    const json plain =
        json::parse(slack_plain_payload(any(5000), {.channel = any(9), .username = {}}));
    CHECK(plain["text"].get<std::string>().size() <= 3000);
    CHECK(plain["text"].get<std::string>().find_first_of("<>") == std::string::npos);
  }
}

TEST_CASE("a line for people names the environment and the node where there are any") {
  const Note note = backup_failed();
  CHECK(plain_line(note, kSender) == "[production] nightly_backup-2 failed: exit status 1 (web-1)");
  CHECK(plain_line(note, {}) == "nightly_backup-2 failed: exit status 1");
  Note rude;
  rude.headline = "a\n\x1b[2Jb" + std::string(5000, 'x');
  const std::string line = plain_line(rude, {.environment = "e\n", .node = ""});
  CHECK(line.starts_with("[e\\n] a\\n\\x1b[2Jb"));
  CHECK(line.size() < 600);
}
