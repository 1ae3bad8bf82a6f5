#include "schedctl/config/config.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/config/scratch.hpp"

using namespace schedctl;
using config::test::Scratch;

namespace {

constexpr uid_t kSomebody = 4242;

/// An ordinary user on a machine without a system-wide schedctl.
config::Sources user_sources(const Scratch& scratch) {
  config::Sources sources;
  sources.uid = ::geteuid() == 0 ? kSomebody : ::geteuid();
  sources.home = scratch.path("home");
  sources.system_config_file = scratch.path("etc/schedctl/schedctl.toml");
  sources.host_timezone = "Europe/Berlin";
  return sources;
}

config::Sources with_file(const Scratch& scratch, const std::string& text) {
  config::Sources sources = user_sources(scratch);
  sources.uid = ::geteuid();
  sources.own = true;
  sources.config_file = scratch.write("test.toml", text);
  return sources;
}

config::Loaded loaded(const config::Sources& sources) {
  auto result = config::load(sources);
  if (!result) FAIL(result.error().where << ": " << result.error().message);
  return std::move(*result);
}

Error refused(const config::Sources& sources) {
  const auto result = config::load(sources);
  REQUIRE_FALSE(result);
  return result.error();
}

Error refused_file(const std::string& text) {
  const Scratch scratch;
  Error error = refused(with_file(scratch, text));
  const std::string prefix = scratch.path("test.toml");
  if (error.where.starts_with(prefix)) error.where = "F" + error.where.substr(prefix.size());
  return error;
}

const config::Setting& setting(const config::Loaded& from, const std::string& key) {
  const auto found = std::find_if(from.settings.begin(), from.settings.end(),
                                  [&key](const config::Setting& s) { return s.key == key; });
  REQUIRE(found != from.settings.end());
  return *found;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("without any source, a user's own daemon lives under the XDG directories") {
  const Scratch scratch;
  const config::Config config = loaded(user_sources(scratch)).config;
  const std::string state = scratch.path("home/.local/state/schedctl");
  CHECK(config.own);
  CHECK(config.config_file.empty());
  CHECK(config.state_dir == state);
  CHECK(config.store == "sqlite:" + state + "/schedctl.db");
  CHECK(config.sqlite_path() == state + "/schedctl.db");
  CHECK(config.runtime_dir == state + "/run");
  CHECK(config.log_file == state + "/info.log");
  CHECK(config.jobs_dirs == std::vector<std::string>{scratch.path("home/.config/schedctl/jobs.d")});
  CHECK(config.timezone == "Europe/Berlin");
  CHECK(config.max_running == 100);
  CHECK(config.stop_timeout == std::chrono::seconds(30));
  CHECK(config.on_sigterm == config::OnSigterm::drain);
  CHECK(config.keeper == config::KeeperFrom::spawn);
  CHECK(config.keeper_dir == state + "/keeper");
}

TEST_CASE("XDG variables move a user's own places, and relative ones are ignored") {
  const Scratch scratch;
  config::Sources sources = user_sources(scratch);
  sources.environment = {{"XDG_STATE_HOME", "/s"}, {"XDG_CONFIG_HOME", "relative"}};
  const config::Config config = loaded(sources).config;
  CHECK(config.state_dir == "/s/schedctl");
  CHECK(config.jobs_dirs == std::vector<std::string>{scratch.path("home/.config/schedctl/jobs.d")});
}

TEST_CASE("a user without a home directory is told which variables to set") {
  const Scratch scratch;
  config::Sources sources = user_sources(scratch);
  sources.home.clear();
  const Error error = refused(sources);
  CHECK(error.kind == ErrorKind::config);
  CHECK(contains(error.message, "XDG_STATE_HOME"));
}

TEST_CASE("root uses the machine's places") {
  const Scratch scratch;
  config::Sources sources = user_sources(scratch);
  sources.uid = 0;
  const config::Config config = loaded(sources).config;
  CHECK_FALSE(config.own);
  CHECK(config.state_dir == "/var/lib/schedctl");
  CHECK(config.runtime_dir == "/run/schedctl");
  CHECK(config.log_file == "/var/log/schedctl/info.log");
  CHECK(config.jobs_dirs == std::vector<std::string>{scratch.path("etc/schedctl/jobs.d")});
  CHECK(config.lock_file() == "/run/schedctl/schedctl.lock");
}

TEST_CASE("the machine's daemon or settings file is everybody's default, unless --own is given") {
  const Scratch scratch;
  config::Sources sources = user_sources(scratch);
  sources.system_daemon = true;
  CHECK_FALSE(loaded(sources).config.own);
  sources.own = true;
  CHECK(loaded(sources).config.own);
  sources.own = false;
  sources.environment["SCHEDCTL_OWN"] = "1";
  CHECK(loaded(sources).config.own);
  sources.environment["SCHEDCTL_OWN"] = "maybe";
  CHECK(refused(sources).where == "SCHEDCTL_OWN");

  config::Sources with_system_file = user_sources(scratch);
  with_system_file.uid = ::geteuid();
  scratch.write("etc/schedctl/schedctl.toml", "environment = \"production\"\n");
  const config::Config config = loaded(with_system_file).config;
  if (::geteuid() != 0) CHECK_FALSE(config.own);
  CHECK(config.environment == "production");
  CHECK(config.config_file == scratch.path("etc/schedctl/schedctl.toml"));
}

TEST_CASE("flags win over the environment, the environment over the file, the file over defaults") {
  const Scratch scratch;
  config::Sources sources = with_file(scratch,
                                      "max_running = 1\n"
                                      "stop_timeout = \"1s\"\n"
                                      "environment = \"file\"\n");
  sources.environment = {{"SCHEDCTL_STOP_TIMEOUT", "2s"}, {"SCHEDCTL_ENVIRONMENT", "env"}};
  sources.set = {{"environment", "flag"}, {"environment", "last flag"}};
  const config::Loaded all = loaded(sources);
  CHECK(all.config.max_running == 1);
  CHECK(all.config.stop_timeout == std::chrono::seconds(2));
  CHECK(all.config.environment == "last flag");
  CHECK(setting(all, "max_running").origin == scratch.path("test.toml") + ":1:1");
  CHECK(setting(all, "stop_timeout").origin == "SCHEDCTL_STOP_TIMEOUT");
  CHECK(setting(all, "environment").origin == "--set");
  CHECK(setting(all, "log_level").origin == "default");
  CHECK(setting(all, "log_level").value == "info");
}

TEST_CASE("of the slots of a node and of an executor the fewer count, and are named") {
  const Scratch scratch;
  const auto slots = [&](const std::string& text) {
    return loaded(with_file(scratch, text)).config.command_slots();
  };
  CHECK(slots("").most == 100);
  CHECK(slots("").setting == "max_running");
  CHECK(slots("[executors.command]\nmax_running = 3\n").most == 3);
  CHECK(slots("executors.command.max_running = 3\n").setting == "executors.command.max_running");
  CHECK(slots("max_running = 2\nexecutors.command.max_running = 3\n").most == 2);
  CHECK(slots("max_running = 2\nexecutors.command.max_running = 3\n").setting == "max_running");
}

TEST_CASE("the address of a webhook is a secret that nothing prints, and may lie in a file") {
  const Scratch scratch;
  config::Sources sources = user_sources(scratch);
  sources.set = {{"alerts.slack.webhook_url", "https://hooks.example/T/B/secret"}};
  config::Loaded all = loaded(sources);
  CHECK(setting(all, "alerts.slack.webhook_url").value == "***");
  CHECK(*config::slack_webhook_url(all.config) == "https://hooks.example/T/B/secret");
  CHECK(all.config.alerts.notifiers() == std::vector<std::string>{"slack"});
  const std::string file = scratch.write("slack_url", "  https://hooks.example/from/file\n");
  sources.set = {{"alerts.slack.webhook_url", "https://hooks.example/T/B/secret"},
                 {"alerts.slack.webhook_url_file", file}};
  all = loaded(sources);
  CHECK(setting(all, "alerts.slack.webhook_url").value.empty());
  CHECK(*config::slack_webhook_url(all.config) == "https://hooks.example/from/file");
  sources.set = {};
  all = loaded(sources);
  CHECK(all.config.alerts.notifiers().empty());
  CHECK(config::slack_webhook_url(all.config)->empty());
  CHECK(config::heartbeat_address(all.config)->empty());
}

TEST_CASE("an address that is none is refused without being repeated") {
  const Scratch scratch;
  for (const char* bad : {"hooks.example/secret", "ftp://hooks.example/secret", "https:///secret",
                          "https://hooks example/secret", "http://:80/secret"}) {
    CAPTURE(bad);
    config::Sources sources = user_sources(scratch);
    sources.set = {{"heartbeat_url", bad}};
    const auto refused = config::load(sources);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().message.find("secret") == std::string::npos);
    CHECK(refused.error().message.find("heartbeat_url") != std::string::npos);
    sources.set = {{"heartbeat_url_file", scratch.write("bad", bad)}};
    const config::Loaded all = loaded(sources);
    const auto address = config::heartbeat_address(all.config);
    REQUIRE_FALSE(address.has_value());
    CHECK(address.error().kind == ErrorKind::config);
    CHECK(address.error().message.find("secret") == std::string::npos);
  }
}

TEST_CASE(
    "a secret's file that is missing, empty or anybody's to write is an error that names it") {
  const Scratch scratch;
  config::Sources sources = user_sources(scratch);
  sources.set = {{"alerts.slack.webhook_url_file", scratch.path("none")}};
  config::Loaded all = loaded(sources);
  CHECK(config::slack_webhook_url(all.config).error().kind == ErrorKind::config);
  CHECK(config::slack_webhook_url(all.config).error().message.find("none") != std::string::npos);
  sources.set = {{"alerts.slack.webhook_url_file", scratch.write("empty", "\n")}};
  all = loaded(sources);
  CHECK(config::slack_webhook_url(all.config).error().kind == ErrorKind::config);
  const std::string open = scratch.write("open", "https://hooks.example/x");
  REQUIRE(::chmod(open.c_str(), 0666) == 0);
  sources.set = {{"alerts.slack.webhook_url_file", open}};
  all = loaded(sources);
  CHECK(config::slack_webhook_url(all.config).error().kind == ErrorKind::config);
}

TEST_CASE("an address and its file in one settings file contradict each other") {
  const Scratch scratch;
  config::Sources sources = user_sources(scratch);
  sources.config_file = scratch.write(
      "test.toml", "[alerts.slack]\nwebhook_url = \"https://a/b\"\nwebhook_url_file = \"/x\"\n");
  const auto refused = config::load(sources);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message.find("keep one") != std::string::npos);
  CHECK(refused.error().where == scratch.path("test.toml") + ":3:1");
}

