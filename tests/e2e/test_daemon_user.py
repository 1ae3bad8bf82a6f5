"""daemon_user and job_user: root starts, the keeper stays root, and nobody else does."""
import atexit
import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import sqlite3
import stat
import subprocess
import tempfile
import unittest

import machine
import test_renewal
from machine import Machine, alive, title

DAEMON, JOB, LISTED, UNLISTED = "daemon", "www-data", "nobody", "mail"
NEEDED = (DAEMON, JOB, LISTED, UNLISTED)


def known(name):
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def is_reachable(path):
    return all(p.stat().st_mode & stat.S_IXOTH for p in pathlib.Path(path).resolve().parents)


def reachable_binary():
    """The binary where every user can execute it; a build directory may be closed to others."""
    global _binary
    if _binary is None and is_reachable(machine.BINARY):
        _binary = machine.BINARY
    if _binary is None:
        place = tempfile.mkdtemp(prefix="schedctl-test-")
        atexit.register(shutil.rmtree, place, True)
        os.chmod(place, 0o755)
        _binary = shutil.copy(machine.BINARY, place)
    return _binary


_binary = None


def status_of(pid):
    fields = {}
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        fields[name] = value.split()
    return fields


@unittest.skipUnless(os.geteuid() == 0 and all(map(known, NEEDED)),
                     f"only root can become {', '.join(NEEDED)}")
class DaemonUser(unittest.TestCase):
    settings = f'daemon_user = "{DAEMON}"\n'

    def setUp(self):
        self.m = Machine()
        self.m.binary = self.binary = reachable_binary()
        self.m.root.chmod(0o755)
        self.addCleanup(self.m.close)
        self.write_config(self.settings)
        self.uid, self.gid = known(DAEMON).pw_uid, known(DAEMON).pw_gid

    def write_config(self, settings):
        self.m.write_config('on_sigterm = "drain"\n' + settings)
        self.m.config.chmod(0o644)

    def as_user(self, name, *words, env=None):
        done = subprocess.run([self.binary, "--config", str(self.m.config), *map(str, words)],
                              user=name, group=known(name).pw_gid, extra_groups=[], cwd="/",
                              env=self.m.environment(env), stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                              check=False)
        return machine.Answer(done)

    def leave_a_long_job(self):
        """Starts a daemon and has it end, and leave a job to its keeper, whose pid is given back."""
        self.m.ok("add", "long", "--manual", "--", "sleep", "600")
        self.m.start()
        keeper = self.m.keeper_pid()
        self.m.ok("trigger", "long")
        # Its row says running before there is a process.
        self.m.wait_runs("long", lambda all_: all_[0]["pid"], "a process")
        self.m.ok("stop", "--keep-jobs")
        return keeper

    def check_dropped(self, pid):
        status = status_of(pid)
        self.assertEqual(status["Uid"], [str(self.uid)] * 4)
        self.assertEqual(status["Gid"], [str(self.gid)] * 4)
        self.assertEqual(status["Groups"], [])
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(status[name][0], 16), 0, name)

    def roots_files(self):
        """What of root's lies where the daemon's user can write, the keeper's directory apart."""
        found = []
        for top in (self.m.state, self.m.run_dir):
            for path in [top, *top.rglob("*")] if top.exists() else []:
                if (self.m.state / "keeper") not in [path, *path.parents]:
                    found += [str(path)] if path.lstat().st_uid != self.uid else []
        return found

    def run_job(self, name, *options):
        self.m.ok("add", name, "--manual", *options)
        self.m("trigger", name, "--wait", "--timeout", "60s")
        return self.m.runs(name)[-1]


