"""/etc/init.d/schedctl with the real start-stop-daemon, at the paths it has on a server."""
import re
import shutil
import subprocess
import unittest

from room import ROOT, RoomStory

SCRIPT = "/etc/init.d/schedctl"
DEFAULTS = "/etc/default/schedctl"
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
UNTIL_TOLD = "until [ -e /run/go ]; do sleep 0.1; done; echo done"


class Script(RoomStory):
    settings = 'stop_timeout = "20s"\n'

    def setUp(self):
        super().setUp()
        self.need("start-stop-daemon", "dpkg")
        self.m.put("sysvinit/schedctl", SCRIPT, 0o755)
        self.m.put("sysvinit/schedctl.default", DEFAULTS)
        self.pidfile = self.m.run_dir / "schedctl.pid"

    def init(self, action, code=0, prefix=()):
        answer = self.m.sh(*prefix, SCRIPT, *action.split())
        self.assertEqual(answer.code, code, f"{action}: {answer}\n{self.m.log_text()[-3000:]}")
        return answer.out + answer.err

    def default(self, line):
        with open(self.m.here / DEFAULTS.lstrip("/"), "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def survives(self, run):
        """The job's process is the same, and what becomes of it is recorded."""
        self.assertTrue(self.m.alive(run["pid"]))
        (self.m.here / "run/go").touch()
        ended = self.m.wait_state("long", "succeeded")
        self.assertEqual((ended["pid"], ended["attempt"], ended["exit_code"]), (run["pid"], 1, 0))

    def wait_nothing_left(self):
        self.m.wait(lambda: not self.m.schedctls(), "daemon and keeper to be gone")


class Actions(Script):
    def test_start_status_stop(self):
        self.assertIn("stopped", self.init("status", 3))
        said = self.init("start")
        self.assertIn("Starting job scheduler: schedctl", said)
        self.assertRegex(said, r"schedctl is running \(pid \d+\)")
        pid = self.m.pid()
        self.assertEqual(self.pidfile.read_text(), f"{pid}\n")
        self.init("start")
        self.assertEqual(self.m.pid(), pid)
        self.assertIn(f"running (pid {pid}", self.init("status"))
        self.assertIn("Stopping job scheduler: schedctl", self.init("stop"))
        self.m.wait_gone(pid)
        self.wait_nothing_left()
        self.assertIn("stopped", self.init("status", 3))
        self.init("stop")

    def test_what_needs_a_daemon_says_that_there_is_none(self):
        for action in ("reload", "force-reload"):
            self.assertIn("not running", self.init(action, 7))
        self.init("try-restart")
        self.init("status", 3)
        self.init("restart")
        self.init("status")

    def test_restart_and_reload_leave_what_runs_alone(self):
        self.init("start")
        pid = self.m.pid()
        run = self.m.run_job("long", UNTIL_TOLD)
        for action in ("restart", "try-restart"):
            self.assertIn("running jobs go on", self.init(action))
            self.assertEqual(self.m.pid(), pid)
        (self.m.jobs_dir / "new.toml").write_text(
            '[job.new]\nevery = "1h"\ncommand = ["true"]\n')
        self.assertIn("1 added", self.init("reload"))
        self.assertIsNotNone(self.m.job("new"))
        self.init("force-reload")
        self.assertEqual(self.m.pid(), pid)
        self.survives(run)

    def test_stop_waits_for_what_runs(self):
        self.init("start")
        self.m.run_job("short", "sleep 2; exit 3")
        self.init("stop")
        self.assertEqual(self.m.runs("short")[0]["exit_code"], 3)
        self.wait_nothing_left()

    def test_stop_waits_long_enough_for_jobs_that_ignore_it(self):
        """With the defaults of schedctl and of the script."""
        self.m.write_config()
        self.init("start")
        run = self.m.run_job("deaf", "trap '' TERM; while :; do sleep 1; done")
        self.init("stop")
        ended = self.m.runs("deaf")[0]
        self.assertEqual((ended["state"], ended["reason"], ended["signal"]),
                         ("cancelled", "shutdown", "SIGKILL"))
        self.assertFalse(self.m.alive(run["pid"]))
        self.wait_nothing_left()

    def test_the_system_starts_and_stops_it(self):
        if shutil.which("update-rc.d", path="/usr/sbin") is None:
            self.skipTest("update-rc.d is missing (package init-system-helpers)")
        answer = self.m.sh("update-rc.d", "schedctl", "defaults")
        self.assertEqual((answer.code, answer.err), (0, ""))
        for level in "2345":
            self.assertTrue(list((self.m.here / f"etc/rc{level}.d").glob("S*schedctl")), level)
        for level in "016":
            self.assertTrue(list((self.m.here / f"etc/rc{level}.d").glob("K*schedctl")), level)
        for action, code in (("start", 0), ("status", 0), ("restart", 0), ("stop", 0), ("status", 3)):
            answer = self.m.sh("service", "schedctl", action)
            self.assertEqual(answer.code, code, answer)


class Codes(Script):
    def test_usage(self):
        for line in ("", "fly", "start now"):
            self.assertIn("Usage: ", self.init(line, 2))
        self.init("condrestart", 3)

    def test_not_root(self):
        for action in ("start", "stop", "restart", "try-restart", "reload", "force-reload"):
            self.assertIn("only root", self.init(action, 4, NOBODY))
        self.init("status", 4, NOBODY)
        self.m.config.chmod(0o644)
        self.init("status", 3, NOBODY)

    def test_not_installed(self):
        (self.m.here / "usr/bin/schedctl").unlink()
        for action in ("start", "restart", "try-restart", "reload", "force-reload"):
            self.assertIn("not installed", self.init(action, 5))
        self.init("status", 4)
        self.assertEqual(self.init("stop"), "")

    def test_a_configuration_that_cannot_be_used(self):
        self.m.config.write_text("stop_timeout = 17 parsecs\n")
        self.assertIn("/etc/schedctl/schedctl.toml:1:", self.init("start", 6))
        self.assertIn("/etc/schedctl/schedctl.toml:1:", self.init("status", 4))
        self.assertIn("/etc/schedctl/schedctl.toml:1:", self.init("restart", 6))
        self.assertIn("/etc/schedctl/schedctl.toml:1:", self.init("stop"))
        self.m.write_config()
        self.init("start")
        pid = self.m.pid()
        self.m.config.write_text("stop_timeout = 17 parsecs\n")
        for action in ("restart", "try-restart", "reload", "force-reload"):
            self.assertIn("/etc/schedctl/schedctl.toml:1:", self.init(action, 6))
        self.assertIn(f"running (pid {pid})", self.init("status"))
        # It reads nothing to stop.
        self.init("stop")
        self.m.wait_gone(pid)

    def test_a_daemon_that_cannot_start(self):
        self.m.run_dir.mkdir()
        (self.m.run_dir / "schedctl.lock").mkdir()
        self.assertIn("schedctl.lock", self.init("start", 1))


class Mishaps(Script):
    def test_a_daemon_that_was_killed(self):
        self.init("start")
        pid = self.m.pid()
        run = self.m.run_job("long", UNTIL_TOLD)
        self.m.kill(pid, "KILL")
        # Its locks go with its last thread.
        self.m.wait(lambda: self.m("status").code == 1, "the daemon to be dead")
        self.assertIn(f"dead: the pidfile names {pid}", self.init("status", 1))
        self.init("start")
        self.assertNotEqual(self.m.pid(), pid)
        self.survives(run)

    def test_a_pidfile_that_names_a_stranger_kills_nobody(self):
        stranger = self.m.popen("sleep", "600")
        found = self.m.wait(lambda: [p for p, t in self.m.titles().items() if t == "sleep 600"],
                            "the stranger")
        self.m.run_dir.mkdir()
        self.pidfile.write_text(f"{found[0]}\n")
        self.init("status", 1)
        self.init("stop")
        self.init("start")
        self.pidfile.write_text(f"{found[0]}\n")
        self.init("reload")
        self.init("restart")
        self.init("stop")
        self.wait_nothing_left()
        self.assertIsNone(stranger.poll())

    def test_an_empty_pidfile(self):
        self.m.run_dir.mkdir()
        self.pidfile.write_text("")
        self.init("status", 3)
        self.init("stop")
        self.init("start")
        self.pidfile.write_text("")
        self.init("stop")
        self.wait_nothing_left()

    def test_a_daemon_whose_runtime_directory_was_wiped(self):
        self.init("start")
        pid = self.m.pid()
        shutil.rmtree(self.m.run_dir)
        self.assertIn(f"running (pid {pid}", self.init("status"))
        self.init("restart")
        self.assertEqual(self.pidfile.read_text(), f"{pid}\n")
        shutil.rmtree(self.m.run_dir)
        self.init("stop")
        self.m.wait_gone(pid)
        self.wait_nothing_left()

    def test_a_program_that_was_replaced(self):
        self.init("start")
        pid = self.m.pid()
        program = self.m.here / "usr/bin/schedctl"
        new = program.with_name("schedctl.new")
        shutil.copy(program, new)
        new.replace(program)
        self.init("status")
        self.init("start")
        self.assertEqual(self.m.pid(), pid)
        self.assertIn("running jobs go on", self.init("restart"))
        self.assertEqual(self.m.pid(), pid)
        shutil.copy(program, new)
        new.replace(program)
        self.init("stop")
        self.m.wait_gone(pid)
        self.wait_nothing_left()

    def test_a_stop_that_takes_too_long_leaves_the_jobs_to_the_next_daemon(self):
        self.default("STOP_WAIT=2")
        self.init("start")
        run = self.m.run_job("long", UNTIL_TOLD)
        self.init("stop")
        self.assertEqual(self.m.schedctls(), ["schedctl: keeper"])
        self.init("start")
        self.survives(run)


class ActionsAsUser(Actions):
    """The same with a daemon that gives root up."""
    user = "schedctl"
    test_stop_waits_long_enough_for_jobs_that_ignore_it = None  # long, and nothing new

    def test_start_status_stop(self):
        super().test_start_status_stop()
        self.init("start")
        self.assertEqual(self.uid(self.m.pid()), self.user)


class MishapsAsUser(Mishaps):
    user = "schedctl"


class Defaults(Script):
    def test_program_options_and_pidfile(self):
        (self.m.here / "opt").mkdir(exist_ok=True)
        self.m.config.rename(self.m.config.with_name("other.toml"))
        with open(self.m.config.with_name("other.toml"), "a", encoding="utf-8") as file:
            file.write('runtime_dir = "/run/other"\n')
        (self.m.here / "usr/bin/schedctl").rename(self.m.here / "usr/local/bin/schedctl")
        self.default("DAEMON=/usr/local/bin/schedctl")
        self.default("DAEMON_OPTS='--config=/etc/schedctl/other.toml'")
        self.assertIn("there is no /run/schedctl/schedctl.pid", self.init("start"))
        self.init("status")
        # Found by its lock all the same.
        self.init("stop")
        self.wait_nothing_left()
        self.default("PIDFILE=/run/other/schedctl.pid")
        self.assertNotIn("there is no", self.init("start"))
        self.assertIn("running jobs go on", self.init("restart"))
        self.init("reload")
        self.init("stop")
        self.wait_nothing_left()

    def test_the_file_says_what_holds_without_it(self):
        script = (ROOT / "sysvinit/schedctl").read_text()
        lines = re.findall(r"(?m)^#([A-Z_]+)=(.*)$",
                           (ROOT / "sysvinit/schedctl.default").read_text())
        self.assertEqual(len(lines), 6)
        for name, value in lines:
            value = value.strip('"')
            self.assertRegex(script, rf"(?m)^{name}={re.escape(value)}$")
        (self.m.here / DEFAULTS.lstrip("/")).unlink()
        self.init("start")
        self.init("stop")


class ExternalKeeper(Script):
    """keeper = "external": then nobody but the script starts it."""
    settings = ('stop_timeout = "20s"\nkeeper = "external"\n'
                'keeper_dir = "/var/lib/schedctl-keeper"\n')
    user = "schedctl"

    def setUp(self):
        super().setUp()
        self.m.sh("install", "-d", "-o", self.user, "/var/lib/schedctl-keeper")
        self.m.sh("install", "-d", "-o", self.user, "/var/lib/schedctl")

    def keeper(self):
        return int((self.m.here / "run/schedctl-keeper.pid").read_text())

    def test_it_is_started_before_and_stopped_after_the_daemon(self):
        self.init("start")
        keeper = self.keeper()
        self.assertEqual(self.m.keeper_pid(), keeper)
        self.assertEqual((self.uid(keeper), self.uid(self.m.pid())), ("schedctl", "schedctl"))
        run = self.m.run_job("long", UNTIL_TOLD)
        for action in ("start", "restart", "reload"):
            self.init(action)
            self.assertEqual(self.keeper(), keeper)
        self.survives(run)
        self.init("stop")
        self.wait_nothing_left()
        self.assertFalse((self.m.here / "run/schedctl-keeper.pid").exists())

    def test_restart_starts_one_that_has_died(self):
        self.init("start")
        first = self.keeper()
        self.m.kill(first, "KILL")
        self.m.wait_gone(first)
        self.init("restart")
        self.assertNotEqual(self.keeper(), first)
        self.m.wait(lambda: self.m.keeper_pid() == self.keeper(), "the daemon to find it")

    def test_a_pidfile_that_names_a_stranger_is_not_believed(self):
        (self.m.here / "run/schedctl-keeper.pid").write_text("1\n")
        self.init("start")
        self.assertEqual(self.m.keeper_pid(), self.keeper())

    def test_jobs_that_the_daemon_left_are_not_ended(self):
        self.m.write_config(self.settings + 'on_sigterm = "leave"\n')
        self.init("start")
        run = self.m.run_job("long", UNTIL_TOLD)
        self.assertIn(f"jobs go on with the keeper (pid {self.keeper()})", self.init("stop"))
        self.init("start")
        self.survives(run)

    def test_it_says_why_a_keeper_does_not_start(self):
        self.default("KEEPER_USER=nobody")
        said = self.init("start", 1)
        self.assertIn("the keeper does not start", said)
        self.assertIn("cannot read /etc/schedctl/schedctl.toml", said)
        self.assertEqual(self.m.schedctls(), [])

    def test_one_that_is_root_runs_jobs_as_others(self):
        self.m.write_config(self.settings + 'allow_users = ["nobody"]\n')
        self.m.sh("chown", "root", "/var/lib/schedctl-keeper")
        self.m.sh("install", "-d", "-o", self.user, "-m", "0700", "/var/lib/schedctl/output")
        self.default("KEEPER_USER=root")
        self.init("start")
        self.assertEqual(self.uid(self.keeper()), "root")
        self.m.ok("add", "whoami", "--manual", "--user", "nobody", "--", "id", "-un")
        self.m.ok("trigger", "whoami", "--wait")
        self.assertEqual(self.m.ok("logs", "whoami").out, "nobody\n")


class Style(unittest.TestCase):
    def test_any_shell_reads_it(self):
        for file in ("schedctl", "schedctl.default"):
            done = subprocess.run(["sh", "-n", ROOT / "sysvinit" / file], capture_output=True,
                                  text=True, check=False)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_shellcheck_finds_nothing(self):
        if shutil.which("shellcheck") is None:
            self.skipTest("shellcheck is missing")
        for file in ("schedctl", "schedctl.default"):
            done = subprocess.run(["shellcheck", "--shell=sh", "--exclude=SC2034",
                                   ROOT / "sysvinit" / file],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.stdout + done.stderr, "")


if __name__ == "__main__":
    unittest.main()