TEST_CASE("a notifier's unknown key is an error with the nearest one") {
  const Scratch scratch;
  config::Sources sources = user_sources(scratch);
  sources.config_file =
      scratch.write("test.toml", "[alerts.slack]\nwebhok_url = \"https://a/b\"\n");
  const auto refused = config::load(sources);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message.find("alerts.slack.webhook_url") != std::string::npos);
}

TEST_CASE("every setting can be given as a variable, and says which") {
  const Scratch scratch;
  config::Sources sources = user_sources(scratch);
  // A daemon of one's own has no other user.
  sources.system_daemon = true;
  sources.environment = {{"SCHEDCTL_STORE", "sqlite:/d/x.db"},
                         {"SCHEDCTL_DAEMON_USER", "schedctl"},
                         {"SCHEDCTL_JOB_USER", "jobs"},
                         {"SCHEDCTL_STATE_DIR", "/d/state"},
                         {"SCHEDCTL_RUNTIME_DIR", "/d/run"},
                         {"SCHEDCTL_LOG_FILE", "/d/log"},
                         {"SCHEDCTL_LOG_LEVEL", "debug"},
                         {"SCHEDCTL_JOBS_DIRS", "/d/a:/d/b"},
                         {"SCHEDCTL_ENVIRONMENT", "test"},
                         {"SCHEDCTL_TIMEZONE", "Asia/Tokyo"},
                         {"SCHEDCTL_MAX_RUNNING", "5"},
                         {"SCHEDCTL_EXECUTORS_COMMAND_MAX_RUNNING", "4"},
                         {"SCHEDCTL_STOP_TIMEOUT", "1m"},
                         {"SCHEDCTL_ON_SIGTERM", "leave"},
                         {"SCHEDCTL_KEEPER", "external"},
                         {"SCHEDCTL_KEEPER_DIR", "/k"},
                         {"SCHEDCTL_DEFAULTS_OVERLAP", "skip"},
                         {"SCHEDCTL_DEFAULTS_MISFIRE_GRACE", "5m"},
                         {"SCHEDCTL_DEFAULTS_COALESCE", "all"},
                         {"SCHEDCTL_DEFAULTS_JITTER", "3s"},
                         {"SCHEDCTL_DEFAULTS_TIMEOUT", "2h"},
                         {"SCHEDCTL_DEFAULTS_KILL_GRACE", "4s"},
                         {"SCHEDCTL_DEFAULTS_MAX_ATTEMPTS", "3"},
                         {"SCHEDCTL_DEFAULTS_BACKOFF", "9s"},
                         {"SCHEDCTL_DEFAULTS_MAX_DELAY", "9m"},
                         {"SCHEDCTL_DEFAULTS_ON_LOST", "retry"},
                         {"SCHEDCTL_DEFAULTS_ALERT_GRACE", "2m"},
                         {"SCHEDCTL_DEFAULTS_MAX_CATCHUP", "7"},
                         {"SCHEDCTL_DEFAULTS_CATCHUP_SPREAD", "8m"},
                         {"SCHEDCTL_DEFAULTS_MAX_WAIT", "1h"},
                         {"SCHEDCTL_DEFAULTS_MAX_RUNS", "9"},
                         {"SCHEDCTL_DEFAULTS_MAX_INSTANCES", "4"},
                         {"SCHEDCTL_DEFAULTS_MAX_QUEUED", "5"},
                         {"SCHEDCTL_DEFAULTS_SUCCESS_CODES", "0,2"},
                         {"SCHEDCTL_DEFAULTS_STOP_SIGNAL", "SIGINT"},
                         {"SCHEDCTL_DEFAULTS_KEEP_CHILDREN", "true"},
                         {"SCHEDCTL_DEFAULTS_SUCCESS_MATCH", "^ok"},
                         {"SCHEDCTL_DEFAULTS_FAIL_MATCH", "bad"},
                         {"SCHEDCTL_DEFAULTS_MIN_OUTPUT", "1KiB"},
                         {"SCHEDCTL_DEFAULTS_GROUP", "db"},
                         {"SCHEDCTL_DEFAULTS_PRIORITY", "3"},
                         {"SCHEDCTL_DEFAULTS_USER", "app"},
                         {"SCHEDCTL_DEFAULTS_UMASK", "0077"},
                         {"SCHEDCTL_DEFAULTS_ENV_FILE", "/d/e"},
                         {"SCHEDCTL_DEFAULTS_STDIN_FILE", "/d/in"},
                         {"SCHEDCTL_DEFAULTS_STDIN", "x"},
                         {"SCHEDCTL_DEFAULTS_NICE", "4"},
                         {"SCHEDCTL_DEFAULTS_IONICE", "idle"},
                         {"SCHEDCTL_DEFAULTS_LIMIT_AS", "1GiB"},
                         {"SCHEDCTL_DEFAULTS_LIMIT_CORE", "0B"},
                         {"SCHEDCTL_DEFAULTS_LIMIT_CPU", "1m"},
                         {"SCHEDCTL_DEFAULTS_LIMIT_FSIZE", "1GiB"},
                         {"SCHEDCTL_DEFAULTS_LIMIT_NOFILE", "64"},
                         {"SCHEDCTL_DEFAULTS_LIMIT_NPROC", "65"},
                         {"SCHEDCTL_DEFAULTS_OOM_SCORE_ADJ", "66"},
                         {"SCHEDCTL_DEFAULTS_MEMORY_MAX", "1MiB"},
                         {"SCHEDCTL_DEFAULTS_CPU_MAX", "50%"},
                         {"SCHEDCTL_DEFAULTS_PIDS_MAX", "67"},
                         {"SCHEDCTL_DEFAULTS_OUTPUT", "log"},
                         {"SCHEDCTL_DEFAULTS_MAX_OUTPUT", "2MiB"},
                         {"SCHEDCTL_HEARTBEAT_URL_FILE", "/d/heartbeat"},
                         {"SCHEDCTL_HEARTBEAT_INTERVAL", "30s"},
                         {"SCHEDCTL_RETENTION_MAX_AGE", "30d"},
                         {"SCHEDCTL_RETENTION_MAX_RUNS", "50"},
                         {"SCHEDCTL_RETENTION_MAX_OUTPUT_BYTES", "1GiB"},
                         {"SCHEDCTL_ALERTS_REALERT_AFTER", "6h"},
                         {"SCHEDCTL_ALERTS_FLAP_WINDOW", "10m"},
                         {"SCHEDCTL_ALERTS_SLACK_WEBHOOK_URL_FILE", "/d/slack"},
                         {"SCHEDCTL_ALERTS_SLACK_CHANNEL", "#ops"},
                         {"SCHEDCTL_ALERTS_SLACK_USERNAME", "schedctl"}};
  // The two addresses can be given in place of their files.
  constexpr std::size_t kAddresses = 2;
  const config::Loaded all = loaded(sources);
  CHECK(all.warnings.empty());
  // And one is in the file or nowhere.
  CHECK(all.settings.size() == sources.environment.size() + kAddresses + 1);
  for (const config::Setting& one : all.settings) {
    CAPTURE(one.key);
    if (one.key == "allow_users") continue;
    if (one.key == "heartbeat_url" || one.key == "alerts.slack.webhook_url") continue;
    CHECK(one.origin == one.variable);
    REQUIRE(sources.environment.count(one.variable) == 1);
    if (one.key != "jobs_dirs") CHECK(one.value == sources.environment[one.variable]);
  }
  CHECK(setting(all, "jobs_dirs").value == "/d/a, /d/b");
  CHECK(all.config.defaults.max_attempts == 3);
  CHECK(all.config.on_sigterm == config::OnSigterm::leave);
}

