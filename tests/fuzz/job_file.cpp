// Job files as anybody may write them: every error has its place in the file, and a job that is
// accepted is one that can be stored and asked for its fires.

#include "schedctl/config/job_file.hpp"
#include "schedctl/base/clock.hpp"
#include "schedctl/job/job.hpp"
#include "src/ops/compile.hpp"
#include "zones.hpp"

namespace schedctl::fuzz {
namespace {

class World {
 public:
  World() : store_(store::open_memory()) { config_.timezone = "Europe/Berlin"; }

  void read(const std::string& text) {
    const std::string path = scratch_.write("job.toml", text);
    const config::JobFiles files = config::read_job_files({path}, true);
    for (const Error& error : files.errors) {
      require(error.where.starts_with(path), "an error has its place");
      require(is_utf8(error.message), "an error can be printed");
    }
    require(files.errors.empty() != files.files.empty(), "a file is good or has an error");
    require(files.errors.empty() || files.jobs.empty(), "a bad file has no jobs");
    for (const config::FileJob& job : files.jobs) {
      require(job::check_name(job.name).has_value(), "a job has a name that a job can have");
      compile(job);
    }
  }

 private:
  void compile(const config::FileJob& job) {
    const ops::Context context{*store_, zone_source(), clock_, config_, "fuzz", [] {}};
    const Result<job::Definition> definition =
        ops::compile_draft(context, job.draft, nullptr, kNow);
    if (!definition) {
      require(is_utf8(definition.error().message), "an error can be printed");
      return;
    }
    const auto series = ops::series_of(context, definition->schedule, 7);
    require(series.has_value(), "a job that was accepted has its fires");
    static_cast<void>(series->next_after(kNow));
  }

  static constexpr Time kNow = time_from_us(1'774'746'000'000'000);
  Scratch scratch_;
  std::unique_ptr<store::Store> store_;
  SystemClock clock_;
  config::Config config_;
};

}  // namespace

std::vector<std::string> seeds() {
  return {R"([job.nightly-backup]
cron = "30 2 * * *"
timezone = "Europe/Amsterdam"
command = ["/usr/local/bin/backup", "--full"]
timeout = "2h"
retry = { max_attempts = 3, backoff = "30s", max_delay = "10m" }
)",
          R"([job.tick]
every = "5m"
anchor = 2026-03-29T02:30:00Z
shell = "echo hi"
env = { A = "1", B = "x y" }
tags = ["a", "b"]
overlap = "skip"
misfire_grace = "1h"
coalesce = "latest"
jitter = "10s"
on_lost = "retry"
alert_grace = "60s"

[job."a.b"]
at = "2027-01-01 00:00"
dst_gap = "skip"
dst_fold = "second"
command = ["true"]
cwd = "/tmp"
)",
          "[job.x]\nmanual = true\nshell = '''\nmulti\nline'''\n[job.x]\n",
          "job = 3\n",
          "[job.x]\nevery = 5\ncommand = \"x\"\n",
          "[job]\n\"a b\" = { cron = '* * * * *' }\n",
          "x = [1, 2.5, 1979-05-27, 07:32:00, {a = inf}, 0xff, \"\\u00e9\"]\n",
          "\xef\xbb\xbf[job.x]\nmanual=true\ncommand=[]\n"};
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static schedctl::fuzz::World world;
  world.read(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
