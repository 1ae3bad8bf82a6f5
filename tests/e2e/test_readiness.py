"""What a service manager hears of the daemon (sd_notify(3)): that it is ready, that it lives, that it
needs time to stop."""
import os
import signal
import socket
import sqlite3
import time

from machine import PATIENCE_S, Story, freeze


class Readiness(Story):
    def setUp(self):
        super().setUp()
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.ear.close)
        path = self.m.root / "notify"
        self.ear.bind(str(path))
        plain = self.m.environment
        heard = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "900000"}
        self.m.environment = lambda extra=None: plain({**heard, **(extra or {})})

    def begin(self):
        self.daemon = self.m.popen("start", "--foreground")
        self.hear("READY=1")
        return self.daemon.pid

    def hear(self, wanted):
        """Everything up to the message that is waited for."""
        self.ear.settimeout(PATIENCE_S)
        heard = []
        while not heard or not heard[-1].startswith(wanted):
            heard.append(self.ear.recv(4096).decode())
        return heard

    def forget(self):
        self.ear.setblocking(False)
        try:
            while True:
                self.ear.recv(4096)
        except BlockingIOError:
            pass

    def test_it_is_ready_when_commands_are_answered_and_says_how_it_is(self):
        self.m.ok("add", "nightly", "--cron", "30 2 * * *", "--", "true")
        pid = self.begin()
        self.assertEqual(self.m.json("status")["pid"], pid)
        self.assertRegex(self.hear("STATUS=")[-1], r"^STATUS=1 jobs, 0 running, next at \d{4}-")

    def test_the_watchdog_is_fed_while_the_database_cannot_be_written(self):
        self.begin()
        self.hear("WATCHDOG=1")
        holder = sqlite3.connect(self.m.state / "schedctl.db", isolation_level=None)
        self.addCleanup(holder.close)
        holder.execute("BEGIN IMMEDIATE")
        self.m.jobs_dir.joinpath("a.toml").write_text('[job.a]\nevery = "1s"\ncommand = ["true"]\n')
        os.kill(self.daemon.pid, signal.SIGHUP)
        self.m.wait(lambda: "failed" in self.m.log_text(), "a beat that fails")
        self.forget()
        for _ in range(3):
            self.hear("WATCHDOG=1")

    def test_a_daemon_that_is_stuck_is_silent_until_it_goes_on(self):
        self.begin()
        freeze(self.daemon.pid)
        self.forget()
        self.ear.settimeout(2)
        self.assertRaises(TimeoutError, self.ear.recv, 4096)
        os.kill(self.daemon.pid, signal.SIGCONT)
        self.hear("WATCHDOG=1")

    def test_a_reload_and_a_restart_in_place_are_told_and_end_with_readiness(self):
        pid = self.begin()
        for number in (signal.SIGHUP, signal.SIGUSR2):
            self.forget()
            os.kill(pid, number)
            reloading = self.hear("RELOADING=1")[-1]
            self.assertRegex(reloading, r"^RELOADING=1\nMONOTONIC_USEC=\d+$")
            self.hear("READY=1")
            self.hear("WATCHDOG=1")
        self.assertEqual(self.m.json("status")["pid"], pid)

    def test_a_bad_configuration_leaves_nobody_waiting_for_the_end_of_a_reload(self):
        self.begin()
        self.m.write_config("no_such_setting = 1")
        self.forget()
        os.kill(self.daemon.pid, signal.SIGHUP)
        self.m.wait(lambda: "reload-failed" in self.m.log_text(), "the refusal")
        heard = self.hear("WATCHDOG=1")
        self.assertFalse([one for one in heard if one.startswith("RELOADING")])

    def test_while_jobs_are_waited_for_more_time_is_asked_for_and_then_it_ends(self):
        self.m.write_config('stop_timeout = "1h"')
        self.begin()
        go = self.m.root / "go"
        self.m.ok("add", "slow", "--manual", "--shell", f"until [ -e {go} ]; do sleep 0.05; done")
        self.m.ok("trigger", "slow")
        self.m.wait_state("slow", "running")
        self.forget()
        os.kill(self.daemon.pid, signal.SIGTERM)
        self.hear("STOPPING=1")
        self.hear("EXTEND_TIMEOUT_USEC=30000000")
        asked_at = time.monotonic()
        self.hear("EXTEND_TIMEOUT_USEC=30000000")
        self.assertLess(time.monotonic() - asked_at, 30)
        go.touch()
        self.assertEqual(self.daemon.wait(PATIENCE_S), 0)
        self.assertEqual([run["state"] for run in self.m.runs("slow")], ["succeeded"])

    def test_what_it_hears_reaches_no_job(self):
        self.begin()
        self.m.ok("add", "curious", "--manual", "--shell", "env | grep -c -e NOTIFY -e WATCHDOG; true")
        self.m.ok("trigger", "curious", "--wait")
        self.assertEqual(self.m.ok("logs", "curious").out.split()[-1], "0")
