"""The daemon's life under a real systemd: its unit's files, start, reload, restart, stop."""
import pathlib
import re
import unittest

from container import BINARY, PATIENCE_S, ROOT
from units import KEEPER_D, MINE, UNITS, Installed, Started

NEW_JOB = '[job.new]\nevery = "1h"\ncommand = ["true"]\n'


class Files(Installed):
    def analyze(self, *words):
        answer = self.m.run("systemd-analyze", *words)
        return answer.code, answer.out + answer.err

    def exposure_is_at_most(self, most, unit):
        """Of its files, and of what systemd has made of them."""
        found = []
        self.m.must("systemctl daemon-reload")
        for words in (["--offline=true", f"{UNITS}/{unit}.service"], [f"{unit}.service"]):
            code, said = self.analyze("security", "--no-pager", f"--threshold={round(most * 10)}",
                                      *words)
            self.assertEqual(code, 0, said)
            found.append(float(re.search(r"exposure level for \S+: ([\d.]+)", said)[1]))
        return found[0]

    def example(self, name, unit):
        self.m.copy(f"systemd/examples/{name}.conf", f"{MINE}/{unit}.service.d/{name}.conf")

    def test_the_units_verify_without_a_word(self):
        both = [f"{UNITS}/schedctl.service", f"{UNITS}/schedctl-keeper.service"]
        # There is no man in this machine.
        self.assertEqual(self.analyze("verify", "--man=no", *both), (0, ""))
        self.example("other-users", "schedctl-keeper")
        self.example("credentials", "schedctl")
        self.m.must("systemctl daemon-reload")
        self.assertEqual(self.analyze("verify", "--man=no", *both), (0, ""))
        for path in ("schedctl.service", "schedctl-keeper.service"):
            for page, section in re.findall(r"man:([\w.-]+)\((\d)\)",
                                            (ROOT / "systemd" / path).read_text()):
                self.assertTrue((ROOT / f"man/{page}.{section}").exists(), page)

    def test_a_misspelt_directive_would_not(self):
        self.m.copy("systemd/schedctl.service", f"{UNITS}/schedctl.service",
                    edit=lambda text: text.replace("RestrictRealtime", "RestrictRaeltime"))
        _, said = self.analyze("verify", "--man=no", f"{UNITS}/schedctl.service")
        self.assertIn("RestrictRaeltime", said)

    def test_how_exposed_the_units_are(self):
        self.exposure_is_at_most(1.5, "schedctl")
        with_commands = self.exposure_is_at_most(3.0, "schedctl-keeper")
        self.example("other-users", "schedctl-keeper")
        with_users = self.exposure_is_at_most(4.5, "schedctl-keeper")
        (self.m.here / KEEPER_D.lstrip("/") / "other-users.conf").unlink()
        # (Offline, what stands in the directory of the unit wins, and nothing can be masked.)
        self.m.must(f"rm -r {UNITS}/schedctl-keeper.service.d")
        strict = self.exposure_is_at_most(1.5, "schedctl-keeper")
        # Each of them does open something.
        self.assertLess(strict, with_commands)
        self.assertLess(with_commands, with_users)

    def test_needrestart_leaves_the_keeper_alone(self):
        self.m.copy("systemd/schedctl.needrestart", "/etc/needrestart/conf.d/schedctl.conf")
        # As needrestart does: it evaluates the file, and takes the first pattern that matches.
        asked = ("our %nrconf = (override_rc => {}); eval `cat /etc/needrestart/conf.d/schedctl.conf`; "
                 "die $@ if $@; for my $rc (@ARGV) { "
                 "print grep({ $rc =~ /$_/ } keys %{$nrconf{override_rc}}) ? qq($rc stays\n) : '' }")
        self.assertEqual(self.m.must("perl", "-we", asked, "schedctl.service",
                                     "schedctl-keeper.service"), "schedctl-keeper.service stays\n")

    def test_sysusers_and_tmpfiles_make_what_is_missing(self):
        name, _, uid, gid, _, home, shell = self.m.must(
            "getent passwd schedctl").strip().split(":")
        self.assertEqual((name, home, shell), ("schedctl", "/var/lib/schedctl", "/usr/sbin/nologin"))
        self.assertLess(int(uid), 1000)
        self.assertEqual(self.m.must(f"getent group {gid}").split(":")[0], "schedctl")
        directories = ("/etc/schedctl/jobs.d", "/var/lib/schedctl", "/var/lib/schedctl/output",
                       "/var/log/schedctl", "/run/schedctl")
        stat = f"stat -c '%a %U:%G %n' {' '.join(directories)}"
        made = self.m.must(stat)
        self.assertEqual(made.splitlines(), [
            "755 root:root /etc/schedctl/jobs.d",
            "700 schedctl:schedctl /var/lib/schedctl",
            "700 schedctl:schedctl /var/lib/schedctl/output",
            "750 schedctl:schedctl /var/log/schedctl",
            "755 schedctl:schedctl /run/schedctl"])
        self.m.must(f"rm -rf {' '.join(directories)}")
        self.m.must("systemd-tmpfiles --create schedctl.conf")
        self.assertEqual(self.m.must(stat), made)

    def test_the_daemon_makes_the_directories_too(self):
        self.m.must("rm -r /var/lib/schedctl /var/log/schedctl /run/schedctl")
        self.m.must("systemctl start schedctl")
        self.assertEqual(
            self.m.must("stat -c '%a %U' /var/lib/schedctl /var/log/schedctl /run/schedctl "
                        "/var/lib/schedctl-keeper").splitlines(),
            ["700 schedctl", "750 schedctl", "755 schedctl", "750 schedctl"])