TEST_CASE("the users that jobs may run as are in the file, by name, and nowhere else") {
  const Scratch scratch;
  config::Sources sources = user_sources(scratch);
  scratch.write("given.toml", "allow_users = [\"backup\", \"www-data\"]\n");
  sources.config_file = scratch.path("given.toml");
  sources.environment = {{"SCHEDCTL_ALLOW_USERS", "nobody"}};
  const config::Loaded all = loaded(sources);
  CHECK(all.config.allow_users == std::vector<std::string>{"backup", "www-data"});
  CHECK(setting(all, "allow_users").value == "backup, www-data");
  CHECK(setting(all, "allow_users").variable.empty());
  REQUIRE(all.warnings.size() == 1);
  CHECK(contains(all.warnings[0], "SCHEDCTL_ALLOW_USERS"));
  sources.set = {{"allow_users", "nobody"}};
  const auto set = config::load(sources);
  REQUIRE_FALSE(set);
  CHECK(set.error().message == "allow_users is set in the settings file only");
  CHECK(refused_file("allow_users = [\"0\"]\n").where == "F:1:15");
  CHECK(refused_file("allow_users = [\"a b\"]\n").where == "F:1:15");
  CHECK(refused_file("allow_users = [\"\"]\n").where == "F:1:15");
  CHECK(refused_file("allow_users = \"root\"\n").where == "F:1:15");
}

