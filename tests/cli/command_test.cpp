#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "schedctl/cli/cli.hpp"
#include "schedctl/store/store.hpp"

// Whole commands on a store of their own, with no daemon: what they print, and how they exit.

namespace schedctl::cli {
namespace {

using Json = nlohmann::json;

struct Answer {
  int code = -1;
  std::string out;
  std::string err;
  Json json() const { return Json::parse(out); }
  Json error() const { return Json::parse(err).at("error"); }
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string content_of(int fd) {
  std::string text;
  std::array<char, 65536> block{};
  ::lseek(fd, 0, SEEK_SET);
  for (ssize_t n = 0; (n = ::read(fd, block.data(), block.size())) > 0;)
    text.append(block.data(), static_cast<std::size_t>(n));
  return text;
}

/// Sends a stream to a file while it lives.
class Captured {
 public:
  explicit Captured(FILE* stream) : stream_(stream), file_(std::tmpfile()) {
    std::fflush(stream_);
    saved_ = ::dup(::fileno(stream_));
    ::dup2(::fileno(file_), ::fileno(stream_));
  }
  ~Captured() {
    restore();
    std::fclose(file_);
  }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  std::string text() {
    restore();
    return content_of(::fileno(file_));
  }

 private:
  void restore() {
    if (saved_ < 0) return;
    std::fflush(stream_);
    ::dup2(saved_, ::fileno(stream_));
    ::close(saved_);
    saved_ = -1;
  }
  FILE* stream_;
  FILE* file_;
  int saved_ = -1;
};

/// A state directory and a configuration of its own.
class House {
 public:
  House() {
    std::string path = (std::filesystem::temp_directory_path() / "schedctl-cli-XXXXXX").string();
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    root_ = path;
    write("schedctl.toml", "state_dir = \"" + root_ + "/state\"\nruntime_dir = \"" + root_ +
                               "/run\"\ntimezone = \"Europe/Berlin\"\n" + "jobs_dirs = [\"" +
                               root_ + "/jobs.d\"]\n");
  }
  ~House() { std::filesystem::remove_all(root_); }
  House(const House&) = delete;
  House& operator=(const House&) = delete;

  const std::string& root() const { return root_; }
  std::string write(const std::string& name, const std::string& text) const {
    const std::string path = root_ + "/" + name;
    std::ofstream(path) << text;
    ::chmod(path.c_str(), 0600);
    return path;
  }
  Outcome outcome(std::vector<std::string> words) const {
    const std::vector<std::string> head{"schedctl", "--own", "--config", root_ + "/schedctl.toml"};
    words.insert(words.begin(), head.begin(), head.end());
    return cli::run(words);
  }
  Answer operator()(const std::vector<std::string>& words) const {
    Captured out(stdout);
    Captured err(stderr);
    const Outcome result = outcome(words);
    Answer answer;
    answer.err = err.text();
    answer.out = out.text();
    REQUIRE(std::holds_alternative<Done>(result));
    answer.code = std::get<Done>(result).exit_code;
    return answer;
  }
  std::unique_ptr<store::Store> store() const {
    auto opened = store::open_sqlite({.path = root_ + "/state/schedctl.db"});
    REQUIRE(opened);
    return std::move(*opened);
  }