class Start(Installed):
    def test_it_is_started_when_it_serves(self):
        self.m.must("systemctl start schedctl")
        status = self.m.json("status")  # at once
        self.assertTrue(status["running"])
        daemon, keeper = self.main_pid(), self.main_pid("schedctl-keeper")
        self.assertEqual((status["pid"], status["keeper_pid"]), (daemon, keeper))
        self.assertEqual((self.user(daemon), self.user(keeper)), ("schedctl", "schedctl"))
        # The daemon has no process beside itself, and says how it is.
        self.assertEqual(self.processes("schedctl"), {daemon: "schedctl: daemon"})
        self.assertEqual(self.processes("schedctl-keeper"), {keeper: "schedctl: keeper"})
        self.m.wait(lambda: self.show("schedctl", "StatusText") == "0 jobs, 0 running",
                    "the status text")
        self.assertNotIn("ignored", self.m.journal("schedctl") + self.m.journal("schedctl-keeper"))
        self.assertEqual(self.m.must("systemctl --failed --no-legend"), "")

    def test_until_the_keeper_is_there_it_is_not_ready(self):
        self.m.must("systemctl mask --runtime --quiet schedctl-keeper")
        self.m.must("systemctl start --no-block schedctl")
        self.m.wait(lambda: self.m.log.exists() and "daemon-up" in self.m.log_text(),
                    "the daemon to begin")
        self.assertEqual(self.is_active(), "activating")
        daemon = self.main_pid()
        self.m.must("systemctl unmask --runtime --quiet schedctl-keeper")
        self.m.must("systemctl start schedctl-keeper")
        self.wait_active("active")
        self.assertEqual(self.main_pid(), daemon)

    def test_without_a_keeper_it_says_what_to_type_and_tries_again(self):
        self.m.must("systemctl mask --runtime --quiet schedctl-keeper")
        answer = self.m.run("systemctl start schedctl")
        self.assertNotEqual(answer.code, 0)
        self.m.wait(lambda: int(self.show("schedctl", "NRestarts")) > 0, "another try")
        self.assertIn("systemctl start schedctl-keeper", self.m.journal("schedctl"))
        self.m.must("systemctl unmask --runtime --quiet schedctl-keeper")
        self.m.must("systemctl start schedctl-keeper")
        self.wait_active("active")

    def test_broken_settings_are_told_and_not_tried_again(self):
        self.configure("stop_timeout = 17 parsecs\n")
        answer = self.m.run("systemctl start schedctl")
        self.assertNotEqual(answer.code, 0)
        self.assertEqual(self.is_active(), "failed")
        self.assertEqual(self.show("schedctl", "ExecMainStatus"), "78")
        self.assertEqual(self.show("schedctl", "NRestarts"), "0")
        self.assertIn("/etc/schedctl/schedctl.toml:5:", self.m.journal("schedctl"))
        self.configure()
        self.m.must("systemctl start schedctl")
        self.assertEqual((self.is_active(), self.is_active("schedctl-keeper")), ("active",) * 2)


    def test_it_takes_over_from_a_daemon_that_was_started_by_hand(self):
        self.m.must("systemctl start schedctl-keeper")
        self.m.ok("start")
        by_hand = self.m.pid()
        self.assertNotEqual(self.m.run("systemctl start schedctl").code, 0)
        self.assertIn(f"already running (pid {by_hand})", self.m.journal("schedctl"))
        self.m.ok("stop", "--keep-jobs")
        self.wait_active("active")
        self.assertEqual(self.m.pid(), self.main_pid())