class Dropped(DaemonUser):
    def test_the_daemon_is_its_user_and_the_keeper_is_root(self):
        pid = self.m.start()
        self.check_dropped(pid)
        keeper = self.m.keeper_pid()
        self.assertEqual(status_of(keeper)["Uid"], ["0"] * 4)
        self.assertEqual(title(keeper), "schedctl: keeper")
        self.assertEqual(self.roots_files(), [])
        modes = {p.name: (stat.S_IMODE(p.lstat().st_mode), p.lstat().st_uid, p.lstat().st_gid)
                 for p in [self.m.state / "keeper", *(self.m.state / "keeper").iterdir()]}
        self.assertEqual(modes["keeper"], (0o750, 0, self.gid))
        self.assertEqual(modes["lock"], (0o640, 0, self.gid))
        self.assertEqual(modes["socket"], (0o600, self.uid, self.gid))
        log = self.m.log.stat()
        self.assertEqual((log.st_uid, stat.S_IMODE(log.st_mode)), (self.uid, 0o640))
        self.assertEqual(self.m.run_dir.joinpath("schedctl.pid").read_text(), f"{pid}\n")

    def test_a_job_that_names_nobody_runs_as_the_daemons_user_and_its_output_is_kept(self):
        self.m.start()
        run = self.run_job("who", "--shell", "id -un; id -Gn; echo $USER $HOME")
        self.assertEqual(run["state"], "succeeded", run)
        out = self.m.ok("logs", "who").out.splitlines()
        self.assertEqual(out[0], DAEMON)
        self.assertEqual(out[2], f"{DAEMON} {known(DAEMON).pw_dir}")
        self.assertEqual(os.stat(run["output"]).st_uid, self.uid)
        self.assertEqual(stat.S_IMODE(os.stat(run["output"]).st_mode), 0o600)

    def test_a_start_in_the_foreground_drops_too(self):
        child = self.m.popen("start", "--foreground")
        self.m.wait(lambda: "daemon-up" in self.m.log_text(), "the daemon")
        self.check_dropped(child.pid)
        self.m.ok("stop")
        self.assertEqual(child.wait(60), 0)

    def test_a_root_command_leaves_nothing_of_roots(self):
        # Before the first start, too.
        self.m.ok("add", "first", "--manual", "--", "true")
        self.assertEqual([p for p in self.roots_files() if "run" not in p], [])
        self.m.start()
        self.m.ok("add", "second", "--manual", "--", "true")
        self.m.ok("stop")
        self.m.ok("add", "third", "--manual", "--", "true")
        db = self.m.state / "schedctl.db"
        with contextlib.closing(sqlite3.connect(db)) as held:
            held.execute("SELECT 1 FROM job").fetchone()
            self.m.ok("add", "fourth", "--manual", "--", "true")
            self.assertTrue(db.with_name("schedctl.db-wal").exists())
            self.assertEqual(db.with_name("schedctl.db-wal").stat().st_uid, self.uid)
        self.assertEqual([p for p in self.roots_files() if "-wal" not in p and "-shm" not in p], [])
        self.assertEqual([j["name"] for j in self.m.json("list")],
                         ["first", "fourth", "second", "third"])

    def test_the_audit_names_who_it_was(self):
        self.m.start()
        self.m.ok("add", "a", "--manual", "--", "true", env={"SUDO_USER": "anna"})
        self.assertEqual(self.m.column("SELECT who FROM audit"), ["root (anna)"])

    def test_what_only_root_can_read_goes_into_the_store(self):
        self.m.start()
        secret = self.m.root / "secret"
        secret.mkdir(mode=0o700)
        (secret / "jobs.toml").write_text('[job.applied]\nevery = "1h"\ncommand = ["true"]\n')
        (secret / "crontab").write_text("0 3 * * * /bin/true\n")
        self.m.ok("apply", secret / "jobs.toml")
        self.m.ok("import-crontab", secret / "crontab")
        self.assertEqual(len(self.m.json("list")), 2)

    def test_a_backup_goes_to_and_comes_from_where_only_root_may(self):
        self.m.ok("add", "kept", "--manual", "--", "true")
        secret = self.m.root / "secret"
        secret.mkdir(mode=0o700)
        self.m.ok("db", "backup", secret / "copy.db")
        self.assertEqual(stat.S_IMODE((secret / "copy.db").stat().st_mode), 0o600)
        self.m.ok("remove", "kept")
        self.m.ok("db", "restore", secret / "copy.db")
        self.assertEqual([j["name"] for j in self.m.json("list")], ["kept"])
        self.m.ok("db", "check")
        self.assertEqual([p for p in self.roots_files() if "run" not in p], [])
        self.assertEqual([p.name for p in secret.iterdir()], ["copy.db"])

    def test_everyday_commands_work_as_root(self):
        self.m.start()
        self.run_job("hello", "--", "echo", "hi")
        for words in (["status"], ["list"], ["logs", "hello"], ["runs"], ["why", "hello"],
                      ["config"], ["db", "check"], ["db", "prune"], ["reload"], ["reopen-logs"],
                      ["show", "hello", "--env"], ["check"]):
            answer = self.m(*words)
            self.assertIn(answer.code, (0, 1) if words == ["check"] else (0,), (words, answer))
        self.assertIn(f"USER={DAEMON}", self.m.ok("show", "hello", "--env").out)
        found = self.m("doctor")
        self.assertNotIn("whose commands would run as root", found.out)
        self.assertNotIn("error  ", found.out, found)

    def test_others_are_sent_away(self):
        self.m.start()
        for words in (["stop"], ["reload"]):
            answer = self.as_user(LISTED, *words)
            self.assertEqual(answer.code, 77, (words, answer))
            self.assertIn("sudo", answer.err)
        self.assertEqual(self.as_user(DAEMON, "reload").code, 0)

    def test_restart_and_reload_go_on_as_that_user(self):
        self.m.ok("add", "long", "--manual", "--", "sleep", "600")
        pid, keeper = self.m.start(), self.m.keeper_pid()
        self.m.ok("trigger", "long")
        self.m.wait_state("long", "running")
        self.m.ok("restart")
        self.assertEqual((self.m.pid(), self.m.keeper_pid()), (pid, keeper))
        self.check_dropped(pid)
        self.assertEqual(len(self.m.json("ps")), 1)
        self.m.ok("reload")
        os.kill(pid, signal.SIGHUP)
        self.m.wait(lambda: self.m.log_text().count("reloaded") == 2, "the second reload")
        moved = self.m.root / "info.log.1"
        self.m.log.rename(moved)
        # The log's directory is root's here, as /var/log is: whoever rotates it makes the next file.
        self.m.log.touch()
        os.chown(self.m.log, self.uid, self.gid)
        self.m.ok("reopen-logs")
        self.m.ok("cancel", "long")
        self.m.wait(lambda: "cancelled" in self.m.log_text(), "a line in the new log")
        self.m.ok("stop")
        self.assertFalse((self.m.run_dir / "schedctl.pid").exists())

    def test_a_wiped_runtime_directory_is_made_again_by_a_root_that_restarts(self):
        pid = self.m.start()
        shutil.rmtree(self.m.run_dir)
        # The daemon itself cannot, and does not try its luck.
        os.kill(pid, signal.SIGUSR2)
        self.m.wait(lambda: "restart-refused" in self.m.log_text(), "the refusal")
        self.assertTrue(alive(pid))
        self.m.ok("restart")
        self.check_dropped(pid)
        self.assertEqual(self.m.pid(), pid)
        self.assertEqual(self.roots_files(), [])

    def test_jobs_that_were_left_are_adopted_by_the_next_start(self):
        keeper = self.leave_a_long_job()
        self.m.start()
        self.assertEqual(self.m.keeper_pid(), keeper)
        self.assertEqual(len(self.m.json("ps")), 1)

    def test_a_dead_keeper_ends_the_daemon_with_75_and_the_next_start_recovers(self):
        self.m.ok("add", "long", "--manual", "--", "sleep", "600")
        child = self.m.popen("start", "--foreground")
        self.m.wait(lambda: "daemon-up" in self.m.log_text(), "the daemon")
        self.m.ok("trigger", "long")
        run = self.m.wait_runs("long", lambda all_: all_[0]["pid"], "a process")[0]
        keeper = self.m.wait(self.m.keeper_pid, "the keeper")
        os.kill(keeper, signal.SIGKILL)
        self.assertEqual(child.wait(60), 75)
        self.assertIn("keeper-gone", self.m.log_text())
        self.assertIn("keeper", self.m.column("SELECT kind FROM alert"))
        self.m.wait_gone(run["pid"])
        self.m.start()
        self.assertNotEqual(self.m.keeper_pid(), keeper)
        self.m.wait_state("long", "lost")
        self.assertEqual(self.run_job("next", "--", "true")["state"], "succeeded")

    def test_a_keeper_that_dies_during_a_restart_ends_it_with_75(self):
        child = self.m.popen("start", "--foreground")
        self.m.wait(lambda: "daemon-up" in self.m.log_text(), "the daemon")
        keeper = self.m.keeper_pid()
        os.kill(child.pid, signal.SIGSTOP)
        os.kill(keeper, signal.SIGKILL)
        self.m.wait_gone(keeper)
        os.kill(child.pid, signal.SIGUSR2)
        os.kill(child.pid, signal.SIGCONT)
        self.assertEqual(child.wait(60), 75)

    def test_no_other_keeper_takes_the_place_of_one_whose_directory_is_gone(self):
        self.write_config(f'daemon_user = "{DAEMON}"\njob_user = "{JOB}"')
        child = self.m.popen("start", "--foreground")
        self.m.wait(lambda: "daemon-up" in self.m.log_text(), "the daemon")
        keeper = self.m.wait(self.m.keeper_pid, "the keeper")
        shutil.rmtree(self.m.state / "keeper")
        os.kill(keeper, signal.SIGKILL)
        self.assertEqual(child.wait(60), 75)
        self.assertFalse((self.m.state / "keeper").exists())

    def test_a_change_of_users_needs_a_stop_and_is_told(self):
        self.m.start()
        self.write_config(f'daemon_user = "{DAEMON}"\njob_user = "{JOB}"\nallow_users = ["{LISTED}"]')
        told = self.m.ok("reload").out
        self.assertIn("needs `schedctl stop` and `schedctl start`", told)
        self.assertIn("job_user, allow_users", told)
        answer = self.m("restart")
        self.assertEqual(answer.code, 78, answer)
        self.assertIn("stop", answer.err)
        self.assertEqual(self.m.ok("status", "--json").json["running"], True)
        self.m.ok("stop")
        self.m.start()
        self.assertEqual(self.run_job("who", "--", "id", "-un")["state"], "succeeded")
        self.assertEqual(self.m.ok("logs", "who").out, f"{JOB}\n")

    def test_what_root_left_before_is_handed_over(self):
        self.write_config("")
        self.m.start()
        self.run_job("old", "--", "echo", "old output")
        self.m.ok("stop")
        self.assertEqual((self.m.state / "schedctl.db").stat().st_uid, 0)
        self.write_config(self.settings)
        self.assertEqual([j["name"] for j in self.m.json("list")], ["old"])
        self.check_dropped(self.m.start())
        self.assertEqual(self.roots_files(), [])
        self.assertEqual(self.m.ok("logs", "old").out, "old output\n")

    def test_a_keeper_of_earlier_rules_is_not_used(self):
        self.write_config("")
        keeper = self.leave_a_long_job()
        self.write_config(self.settings)
        answer = self.m("start")
        self.assertEqual(answer.code, 69, answer)
        self.assertIn(f"the keeper (process {keeper}) was started before daemon_user", answer.err)
        self.assertEqual(self.m("status").code, 3)
        os.kill(keeper, signal.SIGKILL)
        self.m.wait_gone(keeper)
        self.check_dropped(self.m.start())
        self.m.wait_state("long", "lost")

    def test_an_upgrade_renews_daemon_and_keeper_as_they_are(self):
        program = self.m.root / "schedctl"
        test_renewal.install(program, 1)
        self.m.binary = str(program)
        pid, keeper = self.m.start(), self.m.keeper_pid()
        self.m.ok("add", "long", "--manual", "--", "sleep", "600")
        self.m.ok("trigger", "long")
        self.m.wait_state("long", "running")
        test_renewal.install(program, 2)
        self.m.ok("restart")
        self.m.wait(lambda: "keeper-renewed" in self.m.log_text(), "the new keeper")
        self.assertEqual((self.m.pid(), self.m.keeper_pid()), (pid, keeper))
        self.check_dropped(pid)
        self.assertEqual(status_of(keeper)["Uid"], ["0"] * 4)
        self.assertEqual(len(self.m.json("ps")), 1)
        run = self.run_job("who", "--", "id", "-un")
        self.assertEqual(self.m.ok("logs", "who").out, f"{DAEMON}\n", run)

    def test_a_directory_with_more_in_it_is_not_handed_over(self):
        self.m.state.mkdir()
        (self.m.state / "payroll.xls").touch()
        answer = self.m("start")
        self.assertEqual(answer.code, 78, answer)
        self.assertIn("payroll.xls", answer.err)
        self.assertIn("move that elsewhere", answer.err)
        self.assertEqual(self.m.state.stat().st_uid, 0)

    def test_a_living_daemon_of_root_keeps_what_it_has(self):
        self.write_config("")
        pid = self.m.start()
        self.write_config(self.settings)
        answer = self.m.ok("start")
        self.assertIn(f"already running (pid {pid})", answer.err)
        self.assertEqual(self.m.state.stat().st_uid, 0)


