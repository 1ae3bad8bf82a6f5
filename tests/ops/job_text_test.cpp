// A definition that is written to a job file, read and compiled again is the same definition.
#include <map>
#include <random>

#include "schedctl/base/limits.hpp"
#include "schedctl/config/job_writer.hpp"
#include "tests/base/scratch.hpp"
#include "tests/ops/world.hpp"

using namespace schedctl;
using namespace schedctl::ops;

namespace {

/// Definitions as `add` could have made them.
class Definitions {
 public:
  explicit Definitions(std::uint32_t seed) : random_(seed) {}

  job::Definition next() {
    job::Definition definition;
    definition.schedule = schedule();
    if (chance(2)) {
      definition.action.shell = "s" + text();
    } else {
      definition.action.command = {"/bin/" + text()};
      for (int i = number(0, 4); i > 0; --i) definition.action.command.push_back(text());
    }
    if (chance(3)) definition.cwd = "/" + text();
    for (int i = number(0, 4); i > 0; --i)
      definition.env.emplace_back("V" + std::to_string(i), text());
    if (chance(3)) definition.tags = {"b", "a.x", "0-c"};
    definition.policy = policy();
    return definition;
  }

 private:
  int number(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  bool chance(int one_in) { return number(1, one_in) == 1; }
  template <class T>
  T one_of(std::initializer_list<T> all) {
    return all.begin()[number(0, static_cast<int>(all.size()) - 1)];
  }

  /// UTF-8 without NUL, with much of what means something to TOML.
  std::string text() {
    std::string out;
    for (int i = number(0, 12); i > 0; --i) {
      switch (number(0, 3)) {
        case 0:
          out += one_of<const char*>({"'", "'''", "\"", "\"\"\"", "\\", "\n", "\r\n", "\t", "#",
                                      " = ", "[x]", "\\u00", "{", ","});
          break;
        case 1:
          out += static_cast<char>(number(1, 127));
          break;
        case 2:
          out += encoded(number(0x80, 0xFFFF));
          break;
        default:
          out += one_of<const char*>({"word", "ä", "日本", "🕰", "\xEF\xBB\xBF", "\xE2\x80\xAE"});
      }
    }
    return out;
  }

  static std::string encoded(int code) {
    if (code >= 0xD800 && code <= 0xDFFF) code = 0x10FFFF;
    const auto part = [code](int shift) {
      return static_cast<char>(0x80 | ((code >> shift) & 0x3F));
    };
    if (code < 0x800) return {static_cast<char>(0xC0 | (code >> 6)), part(0)};
    if (code < 0x10000) return {static_cast<char>(0xE0 | (code >> 12)), part(6), part(0)};
    return {static_cast<char>(0xF0 | (code >> 18)), part(12), part(6), part(0)};
  }

  Duration duration() {
    return one_of<Duration>({Duration(1), std::chrono::milliseconds(250), seconds(90), hours(26),
                             Duration(90'061'001'001), days(400)});
  }

  Time moment(int from_day) {
    Time at = World::kStart + days(number(from_day, 4000)) + seconds(number(0, 86399));
    if (chance(3)) at += Duration(number(0, 999'999));
    return at;
  }

  job::Schedule schedule() {
    job::Schedule schedule;
    schedule.kind =
        one_of({job::ScheduleKind::every, job::ScheduleKind::cron, job::ScheduleKind::at,
                job::ScheduleKind::reboot, job::ScheduleKind::manual});
    schedule.timezone =
        one_of<const char*>({"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
                             "Africa/Casablanca", "Asia/Kathmandu", "America/Sao_Paulo"});
    const bool at = schedule.kind == job::ScheduleKind::at;
    const bool cron = schedule.kind == job::ScheduleKind::cron;
    const bool every = schedule.kind == job::ScheduleKind::every;
    if (at || cron) {
      schedule.dst_gap = one_of({job::DstGap::shift, job::DstGap::skip});
      schedule.dst_fold = one_of({job::DstFold::first, job::DstFold::second});
    }
    if (at) schedule.at = moment(1);
    if (every) {
      schedule.every = seconds(1) + duration();
      schedule.anchor = moment(-20'000);
    }
    if (cron) {
      schedule.cron = one_of<const char*>({"30 2 * * 1-5", "*/5 * * * * *", "@daily", "0 0 L * ?",
                                           "H H(0-7) * * *", "0 12 * JAN,jul Mon#2"});
      if (chance(2)) schedule.dst_fold = job::DstFold::both;
      if (chance(3)) {
        schedule.weeks = number(2, limits::kMaxWeeks);
        schedule.week_anchor = std::chrono::local_days{std::chrono::year{2026} / 1 / 1} +
                               days(number(-10'000, 10'000));
      }
    }
    if (cron || every) {
      if (chance(3)) schedule.only = {"office", "b.c"};
      if (chance(3)) schedule.exclude = {"office"};
      if (!schedule.only.empty() || !schedule.exclude.empty())
        schedule.on_excluded = one_of({job::OnExcluded::skip, job::OnExcluded::next});
      if (chance(3)) schedule.not_before = moment(-1000);
      if (chance(3))
        schedule.until = std::max(moment(1), schedule.not_before.value_or(Time{})) + days(1);
    }
    return schedule;
  }

  job::PolicyDraft policy() {
    job::PolicyDraft policy;
    for (const std::string& key : job::policy_keys()) {
      if (chance(2)) continue;
      bool taken = false;
      for (const std::string& value :
           {format_duration(duration()), std::to_string(number(1, 100)), std::string("skip"),
            std::string("all"), std::string("retry"), std::string("2h"), std::string("true"),
            std::string("idle"), std::string("file"), std::string("none"), std::string("5%"),
            std::string("7B"), std::string("027"), std::string("1"), std::string("TERM"),
            std::string("/in")})
        taken = taken || job::set_policy(policy, key, value).has_value();
      REQUIRE_MESSAGE(taken, key);
    }
    // A command has one standard input.
    if (policy.stdin_text) policy.stdin_file.reset();
    return policy;
  }

  std::mt19937 random_;
};

}  // namespace

TEST_CASE("what is written to a job file is read back as the same definition") {
  World world;
  // Where the file is read, another zone is the default.
  world.config.timezone = "Asia/Tokyo";
  const auto office = std::make_shared<const job::Calendar>(
      std::vector<job::DateSpan>{}, World::must(job::parse_weekly_windows("mon-fri 09:00-17:00")));
  world.config.calendars = {{"office", office}, {"b.c", office}};
  Definitions definitions(20260302);
  const test::Scratch scratch;
  for (int round = 0; round < 40; ++round) {
    std::map<std::string, job::Definition> written;
    std::string text;
    for (int i = 0; i < 25; ++i) {
      const std::string name = "job." + std::to_string(i);
      const job::Definition definition = definitions.next();
      World::must(job::check_definition(definition));
      const auto zone = World::must(world.zones->find(definition.schedule.timezone));
      text += World::must(config::job_text(name, definition, *zone)) + "\n";
      written.emplace(name, definition);
    }
    const std::string file = scratch / "jobs.toml";
    test::write_file(file, text);
    const config::JobFiles files = config::read_job_files({file}, true);
    for (const Error& error : files.errors)
      FAIL(error.where << ": " << error.message << "\n" << text);
    REQUIRE(files.jobs.size() == written.size());
    for (const config::FileJob& job : files.jobs) {
      CAPTURE(text);
      CAPTURE(job.name);
      CHECK(World::must(world.ops.compile(job.draft, nullptr)) == written.at(job.name));
    }
  }
}
