"""What schedctl survives: killed, stopped, restarted and robbed of its files at bad moments."""
import collections
import datetime
import mmap
import os
import pathlib
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import unittest

from machine import BINARY, Story, alive, is_ours, title


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_sanitized():
    with open(BINARY, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return text.find(b"__ubsan_handle") >= 0


class Survival(Story):
    settings = 'stop_timeout = "1s"\n[defaults]\nkill_grace = "300ms"\n'

    def start_ticking(self):
        self.m.start()
        self.m.ok("add", "tick", "--every", "1s", "--", "/bin/true")
        self.m.wait_state("tick", "succeeded")

    def succeeds_again(self, name="tick"):
        count = len([r for r in self.m.runs(name) if r["state"] == "succeeded"])
        self.m.wait_runs(
            name, lambda all_: sum(r["state"] == "succeeded" for r in all_) > count, "one more run")


class Restarting(Survival):
    def test_who_asks_during_a_restart_is_answered_by_the_successor(self):
        pid = self.m.start()
        for _ in range(15):
            send(pid, signal.SIGUSR2)
            time.sleep(random.random() * 0.02)
            answer = self.m("reload")
            self.assertEqual(answer.code, 0, answer)
        children = [self.m.popen("restart") for _ in range(5)]
        self.assertEqual([child.wait() for child in children], [0] * 5)
        self.assertEqual(self.m.pid(), pid)

    def test_a_stop_during_a_restart_stops_and_a_restart_during_a_stop_does_not(self):
        for order in ([signal.SIGUSR2, signal.SIGTERM], [signal.SIGTERM, signal.SIGUSR2]):
            for pause in (0, 0.001, 0.004, 0.01):
                pid = self.m.start()
                send(pid, order[0])
                time.sleep(pause)
                send(pid, order[1])
                self.m.wait_gone(pid)
                self.assertEqual(self.m("status").code, 3)

    def test_a_restart_gives_back_a_runtime_directory_that_was_removed(self):
        pid = self.m.start()
        shutil.rmtree(self.m.run_dir)
        self.assertEqual(self.m("start").code, 5)
        send(pid, signal.SIGUSR2)
        self.m.wait(lambda: self.m("reload").code == 0, "the daemon to be heard again")
        self.assertEqual(self.m.pid(), pid)
        self.m.ok("stop")
        self.assertFalse(alive(pid))

    def test_a_restart_takes_a_new_runtime_directory(self):
        pid = self.m.start()
        self.m.run_dir = self.m.root / "run2"
        self.m.write_config(self.settings)
        send(pid, signal.SIGUSR2)
        self.m.wait(lambda: self.m("status").code == 0, "the daemon to be seen again")
        self.assertEqual(self.m.pid(), pid)

    def test_a_busy_database_delays_a_restart_and_does_not_end_the_daemon(self):
        self.start_ticking()
        pid = self.m.pid()
        holder = sqlite3.connect(self.m.state / "schedctl.db", isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        restart = self.m.popen("restart")
        self.m.wait(lambda: "start-waits" in self.m.log_text(), "the successor to wait")
        holder.execute("ROLLBACK")
        holder.close()
        self.assertEqual(restart.wait(), 0)
        self.assertEqual(self.m.pid(), pid)
        self.succeeds_again()


class MissingThings(Survival):
    def test_an_output_directory_that_was_removed_comes_back(self):
        self.start_ticking()
        shutil.rmtree(self.m.state / "output")
        self.m.ok("add", "loud", "--manual", "--", "echo", "hello")
        self.m.ok("trigger", "loud", "--wait")
        self.assertEqual(self.m.ok("logs", "loud").out, "hello\n")

    def test_a_keeper_that_can_be_found_no_more_takes_its_runs_along(self):
        pid = self.m.start()
        keeper = self.m.keeper_pid()
        self.m.ok("add", "long", "--manual", "--", "sleep", "600")
        self.m.ok("trigger", "long")
        run = self.m.wait_runs("long", lambda r: r and r[0]["pid"], "a process")[0]
        shutil.rmtree(self.m.state / "keeper")
        self.assertTrue(alive(run["pid"]))
        self.m.ok("restart")
        self.m.wait_gone(run["pid"])
        self.m.wait_gone(keeper)
        self.m.wait_state("long", "lost")
        self.assertEqual(self.m.pid(), pid)
        self.m.ok("trigger", "long")

    def test_a_database_that_was_moved_stops_all_starts_until_it_is_back(self):
        self.start_ticking()
        database, away = self.m.state / "schedctl.db", self.m.root / "away"
        for suffix in ("", "-wal"):
            os.rename(f"{database}{suffix}", f"{away}{suffix}")
            self.m.wait(lambda: "was removed" in self.m.log_text(), "a beat that failed")
            os.rename(f"{away}{suffix}", f"{database}{suffix}")
            self.m.wait(lambda: "store-back" in self.m.log_text(), "the store to be back")
            self.succeeds_again()
            self.m.log.write_text("")

    @unittest.skipIf(is_sanitized(), "UBSan needs a pipe of its own to tell what an object is")
    def test_callers_who_say_nothing_cost_no_processor_and_no_runs(self):
        done = subprocess.run(["prlimit", "--nofile=40", BINARY, "--config", self.m.config, "start"],
                              env=self.m.environment(), stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.m.ok("add", "tick", "--every", "1s", "--", "/bin/true")
        callers = []
        self.addCleanup(lambda: [caller.close() for caller in callers])
        for _ in range(100):
            callers.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            callers[-1].settimeout(5)
            callers[-1].connect(str(self.m.run_dir / "schedctl.sock"))
        pid = int((self.m.run_dir / "schedctl.pid").read_text())
        before = cpu_seconds(pid)
        self.succeeds_again()
        self.assertLess(cpu_seconds(pid) - before, 0.3)


    def test_closed_standard_descriptors_are_given_to_nothing_else(self):
        for closed in ("<&-", ">&- 2>&-", "<&- >&- 2>&-"):
            done = subprocess.run(
                ["sh", "-c", f'exec "$0" "$@" {closed}', BINARY, "--config", self.m.config, "start"],
                env=self.m.environment(), stderr=subprocess.PIPE, check=False)
            self.assertEqual(done.returncode, 0, closed)
            for pid in (self.m.pid(), self.m.keeper_pid()):
                links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)]
                self.assertEqual(links, ["/dev/null"] * 3)
            self.m.ok("stop")


class StoppedProcesses(Survival):
    def test_a_keeper_that_stands_still_does_not_keep_the_daemon_from_ending(self):
        pid = self.m.start()
        keeper = self.m.keeper_pid()
        self.m.ok("add", "long", "--manual", "--", "sleep", "600")
        self.m.ok("trigger", "long")
        run = self.m.wait_runs("long", lambda r: r and r[0]["pid"], "a process")[0]
        send(keeper, signal.SIGSTOP)
        self.addCleanup(send, keeper, signal.SIGCONT)
        answer = self.m.ok("stop", "--timeout", "40s")
        self.assertIn("left with the keeper: long (#1)", answer.err)
        self.assertFalse(alive(pid))
        self.assertIn("runs-left", self.m.log_text())
        self.assertTrue(alive(run["pid"]))
        # It hears of everything when it wakes up, and the next daemon of what became of it.
        send(keeper, signal.SIGCONT)
        self.m.wait_gone(run["pid"])
        self.m.start()
        run = self.m.wait_runs("long", lambda r: r[0]["state"] != "running", "the end")[0]
        self.assertEqual(run["signal"], "SIGTERM")

    def test_a_daemon_that_finds_its_keeper_stopped_starts_and_waits_and_says_so(self):
        for way in ("start", "restart"):
            with self.subTest(way):
                self.finds_its_keeper_stopped(way)

    def finds_its_keeper_stopped(self, way):
        self.m.start()
        name = "late-" + way
        go = self.m.root / ("go-" + way)
        self.m.ok("add", name, "--manual", "--shell",
                  f"while [ ! -e {go} ]; do sleep 0.05; done; exit 7")
        self.m.ok("trigger", name)
        self.m.wait_runs(name, lambda r: r and r[0]["pid"], "a process")
        keeper = self.m.keeper_pid()
        send(keeper, signal.SIGSTOP)
        self.addCleanup(send, keeper, signal.SIGCONT)
        if way == "start":
            send(self.m.pid(), signal.SIGKILL)
        self.m.ok(way)
        self.m.ok("add", "new-" + way, "--every", "1s", "--", "true")
        self.m.wait(lambda: any(a["kind"] == "keeper" for a in self.m.json("alerts")),
                    "the alert")
        go.write_text("")
        self.assertEqual(self.m.runs(name)[0]["state"], "running")
        self.assertFalse([r for r in self.m.runs("new-" + way) if r["started"]])
        self.assertEqual(self.m("check").code, 2)
        send(keeper, signal.SIGCONT)
        run = self.m.wait_runs(name, lambda r: r[0]["state"] != "running", "the end")[0]
        self.assertEqual((run["state"], run["exit_code"]), ("failed", 7))
        self.m.wait_state("new-" + way, "succeeded")
        self.m.wait(lambda: not [a for a in self.m.json("alerts") if a["kind"] == "keeper"],
                    "the alert's end")
        self.assertEqual(self.m.keeper_pid(), keeper)
        self.m.ok("remove", "new-" + way, "--force")

    def test_a_daemon_that_stood_still_starts_nothing_twice(self):
        self.start_ticking()
        pid = self.m.pid()
        send(pid, signal.SIGSTOP)
        time.sleep(2.5)
        send(pid, signal.SIGCONT)
        self.succeeds_again()
        runs = self.m.runs("tick")
        self.assertEqual(len({r["fire_time"] for r in runs}), len(runs))
        self.assertNotIn("clock-jump", self.m.log_text())

    def test_what_a_killed_keeper_leaves_of_a_run_is_killed_by_the_next(self):
        pids = self.m.root / "pids"
        self.m.start()
        self.m.ok("add", "parent", "--manual", "--shell", f"sleep 600 & echo $! > {pids}; wait")
        self.m.ok("trigger", "parent")
        child = self.m.wait(lambda: pids.exists() and pids.read_text().strip(), "the child")
        self.m.wait_runs("parent", lambda r: r[0]["pid"], "a row that knows it")
        send(self.m.keeper_pid(), signal.SIGKILL)
        self.m.wait_state("parent", "lost")
        self.m.wait_gone(int(child))


class RandomKills(Survival):
    """Daemon and keeper are killed at random for a while; then the books must balance."""
    DURATION_S = float(os.environ.get("KILL_S", "15"))

    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
        self.random = random.Random(self.seed)
        self.lines = self.m.root / "lines"
        self.lines.mkdir()
        self.triggered = 0

    def add(self, name, seconds, *words):
        line = f'echo "%s $SCHEDCTL_KEY $SCHEDCTL_ATTEMPT" >> {self.lines}/{name}'
        self.m.ok("add", name, *words, "--env", f"OWNER={self.m.root}", "--shell",
                  f"{line % 'S'}; sleep {seconds}; {line % 'E'}")

    def kill(self, lock, name):
        try:
            pid = int(lock.read_text().split()[-1 if name == "daemon" else 1])
        except (OSError, ValueError, IndexError):
            return
        if is_ours(pid) and title(pid) == f"schedctl: {name}":
            send(pid, signal.SIGKILL)

    def trigger_until(self, done):
        while not done.is_set():
            if self.m("trigger", "hand", "--force").code == 0:
                self.triggered += 1
            time.sleep(0.3)

    def test_books_balance_after_random_kills(self):
        print(f"random kills with SEED={self.seed}")
        self.m.start()
        self.add("quick", 0.05, "--every", "1s")
        self.add("slow", 1.3, "--every", "1s")
        self.add("all", 0.3, "--every", "1s", "--coalesce", "all")
        self.add("retried", 0.4, "--every", "1s", "--on-lost", "retry")
        self.add("hand", 0.2, "--manual")
        done = threading.Event()
        trigger = threading.Thread(target=self.trigger_until, args=(done,))
        trigger.start()
        end = time.monotonic() + self.DURATION_S
        try:
            while time.monotonic() < end:
                time.sleep(self.random.random() * 1.5)
                whom = self.random.choice("ddkb")
                if whom in "db":
                    self.kill(self.m.run_dir / "schedctl.pid", "daemon")
                if whom in "kb":
                    self.kill(self.m.state / "keeper" / "lock", "keeper")
                if whom in "db":
                    self.m.ok("start")
        finally:
            done.set()
            trigger.join()
        self.m.ok("start")
        self.m.ok("pause", "--all")
        self.m.wait(lambda: not self.m.column(
            "SELECT id FROM run WHERE state IN ('pending', 'running')"), "all runs to end")
        for name in ("quick", "slow", "all", "retried", "hand"):
            self.check(name)
        self.m.ok("stop")
        self.m.wait(lambda: not self.left(), "no process to be left")
        self.assertEqual([p.name for p in (self.m.state / "keeper").iterdir()], ["lock"])

    def check(self, name):
        text = f"{name}, SEED={self.seed}"
        lines = (self.lines / name).read_text().splitlines()
        started = collections.Counter(line[2:] for line in lines if line.startswith("S "))
        ended = {line[2:] for line in lines if line.startswith("E ")}
        runs = self.m.runs(name, "-n", "100000")
        self.assertEqual([n for n in started.values() if n > 1], [], text)
        self.assertLessEqual({attempt.split()[0] for attempt in started},
                             {r["key"] for r in runs}, text)
        for run in runs:
            self.assertIn(run["state"], ("succeeded", "lost", "skipped"), (text, run))
            if run["state"] == "succeeded":
                self.assertIn(f"{run['key']} {run['attempt']}", ended, text)
        if name == "hand":
            self.assertGreaterEqual(len(runs), self.triggered, text)
        else:
            self.check_grid(runs, text)

    def check_grid(self, runs, text):
        """Every second from the first fire to the last is in exactly one row."""
        seconds = []
        for run in runs:
            first = round(moment(run["fire_time"]))
            last = round(moment(run["last_fire_time"] or run["fire_time"]))
            self.assertEqual(run["count"], last - first + 1, (text, run))
            seconds += range(first, last + 1)
        self.assertEqual(sorted(seconds), list(range(min(seconds), max(seconds) + 1)), text)

    def left(self):
        mark = f"OWNER={self.m.root}".encode()
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes():
                    found.append(process.name)
            except OSError:
                pass
        return found


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


if __name__ == "__main__":
    unittest.main()
