"""keeper = "external": the keeper is a service of its own, which no daemon starts or ends."""
import os
import signal
import socket
import time
import unittest

import test_renewal
from machine import PATIENCE_S, Machine, alive, title
from test_daemon_user import DAEMON, LISTED, UNLISTED, DaemonUser, status_of


class Keeping(unittest.TestCase):
    def make_machine(self):
        return Machine()

    def setUp(self):
        self.m = self.make_machine()
        self.addCleanup(self.m.close)
        self.keeper_dir = self.m.root / "keeper-of-its-own"
        self.m.write_config(f'keeper = "external"\nkeeper_dir = "{self.keeper_dir}"\n')
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.ear.close)
        self.ear.bind(str(self.m.root / "notify"))
        self.ear.settimeout(PATIENCE_S)

    def keeper(self, *words):
        plain = self.m.environment
        self.m.environment = lambda extra=None: plain({"NOTIFY_SOCKET": str(self.m.root / "notify")})
        try:
            child = self.m.popen("keeper", "--external", *words)
        finally:
            self.m.environment = plain
        self.assertEqual(self.ear.recv(4096), b"READY=1")
        self.assertEqual(title(child.pid), "schedctl: keeper")
        return child

    def long_job(self):
        """Runs until the file is there."""
        go = self.m.root / "go"
        self.m.ok("add", "long", "--manual", "--shell", f"until [ -e {go} ]; do sleep 0.05; done")
        self.m.ok("trigger", "long")
        # Its row says running before there is a process.
        runs = self.m.wait_runs("long", lambda all_: any(r["pid"] for r in all_), "it to have a pid")
        return runs[-1]["pid"], go