 private:
  std::string root_;
};

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

void add_backup(const House& house) {
  REQUIRE(house({"add", "backup", "--cron", "30 2 * * *", "--tag", "db", "--tag", "night", "--",
                 "/bin/true", "--full"})
              .code == 0);
}

TEST_CASE("reading commands need no database and make none") {
  const House house;
  CHECK(house({"list"}).code == 0);
  CHECK(house({"list", "--json"}).json() == Json::array());
  CHECK(house({"runs", "--json"}).json() == Json::array());
  CHECK(house({"ps", "--json"}).json() == Json::array());
  CHECK(house({"next", "--json"}).json() == Json::array());
  CHECK(house({"show", "x"}).code == 3);
  CHECK_FALSE(std::filesystem::exists(house.root() + "/state"));
}

TEST_CASE("add says what it understood: words, zone, three fires, and that no daemon runs") {
  const House house;
  const Answer answer = house({"add", "backup", "--cron", "30 2 * * *", "--timezone",
                               "America/New_York", "--", "/bin/true"});
  CHECK(answer.code == 0);
  CHECK(contains(answer.out, "02:30"));
  CHECK(contains(answer.out, "America/New_York"));
  std::size_t fires = 0;
  for (std::size_t at = 0; (at = answer.out.find(" 02:30:00-0", at)) != std::string::npos; ++at)
    ++fires;
  CHECK(fires == 3);
  CHECK(contains(answer.err, "no daemon is running"));
  struct stat state {};
  REQUIRE(::stat((house.root() + "/state").c_str(), &state) == 0);
  CHECK((state.st_mode & 0777U) == 0700);
}

TEST_CASE("the first fire of a new grid lies a whole period ahead") {
  const House house;
  const Answer answer = house({"add", "x", "--every", "1h", "--json", "--", "/bin/true"});
  const Json json = answer.json();
  REQUIRE(json["next"].size() == 3);
  CHECK(json["next"][0]["fire_time"] == json["next_fire"]);
}

TEST_CASE("--quiet leaves only data and errors") {
  const House house;
  const Answer answer = house({"-q", "add", "x", "--every", "1h", "--", "/no/such/program"});
  CHECK(answer.code == 0);
  CHECK(answer.out.empty());
  CHECK(answer.err.empty());
  CHECK_FALSE(house({"-q", "list"}).out.empty());
}

TEST_CASE("a command that cannot be found is added with a warning") {
  const House house;
  CHECK(contains(house({"add", "a", "--manual", "--", "/no/such/program"}).err,
                 "/no/such/program: No such file"));
  CHECK(contains(house({"add", "b", "--manual", "--", "no-such-program"}).err,
                 "no program \"no-such-program\" in PATH="));
  CHECK(contains(house({"add", "c", "--manual", "--", "/etc"}).err, "is a directory"));
  CHECK_FALSE(contains(house({"add", "d", "--manual", "--", "true"}).err, "cannot be executed"));
}

TEST_CASE("list --json has every key, and null where nothing is known") {
  const House house;
  add_backup(house);
  const Json list = house({"list", "--json"}).json();
  REQUIRE(list.size() == 1);
  const Json& job = list[0];
  CHECK(keys_of(job) == std::vector<std::string>{"action", "last_end", "last_fire", "last_start",
                                                 "last_state", "managed_by", "name", "next_fire",
                                                 "open_alerts", "paused", "running", "schedule",
                                                 "tags", "timezone"});
  CHECK(job["name"] == "backup");
  CHECK(job["schedule"] == Json{{"cron", "30 2 * * *"}});
  CHECK(job["timezone"] == "Europe/Berlin");
  CHECK(job["action"] == Json{{"command", {"/bin/true", "--full"}}});
  CHECK(job["paused"] == false);
  CHECK(job["last_state"].is_null());
  CHECK(job["running"] == 0);
  CHECK(job["tags"] == Json{"db", "night"});
  CHECK(job["managed_by"] == "cli");
  CHECK(job["open_alerts"] == 0);
}

TEST_CASE("schedules and actions have the names of the TOML keys") {
  const House house;
  house({"add", "a", "--every", "90s", "--", "/bin/true"});
  house({"add", "b", "--at", "2099-01-01T00:00:00Z", "--", "/bin/true"});
  house({"add", "c", "--manual", "--shell", "echo $HOME"});
  const Json list = house({"list", "--json"}).json();
  CHECK(list[0]["schedule"] == Json{{"every", "1m30s"}});
  CHECK(list[1]["schedule"] == Json{{"at", "2099-01-01T00:00:00Z"}});
  CHECK(list[2]["schedule"] == Json{{"manual", true}});
  CHECK(list[2]["action"] == Json{{"shell", "echo $HOME"}});
}

TEST_CASE("list is narrowed by pattern, tag and state") {
  const House house;
  add_backup(house);
  house({"add", "other", "--manual", "--", "/bin/true"});
  house({"pause", "other", "--reason", "too loud"});
  const auto names = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"list", "--json"});
    std::string all;
    for (const Json& job : house(words).json()) all += job["name"].get<std::string>() + " ";
    return all;
  };
  CHECK(names({}) == "backup other ");
  CHECK(names({"b*"}) == "backup ");
  CHECK(names({"--tag", "db"}) == "backup ");
  CHECK(names({"--tag", "db", "--tag", "none"}).empty());
  CHECK(names({"--paused"}) == "other ");
  CHECK(names({"--failed"}).empty());
  CHECK(names({"--running"}).empty());
  CHECK(contains(house({"list"}).out, "paused: too loud"));
}

