// Commands as other users than the keeper's. Root is needed for most of it; without root these
// tests say so.

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <tuple>

#include "living_keeper.hpp"
#include "schedctl/host/privilege.hpp"
#include "schedctl/keeper/allowed.hpp"
#include "src/keeper/order.hpp"

namespace schedctl::keeper {
namespace {

using namespace test;

/// Not /tmp, where anybody may put things: the keeper trusts no config file there.
class RootsPlace {
 public:
  RootsPlace() {
    std::string path = "/run/schedctl-keeper-XXXXXX";
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    path_ = path;
    REQUIRE(::chmod(path_.c_str(), 0755) == 0);
  }
  RootsPlace(const RootsPlace&) = delete;
  RootsPlace& operator=(const RootsPlace&) = delete;
  ~RootsPlace() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  std::string config(const std::string& text, const std::string& name = "schedctl.toml") const {
    std::ofstream(path_ + "/" + name) << text;
    ::chmod((path_ + "/" + name).c_str(), 0644);
    return path_ + "/" + name;
  }
  KeeperPaths paths(const std::string& config_file) const {
    return {path_ + "/keeper", path_ + "/output", config_file};
  }

 private:
  std::string path_;
};

bool is_root() {
  if (::geteuid() == 0) return true;
  MESSAGE("skipped: another user's commands need root");
  return false;
}

constexpr const char* kAllowed = "allow_users = [\"nobody\", \"daemon\", \"no-such-user\"]\n";

/// A root keeper that may run commands as nobody and daemon.
struct Rooted {
  explicit Rooted(
      const std::function<void()>& before = [] {}, const char* config = kAllowed)
      : keeper(place.paths(place.config(config)), before), daemon(place.paths("")) {}
  RootsPlace place;
  KeeperProcess keeper;
  Daemon daemon;
};

StartOrder as_user(StartOrder order, const std::string& user) {
  order.terms.user = user;
  return order;
}

std::pair<Stage, int> failure_of(Daemon& daemon, const StartOrder& order) {
  const std::size_t before = daemon.failed.size();
  daemon.client->start(order);
  const std::size_t ran = daemon.ended.size();
  daemon.until([&] { return daemon.failed.size() > before || daemon.ended.size() > ran; });
  if (daemon.failed.size() == before)
    FAIL("it ran: " << read_file(daemon.ended.back().output_path));
  return {daemon.failed.back().stage, daemon.failed.back().error_number};
}

std::string line_of(const std::string& text, const std::string& name) {
  const std::size_t at = text.find("\n" + name + ":");
  REQUIRE(at != std::string::npos);
  return text.substr(at + 1, text.find('\n', at + 1) - at - 1);
}

TEST_CASE("a command of another user has that user's ids and groups, and nothing of root's") {
  if (!is_root()) return;
  // The keeper's own groups must not be among them.
  Rooted world([] {
    const gid_t own[] = {0, 4, 54'321};
    if (::setgroups(3, own) != 0) ::_exit(9);
  });
  for (const std::string name : {"nobody", "daemon"}) {
    CAPTURE(name);
    const passwd* user = ::getpwnam(name.c_str());
    REQUIRE(user != nullptr);
    const std::string uid = std::to_string(user->pw_uid);
    const std::string gid = std::to_string(user->pw_gid);
    StartOrder order = as_user(order_of(user->pw_uid, {"cat", "/proc/self/status"}), name);
    const Ended ended = world.daemon.run(order);
    const std::string status = read_file(ended.output_path);
    CHECK(line_of(status, "Uid") == "Uid:\t" + uid + "\t" + uid + "\t" + uid + "\t" + uid);
    CHECK(line_of(status, "Gid") == "Gid:\t" + gid + "\t" + gid + "\t" + gid + "\t" + gid);
    CHECK(line_of(status, "Groups") == "Groups:\t" + gid + " ");
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
      CHECK(line_of(status, set) == std::string(set) + ":\t0000000000000000");
    }
    for (const char* what : {"SigBlk", "SigIgn", "SigCgt"}) {
      CHECK(line_of(status, what) == std::string(what) + ":\t0000000000000000");
    }
  }
}

TEST_CASE("a command of another user cannot become root again, and has three descriptors") {
  if (!is_root()) return;
  Rooted world([] { ::open("/etc/shadow", O_RDONLY); });
  const Ended ended =
      world.daemon.run(as_user(shell(1,
                                     "setpriv --reuid 0 true 2>/dev/null && echo root again; "
                                     "setpriv --regid 0 true 2>/dev/null && echo group again; "
                                     "cat /etc/shadow 2>/dev/null | head -c1; for fd in "
                                     "/proc/$$/fd/*; do [ -e $fd ] && basename $fd; "
                                     "done"),
                               "nobody"));
  CHECK(read_file(ended.output_path) == "0\n1\n2\n");
}

TEST_CASE("securebits that keep capabilities over a change of user are no way around it") {
  if (!is_root()) return;
  RootsPlace place;
  const std::string config = place.config(kAllowed);
  KeeperProcess keeper(place.paths(config), [] {
    // SECBIT_NO_SETUID_FIXUP
    if (::prctl(PR_SET_SECUREBITS, 1 << 2) != 0) ::_exit(9);
  });
  REQUIRE(keeper.said() == "R");
  Daemon daemon(place.paths(""));
  const std::string status = read_file(
      daemon.run(as_user(order_of(1, {"cat", "/proc/self/status"}), "nobody")).output_path);
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
    CHECK(line_of(status, set) == std::string(set) + ":\t0000000000000000");
  }
}

TEST_CASE("a step of becoming another user that fails, or only seems to succeed, ends the start") {
  if (!is_root()) return;
  if (::access("/usr/bin/strace", X_OK) != 0) {
    MESSAGE("skipped: no strace to make system calls fail");
    return;
  }
  for (const std::string fault :
       {"setgroups:error=EPERM", "setresgid:error=EAGAIN", "setresuid:error=EAGAIN",
        "setresuid:retval=0", "setresgid:retval=0", "capset:error=EPERM", "fchown:error=EIO"}) {
    CAPTURE(fault);
    Rooted world;
    const std::string ran = world.place / "ran";
    const std::string line =
        "exec strace -f -qq -o /dev/null -e trace=" + fault.substr(0, fault.find(':')) +
        " -e inject=" + fault + " -p " + std::to_string(world.keeper.pid());
    const pid_t tracer = ::fork();
    if (tracer == 0) {
      ::execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
      ::_exit(127);
    }
    const std::string status = "/proc/" + std::to_string(world.keeper.pid()) + "/status";
    REQUIRE(comes_true([&] {
      return read_file(status).find("TracerPid:\t" + std::to_string(tracer)) != std::string::npos;
    }));
    const auto failure = failure_of(world.daemon, as_user(shell(1, "id >" + ran), "nobody"));
    CHECK((failure.first == Stage::user || failure.first == Stage::group ||
           failure.first == Stage::output));
    CHECK(failure.second != 0);
    CHECK(world.daemon.started.empty());
    CHECK_FALSE(std::filesystem::exists(ran));
    ::kill(tracer, SIGTERM);
    ::waitpid(tracer, nullptr, 0);
  }
}

TEST_CASE("a root keeper runs commands as the users that its config lists, and as no others") {
  if (!is_root()) return;
  Rooted world;
  const std::string ran = world.place / "ran";
  const auto outcome = [&](const std::string& user) {
    static std::int64_t run = 0;
    return failure_of(world.daemon, as_user(shell(++run, "id >" + ran), user));
  };
  CHECK(outcome("root") == std::pair(Stage::user, EPERM));
  CHECK(outcome("bin") == std::pair(Stage::user, EPERM));
  CHECK(outcome("0") == std::pair(Stage::user, EPERM));
  CHECK(outcome("65534") == std::pair(Stage::user, EPERM));
  CHECK(outcome("no-such-user") == std::pair(Stage::user, ENOENT));
  CHECK(outcome("another-one") == std::pair(Stage::user, EPERM));
  CHECK_FALSE(std::filesystem::exists(ran));
}

TEST_CASE("a listed root is root") {
  if (!is_root()) return;
  Rooted world([] {}, "allow_users = [\"root\"]\n");
  CHECK(read_file(world.daemon.run(as_user(shell(1, "id -u"), "root")).output_path) == "0\n");
  CHECK(failure_of(world.daemon, as_user(shell(2, "id -u"), "nobody")) ==
        std::pair(Stage::user, EPERM));
}

TEST_CASE("a config that others than root could have written, or moved there, allows nobody") {
  if (!is_root()) return;
  RootsPlace place;
  const auto allowed_users = [](const std::string& config_file) {
    return read_rules({.keeper_dir = {}, .output_dir = {}, .config_file = config_file})
        .value_or(Rules{})
        .allow_users;
  };
  const std::string good = place.config(kAllowed);
  CHECK(allowed_users(good).size() == 3);
  CHECK(allowed_users("").empty());
  CHECK(allowed_users("schedctl.toml").empty());
  CHECK(allowed_users(place / "missing").empty());
  CHECK(allowed_users(place.config("allow_users = [\"nobody\"]\nnonsense = 1\n", "bad")).empty());
  ::symlink(good.c_str(), (place / "link").c_str());
  CHECK(allowed_users(place / "link").empty());
  std::filesystem::create_directory(place / "open");
  std::filesystem::create_directory_symlink(place / "open", place / "way");
  std::filesystem::copy_file(good, place / "open/schedctl.toml");
  CHECK(allowed_users(place / "open/schedctl.toml").size() == 3);
  CHECK(allowed_users(place / "way/schedctl.toml").empty());
  CHECK(allowed_users(place / "open/../way/schedctl.toml").empty());
  // Where others may make files, but not touch those of root, they cannot change it.
  ::chmod((place / "open").c_str(), 01777);
  CHECK(allowed_users(place / "open/schedctl.toml").size() == 3);
  ::chmod((place / "open").c_str(), 0777);
  CHECK(allowed_users(place / "open/schedctl.toml").empty());
  ::chmod((place / "open").c_str(), 0755);
  CHECK(::chown((place / "open").c_str(), 65'534, 0) == 0);
  CHECK(allowed_users(place / "open/schedctl.toml").empty());
  for (const mode_t mode : {0664, 0646}) {
    ::chmod(good.c_str(), mode);
    CHECK(allowed_users(good).empty());
  }
  ::chmod(good.c_str(), 0644);
  CHECK(::chown(good.c_str(), 65'534, 0) == 0);
  CHECK(allowed_users(good).empty());
  // Nor does what the environment says count.
  ::setenv("SCHEDCTL_ALLOW_USERS", "nobody", 1);
  CHECK(allowed_users(place.config("", "empty")).empty());
  ::unsetenv("SCHEDCTL_ALLOW_USERS");
}

/// With a daemon that is the user "daemon", whose directory of outputs it is.
struct WithDaemonUser {
  explicit WithDaemonUser(const std::string& config) {
    const std::string output = place / "output";
    REQUIRE(::mkdir(output.c_str(), 0700) == 0);
    REQUIRE(::chown(output.c_str(), user.uid, user.gid) == 0);
    keeper = std::make_unique<KeeperProcess>(place.paths(place.config(config)));
    REQUIRE(keeper->said() == "R");
    daemon = std::make_unique<Daemon>(place.paths(""));
  }
  const host::Account user = host::find_account("daemon", "daemon_user").value();
  RootsPlace place;
  std::unique_ptr<KeeperProcess> keeper;
  std::unique_ptr<Daemon> daemon;
};

TEST_CASE("an order that names nobody is carried out as job_user, whoever gives it") {
  if (!is_root()) return;
  WithDaemonUser world("daemon_user = \"daemon\"\njob_user = \"nobody\"\n");
  const Ended ended = world.daemon->run(shell(1, "id -un; id -Gn"));
  CHECK(read_file(ended.output_path) == "nobody\nnogroup\n");
  // The daemon is to read what is not its own user's.
  struct stat st {};
  REQUIRE(::stat(ended.output_path.c_str(), &st) == 0);
  CHECK(st.st_uid == ::getpwnam("nobody")->pw_uid);
  CHECK(st.st_gid == world.user.gid);
  CHECK((st.st_mode & 0777) == 0640);
  CHECK(read_file(world.daemon->run(as_user(shell(2, "id -un"), "nobody")).output_path) ==
        "nobody\n");
  for (const char* name : {"daemon", "root"}) {
    CAPTURE(name);
    CHECK(failure_of(*world.daemon, as_user(shell(3, "id -un"), name)) ==
          std::pair(Stage::user, EPERM));
  }
}

TEST_CASE("what belongs to the daemon in a root keeper's directory is the socket") {
  if (!is_root()) return;
  WithDaemonUser world("daemon_user = \"daemon\"\n");
  const auto look = [&](const std::string& name) {
    struct stat st {};
    REQUIRE(::lstat((world.place / name).c_str(), &st) == 0);
    return std::tuple(st.st_mode & 07777, st.st_uid, st.st_gid);
  };
  const uid_t uid = world.user.uid;
  const gid_t gid = world.user.gid;
  CHECK(look("keeper") == std::tuple(0750U, 0U, gid));
  CHECK(look("keeper/lock") == std::tuple(0640U, 0U, gid));
  CHECK(look("keeper/socket") == std::tuple(0600U, uid, gid));
  // Whoever is neither is not heard, whatever lets it in.
  REQUIRE(::chmod((world.place / "keeper").c_str(), 0777) == 0);
  REQUIRE(::chmod((world.place / "keeper/socket").c_str(), 0666) == 0);
  for (const auto& [name, heard] : {std::pair("daemon", true), std::pair("nobody", false)}) {
    CAPTURE(name);
    const pid_t child = ::fork();
    if (child == 0) {
      const passwd* user = ::getpwnam(name);
      if (::setgroups(0, nullptr) != 0 || ::setgid(user->pw_gid) != 0 ||
          ::setuid(user->pw_uid) != 0) {
        ::_exit(9);
      }
      const auto connected = connect(world.place.paths(""), std::chrono::seconds(20));
      ::_exit(connected ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    CHECK(status == (heard ? 0 : 1 << 8));
  }
}

TEST_CASE("a keeper does not go where the daemon's user leads it") {
  if (!is_root()) return;
  const host::Account user = host::find_account("daemon", "daemon_user").value();
  const auto said = [&](const std::function<void(const RootsPlace&)>& plant) {
    RootsPlace place;
    plant(place);
    KeeperProcess keeper(place.paths(place.config("daemon_user = \"daemon\"\n")));
    return keeper.said();
  };
  const auto make = [](const std::string& path, uid_t uid) {
    REQUIRE(::mkdir(path.c_str(), 0700) == 0);
    REQUIRE(::chown(path.c_str(), uid, 0) == 0);
  };
  CHECK(said([&](const RootsPlace& place) { make(place / "output", user.uid); }) == "R");
  CHECK(said([&](const RootsPlace& place) {
          make(place / "output", user.uid);
          make(place / "keeper", user.uid);
        }).find("belongs to user id") != std::string::npos);
  CHECK(said([&](const RootsPlace& place) {
          make(place / "target", user.uid);
          ::symlink((place / "target").c_str(), (place / "output").c_str());
        }).find("symbolic link") != std::string::npos);
  CHECK(said([&](const RootsPlace& place) {
          make(place / "output", user.uid);
          make(place / "target", 0);
          ::symlink((place / "target").c_str(), (place / "keeper").c_str());
        }).find("symbolic link") != std::string::npos);
  CHECK(said([&](const RootsPlace& place) {
          make(place / "output", 0);
        }).find("belongs to user id 0") != std::string::npos);
}

TEST_CASE("without a rule a root keeper runs nothing as root for a daemon that is not") {
  if (!is_root()) return;
  // As when the settings have lost daemon_user by the time the keeper becomes a newer program.
  const auto refused = objection(shell(1, "id -u"), {Rules{}, host::Account{"daemon", 1, 1}});
  REQUIRE(refused);
  CHECK(refused->stage == Stage::user);
  CHECK(refused->error_number == EPERM);
  CHECK_FALSE(objection(shell(1, "id -u"), {Rules{}, std::nullopt}));
}

TEST_CASE("a keeper that is not root runs commands as itself alone") {
  if (!is_root()) return;
  RootsPlace place;
  const std::string config = place.config("allow_users = [\"daemon\", \"nobody\"]\n");
  for (const char* dir : {"keeper", "output"}) {
    std::filesystem::create_directory(place / dir);
    REQUIRE(::chown((place / dir).c_str(), 65'534, 65'534) == 0);
  }
  KeeperProcess keeper(place.paths(config), [] {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(65'534, 65'534, 65'534) != 0 ||
        ::setresuid(65'534, 65'534, 65'534) != 0) {
      ::_exit(9);
    }
  });
  REQUIRE(keeper.said() == "R");
  Daemon daemon(place.paths(""));
  CHECK(failure_of(daemon, as_user(shell(1, "id"), "daemon")) == std::pair(Stage::user, EPERM));
  CHECK(failure_of(daemon, as_user(shell(2, "id"), "root")) == std::pair(Stage::user, EPERM));
  CHECK(failure_of(daemon, as_user(shell(3, "id"), "no-such-user")) ==
        std::pair(Stage::user, ENOENT));
  CHECK(read_file(daemon.run(as_user(shell(4, "id -un"), "nobody")).output_path) == "nobody\n");
  StartOrder order = shell(5, "id");
  order.terms.group = "shadow";
  CHECK(failure_of(daemon, order) == std::pair(Stage::group, EPERM));
}

TEST_CASE("a group is one of the user's own") {
  if (!is_root()) return;
  Rooted world;
  const auto in_group = [](std::int64_t run, const std::string& user, const std::string& group) {
    StartOrder order = as_user(shell(run, "id -un; id -gn"), user);
    order.terms.group = group;
    return order;
  };
  const passwd* user = ::getpwnam("nobody");
  const std::string own = ::getgrgid(user->pw_gid)->gr_name;
  CHECK(read_file(world.daemon.run(in_group(1, "nobody", own)).output_path) ==
        "nobody\n" + own + "\n");
  CHECK(failure_of(world.daemon, in_group(2, "nobody", "shadow")) ==
        std::pair(Stage::group, EPERM));
  CHECK(failure_of(world.daemon, in_group(3, "nobody", "root")) == std::pair(Stage::group, EPERM));
  CHECK(failure_of(world.daemon, in_group(4, "nobody", "no-such-group")) ==
        std::pair(Stage::group, ENOENT));
  CHECK(read_file(world.daemon.run(in_group(5, "", "shadow")).output_path) == "root\nshadow\n");
}

TEST_CASE("output belongs to the user whose it is, and no file goes from one user to another") {
  if (!is_root()) return;
  Rooted world;
  Daemon& daemon = world.daemon;
  const Ended loud = daemon.run(as_user(shell(1, "echo out; echo err >>/dev/stderr"), "nobody"));
  CHECK(read_file(loud.output_path) == "out\nerr\n");
  struct stat st {};
  REQUIRE(::stat(loud.output_path.c_str(), &st) == 0);
  CHECK(st.st_uid == ::getpwnam("nobody")->pw_uid);
  CHECK((st.st_mode & 07777) == 0600);
  daemon.run(as_user(order_of(2, {"true"}), "nobody"));
  daemon.run(as_user(order_of(3, {"true"}), "daemon"));
  daemon.run(order_of(4, {"true"}));
  daemon.run(as_user(order_of(5, {"true"}), "nobody"));
  daemon.run(order_of(6, {"true"}));
  REQUIRE(daemon.started.size() == 6);
  const auto path = [&](std::size_t i) { return daemon.started[i].output_path; };
  CHECK(path(1) != path(2));
  CHECK(path(2) != path(3));
  CHECK(path(3) != path(1));
  CHECK(path(4) == path(1));
  CHECK(path(5) == path(3));
}

TEST_CASE("a user's mode and tricks with its output file reach no other run") {
  if (!is_root()) return;
  Rooted world;
  Daemon& daemon = world.daemon;
  daemon.run(as_user(shell(1, "chmod 0666 /proc/self/fd/1"), "nobody"));
  const Ended next = daemon.run(as_user(shell(2, "stat -L -c %a /proc/self/fd/1"), "nobody"));
  CHECK(next.output_path == daemon.started[0].output_path);
  CHECK(read_file(next.output_path) == "600\n");
  // Nobody can put a name into the directory, nor come by the file's name.
  const Ended tried = daemon.run(
      as_user(shell(3, "ls " + world.place / "output" + "; ln -s /etc/passwd " +
                           world.place / "output/x" + "; cat " + next.output_path + " || echo no"),
              "daemon"));
  CHECK(read_file(tried.output_path).ends_with("no\n"));
  CHECK_FALSE(std::filesystem::exists(world.place / "output/x"));
}

TEST_CASE("what a job names is opened with the rights of its user") {
  if (!is_root()) return;
  Rooted world;
  Daemon& daemon = world.daemon;
  const std::string secret = world.place / "secret";
  std::ofstream(secret) << "SECRET=1\n";
  ::chmod(secret.c_str(), 0600);
  ::symlink("/etc/shadow", (world.place / "link").c_str());
  std::int64_t run = 0;
  const auto env_failure = [&](const std::string& path) {
    StartOrder order = as_user(shell(++run, "env"), "nobody");
    order.terms.env_file = path;
    return failure_of(daemon, order);
  };
  CHECK(env_failure(secret) == std::pair(Stage::env_file, EACCES));
  CHECK(env_failure(world.place / "link") == std::pair(Stage::env_file, EACCES));
  const auto input_failure = [&](const std::string& path) {
    StartOrder order = as_user(shell(++run, "cat"), "nobody");
    order.terms.stdin_file = path;
    return failure_of(daemon, order);
  };
  CHECK(input_failure(secret) == std::pair(Stage::input, EACCES));
  CHECK(input_failure(world.place / "link") == std::pair(Stage::input, EACCES));
  std::filesystem::create_directory(world.place / "private");
  ::chmod((world.place / "private").c_str(), 0700);
  StartOrder order = as_user(shell(++run, "pwd"), "nobody");
  order.cwd = world.place / "private";
  CHECK(failure_of(daemon, order) == std::pair(Stage::cwd, EACCES));
  order = as_user(order_of(++run, {world.place / "private/program"}), "nobody");
  CHECK(failure_of(daemon, order) == std::pair(Stage::exec, EACCES));
}

TEST_CASE("a user's share of the machine is no greater than the kernel gives that user") {
  if (!is_root()) return;
  Rooted world([] {
    const rlimit files{256, 4096};
    ::setrlimit(RLIMIT_NOFILE, &files);
  });
  std::int64_t run = 0;
  const auto refused = [&](const std::function<void(Terms&)>& ask) {
    StartOrder order = as_user(order_of(++run, {"true"}), "nobody");
    ask(order.terms);
    return failure_of(world.daemon, order).first;
  };
  CHECK(refused([](Terms& t) { t.nice = -5; }) == Stage::nice);
  CHECK(refused([](Terms& t) { t.io_class = IoClass::realtime; }) == Stage::io_class);
  CHECK(refused([](Terms& t) { t.limits = {{Resource::nofile, 4097}}; }) == Stage::limits);
  CHECK(refused([](Terms& t) { t.oom_score_adj = -1; }) == Stage::oom_score);
}

TEST_CASE("a user's command is ended like any other, and dies with its keeper") {
  if (!is_root()) return;
  Rooted world;
  Daemon& daemon = world.daemon;
  daemon.client->start(as_user(order_of(1, {"sleep", "1000"}), "nobody"));
  daemon.client->start(as_user(order_of(2, {"sleep", "1000"}), "nobody"));
  daemon.until([&] { return daemon.started.size() == 2; });
  daemon.client->end(daemon.started[0].key, std::chrono::seconds(60));
  daemon.until([&] { return daemon.ended.size() == 1; });
  CHECK(WTERMSIG(daemon.ended[0].wait_status) == SIGTERM);
  const auto other = static_cast<pid_t>(daemon.started[1].pid);
  REQUIRE(is_alive(other));
  world.keeper.kill();
  CHECK(comes_true([&] { return !is_alive(other); }));
}

}  // namespace
}  // namespace schedctl::keeper
