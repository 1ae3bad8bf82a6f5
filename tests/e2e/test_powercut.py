"""The power fails: what was acknowledged is there, nothing starts twice, everything has its row.

A preloaded library (tests/powercut/record.c) writes down what daemon, keeper and command line do to
the state directory, and jobs write what they do into the same log. From one such recording
tests/powercut/disk.py makes the disk as a power cut at any moment may leave it; on it the daemon is
started in a new boot, and the books must balance. SEED and CUTS repeat or prolong a run."""
import collections
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import unittest

import reboot
from machine import BINARY, Machine, alive, is_ours
from test_survival import moment, send

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "powercut"))
from disk import Disk, read_log  # noqa: E402

PACE_S = 0.4
PHASE_S = 2


class RecordedMachine(Machine):
    def __init__(self, settings=""):
        super().__init__(settings)
        self.ops_log = self.root / "ops"
        self.ops_log.touch()
        self.recorder = self.root / "record.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", self.recorder,
                        HERE.parent / "powercut" / "record.c"], check=True)
        self.recording = True
        self.state.mkdir(mode=0o700)

    def environment(self, extra=None):
        env = super().environment(extra)
        if self.recording:
            # Under ASan the recorder stands before its run-time library, which it need not.
            asan = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
            env.update(LD_PRELOAD=str(self.recorder), POWERCUT_DIR=str(self.state),
                       POWERCUT_LOG=str(self.ops_log), ASAN_OPTIONS=asan)
        return env

    def start_recorded(self):
        """The keeper gets a clean environment from the daemon, so that this one is made by hand."""
        keeper = self.state / "keeper"
        subprocess.Popen([BINARY, "keeper", "--keeper-dir", keeper, "--output-dir",
                          self.state / "output"], env=self.environment(), stdin=subprocess.DEVNULL,
                         start_new_session=True)
        self.wait(lambda: (keeper / "socket").exists() and self.keeper_lock_pid(), "the keeper")
        self.ok("start")

    def keeper_lock_pid(self):
        return first_number(self.state / "keeper" / "lock")

    def kill_all(self):
        pids = [first_number(self.run_dir / "schedctl.pid"), self.keeper_lock_pid()]
        for pid in pids:
            if pid and is_ours(pid):
                send(pid, signal.SIGKILL)
                self.wait_gone(pid)

    def position(self):
        return self.ops_log.stat().st_size


def first_number(path):
    try:
        words = path.read_text(errors="replace").split()
    except OSError:
        return None
    return next((int(word) for word in words if word.isdigit()), None)


class Promise(collections.namedtuple("Promise", "position kind what")):
    """What somebody was told when the log was this long."""