class Reload(Started):
    def test_a_new_job_file_counts_after_it(self):
        self.m.write("/etc/schedctl/jobs.d/new.toml", NEW_JOB)
        self.m.must("systemctl reload schedctl")
        self.assertIsNotNone(self.m.job("new"))  # at once
        self.assertEqual((self.is_active(), self.main_pid()), ("active", self.pid))

    def test_settings_that_cannot_be_used_fail_it(self):
        run = self.run_job()
        self.configure("stop_timeout = 17 parsecs\n")
        answer = self.m.run("systemctl reload schedctl")
        self.assertNotEqual(answer.code, 0)
        self.assertIn("/etc/schedctl/schedctl.toml:5:", self.m.journal("schedctl"))
        self.assertEqual((self.is_active(), self.main_pid()), ("active", self.pid))
        self.configure('environment = "testing"\n')
        self.m.must("systemctl reload schedctl")
        self.assertEqual(self.m.json("status")["environment"], "testing")
        self.expect_succeeded_once(run)

    def test_a_job_file_that_cannot_be_used_fails_it_and_keeps_its_jobs(self):
        self.m.write("/etc/schedctl/jobs.d/new.toml", NEW_JOB)
        self.m.must("systemctl reload schedctl")
        self.m.write("/etc/schedctl/jobs.d/new.toml", NEW_JOB.replace("every", "evry"))
        self.assertNotEqual(self.m.run("systemctl reload schedctl").code, 0)
        self.assertIn("/etc/schedctl/jobs.d/new.toml:2:", self.m.journal("schedctl"))
        self.assertEqual(self.m.job("new")["schedule"], {"every": "1h"})
        self.assertEqual((self.is_active(), self.main_pid()), ("active", self.pid))


class Restart(Started):
    def test_restart_leaves_a_running_job_alone(self):
        run = self.run_job()
        self.m.must("systemctl restart schedctl")
        self.assertNotEqual(self.main_pid(), self.pid)
        self.assertEqual(self.main_pid("schedctl-keeper"), self.keeper)
        self.assertIn("how=leave", self.m.log_text())
        self.assertEqual(self.show("schedctl", "Result"), "success")
        self.expect_succeeded_once(run)

    def test_restart_in_place_stays_the_same_process(self):
        run = self.run_job()
        self.m.ok("restart")
        self.assertEqual((self.is_active(), self.main_pid()), ("active", self.pid))
        self.assertEqual(self.show("schedctl", "NRestarts"), "0")
        self.m.must("systemctl reload schedctl")
        self.expect_succeeded_once(run)

    def test_one_that_left_its_jobs_is_started_again(self):
        run = self.run_job()
        self.m.ok("stop", "--keep-jobs")
        self.wait_new_daemon(self.pid)
        self.assertNotIn("Failed with result", self.m.journal("schedctl"))
        self.expect_succeeded_once(run)

    def test_an_upgrade_touches_no_job_and_reaches_the_keeper(self):
        run = self.run_job()
        # Another build, as far as the program can tell: the note of its build id says so.
        old = pathlib.Path(BINARY).read_bytes()
        note = re.search(rb"\x04\0{3}\x14\0{3}\x03\0{3}GNU\0(.{20})", old, re.S)
        new = bytearray(old)
        new[note.start(1)] ^= 1
        (self.m.here / "usr/bin/schedctl.new").write_bytes(new)
        self.m.must("chmod 755 /usr/bin/schedctl.new && mv /usr/bin/schedctl.new /usr/bin/schedctl")
        program = f"readlink /proc/{self.keeper}/exe"
        self.assertEqual(self.m.must(program), "/usr/bin/schedctl (deleted)\n")
        self.m.must("systemctl restart schedctl")
        self.m.wait(lambda: self.m.must(program) == "/usr/bin/schedctl\n",
                    "the keeper to be the new program")
        self.assertEqual(self.main_pid("schedctl-keeper"), self.keeper)
        self.assertEqual(self.is_active("schedctl-keeper"), "active")
        self.expect_succeeded_once(run)

    def test_a_killed_daemon_is_started_again_and_takes_over_what_runs(self):
        run = self.run_job()
        self.m.kill(self.pid, "KILL")
        self.wait_new_daemon(self.pid)
        self.assertEqual(self.main_pid("schedctl-keeper"), self.keeper)
        self.expect_succeeded_once(run)

    def test_a_stuck_daemon_is_killed_by_the_watchdog(self):
        self.drop_in("schedctl", "[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n")
        self.m.must("systemctl restart schedctl")
        run, stuck = self.run_job(), self.main_pid()
        self.m.kill(stuck, "STOP")
        self.wait_new_daemon(stuck)
        self.assertIn("Watchdog timeout", self.m.journal("schedctl"))
        self.expect_succeeded_once(run)

    def test_an_idle_daemon_feeds_the_watchdog(self):
        self.drop_in("schedctl", "[Service]\nWatchdogSec=1\n")
        self.m.must("systemctl restart schedctl")
        pid = self.main_pid()
        first = int(self.show("schedctl", "WatchdogTimestampMonotonic"))
        # Through three of its times.
        self.m.wait(lambda: int(self.show("schedctl", "WatchdogTimestampMonotonic"))
                    > first + 3_000_000, "the watchdog to be fed")
        self.assertEqual(self.main_pid(), pid)