TEST_CASE("jobs run as job_user, which is daemon_user unless something else is said") {
  const Scratch scratch;
  bool own = false;
  const auto load = [&](const std::string& text) {
    config::Sources sources = with_file(scratch, text);
    sources.own = own;
    sources.system_daemon = !own;
    return config::load(sources);
  };
  CHECK(load("")->config.daemon_user.empty());
  CHECK(load("")->config.job_user.empty());
  const auto one = load("daemon_user = \"schedctl\"\n");
  CHECK(one->config.daemon_user == "schedctl");
  CHECK(one->config.job_user == "schedctl");
  const auto two = load("daemon_user = \"schedctl\"\njob_user = \"jobs\"\n");
  CHECK(two->config.daemon_user == "schedctl");
  CHECK(two->config.job_user == "jobs");
  const auto half = load("job_user = \"jobs\"\n");
  REQUIRE_FALSE(half);
  CHECK(half.error().kind == ErrorKind::config);
  CHECK(half.error().message.find("daemon_user") != std::string::npos);
  CHECK(half.error().where.ends_with(":1:1"));
  CHECK(refused_file("daemon_user = \"0\"\n").where == "F:1:15");
  CHECK(refused_file("daemon_user = \"-x\"\n").where == "F:1:15");
  CHECK(refused_file("job_user = \"a b\"\n").where == "F:1:12");
  // A user's own daemon is nobody else's.
  own = true;
  CHECK(load("daemon_user = \"schedctl\"\njob_user = \"jobs\"\n")->config.daemon_user.empty());
  CHECK(load("job_user = \"jobs\"\n")->config.job_user.empty());
}