/// A run that has ended badly, with everything known about it.
job::Run ended_run(store::Store& store, const char* job_name) {
  const auto found = store.find_job(job_name);
  REQUIRE((found && *found));
  job::Run run;
  run.job_id = (*found)->id;
  run.job_name = job_name;
  run.fire_time = run.created_at = run.due_at = time_from_us(1'790'000'000'000'000);
  REQUIRE(store.insert_run(run));
  run.state = job::RunState::failed;
  run.reason = job::Reason::signal;
  run.node = "some-node";
  run.result.pid = 4711;
  run.result.started_at = run.fire_time + std::chrono::milliseconds(250);
  run.result.ended_at = run.fire_time + std::chrono::milliseconds(1750);
  run.result.signal = SIGKILL;
  run.result.cpu = std::chrono::milliseconds(125);
  run.result.max_rss_kb = 2048;
  run.result.output_tail = "one\ntwo\nthree\n";
  run.result.output_bytes = 14;
  REQUIRE(store.update_run(run, run.fence));
  return run;
}

TEST_CASE("runs --json tells all of a run in seconds, names and nulls") {
  const House house;
  add_backup(house);
  const job::Run run = ended_run(*house.store(), "backup");
  const Json runs = house({"runs", "backup", "--json"}).json();
  REQUIRE(runs.size() == 1);
  const Json& row = runs[0];
  for (const char* key :
       {"id",      "job",   "cause",      "state",   "reason",     "attempt", "fire_time",
        "started", "ended", "duration_s", "delay_s", "exit_code",  "signal",  "pid",
        "node",    "key",   "output",     "cpu_s",   "max_rss_kb", "count",   "last_fire_time"})
    CHECK(row.contains(key));
  CHECK(row["id"] == run.id.value);
  CHECK(row["state"] == "failed");
  CHECK(row["reason"] == "signal");
  CHECK(row["fire_time"] == "2026-09-21T14:13:20Z");
  CHECK(row["duration_s"] == 1.5);
  CHECK(row["delay_s"] == 0.25);
  CHECK(row["exit_code"].is_null());
  CHECK(row["signal"] == "SIGKILL");
  CHECK(row["pid"] == 4711);
  CHECK(row["cpu_s"] == 0.125);
  CHECK(row["max_rss_kb"] == 2048);
  CHECK(row["count"] == 1);
  CHECK(row["output"].is_null());
  CHECK(row["key"].get<std::string>().size() == 36);
  CHECK(contains(house({"runs"}).out, "failed (SIGKILL)"));
}

TEST_CASE("runs are narrowed by state, time and number, and the newest come first") {
  const House house;
  add_backup(house);
  ended_run(*house.store(), "backup");
  house({"trigger", "backup"});
  CHECK(house({"runs", "--json"}).json()[0]["cause"] == "manual");
  CHECK(house({"runs", "--json", "-n", "1"}).json().size() == 1);
  CHECK(house({"runs", "--json", "--state", "failed,lost"}).json().size() == 1);
  CHECK(house({"runs", "--json", "--state", "failed", "--state", "pending"}).json().size() == 2);
  CHECK(house({"runs", "--json", "--since", "2099-01-01"}).json().empty());
  CHECK(house({"runs", "--json", "--since", "2026-01-01", "--until", "2026-09-22"}).json().size() ==
        1);
  CHECK(house({"runs", "nobody"}).code == 3);
  CHECK(house({"runs", "--state", "bad"}).code == 2);
  CHECK(house({"runs", "--since", "gibberish"}).code == 2);
}

TEST_CASE("logs shows what the row keeps, by job and by number, and only the last lines if asked") {
  const House house;
  add_backup(house);
  const job::Run run = ended_run(*house.store(), "backup");
  const std::string number = std::to_string(run.id.value);
  CHECK(house({"logs", "backup"}).out == "one\ntwo\nthree\n");
  CHECK(house({"logs", number}).out == "one\ntwo\nthree\n");
  CHECK(house({"logs", "#" + number, "-n", "2"}).out == "two\nthree\n");
  CHECK(house({"logs", "backup", "-n", "0"}).out.empty());
  CHECK(house({"logs", "backup", "--json"}).json()["output"] == "one\ntwo\nthree\n");
  CHECK(house({"logs", number, "-f"}).out == "one\ntwo\nthree\n");
  CHECK(house({"logs", "#99"}).code == 3);
  CHECK(house({"logs", "nobody"}).code == 3);
}

TEST_CASE("logs prefers the file, as it is, and says when only the end is left") {
  const House house;
  add_backup(house);
  const auto store = house.store();
  job::Run run = ended_run(*store, "backup");
  std::string bytes(100'000, 'x');
  bytes += std::string("\0\xff\nend", 6);
  run.result.output_path = house.write("output", bytes);
  run.result.output_tail = "end";
  run.result.output_bytes = static_cast<std::int64_t>(bytes.size());
  REQUIRE(store->update_run(run, run.fence));
  CHECK(house({"logs", "backup"}).out == bytes);
  CHECK(house({"logs", "backup", "-n", "1"}).out == "end");
  CHECK(house({"logs", "backup", "-n", "2"}).out == bytes);
  std::filesystem::remove(run.result.output_path);
  const Answer gone = house({"logs", "backup"});
  CHECK(gone.out == "end");
  CHECK(contains(gone.err, "this is its end"));
}

TEST_CASE("what strangers wrote cannot steer a terminal") {
  const House house;
  house({"add", "x", "--manual", "--env", "A=\x1b[31m", "--", "/bin/echo", "\x1b]0;evil\a"});
  house({"pause", "x", "--reason", "\x1b[2J"});
  for (const auto& words : {std::vector<std::string>{"list"}, {"show", "x"}, {"status", "x"}})
    CHECK_FALSE(contains(house(words).out, "\x1b"));
  CHECK_FALSE(contains(house({"show", "\x1b[2J"}).err, "\x1b"));
}

TEST_CASE("show tells where each policy setting comes from") {
  const House house;
  house({"add", "x", "--manual", "--timeout", "2h", "--", "/bin/true"});
  const Json json = house({"show", "x", "--json", "--set", "defaults.jitter=30s"}).json();
  CHECK(json["policy"]["timeout"]["value"] == "2h");
  CHECK(json["policy"]["timeout"]["value_s"] == 7200.0);
  CHECK(json["policy"]["timeout"]["origin"] == "job");
  CHECK(json["policy"]["jitter"]["origin"] == "[defaults]");
  CHECK(json["policy"]["max_attempts"] == Json{{"value", 1}, {"origin", "built-in"}});
  CHECK(json["version"] == 1);
}

TEST_CASE("set changes what it names, and forgets what --unset names, by key or by flag") {
  const House house;
  house({"add", "x", "--every", "5m", "--timeout", "2h", "--max-attempts", "3", "--", "/bin/true"});
  CHECK(
      house({"set", "x", "--every", "10m", "--unset", "timeout", "--unset", "max-attempts"}).code ==
      0);
  const Json json = house({"show", "x", "--json"}).json();
  CHECK(json["schedule"] == Json{{"every", "10m"}});
  CHECK(json["policy"]["timeout"]["origin"] == "built-in");
  CHECK(json["policy"]["max_attempts"]["origin"] == "built-in");
  CHECK(house({"set", "x"}).code == 2);
  CHECK(house({"set", "nobody", "--every", "1h"}).code == 3);
  CHECK(house({"set", "x", "--unset", "nonsense"}).code == 2);
}

TEST_CASE("errors name the flag that was typed, and carets stay in place") {
  const House house;
  const Answer cron = house({"add", "x", "--cron", "61 * * * *", "--", "true"});
  CHECK(cron.code == 2);
  CHECK(cron.err.starts_with("schedctl: --cron: "));
  CHECK(contains(cron.err, "\n  61 * * * *\n  ^"));
  const auto refused = [&](std::vector<std::string> words, const char* where) {
    words.insert(words.begin(), {"--json", "add", "x"});
    const Answer answer = house(words);
    CHECK(answer.code == 2);
    CHECK(answer.out.empty());
    CHECK(answer.error()["where"] == where);
    CHECK(answer.error()["kind"] == "usage");
    CHECK(answer.error()["exit_code"] == 2);
  };
  refused({"--every", "5", "--", "true"}, "--every");
  refused({"--every", "5m", "--timeout", "x", "--", "true"}, "--timeout");
  refused({"--every", "5m", "--max-attempts", "0", "--", "true"}, "--max-attempts");
  refused({"--every", "5m", "--timezone", "Europe/Berlim", "--", "true"}, "--timezone");
  refused({"--every", "5m", "--env", "A", "--", "true"}, "--env");
  refused({"--every", "5m", "--cron", "* * * * *", "--", "true"}, "--cron");
  refused({"--every", "5m", "--shell", "x", "--", "true"}, "--shell");
  CHECK(house({"list", "--json"}).json().empty());
}

TEST_CASE("a job needs a schedule, something to run, and a name of its own") {
  const House house;
  CHECK(contains(house({"add", "x", "--", "true"}).err, "--every"));
  CHECK(contains(house({"add", "x", "--every", "5m"}).err, "--shell LINE"));
  CHECK(contains(house({"add", "x", "--every", "5m", "--"}).err, "nothing follows"));
  CHECK(house({"add", "a b", "--every", "5m", "--", "true"}).code == 2);
  CHECK(house({"add", "x", "--every", "5m", "--", "true"}).code == 0);
  CHECK(house({"add", "x", "--every", "5m", "--", "true"}).code == 5);
  CHECK(house({"add", "x", "--every", "6m", "--replace", "--", "true"}).code == 0);
}

TEST_CASE("an unknown job is 3, with the nearest name") {
  const House house;
  add_backup(house);
  for (const char* command : {"show", "status", "trigger", "pause", "resume", "remove", "cancel",
                              "next", "runs", "logs"}) {
    CAPTURE(command);
    const Answer answer = house({command, "bakcup"});
    CHECK(answer.code == 3);
    CHECK(contains(answer.err, "backup"));
  }
}

TEST_CASE("pause and resume take names, all, or a tag, and exactly one of them") {
  const House house;
  add_backup(house);
  house({"add", "other", "--manual", "--", "/bin/true"});
  CHECK(house({"pause"}).code == 2);
  CHECK(house({"pause", "backup", "--all"}).code == 2);
  CHECK(house({"pause", "--tag", "nobody"}).code == 3);
  CHECK(house({"pause", "--tag", "db", "--json"}).json() == Json{{"paused", {"backup"}}});
  CHECK(house({"pause", "--all", "--json"}).json() == Json{{"paused", {"other"}}});
  CHECK(contains(house({"pause", "backup"}).out, "was paused already"));
  CHECK(house({"resume", "--all", "--json"}).json() == Json{{"resumed", {"backup", "other"}}});
}

TEST_CASE("without a daemon trigger queues, but does not wait") {
  const House house;
  add_backup(house);
  CHECK(house({"trigger", "backup", "--wait"}).code == 69);
  CHECK(house({"runs", "--json"}).json().empty());
  const Answer queued = house({"trigger", "backup", "--json"});
  CHECK(queued.code == 0);
  CHECK(queued.json()["state"] == "pending");
  CHECK(contains(queued.err, "no daemon is running"));
  CHECK(house({"trigger", "backup", "--exit-code"}).code == 2);
}

TEST_CASE("cancel takes a job, #RUN, or the bare number unless a job has that name") {
  const House house;
  add_backup(house);
  house({"trigger", "backup"});
  CHECK(house({"cancel", "1", "--json"}).json()[0]["state"] == "cancelled");
  CHECK(house({"cancel", "#1"}).code == 5);
  CHECK(house({"cancel", "backup"}).code == 5);
  CHECK(house({"cancel", "7"}).code == 3);
  house({"add", "7", "--manual", "--", "/bin/true"});
  CHECK(house({"cancel", "7"}).code == 5);
}

TEST_CASE("next tries a schedule without a job") {
  const House house;
  const Json fires = house({"next", "--json", "--cron", "30 2 * * *", "--from", "2027-03-28", "-n",
                            "2", "--timezone", "Europe/Berlin"})
                         .json();
  REQUIRE(fires.size() == 2);
  CHECK(keys_of(fires[0]) == std::vector<std::string>{"fire_time", "local", "note"});
  CHECK(fires[0]["fire_time"] == "2027-03-28T01:00:00Z");
  CHECK(fires[0]["local"] == "2027-03-28T03:00:00+02:00");
  CHECK(fires[0]["note"].is_string());
  CHECK(fires[1]["note"].is_null());
  CHECK(house({"next", "--cron", "bad"}).code == 2);
  CHECK(house({"next", "x", "--cron", "* * * * *"}).code == 2);
  CHECK(house({"next", "--timezone", "UTC"}).code == 2);
  CHECK(house({"next", "-n", "0"}).code == 2);
}

TEST_CASE("next merges the fires of all jobs in order") {
  const House house;
  house({"add", "slow", "--every", "1h", "--", "/bin/true"});
  house({"add", "quick", "--every", "25m", "--", "/bin/true"});
  house({"add", "paused", "--every", "1m", "--paused", "--", "/bin/true"});
  std::string order;
  for (const Json& fire : house({"next", "--json", "-n", "4"}).json())
    order += fire["job"].get<std::string>() + " ";
  CHECK(order == "quick quick slow quick ");
}

TEST_CASE("status of a daemon that does not run is 3, dead with a pidfile 1") {
  const House house;
  const Answer stopped = house({"status", "--json"});
  CHECK(stopped.code == 3);
  CHECK(keys_of(stopped.json()) == std::vector<std::string>{"alerts_open", "environment", "jobs",
                                                            "keeper_pid", "next_fire", "node",
                                                            "pid", "running", "runs_running",
                                                            "store", "uptime_s", "version"});
  CHECK(stopped.json()["running"] == false);
  CHECK(stopped.json()["pid"].is_null());
  std::filesystem::create_directory(house.root() + "/run");
  house.write("run/schedctl.pid", "4194000\n");
  CHECK(house({"status"}).code == 1);
  house.write("schedctl.toml", "nonsense = 1\n");
  CHECK(house({"status"}).code == 4);
}

TEST_CASE("commands about a daemon that does not run") {
  const House house;
  CHECK(house({"stop"}).code == 0);
  CHECK(contains(house({"stop"}).out, "not running"));
  CHECK(house({"reload"}).code == 69);
  CHECK(house({"reopen-logs"}).code == 69);
  const Outcome started = house.outcome({"restart"});
  CHECK(std::holds_alternative<StartRequest>(started));
}

TEST_CASE("start and keeper are handed on") {
  const House house;
  const Outcome started = house.outcome({"start", "--foreground", "--set", "max_running=3"});
  REQUIRE(std::holds_alternative<StartRequest>(started));
  CHECK(std::get<StartRequest>(started).foreground);
  CHECK(std::get<StartRequest>(started).loaded.config.max_running == 3);
  CHECK(std::get<StartRequest>(started).sources.own);
  const Outcome kept = cli::run(
      {"schedctl", "keeper", "--keeper-dir", "/a", "--output-dir", "/b", "--ready-fd", "5"});
  REQUIRE(std::holds_alternative<KeeperRequest>(kept));
  CHECK(std::get<KeeperRequest>(kept).paths.keeper_dir == "/a");
  CHECK(std::get<KeeperRequest>(kept).paths.output_dir == "/b");
  CHECK(std::get<KeeperRequest>(kept).ready_fd == 5);
}

TEST_CASE("who starts a keeper by hand is told that nobody needs to, or how it is a service") {
  const House house;
  const Answer bare = house({"keeper"});
  CHECK(bare.code == 2);
  CHECK(contains(bare.err, "the daemon starts its keeper itself"));
  CHECK(contains(bare.err, "schedctl keeper --external"));
}

TEST_CASE("validate names every error with its place, and counts what is right") {
  const House house;
  const std::string good = house.write("good.toml",
                                       "[job.a]\nevery = \"5m\"\ncommand = [\"/bin/true\"]\n"
                                       "[job.b]\ncron = \"0 4 * * *\"\nshell = \"x\"\n");
  const Answer valid = house({"validate", good});
  CHECK(valid.code == 0);
  CHECK(valid.out == "2 jobs in 1 file are valid\n");
  const std::string bad = house.write("bad.toml",
                                      "[job.c]\ncron = \"61 * * * *\"\nshell = \"x\"\n"
                                      "[job.d]\nevery = \"5m\"\ncommand = []\n");
  const Answer invalid = house({"validate", good, bad});
  CHECK(invalid.code == 78);
  CHECK(invalid.out.empty());
  CHECK(contains(invalid.err, bad + ":2:"));
  CHECK(house({"validate", house.root() + "/nothing"}).code == 78);
  CHECK(house({"validate", bad, "--json"}).json()["errors"].size() >= 1);
  CHECK_FALSE(std::filesystem::exists(house.root() + "/state"));
}

TEST_CASE("config names value, origin, flag and variable of each setting") {
  const House house;
  Json timezone;
  for (const Json& setting : house({"config", "--json"}).json())
    if (setting["key"] == "timezone") timezone = setting;
  CHECK(timezone["value"] == "Europe/Berlin");
  CHECK(contains(timezone["origin"].get<std::string>(), "schedctl.toml:3:"));
  CHECK(timezone["variable"] == "SCHEDCTL_TIMEZONE");
  CHECK(contains(timezone["flag"].get<std::string>(), "--set timezone="));
  CHECK(house({"config", "--set", "nonsense=1"}).code == 78);
}

TEST_CASE("help, version and no command at all") {
  const House house;
  CHECK(house({"--version"}).out == std::string("schedctl ") + version() + "\n");
  CHECK(house({"--version", "--json"}).json() == Json{{"version", version()}});
  CHECK(contains(house({"help"}).out, "schedctl add"));
  CHECK(house({"help", "add"}).out == house({"add", "--help"}).out);
  CHECK(house({"help", "ad"}).code == 2);
  CHECK(house({}).code == 2);
}

TEST_CASE("a full disk behind stdout is an error, a reader that has gone is none") {
  const House house;
  add_backup(house);
  const auto with_stdout = [&](int fd) {
    std::fflush(stdout);
    const int saved = ::dup(STDOUT_FILENO);
    ::dup2(fd, STDOUT_FILENO);
    Captured err(stderr);
    const Outcome outcome = house.outcome({"list", "--json"});
    ::dup2(saved, STDOUT_FILENO);
    ::close(saved);
    ::close(fd);
    return std::make_pair(std::get<Done>(outcome).exit_code, err.text());
  };
  const auto full = with_stdout(::open("/dev/full", O_WRONLY));
  CHECK(full.first == 1);
  CHECK(contains(full.second, "No space left on device"));
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  ::close(ends[0]);
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  const auto gone = with_stdout(ends[1]);
  std::signal(SIGPIPE, before);
  CHECK(gone.first == 0);
  CHECK(gone.second.empty());
}

}  // namespace
}  // namespace schedctl::cli
