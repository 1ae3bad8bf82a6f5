// The way back of job_file: a definition that was accepted, with whatever texts and policies, is
// written as a job file, and what is read from there is the same definition.

#include "schedctl/config/job_writer.hpp"
#include "schedctl/base/clock.hpp"
#include "schedctl/config/job_file.hpp"
#include "schedctl/job/calendar.hpp"
#include "schedctl/job/job.hpp"
#include "src/ops/compile.hpp"
#include "zones.hpp"

namespace schedctl::fuzz {
namespace {

constexpr Time kNow = time_from_us(1'774'746'000'000'000);

/// A draft as the input has it: first what it says, then the texts.
job::JobDraft draft_from(Input& input) {
  job::JobDraft draft;
  const std::uint64_t says = input.number(4);
  int bit = 0;
  const auto said = [&] { return (says >> bit++ & 1) != 0; };
  const auto text = [&](std::optional<std::string>& into) {
    if (said()) into = input.text();
  };
  switch (input.byte() % 6) {
    case 0:
      draft.every = input.text();
      break;
    case 1:
      draft.at = input.text();
      break;
    case 2:
      draft.manual = true;
      break;
    case 3:
      draft.on_reboot = true;
      break;
    default:
      draft.cron = input.text();
  }
  for (auto* into : {&draft.anchor, &draft.weeks, &draft.not_before, &draft.until}) text(*into);
  if (said()) draft.timezone = any_zone(input.byte())->name();
  if (said()) draft.dst_gap = "skip";
  if (said()) draft.dst_fold = said() ? "second" : "both";
  if (said()) draft.only = std::vector<std::string>{"office"};
  if (said()) draft.exclude = std::vector<std::string>{"office", "b.c"};
  if (said()) draft.on_excluded = "next";
  if (said()) {
    draft.shell = input.text();
  } else {
    draft.command = std::vector<std::string>{};
    for (int words = input.byte() % 5; words > 0; --words) draft.command->push_back(input.text());
  }
  text(draft.cwd);
  for (int n = input.byte() % 4; n > 0; --n) {
    std::string name = input.text();
    draft.env.emplace_back(std::move(name), input.text());
  }
  if (said()) draft.tags = std::vector<std::string>{input.text(), "a.x"};
  for (const std::string& key : job::policy_keys()) {
    if (input.byte() % 2 == 1) static_cast<void>(job::set_policy(draft.policy, key, input.text()));
  }
  return draft;
}

class World {
 public:
  World() : store_(store::open_memory()) {
    config_.timezone = "Europe/Berlin";
    const auto office = std::make_shared<const job::Calendar>(
        std::vector<job::DateSpan>{}, *job::parse_weekly_windows("mon-fri 09:00-17:00"));
    config_.calendars = {{"office", office}, {"b.c", office}};
  }

  void go_round(const std::string& name, const job::JobDraft& draft) {
    if (!job::check_name(name)) return;
    const Result<job::Definition> made = compile(draft);
    if (!made) {
      require(is_utf8(made.error().message), "an error can be printed");
      return;
    }
    const Result<job::ZonePtr> zone = zone_source().find(made->schedule.timezone);
    require(zone.has_value(), "a definition has a zone");
    const Result<std::string> text = config::job_text(name, *made, **zone);
    if (!text) {
      require(!text.error().where.empty(), "what a file cannot hold is named");
      return;
    }
    require(is_utf8(*text), "a job file is UTF-8");
    // Read where another zone is the default.
    config_.timezone = "Asia/Tokyo";
    require(read(name, *text) == *made, "what is written reads back as it was");
    config_.timezone = "Europe/Berlin";
  }

 private:
  Result<job::Definition> compile(const job::JobDraft& draft) {
    const ops::Context context{*store_, zone_source(), clock_, config_, "fuzz", [] {}};
    return ops::compile_draft(context, draft, nullptr, kNow);
  }

  job::Definition read(const std::string& name, const std::string& text) {
    const config::JobFiles files = config::read_job_files({scratch_.write("job.toml", text)}, true);
    require(files.errors.empty(), "what is written can be read");
    require(files.jobs.size() == 1 && files.jobs[0].name == name, "and is that one job");
    const Result<job::Definition> again = compile(files.jobs[0].draft);
    require(again.has_value(), "which is accepted again");
    return *again;
  }

  Scratch scratch_;
  std::unique_ptr<store::Store> store_;
  SystemClock clock_;
  config::Config config_;
};

}  // namespace

std::vector<std::string> seeds() {
  const std::string hostile = "a\"b'c\\d\r\n\t'''\"\"\" #$%\x01\x7f \xe2\x80\xae\xef\xbb\xbf\n";
  const auto policies = [](Recipe& recipe) {
    for (const char* value : {"skip", "2h30m", "all", "45s", "2h", "7s", "3", "30s", "10m", "retry",
                              "2m", "7", "90s", "3m", "42"})
      recipe.byte(1).text(value);
  };
  Recipe cron;  // with all that narrows it, in Lord Howe, a command, cwd, variables, tags
  cron.text("a.b-c_D").number(0b1'1'0'1'1'1'0'1'1'1'1'1'1'1, 4);
  cron.byte(4).text("H/15 H(1-4) L-3,15W * mon#1");
  cron.text("2027-01-04").text("3").text("2027-01-01 00:00").text("2029-04-01 01:45").byte(3);
  cron.byte(3).text("/bin/echo").text(hostile).text("").text("/tmp/a b");
  cron.byte(2).text("A").text(hostile).text("B_1").text("").text("t1");
  policies(cron);
  Recipe every;
  every.text("e").number(0b100'0000'1001, 4);
  every.byte(0).text("36h").text("2027-01-01T00:00:00.5Z").text("2028-01-01 00:00:00.25");
  every.text(hostile).byte(0);
  Recipe at;
  at.text("x").number(0b1000'1101'0000, 4).byte(1).text("2027-10-31 02:30").byte(1);
  at.text("  " + hostile + "  ").byte(0);
  Recipe hand;
  hand.text("x").number(0b100'0000'0000, 4).byte(2).text("\n\n x \\\n").byte(0);
  return {cron, every, at, hand};
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static schedctl::fuzz::World world;
  schedctl::fuzz::Input input(data, size);
  const std::string name = input.text();
  world.go_round(name, schedctl::fuzz::draft_from(input));
  return 0;
}