TEST_CASE("what schedctl makes in its directories is told from what others put there") {
  config::Config config;
  config.store = "sqlite:/s/schedctl.db";
  config.state_dir = "/s";
  config.keeper_dir = "/s/keeper";
  config.runtime_dir = "/s/run";
  config.log_file = "/var/log/info.log";
  for (const char* ours : {"schedctl.db", "schedctl.db-wal", "schedctl.db.lock", "node-id",
                           "output", "keeper", "last-keeper", "run"}) {
    CAPTURE(ours);
    CHECK(config.is_own_file("/s", ours));
  }
  for (const char* other : {"payroll.xls", "info.log", "running", "schedctl", ""}) {
    CAPTURE(other);
    CHECK_FALSE(config.is_own_file("/s", other));
  }
  CHECK(config.is_own_file("/s/run", "schedctl.pid.new"));
  CHECK_FALSE(config.is_own_file("/s/run", "node-id"));
  CHECK(config.is_own_file("/var/log", "info.log.1.gz"));
  CHECK_FALSE(config.is_own_file("/var/log", "syslog"));
}

TEST_CASE("unknown variables are a warning with the nearest name, those handed to jobs are none") {
  const Scratch scratch;
  config::Sources sources = user_sources(scratch);
  sources.environment = {{"SCHEDCTL_PORT", "tcp://10.0.0.1:80"},
                         {"SCHEDCTL_STOP_TIMEOT", "1s"},
                         {"SCHEDCTL_RUN_ID", "1"},
                         {"SCHEDCTL_JOB", "x"},
                         {"SCHEDCTL_FIRE_TIME", "x"},
                         {"SCHEDCTL_ATTEMPT", "1"},
                         {"SCHEDCTL_KEY", "x"},
                         {"PATH", "/bin"}};
  const config::Loaded all = loaded(sources);
  REQUIRE(all.warnings.size() == 2);
  CHECK(contains(all.warnings[0], "SCHEDCTL_PORT"));
  CHECK_FALSE(contains(all.warnings[0], "did you mean"));
  CHECK(contains(all.warnings[1], "SCHEDCTL_STOP_TIMEOUT"));
  CHECK(setting(all, "stop_timeout").origin == "default");
}