class PowerCut(unittest.TestCase):
    CUTS = int(os.environ.get("CUTS", "5"))

    @classmethod
    def setUpClass(cls):
        reason = reboot.why_not() or ("" if shutil.which("gcc") else "gcc is missing")
        if reason:
            raise unittest.SkipTest(reason)

    def setUp(self):
        self.seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
        self.chance = random.Random(self.seed)
        self.m = RecordedMachine('stop_timeout = "1s"\n[defaults]\nkill_grace = "300ms"\n')
        self.addCleanup(self.m.close)
        self.promises = []

    def test_the_books_balance_after_power_cuts(self):
        print(f"power cuts with SEED={self.seed}")
        records = self.record()
        for number in range(self.CUTS):
            cut = self.any_moment(records)
            with self.subTest(seed=self.seed, cut=f"{number}: record {cut} of {len(records)}"):
                self.assertEqual(self.troubles_after(records[:cut]), [])

    def test_a_disk_that_lies_is_found_out(self):
        records = self.record()
        said = [n for n, record in enumerate(records) if record.data.startswith(b"J S ")]
        # What came after this was said to be on the disk and was not: first all of it, then parts.
        lie = said[-12]
        found = "\n".join(self.troubles_after(records, kept=lie))
        for trouble in ("started 2 times", "started, and has no row", "was told, and is not so"):
            self.assertIn(trouble, found, f"SEED={self.seed}")
        # By chance a lie may do no harm, but not time after time.
        self.assertTrue(any(self.troubles_after(records, honest_until=lie) for _ in range(8)),
                        f"SEED={self.seed}")

    # --- the recording ---------------------------------------------------------------------------

    def record(self):
        self.m.start_recorded()
        self.add("quick", 0.05, "--every", "1s")
        self.add("slow", 1.3, "--every", "1s")
        self.add("all", 0.1, "--every", "1s", "--coalesce", "all", "--misfire-grace", "6s")
        self.add("retried", 0.4, "--every", "1s", "--on-lost", "retry", "--backoff", "200ms")
        self.add("hand", 0.02, "--manual")
        self.add("paused", 0.1, "--every", "1s")
        self.live(PHASE_S)
        self.m.ok("pause", "paused")
        self.promise("paused", "paused")
        self.m.ok("stop")
        self.m.start_recorded()
        self.live(PHASE_S)
        self.m.kill_all()
        self.m.start_recorded()
        self.live(PHASE_S)
        self.m.kill_all()
        self.m.recording = False
        self.m.wait(lambda: not self.left(), "the jobs to be gone")
        return read_log(self.m.ops_log)

    def add(self, name, seconds, *words):
        line = f'echo "J %s $SCHEDCTL_KEY $SCHEDCTL_ATTEMPT" >> {self.m.ops_log}'
        self.m.ok("add", name, *words, "--env", f"OWNER={self.m.root}", "--shell",
                  f"{line % 'S'}; sleep {seconds}; {line % 'E'}")
        self.promise("job", name)

    def promise(self, kind, what):
        self.promises.append(Promise(self.m.position(), kind, what))

    def live(self, seconds):
        """Uses the command line all the while, and remembers what it was told."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            run = self.m.ok("trigger", "hand", "--force", "--json").json
            self.promise("run", run["id"])
            for row in self.m.runs():
                if row["state"] in ("succeeded", "failed", "lost"):
                    self.promise("ended", (row["id"], row["state"]))
            time.sleep(PACE_S * self.chance.random())

    # --- the cut ---------------------------------------------------------------------------------

    def any_moment(self, records):
        """Anywhere; every second time beside something that was synced or renamed."""
        if self.chance.random() < 0.5:
            near = [n for n, r in enumerate(records) if r.kind in "SRUTC"]
            return self.chance.choice(near) + self.chance.randint(0, 1)
        return self.chance.randint(1, len(records))

    def troubles_after(self, records, kept=None, honest_until=None):
        """Lets the power fail after these records, starts anew, and looks for what is wrong. Of a
        bad disk: it has only those up to `kept`, or syncs nothing after `honest_until`."""
        m = self.m
        shutil.rmtree(m.state, ignore_errors=True)
        shutil.rmtree(m.run_dir, ignore_errors=True)
        m.state.mkdir(mode=0o700)
        Disk().replay(records[:kept], honest_until).after_power_cut(m.state, self.chance)
        begin = m.position()
        started = reboot.in_new_boot(m, "start")
        if started.returncode != 0:
            return [f"start: exit {started.returncode}: {started.stderr}"]
        try:
            self.settle()
            position = records[-1].end
            said = [r.data.decode() for r in records if r.kind == "J"]
            said += [r.data.decode() for r in read_log(m.ops_log, begin) if r.kind == "J"]
            return self.look(said, [p for p in self.promises if p.position <= position])
        except (AssertionError, sqlite3.DatabaseError) as damage:
            return [f"unusable: {damage}"]
        finally:
            m("stop", "--now")
            m.kill_all()

    def settle(self):
        self.m("pause", "--all")
        self.m.wait(lambda: not self.m.column(
            "SELECT id FROM run WHERE state IN ('pending', 'running')"), "all runs to end")

    def look(self, said, promises):
        troubles = [f"integrity: {line}" for line in self.m.column("PRAGMA integrity_check")
                    if line != "ok"]
        runs = self.m.json("runs", "-n", "100000")
        keys = {run["key"] for run in runs}
        starts = collections.Counter(line[2:] for line in said if line.startswith("J S "))
        ends = {line[4:] for line in said if line.startswith("J E ")}
        for start, count in starts.items():
            if count > 1:
                troubles.append(f"started {count} times: {start}")
            if start.split()[1] not in keys:
                troubles.append(f"started, and has no row: {start}")
        for run in runs:
            if run["state"] not in ("succeeded", "lost", "skipped", "missed", "cancelled"):
                troubles.append(f"ended so: {run}")
            if run["state"] == "succeeded" and f"{run['key']} {run['attempt']}" not in ends:
                troubles.append(f"succeeded, and never ended: {run}")
        return troubles + self.broken(promises, runs) + self.gaps(runs)

    def broken(self, promises, runs):
        jobs = {job["name"]: job for job in self.m.json("list")}
        states = {run["id"]: run["state"] for run in runs}
        troubles = []
        for promise in promises:
            kept = {"job": lambda what: what in jobs,
                    "paused": lambda what: jobs[what]["paused"],
                    "run": lambda what: what in states,
                    "ended": lambda what: states.get(what[0]) == what[1]}[promise.kind]
            if not kept(promise.what):
                troubles.append(f"was told, and is not so: {promise}")
        return troubles

    def gaps(self, runs):
        """Every second from a job's first fire to its last is in exactly one row."""
        seconds = collections.defaultdict(list)
        for run in runs:
            if run["cause"] == "schedule":
                first = round(moment(run["fire_time"]))
                last = round(moment(run["last_fire_time"] or run["fire_time"]))
                seconds[run["job"]] += range(first, last + 1)
        return [f"the grid of {job} has gaps, or is covered twice"
                for job, found in seconds.items()
                if sorted(found) != list(range(min(found), max(found) + 1))]

    def left(self):
        mark = f"OWNER={self.m.root}".encode()
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes() and alive(int(process.name)):
                    found.append(process.name)
            except OSError:
                pass
        return found


if __name__ == "__main__":
    unittest.main()
