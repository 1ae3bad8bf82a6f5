"""An upgrade under running jobs: the program's file is replaced, the daemon restarted, and the keeper
becomes the new program with everything it holds. A build differs from another in its build id."""
import contextlib
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import time

import machine
from machine import Machine, Story, alive


def build_id(program):
    """Where the linker's note holds it (elf(5)), and its bytes."""
    head = bytes.fromhex("04000000 14000000 03000000") + b"GNU\0"
    at = program.index(head) + len(head)
    return program[at:at + 20]


def install(path, change):
    """Puts a build under the path as a package does: a new file takes the name."""
    program = pathlib.Path(machine.BINARY).read_bytes()
    old = build_id(program)
    new = old[:-1] + bytes([old[-1] ^ change])
    fresh = path.with_suffix(".new")
    fresh.write_bytes(program.replace(old, new))
    fresh.chmod(0o755)
    fresh.rename(path)


class InstalledMachine(Machine):
    """A machine whose program can be replaced."""

    def __init__(self, settings=""):
        super().__init__(settings)
        self.program = self.root / "schedctl"
        install(self.program, 1)

    def __call__(self, *words, env=None, stdin=None, cwd=None):
        done = subprocess.run([self.program, "--config", str(self.config), *map(str, words)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              errors="replace", env=self.environment(env), input=stdin or "",
                              timeout=machine.PATIENCE_S * 2, cwd=cwd, check=False)
        return machine.Answer(done)


class Renewal(Story):
    def setUp(self):
        self.m = InstalledMachine('stop_timeout = "1s"\n')
        self.addCleanup(self.m.close)

    def start_with_a_long_job(self):
        self.m.start()
        self.go = self.m.root / "go"
        self.m.ok("add", "long", "--manual", "--shell",
                  f"while [ ! -e {self.go} ]; do sleep 0.02; done; echo done; exit 7")
        self.m.ok("trigger", "long")
        run = self.m.wait_runs("long", lambda r: r and r[0]["pid"], "a process")[0]
        return self.m.keeper_pid(), run["pid"]

    def runs_what_is_installed(self, pid):
        try:
            return os.path.samefile(f"/proc/{pid}/exe", self.m.program)
        except OSError:
            return False

    def test_a_restart_after_an_upgrade_renews_the_keeper_under_a_running_job(self):
        keeper, job = self.start_with_a_long_job()
        self.m.ok("add", "timed", "--manual", "--timeout", "3s", "--", "sleep", "600")
        self.m.ok("trigger", "timed")
        self.m.wait_runs("timed", lambda r: r and r[0]["pid"], "a process")
        install(self.m.program, 2)
        self.assertFalse(self.runs_what_is_installed(keeper))
        self.m.ok("restart")
        self.m.wait(lambda: self.runs_what_is_installed(keeper), "the keeper to be the new program")
        self.m.wait(lambda: "keeper-renewed" in self.m.log_text(), "the daemon to see it")
        self.assertEqual(self.m.keeper_pid(), keeper)
        self.assertEqual(machine.title(keeper), "schedctl: keeper")
        self.assertTrue(alive(job))
        self.assertEqual(self.m.wait_state("timed", "failed")["reason"], "timeout")
        self.go.touch()
        run = self.m.wait_state("long", "failed")
        self.assertEqual((run["exit_code"], run["pid"]), (7, job))
        self.assertEqual(self.m.ok("logs", "long").out, "done\n")
        self.assertNotIn("keeper-lost", self.m.log_text())
        self.m.ok("stop")
        self.m.wait_gone(keeper)

    def test_a_program_that_is_no_good_is_not_become(self):
        keeper, job = self.start_with_a_long_job()
        install(self.m.program, 2)
        good = self.m.root / "good"
        shutil.move(self.m.program, good)
        shutil.copy("/bin/true", self.m.program)
        # The daemon's own restart takes the path, so the new daemon is started from elsewhere.
        pid = int((self.m.run_dir / "schedctl.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        self.m.wait_gone(pid)
        subprocess.run([good, "--config", self.m.config, "start"], check=True,
                       stderr=subprocess.PIPE, env=self.m.environment())
        self.m.wait(lambda: "keeper-not-renewed" in self.m.log_text(), "the keeper's answer")
        self.assertTrue(alive(job))
        shutil.move(good, self.m.program)
        self.assertEqual(self.m.keeper_pid(), keeper)
        self.go.touch()
        self.assertEqual(self.m.wait_state("long", "failed")["exit_code"], 7)

    def test_a_daemon_killed_while_the_keeper_is_renewed_finds_every_run(self):
        keeper, job = self.start_with_a_long_job()
        self.m.ok("add", "tick", "--every", "1s", "--", "/bin/true")
        for change in range(2, 7):
            install(self.m.program, change)
            pid = int((self.m.run_dir / "schedctl.pid").read_text())
            os.kill(pid, signal.SIGKILL)
            self.m.wait_gone(pid)  # while it dies it still holds its lock
            self.m.start()
            time.sleep(0.03 * change)
        self.m.wait(lambda: self.runs_what_is_installed(keeper), "the keeper to be the new program")
        self.assertTrue(alive(job))
        self.go.touch()
        self.assertEqual(self.m.wait_state("long", "failed")["exit_code"], 7)
        runs = self.m.wait_runs("tick", lambda all_: all_ and all_[-1]["state"] == "succeeded",
                                "a tick after it all")
        fires = [r["fire_time"] for r in runs]
        self.assertEqual(len(set(fires)), len(fires))
        self.assertFalse([r for r in runs if r["state"] == "lost"])


class OlderDatabase(Story):
    """What a new program's commands do to a database before its daemon has been restarted."""

    def mark_as_version(self, number):
        with contextlib.closing(sqlite3.connect(self.m.state / "schedctl.db")) as db:
            db.execute(f"PRAGMA user_version = {number}")

    def test_nothing_is_migrated_under_a_daemon_of_the_older_version(self):
        self.m.start()
        self.m.ok("add", "one", "--manual", "--", "true")
        version = self.m.column("PRAGMA user_version")[0]
        self.mark_as_version(version - 1)
        self.addCleanup(self.mark_as_version, version)
        for words in (("list",), ("add", "two", "--manual", "--", "true"), ("alerts",),
                      ("db", "migrate")):
            with self.subTest(words):
                answer = self.m(*words)
                self.assertEqual(answer.code, 5, answer)
                self.assertIn("schedctl restart brings both up to date", answer.err)
        self.assertEqual(self.m("check").code, 3)
        self.assertEqual(self.m("status").code, 0)
        self.assertEqual(self.m.column("PRAGMA user_version"), [version - 1])
        self.assertEqual(list(self.m.state.glob("*.bak")), [])