TEST_CASE("[defaults] holds policies, retries flat or in a table of their own") {
  const Scratch scratch;
  const config::Config config = loaded(with_file(scratch,
                                                 "[defaults]\n"
                                                 "misfire_grace = \"2h\"\n"
                                                 "retry = { max_attempts = 3, backoff = \"5s\" }\n"
                                                 "max_delay = \"1m\"\n"))
                                    .config;
  CHECK(config.defaults.misfire_grace == std::chrono::hours(2));
  CHECK(config.defaults.max_attempts == 3);
  CHECK(config.defaults.backoff == std::chrono::seconds(5));
  CHECK(config.defaults.max_delay == std::chrono::minutes(1));
  CHECK_FALSE(config.defaults.timeout);

  const Error twice = refused_file("[defaults]\nbackoff = \"1s\"\nretry = { backoff = \"2s\" }\n");
  CHECK(twice.where == "F:3:11");
  CHECK(contains(twice.message, ":2:1"));
  CHECK(refused_file("[defaults]\nretry = { timeout = \"2s\" }\n").where == "F:2:11");
}

TEST_CASE("an unknown key in the file is an error at its place, with the nearest name") {
  const Error error = refused_file("log_level = \"info\"\nstop_timeot = \"3s\"\n");
  CHECK(error.kind == ErrorKind::config);
  CHECK(error.where == "F:2:1");
  CHECK(contains(error.message, "stop_timeout"));
  CHECK(contains(refused_file("[default]\ntimeout = \"1h\"\n").message, "defaults"));
  CHECK(contains(refused_file("[defaults]\nmisfire_grac = \"1h\"\n").message,
                 "defaults.misfire_grace"));
}