class JobUser(DaemonUser):
    settings = (f'daemon_user = "{DAEMON}"\njob_user = "{JOB}"\nallow_users = ["{LISTED}"]\n')

    def test_jobs_run_as_job_user_or_as_one_that_is_listed(self):
        self.m.start()
        for name, options, user in (("default", (), JOB), ("named", ("--user", JOB), JOB),
                                    ("listed", ("--user", LISTED), LISTED)):
            run = self.run_job(name, *options, "--shell", "id -un; id -G; echo $USER")
            self.assertEqual(run["state"], "succeeded", run)
            self.assertEqual(self.m.ok("logs", name).out.splitlines()[::2], [user, user])
            written = os.stat(run["output"])
            self.assertEqual((written.st_uid, written.st_gid, stat.S_IMODE(written.st_mode)),
                             (known(user).pw_uid, self.gid, 0o640))
            self.assertIn(f"USER={user}\n", self.m.ok("show", name, "--env").out)

    def test_nobody_else_runs_anything(self):
        self.m.start()
        for name in (UNLISTED, DAEMON, "root"):
            mark = self.m.root / f"mark-{name}"
            run = self.run_job(f"as-{name}", "--user", name, "--", "touch", mark)
            self.assertEqual((run["state"], run["reason"]), ("failed", "exec_error"), run)
            self.assertFalse(mark.exists())

    def test_a_job_cannot_reach_the_store(self):
        self.m.start()
        run = self.run_job("nosy", "--shell",
                           f"cat {self.m.state}/schedctl.db; ls {self.m.state}/keeper; true")
        self.assertEqual(run["state"], "succeeded")
        self.assertEqual(self.m.ok("logs", "nosy").out.count("Permission denied"), 2)

    def test_the_output_of_others_is_judged(self):
        self.m.start()
        run = self.run_job("judged", "--user", LISTED, "--fail-match", "^ERROR", "--", "echo",
                           "ERROR")
        self.assertEqual((run["state"], run["reason"]), ("failed", "output"), run)