class External(Keeping):
    def test_the_daemon_uses_it_and_leaves_it_alone_when_it_stops(self):
        keeper = self.keeper()
        self.m.start()
        self.assertEqual(self.m.keeper_pid(), keeper.pid)
        self.assertFalse((self.m.state / "keeper").exists())
        self.m.ok("add", "a", "--manual", "--", "true")
        self.m.ok("trigger", "a", "--wait")
        for _ in range(2):
            self.assertEqual(self.m("stop").code, 0)
            self.assertIsNone(keeper.poll())
            self.m.start()
            self.assertEqual(self.m.keeper_pid(), keeper.pid)

    def test_jobs_outlive_the_daemon_and_are_taken_over_by_the_next(self):
        keeper = self.keeper()
        daemon = self.m.start()
        pid, go = self.long_job()
        os.kill(daemon, signal.SIGKILL)
        self.m.wait_gone(daemon)
        self.m.start()
        self.assertEqual(self.m.wait_state("long", "running")["pid"], pid)
        go.touch()
        self.assertEqual(self.m.wait_state("long", "succeeded")["attempt"], 1)
        self.assertIsNone(keeper.poll())

    def test_a_daemon_without_it_waits_ten_seconds_and_ends_with_69(self):
        begun = time.monotonic()
        refused = self.m("start")
        self.assertEqual(refused.code, 69, refused)
        self.assertGreater(time.monotonic() - begun, 9)
        self.assertIn("systemctl start schedctl-keeper", refused.err)
        self.assertIn(str(self.keeper_dir), refused.err)

    def test_a_daemon_that_comes_first_goes_on_when_the_keeper_is_there(self):
        daemon = self.m.popen("start", "--foreground")
        self.m.wait(lambda: "daemon-up" in self.m.log_text(), "the daemon to begin")
        keeper = self.keeper()
        self.m.wait(lambda: self.m("status").code == 0 and self.m("trigger", "none").code == 3,
                    "the daemon")
        self.m.ok("add", "a", "--manual", "--", "true")
        self.m.ok("trigger", "a", "--wait")
        self.assertEqual(self.m.keeper_pid(), keeper.pid)
        self.assertIsNone(daemon.poll())

    def test_while_it_is_gone_nothing_starts_people_are_told_and_then_it_goes_on(self):
        keeper = self.keeper()
        daemon = self.m.start()
        self.m.ok("add", "a", "--manual", "--", "true")
        keeper.terminate()
        self.assertEqual(keeper.wait(PATIENCE_S), 0)
        self.m.wait(lambda: [a for a in self.m.json("alerts") if a["kind"] == "keeper"], "an alert")
        self.m.ok("trigger", "a")
        doctor = self.m("doctor")
        self.assertIn("systemctl start schedctl-keeper", doctor.out)
        self.assertEqual(self.m.runs("a")[0]["state"], "pending")
        new = self.keeper()
        self.m.wait_state("a", "succeeded")
        self.m.wait(lambda: not [a for a in self.m.json("alerts") if a["kind"] == "keeper"],
                    "the alert's end")
        self.assertEqual((self.m.pid(), self.m.keeper_pid()), (daemon, new.pid))

    def test_told_to_end_it_waits_for_its_last_run(self):
        keeper = self.keeper()
        daemon = self.m.start()
        pid, go = self.long_job()
        os.kill(daemon, signal.SIGUSR1)
        self.m.wait_gone(daemon)
        keeper.terminate()
        self.m.wait(lambda: int(dict(
            line.split(":\t", 1) for line in open(f"/proc/{keeper.pid}/status")
            if line.startswith("ShdPnd"))["ShdPnd"], 16) == 0, "the signal to be heard")
        self.assertTrue(alive(pid))
        self.assertIsNone(keeper.poll())
        go.touch()
        self.assertEqual(keeper.wait(PATIENCE_S), 0)
        # What it did not report before its end is in its journal.
        self.keeper()
        self.m.start()
        self.assertEqual(self.m.wait_state("long", "succeeded")["exit_code"], 0)

    def test_a_second_one_does_not_start_beside_it(self):
        self.keeper()
        second = self.m("keeper", "--external")
        self.assertNotEqual(second.code, 0)
        self.assertIn("lock", second.err)

    def test_it_goes_with_its_setting_alone(self):
        self.m.write_config()
        refused = self.m("keeper", "--external")
        self.assertEqual(refused.code, 78, refused)
        self.assertIn('keeper = "external"', refused.err)

    def test_a_daemon_with_another_keeper_dir_starts_only_when_no_run_is_left_behind(self):
        self.m.write_config()
        daemon = self.m.start()
        pid, go = self.long_job()
        elsewhere = self.m.root / "elsewhere"
        self.m.write_config(f'keeper_dir = "{elsewhere}"')
        refused = self.m("restart")
        self.assertNotEqual(refused.code, 0, refused)
        self.assertIn("wait until they have ended", refused.err)
        self.assertTrue(alive(daemon))
        os.kill(daemon, signal.SIGUSR1)
        self.m.wait_gone(daemon)
        refused = self.m("start")
        self.assertEqual(refused.code, 69, refused)
        self.assertIn(str(self.m.state / "keeper"), refused.err)
        self.m.write_config()
        self.m.start()
        go.touch()
        self.assertEqual(self.m.wait_state("long", "succeeded")["pid"], pid)
        self.m.ok("stop")
        # And so in the other direction.
        self.m.write_config(f'keeper_dir = "{elsewhere}"')
        daemon = self.m.start()
        self.addCleanup(self.end_keeper, elsewhere)
        go.unlink()
        self.m.ok("trigger", "long")
        self.m.wait_runs("long", lambda all_: all_[-1]["state"] == "running" and all_[-1]["pid"],
                         "it to have a pid again")
        os.kill(daemon, signal.SIGUSR1)
        self.m.wait_gone(daemon)
        self.m.write_config()
        refused = self.m("start")
        self.assertEqual(refused.code, 69, refused)
        self.assertIn(str(elsewhere), refused.err)
        go.touch()
        self.m.write_config(f'keeper_dir = "{elsewhere}"')
        self.m.start()
        self.m.wait_runs("long", lambda runs: [r["state"] for r in runs] == ["succeeded"] * 2, "both")
        self.m.ok("stop")
        self.m.write_config()
        self.m.start()
        self.assertFalse(os.path.lexists(self.m.state / "last-keeper"))

    def end_keeper(self, keeper_dir):
        words = (keeper_dir / "lock").read_text().split()
        if words[:1] == ["pid"] and alive(int(words[1])):
            os.kill(int(words[1]), signal.SIGKILL)

    def test_settings_of_its_place_that_make_no_sense_are_refused(self):
        for dir_ in (self.m.state, self.m.state / "output", self.m.run_dir):
            self.m.write_config(f'keeper_dir = "{dir_}"')
            refused = self.m("config")
            self.assertEqual(refused.code, 78, refused)
            self.assertIn("keeper_dir is a directory of its own", refused.err)

    def test_a_reload_says_that_it_cannot_change_it(self):
        self.keeper()
        self.m.start()
        self.m.write_config(f'keeper = "spawn"\nkeeper_dir = "{self.keeper_dir}"')
        self.assertIn("needs `schedctl restart` to change: keeper", self.m.ok("reload").out)