TEST_CASE("an unknown key in --set is an error with the nearest name") {
  const Scratch scratch;
  config::Sources sources = user_sources(scratch);
  sources.set = {{"log_levle", "info"}};
  const Error error = refused(sources);
  CHECK(error.where == "--set");
  CHECK(contains(error.message, "log_level"));
}

TEST_CASE("jobs in the settings file are an error that points to jobs_dirs") {
  const Error error = refused_file("[job.a]\nevery = \"5m\"\n");
  CHECK(error.kind == ErrorKind::config);
  CHECK(contains(error.message, "jobs_dirs"));
}

TEST_CASE("values that cannot be are refused at their place") {
  CHECK(refused_file("max_running = 0\n").where == "F:1:15");
  CHECK(refused_file("max_running = 10001\n").where == "F:1:15");
  CHECK(refused_file("max_running = 1.5\n").where == "F:1:15");
  CHECK(refused_file("executors.command.max_running = 0\n").where == "F:1:33");
  CHECK(refused_file("stop_timeout = 30\n").where == "F:1:16");
  CHECK(refused_file("stop_timeout = \"30\"\n").where == "F:1:16");
  CHECK(refused_file("stop_timeout = \"999999999999999999999h\"\n").where == "F:1:16");
  CHECK(refused_file("log_level = \"loud\"\n").where == "F:1:13");
  CHECK(refused_file("on_sigterm = \"die\"\n").where == "F:1:14");
  CHECK(refused_file("keeper = \"root\"\n").where == "F:1:10");
  CHECK(refused_file("keeper_dir = \"keeper\"\n").where == "F:1:14");
  CHECK(refused_file("environment = 5\n").where == "F:1:15");
  CHECK(refused_file("environment = \"a\\nb\"\n").where == "F:1:15");
  CHECK(refused_file("timezone = \"\"\n").where == "F:1:12");
  CHECK(refused_file("state_dir = \"relative\"\n").where == "F:1:13");
  CHECK(refused_file("jobs_dirs = \"/etc\"\n").where == "F:1:13");
  CHECK(refused_file("jobs_dirs = [1]\n").where == "F:1:14");
  CHECK(refused_file("[defaults]\noverlap = \"sometimes\"\n").where == "F:2:11");
  CHECK(refused_file("[defaults]\nmax_attempts = 0\n").where == "F:2:16");
  CHECK(refused_file("defaults = 3\n").where == "F:1:1");
  for (const char* text : {"max_running = 0\n", "stop_timeout = 30\n"}) {
    CHECK(refused_file(text).kind == ErrorKind::config);
  }
}

TEST_CASE("a syntax error is shown with file, line and column") {
  const Error error = refused_file("log_level = \"info\"\nstore = \n");
  CHECK(error.kind == ErrorKind::config);
  CHECK(error.where.starts_with("F:2:"));
  CHECK(refused_file("x = \"\xff\xfe\"\n").where.starts_with("F:1:"));
}