class Refused(DaemonUser):
    def refusal(self, *words, code=78):
        answer = self.m(*words, "start")
        self.assertEqual(answer.code, code, answer)
        self.assertEqual(self.m("status").code, 3)
        return answer.err

    def test_a_user_that_is_not_there_is_told_with_the_line_that_makes_it(self):
        self.write_config('daemon_user = "no-such-user"')
        self.assertIn("useradd --system", self.refusal())
        self.assertFalse(self.m.state.exists())
        self.assertEqual(self.m("list").code, 78)
        self.write_config(f'daemon_user = "{DAEMON}"\njob_user = "no-such-user"')
        self.assertIn("job_user", self.refusal())

    def test_only_the_file_counts_for_the_keeper(self):
        told = self.refusal("--set", f"daemon_user={JOB}")
        self.assertIn(f'daemon_user is "{JOB}" here', told)
        self.assertIn(f'finds "{DAEMON}"', told)
        self.write_config("")
        self.assertIn('finds nothing there', self.refusal("--set", f"daemon_user={DAEMON}"))
        env = {"SCHEDCTL_DAEMON_USER": DAEMON}
        answer = self.m("start", env=env)
        self.assertEqual(answer.code, 78, answer)
        self.assertIn("SCHEDCTL_DAEMON_USER", answer.err)

    def test_a_file_that_others_can_move_is_no_authority(self):
        place = self.m.root / "etc"
        place.mkdir()
        os.chown(place, known(LISTED).pw_uid, 0)
        moved = place / "schedctl.toml"
        shutil.copy(self.m.config, moved)
        self.m.config = moved
        self.assertIn("others than root can change this file or move it", self.refusal())

    def test_a_file_that_the_user_cannot_read_is_told_before_a_reload_fails(self):
        self.m.config.chmod(0o600)
        self.assertIn("chmod 640", self.refusal())

    def test_job_user_alone_says_nothing(self):
        self.write_config(f'job_user = "{JOB}"')
        self.assertIn("daemon_user", self.refusal_of_config())

    def refusal_of_config(self):
        answer = self.m("start")
        self.assertEqual(answer.code, 78, answer)
        return answer.err

    def test_who_is_not_root_cannot_become_another(self):
        # As where the machine's daemon is everybody's default.
        answer = self.as_user(LISTED, "start", env={"_SCHEDCTL_INHERIT": "none"})
        self.assertEqual(answer.code, 78, answer)
        self.assertIn(f"only root can become {DAEMON}; use sudo, or --own", answer.err)

    def test_who_is_that_user_already_needs_no_root(self):
        for path in (self.m.state, self.m.run_dir):
            path.mkdir()
            os.chown(path, self.uid, self.gid)
        self.m.log.touch()
        os.chown(self.m.log, self.uid, self.gid)
        self.m.state.chmod(0o700)
        answer = self.as_user(DAEMON, "start")
        self.assertEqual(answer.code, 0, answer)
        self.check_dropped(self.m.pid())

    def test_a_daemon_of_ones_own_never_drops(self):
        home = self.m.root / "home"
        home.mkdir()
        env = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "c"), "XDG_STATE_HOME": str(home / "s")}
        self.m.ok("--own", "start", env=env)
        pid = self.m.ok("--own", "status", "--json", env=env).json["pid"]
        self.assertEqual(status_of(pid)["Uid"], ["0"] * 4)
        settings = {s["key"]: s["value"] for s in self.m.ok("--own", "config", "--json", env=env).json}
        self.assertEqual((settings["daemon_user"], settings["job_user"]), ("", ""))
        self.m.ok("--own", "stop", env=env)