class Upgraded(Keeping):
    def make_machine(self):
        m = test_renewal.InstalledMachine()
        m.binary = str(m.program)
        return m

    def test_it_becomes_the_new_program_in_place_and_stays_a_service(self):
        keeper = self.keeper()
        self.m.start()
        pid, go = self.long_job()
        test_renewal.install(self.m.program, 2)
        self.m.ok("restart")
        self.m.wait(lambda: os.path.samefile(f"/proc/{keeper.pid}/exe", self.m.program), "the new one")
        self.m.wait(lambda: "keeper-renewed" in self.m.log_text(), "the daemon to see it")
        self.assertEqual(self.ear.recv(4096), b"READY=1")
        go.touch()
        self.assertEqual(self.m.wait_state("long", "succeeded")["pid"], pid)
        self.m.ok("stop")
        self.m.start()
        self.assertEqual(self.m.keeper_pid(), keeper.pid)


class ExternalOfRoot(DaemonUser):
    """The keeper is root's and goes by root's settings file; the daemon is another user's."""

    def setUp(self):
        super().setUp()
        self.keeper_dir = self.m.root / "keeper-of-its-own"
        self.external = (self.settings + f'allow_users = ["{LISTED}"]\nkeeper = "external"\n'
                         f'keeper_dir = "{self.keeper_dir}"\n')
        self.write_config(self.external)
        for path in (self.m.state, self.m.state / "output"):
            path.mkdir(mode=0o700)
            os.chown(path, self.uid, self.gid)

    def keeper(self):
        child = self.m.popen("keeper", "--external")
        self.m.wait(lambda: (self.keeper_dir / "socket").exists() or child.poll() is not None,
                    "the keeper")
        return child

    def test_it_runs_jobs_as_the_daemons_user_and_as_listed_ones(self):
        keeper = self.keeper()
        pid = self.m.start()
        self.check_dropped(pid)
        self.assertEqual((self.m.keeper_pid(), status_of(keeper.pid)["Uid"]), (keeper.pid, ["0"] * 4))
        for options, who in (((), DAEMON), (("--user", LISTED), LISTED)):
            run = self.run_job(who, *options, "--", "id", "-un")
            self.assertEqual(run["state"], "succeeded", run)
            self.assertEqual(self.m.ok("logs", who).out.split()[-1], who)
        refused = self.run_job("mail", "--user", UNLISTED, "--", "id")
        self.assertEqual((refused["state"], refused["reason"]), ("failed", "exec_error"))

    def test_a_daemon_that_was_never_root_uses_it_too(self):
        keeper = self.keeper()
        self.m.run_dir.mkdir()
        os.chown(self.m.run_dir, self.uid, self.gid)
        self.m.log = self.m.state / "info.log"
        self.write_config(self.external)
        started = self.as_user(DAEMON, "start")
        self.assertEqual(started.code, 0, started)
        run = self.run_job("who", "--user", LISTED, "--", "id", "-un")
        self.assertEqual(run["state"], "succeeded", run)
        # It cannot start another one when this one is gone, and waits for whoever can.
        daemon = self.m.pid()
        keeper.terminate()
        keeper.wait()
        self.m.wait(lambda: [a for a in self.m.json("alerts") if a["kind"] == "keeper"], "an alert")
        keeper = self.keeper()
        run = self.run_job("again", "--user", LISTED, "--", "id", "-un")
        self.assertEqual(run["state"], "succeeded", run)
        self.assertEqual((self.m.pid(), self.m.keeper_pid()), (daemon, keeper.pid))

    def test_it_does_not_start_by_a_file_that_others_could_have_written(self):
        self.m.config.chmod(0o666)
        keeper = self.keeper()
        self.assertEqual(keeper.wait(), 78)
        self.assertIn(str(self.m.config), keeper.communicate()[1])