TEST_CASE("the store is sqlite:PATH, absolute or counted from the working directory by --store") {
  const Scratch scratch;
  config::Sources sources = user_sources(scratch);
  sources.set = {{"store", "sqlite:/from/set.db"}};
  sources.store = "sqlite:x/../y.db";
  CHECK(loaded(sources).config.sqlite_path() ==
        (std::filesystem::current_path() / "y.db").string());
  sources.store.reset();
  CHECK(loaded(sources).config.sqlite_path() == "/from/set.db");

  sources.store = "postgresql://db/x";
  const Error postgres = refused(sources);
  CHECK(postgres.where == "--store");
  CHECK(contains(postgres.message, "not available in this version"));
  for (const char* text : {"", "mysql:x", "sqlite:", "sqlite:/", "sqlite::memory:", "/x/y.db"}) {
    CAPTURE(text);
    sources.store = text;
    CHECK(refused(sources).kind == ErrorKind::config);
  }
  CHECK(refused_file("store = \"sqlite:x.db\"\n").where == "F:1:9");
}

TEST_CASE("<state_dir> in the store's path is the state directory, wherever that was set") {
  const Scratch scratch;
  config::Sources sources =
      with_file(scratch, "store = \"sqlite:<state_dir>/jobs.db\"\nstate_dir = \"/a/b/\"\n");
  CHECK(loaded(sources).config.store == "sqlite:/a/b/jobs.db");
  CHECK(loaded(sources).config.runtime_dir == "/a/b/run");
  sources.environment["SCHEDCTL_STATE_DIR"] = "/c";
  CHECK(loaded(sources).config.store == "sqlite:/c/jobs.db");
}

TEST_CASE("an empty log file, or -, means stderr") {
  const Scratch scratch;
  CHECK(loaded(with_file(scratch, "log_file = \"\"\n")).config.log_file.empty());
  CHECK(loaded(with_file(scratch, "log_file = \"-\"\n")).config.log_file.empty());
}

TEST_CASE("the file given with --config must exist and be a file") {
  const Scratch scratch;
  config::Sources sources = user_sources(scratch);
  sources.config_file = scratch.path("missing.toml");
  CHECK(refused(sources).kind == ErrorKind::config);
  sources.config_file = scratch.root();
  CHECK(contains(refused(sources).message, "directory"));
  sources.config_file = "";
  CHECK(refused(sources).where == "--config");
}

TEST_CASE("a settings file that others could have written is refused") {
  const Scratch scratch;
  config::Sources sources = with_file(scratch, "");
  ::chmod(sources.config_file->c_str(), 0664);
  const Error group = refused(sources);
  CHECK(group.kind == ErrorKind::config);
  CHECK(contains(group.message, "chmod"));
  ::chmod(sources.config_file->c_str(), 0646);
  CHECK(refused(sources).kind == ErrorKind::config);
  ::chmod(sources.config_file->c_str(), 0600);
  CHECK(loaded(sources).config.config_file == *sources.config_file);
}

TEST_CASE("a settings file of another user is refused, root's is not") {
  const Scratch scratch;
  config::Sources sources = with_file(scratch, "");
  sources.uid = ::geteuid() + 1;
  if (::geteuid() != 0) {
    CHECK(contains(refused(sources).message, "belongs"));
    return;
  }
  CHECK(config::load(sources));
  REQUIRE(::chown(sources.config_file->c_str(), kSomebody, kSomebody) == 0);
  CHECK(contains(refused(sources).message, "belongs"));
  sources.uid = kSomebody;
  CHECK(config::load(sources));
}

TEST_CASE("a settings file over 16 MiB, or one that is no file, is refused") {
  const Scratch scratch;
  CHECK(contains(refused(with_file(scratch, std::string(16 * 1024 * 1024 + 1, '#'))).message,
                 "16 MiB"));
  config::Sources sources = user_sources(scratch);
  sources.config_file = scratch.path("fifo");
  REQUIRE(::mkfifo(sources.config_file->c_str(), 0600) == 0);
  CHECK(contains(refused(sources).message, "regular"));
}

TEST_CASE("the process's sources are its environment, its user and its home") {
  ::setenv("SCHEDCTL_TEST_ONLY", "a=b", 1);
  const config::Sources sources = config::process_sources();
  ::unsetenv("SCHEDCTL_TEST_ONLY");
  CHECK(sources.environment.at("SCHEDCTL_TEST_ONLY") == "a=b");
  CHECK(sources.uid == ::geteuid());
  CHECK(sources.host_timezone.empty());
  CHECK_FALSE(sources.system_daemon);
}