class Planted(DaemonUser):
    """What the daemon's user may have put in root's way."""

    def setUp(self):
        super().setUp()
        self.treasure = self.m.root / "treasure"
        self.treasure.mkdir(mode=0o700)
        self.victim = self.treasure / "victim"
        self.victim.write_text("untouched\n")
        self.victim.chmod(0o600)
        for path in (self.m.state, self.m.run_dir):
            path.mkdir()
            os.chown(path, self.uid, self.gid)
        self.m.state.chmod(0o700)

    def plant(self, path, target):
        path.unlink(missing_ok=True)
        path.symlink_to(target)
        os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def check_untouched(self):
        st = self.victim.stat()
        self.assertEqual((st.st_uid, stat.S_IMODE(st.st_mode)), (0, 0o600))
        self.assertEqual(self.victim.read_text(), "untouched\n")
        st = self.treasure.stat()
        self.assertEqual((st.st_uid, stat.S_IMODE(st.st_mode)), (0, 0o700))
        self.assertEqual([p.name for p in self.treasure.iterdir()], ["victim"])

    def test_links_in_its_directories_lead_root_nowhere(self):
        names = ["state/schedctl.db", "state/schedctl.db.lock", "state/schedctl.db-wal",
                 "state/node-id", "run/schedctl.lock", "run/schedctl.pid", "run/schedctl.pid.new",
                 "run/schedctl.sock"]
        for name in names:
            with self.subTest(name):
                path = self.m.root / name
                self.plant(path, self.victim)
                self.m("start")
                self.m("add", "a", "--manual", "--", "true")
                self.m("list")
                self.check_untouched()
                self.m("stop", "--now")
                path.unlink(missing_ok=True)

    def test_linked_directories_lead_root_nowhere(self):
        for name in ("output", "keeper"):
            with self.subTest(name):
                path = self.m.state / name
                self.plant(path, self.treasure)
                self.assertNotEqual(self.m("start").code, 0)
                self.check_untouched()
                path.unlink()

    def test_a_keepers_directory_of_the_users_is_refused(self):
        place = self.m.state / "keeper"
        place.mkdir()
        os.chown(place, self.uid, self.gid)
        self.plant(place / "lock", self.victim)
        answer = self.m("start")
        self.assertNotEqual(answer.code, 0, answer)
        self.assertIn("belongs to user id", answer.err)
        self.check_untouched()

    def test_a_linked_log_leads_root_nowhere(self):
        logs = self.m.root / "logs"
        logs.mkdir()
        os.chown(logs, self.uid, self.gid)
        self.m.config.write_text(self.m.config.read_text().replace(
            str(self.m.log), str(logs / "info.log")))
        self.plant(logs / "info.log", self.victim)
        self.assertNotEqual(self.m("start").code, 0)
        self.check_untouched()

    def test_hard_links_are_not_given_away(self):
        shutil.rmtree(self.m.state)
        self.m.state.mkdir(mode=0o700)
        os.link(self.victim, self.m.state / "schedctl.db.old")
        self.m("start")
        self.check_untouched()

    def test_a_linked_way_to_the_database_leads_root_nowhere(self):
        self.write_config(self.settings + f'store = "sqlite:{self.m.state}/sub/x.db"')
        self.plant(self.m.state / "sub", self.treasure)
        for words in (["add", "a", "--manual", "--", "true"], ["db", "migrate"], ["start"],
                      ["db", "restore", self.m.config]):
            self.assertNotEqual(self.m(*words).code, 0, words)
            self.check_untouched()

    def test_a_linked_database_of_another_makes_no_files_beside_it(self):
        self.plant(self.m.state / "schedctl.db", self.treasure / "new.db")
        for words in (["start"], ["add", "a", "--manual", "--", "true"], ["db", "check"],
                      ["db", "migrate"], ["doctor"]):
            self.m(*words)
        self.check_untouched()


if __name__ == "__main__":
    unittest.main()
