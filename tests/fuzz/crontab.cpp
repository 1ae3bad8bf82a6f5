// Crontabs as anybody may have them: every line is an entry or explained, an entry is a job or
// refused, and what a job is written as in a crontab fires and does the same when it is read again.

#include "schedctl/config/crontab.hpp"
#include "schedctl/base/clock.hpp"
#include "schedctl/job/job.hpp"
#include "src/ops/compile.hpp"
#include "zones.hpp"

namespace schedctl::fuzz {
namespace {

using namespace std::string_literals;

constexpr Time kNow = time_from_us(1'774'746'000'000'000);
constexpr const char* kHost = "Europe/Berlin";

class World {
 public:
  World() : store_(store::open_memory()) {}

  void read(const std::string& text, bool system) {
    const config::Crontab crontab = config::read_crontab(text, system);
    for (const config::CrontabNote& note : crontab.unread) check(note);
    for (const config::CrontabNote& note : crontab.notes) check(note);
    std::size_t line = 0;
    for (const config::CrontabEntry& entry : crontab.entries) {
      require(entry.line > line && entry.column > 0, "entries stand in the order of their lines");
      line = entry.line;
      require(entry.user.empty() != system, "a user is where one must be");
      require(!entry.command.empty(), "an entry runs something");
      require(job::check_name(config::crontab_job_name(entry)).has_value(), "it has a good name");
      try_job(entry);
    }
  }

 private:
  static void check(const config::CrontabNote& note) {
    require(note.line > 0 && note.column > 0 && !note.message.empty(), "a note has its place");
    require(is_utf8(note.message), "a note can be printed");
  }

  void try_job(const config::CrontabEntry& entry) {
    const Result<config::CrontabJob> made = config::crontab_job(entry, kHost);
    if (!made) {
      require(is_utf8(made.error().message), "an error can be printed");
      return;
    }
    if (!entry.input.empty()) {
      const auto parts = config::parse_line_with_input(*made->draft.shell);
      require(parts && parts->input == entry.input && parts->line == entry.command,
              "input and command can be told apart again");
    }
    const Result<job::Definition> definition = compile(made->draft);
    if (definition) write(*definition);
  }

  Result<job::Definition> compile(const job::JobDraft& draft) {
    return ops::compile_draft(context_, draft, nullptr, kNow);
  }

  void write(const job::Definition& definition) {
    job::Job job;
    job.name = "x";
    job.definition = definition;
    const std::string text = config::crontab_text({job}, kHost, {});
    const config::Crontab crontab = config::read_crontab(text, false);
    require(crontab.unread.empty(), "what is written can be read");
    if (crontab.entries.empty()) return;
    require(crontab.entries.size() == 1, "one job is one line");
    const Result<config::CrontabJob> made = config::crontab_job(crontab.entries[0], kHost);
    require(made.has_value(), "the line is a job");
    const Result<job::Definition> again = compile(made->draft);
    require(again.has_value(), "and one that can be stored");
    require(again->schedule.kind == definition.schedule.kind, "the same kind of schedule");
    require(again->policy == definition.policy, "the same policy");
    same_fires(again->schedule, definition.schedule);
  }

  void same_fires(const job::Schedule& a, const job::Schedule& b) {
    auto first = ops::series_of(context_, a, 7);
    auto second = ops::series_of(context_, b, 7);
    require(first && second, "both have their fires");
    Time at = kNow;
    for (int i = 0; i < 5; ++i) {
      const std::optional<Time> next = first->next_after(at);
      require(next == second->next_after(at), "the same fires");
      if (!next) return;
      at = *next;
    }
  }

  std::unique_ptr<store::Store> store_;
  SystemClock clock_;
  config::Config config_;
  const ops::Context context_{*store_, zone_source(), clock_, config_, "fuzz", [] {}};
};

std::string seed(bool system, const std::string& text) {
  return Recipe().byte(system ? 1 : 0).rest(text);
}

}  // namespace

std::vector<std::string> seeds() {
  return {
      seed(true, R"(SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin
17 *	* * *	root	cd / && run-parts --report /etc/cron.hourly
25 6	* * *	root	test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }
@reboot www-data x
)"),
      seed(false, R"(MAILTO="anna"
CRON_TZ=America/New_York
RANDOM_DELAY=30
HOME = '/srv/a b'
0 22 * * 1-5   mail -s "It's 10pm" joe%Joe,%%Where are your kids?%
-*/5 0-23/2 1,15 jan-mar fri-sun date +\%Y\\%a\%b\
SHELL=/bin/bash
@weekly [[ -e x ]] && FOO=bar nice -n 10 python3 -m x >out 2>&1
5/15 ? * * ? x
H ~ L * 5#2 y
0 25 * * * z
)"),
      seed(false, "A=b\r\n@daily x\r\n@daily %\n* * * * * * six\nfoo\n@daily x"),
      seed(false, "@daily a\0b\n'A\"=\"b'\n\"A\"='b'c\n=\n-\n@\n"s),
  };
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static schedctl::fuzz::World world;
  schedctl::fuzz::Input input(data, size);
  const bool system = input.byte() % 2 == 1;
  world.read(input.rest(), system);
  return 0;
}