class Stopping(Started):
    def begin_stop(self, unit="schedctl"):
        """`systemctl stop`, which has not returned yet."""
        stopping = self.m.popen("systemctl", "stop", unit)
        self.m.wait(lambda: "how=drain" in self.m.log_text(), "the daemon to begin to stop")
        return stopping

    def expect_stopped(self, stopping):
        self.assertEqual((stopping.wait(PATIENCE_S), stopping.stdout.read()), (0, ""))
        self.assertEqual(self.is_active(), "inactive")
        self.assertEqual(self.show("schedctl", "Result"), "success")


class Stop(Stopping):
    def test_stop_waits_for_a_job_that_ends_in_time(self):
        run = self.run_job()
        stopping = self.begin_stop()
        self.expect_succeeded_once(run)
        self.expect_stopped(stopping)
        # For the next daemon.
        self.assertEqual(self.is_active("schedctl-keeper"), "active")
        self.assertEqual(self.main_pid("schedctl-keeper"), self.keeper)

    def test_stop_takes_as_long_as_it_takes(self):
        self.drop_in("schedctl", "[Service]\nTimeoutStopSec=2\n")
        run = self.run_job("slow", "sleep 5; echo done")
        stopping = self.begin_stop()
        self.expect_stopped(stopping)
        self.assertEqual([(r["id"], r["state"]) for r in self.m.runs("slow")],
                         [(run["id"], "succeeded")])

    def test_a_keeper_that_is_to_end_waits_for_what_it_was_left(self):
        self.configure('on_sigterm = "leave"\n')
        self.m.must("systemctl reload schedctl")
        run = self.run_job()
        stopping = self.m.popen("systemctl", "stop", "schedctl-keeper")
        self.wait_active("inactive")
        self.wait_active("deactivating", "schedctl-keeper")
        self.assertTrue(self.m.alive(run["pid"]))
        self.m.write("/run/go", "")
        self.expect_stopped(stopping)
        self.assertEqual(self.show("schedctl-keeper", "Result"), "success")
        self.m.must("systemctl start schedctl")
        self.assertEqual([(r["id"], r["state"]) for r in self.m.runs("long")],
                         [(run["id"], "succeeded")])

    def test_by_schedctl_it_stays_stopped(self):
        self.m.ok("stop")
        self.wait_active("inactive")
        self.assertEqual(self.show("schedctl", "NRestarts"), "0")
        self.m.must("systemctl start schedctl")
        self.assertEqual(self.main_pid("schedctl-keeper"), self.keeper)


class StopSoon(Stopping):
    settings = 'stop_timeout = "1s"\n'

    def test_stop_ends_a_job_that_does_not(self):
        run = self.run_job()
        self.expect_stopped(self.begin_stop())
        self.assertFalse(self.m.alive(run["pid"]))
        ended = self.m.runs("long")[-1]
        self.assertEqual((ended["state"], ended["reason"]), ("cancelled", "shutdown"))

    def test_stopping_the_keeper_stops_the_daemon_first(self):
        self.run_job()
        self.expect_stopped(self.begin_stop("schedctl-keeper"))
        self.assertEqual(self.is_active("schedctl-keeper"), "inactive")
        self.assertEqual(self.show("schedctl-keeper", "Result"), "success")
        ended = self.m.runs("long")[-1]
        self.assertEqual((ended["state"], ended["reason"]), ("cancelled", "shutdown"))
        self.m.must("systemctl start schedctl")
        self.assertEqual(self.is_active("schedctl-keeper"), "active")
        self.assertEqual(self.output_of("echo hello"), "hello")


if __name__ == "__main__":
    unittest.main()
