"""The survival matrix: who dies, at which moment, and what must be true after the next `start`.

Real processes die at the crash points of a sanitizer build (include/schedctl/base/crash_point.hpp)
or are killed at a state that a file or a row proves. What the job itself wrote to its file decides
how often it started and what it returned."""
import collections
import mmap
import os
import pathlib
import signal
import socket
import unittest
from typing import NamedTuple

import reboot
from machine import BINARY, Machine, alive
from slack import SlackServer
from test_survival import send


class Row(NamedTuple):
    who: str     # dies: daemon, keeper, both, or machine (both, their jobs, and another boot id)
    when: str    # at this crash point (stop+: during `stop --now`), or while: running, draining
    job: str     # what the job does, see JOBS
    state: str   # of its row in the end; the exit code is what the job's own file says
    reason: str  # "-": none
    starts: str  # how often the command may have been started: "0", "1", "0-1"
    alerts: str  # kinds that are open and told in the end, once each; "-": none
    left: str    # "adopted": the run lives on as the same process; "-": no process of it is left


MATRIX = [Row(*line.split()) for line in """
    daemon  daemon.planned        quick    succeeded  -            1    -       -
    daemon  daemon.claimed        quick    succeeded  -            1    -       -
    daemon  daemon.claimed        fails    failed     exit_status  1    failed  -
    daemon  daemon.started        held     failed     exit_status  1    failed  adopted
    daemon  daemon.started        ends     failed     exit_status  1    failed  -
    daemon  running               family   failed     exit_status  1    failed  adopted
    daemon  daemon.reported       quick    succeeded  -            1    -       -
    daemon  daemon.ended          quick    succeeded  -            1    -       -
    daemon  daemon.ended          fails    failed     exit_status  1    failed  -
    daemon  daemon.recorded       quick    succeeded  -            1    -       -
    daemon  daemon.recorded       fails    failed     exit_status  1    failed  -
    daemon  daemon.stopping       held     failed     exit_status  1    failed  adopted
    daemon  daemon.stopping       ends     failed     exit_status  1    failed  -
    daemon  draining              held     failed     exit_status  1    failed  adopted

    keeper  keeper.ordered        quick    lost       keeper_died  0    lost    -
    keeper  keeper.forked         family   lost       keeper_died  0-1  lost    -
    keeper  keeper.journaled      family   lost       keeper_died  0-1  lost    -
    keeper  running               family   lost       keeper_died  1    lost    -
    keeper  keeper.ended          fails    lost       keeper_died  1    lost    -
    keeper  keeper.end-journaled  quick    succeeded  -            1    -       -
    keeper  keeper.end-journaled  fails    failed     exit_status  1    failed  -
    keeper  draining              family   lost       keeper_died  1    lost    -
    keeper  stop+keeper.ended     family   lost       keeper_died  1    lost    -
    keeper  stop+keeper.end-journaled held cancelled shutdown      1    -       -
    keeper  keeper.ordered        retried  failed     exit_status  1    failed  -
    keeper  keeper.journaled      retried  failed     exit_status  1-2  failed  -
    keeper  running               retried  failed     exit_status  2    failed  -

    both    daemon.planned        quick    succeeded  -            1    -       -
    both    daemon.claimed        quick    lost       keeper_died  0    lost    -
    both    keeper.ordered        quick    lost       keeper_died  0    lost    -
    both    keeper.forked         family   lost       keeper_died  0-1  lost    -
    both    keeper.journaled      family   lost       keeper_died  0-1  lost    -
    both    daemon.started        family   lost       keeper_died  1    lost    -
    both    keeper.ended          ends     lost       keeper_died  1    lost    -
    both    keeper.end-journaled  ends     failed     exit_status  1    failed  -
    both    daemon.ended          fails    failed     exit_status  1    failed  -
    both    daemon.recorded       quick    succeeded  -            1    -       -
    both    daemon.recorded       fails    failed     exit_status  1    failed  -
    both    daemon.stopping       family   lost       keeper_died  1    lost    -
    both    draining              family   lost       keeper_died  1    lost    -
    both    running               retried  failed     exit_status  2    failed  -

    machine daemon.planned        quick    succeeded  -            1    -       -
    machine daemon.claimed        quick    lost       rebooted     0    lost    -
    machine keeper.ordered        quick    lost       rebooted     0    lost    -
    machine keeper.forked         family   lost       rebooted     0-1  lost    -
    machine keeper.journaled      family   lost       rebooted     0-1  lost    -
    machine daemon.started        family   lost       rebooted     1    lost    -
    machine keeper.ended          ends     lost       rebooted     1    lost    -
    machine keeper.end-journaled  ends     failed     exit_status  1    failed  -
    machine daemon.ended          fails    failed     exit_status  1    failed  -
    machine daemon.recorded       fails    failed     exit_status  1    failed  -
    machine daemon.stopping       family   lost       rebooted     1    lost    -
    machine draining              family   lost       rebooted     1    lost    -
    machine running               retried  failed     exit_status  2    failed  -
""".splitlines() if line.strip()]


class Job(NamedTuple):
    code: int             # what it returns
    waits: bool = False   # for the file `go`
    goes: str = "after"   # when that comes: "after" the next start, or when all have "died"
    child: bool = False   # it has a process in the background
    words: tuple = ()     # more options


JOBS = {
    "quick": Job(0),
    "fails": Job(7),
    "held": Job(7, waits=True),
    "ends": Job(7, waits=True, goes="died"),
    "family": Job(7, waits=True, child=True),
    "retried": Job(7, waits=True, goes="died", words=("--on-lost", "retry")),
}

SETTINGS = 'stop_timeout = "60s"\n[defaults]\nkill_grace = "300ms"\n[alerts.slack]\nwebhook_url = "{}"\n'
WORDS = {"failed": "job failed", "lost": "job was lost"}
FINAL = {"succeeded", "failed", "cancelled", "lost", "skipped", "missed"}


def has_crash_points():
    with open(BINARY, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return text.find(b"_SCHEDCTL_CRASH_AT") >= 0


class Case:
    """One row, played on a machine of its own."""

    def __init__(self, test, row):
        self.test, self.row, self.job = test, row, JOBS[row.job]
        self.slack = SlackServer()
        self.m = Machine(SETTINGS.format(self.slack.url))
        self.file, self.go = self.m.root / "file", self.m.root / "go"
        self.point = row.when.removeprefix("stop+") if "." in row.when else ""
        self.daemon = self.keeper = self.run_pid = 0

    def close(self):
        self.m.close()
        for pid in self.processes():
            send(pid, signal.SIGKILL)
        self.slack.end()

    # --- what happens ------------------------------------------------------------------------

    def play(self):
        self.begin()
        self.die()
        if self.job.goes == "died":
            self.go.touch()
            if self.row.job == "ends" and self.row.who == "daemon":
                self.m.wait(lambda: not self.processes(), "the job to end unseen")
        self.start_again()
        if self.row.left == "adopted":
            self.check_adopted()
            self.go.touch()
        elif self.row.state != "lost":
            self.go.touch()
        run = self.settle()
        self.check(run)
        # What is settled stays so, and is told once: another restart finds nothing to do.
        self.m.ok("restart")
        self.m.ok("add", "after", "--manual", "--", "true")
        self.m.ok("trigger", "after", "--wait")
        self.check(self.m.runs("job")[0])
        self.m.ok("stop", "--now")

    def begin(self):
        point = self.point
        self.m.ok("start", env={"_SCHEDCTL_CRASH_AT": point} if point else {})
        self.daemon, self.keeper = self.m.pid(), self.m.keeper_pid()
        frozen = self.row.who in ("both", "machine") and point in (
            "keeper.ordered", "keeper.forked", "keeper.journaled")
        if frozen:
            send(self.keeper, signal.SIGSTOP)
        self.m.ok("add", "job", "--every", "1h", "--immediately", "--env", f"OWNER={self.m.root}",
                  *self.job.words, "--shell", self.script())
        if frozen:
            self.wait_until_ordered()
            self.kill(self.daemon)
            send(self.keeper, signal.SIGCONT)

    def script(self):
        mark = f'echo "%s $SCHEDCTL_KEY $SCHEDCTL_ATTEMPT {self.job.code}" >> {self.file}'
        lines = [mark % "S"]
        if self.job.child:
            lines.append("sleep 600 &")
        if self.job.waits:
            lines.append(f"while [ ! -e {self.go} ]; do sleep 0.05; done")
        if self.job.child:
            lines.append("kill $!")
        return "\n".join([*lines, mark % "E", f"exit {self.job.code}"])

    def wait_until_ordered(self):
        """The claim is committed, and the order lies in the keeper's socket: the runner has ended
        its beat if it answers, and the io thread sends orders before it answers the second time."""
        self.m.wait_state("job", "running")
        for request in ("health", "ping", "ping"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as caller:
                caller.connect(str(self.m.run_dir / "schedctl.sock"))
                caller.send(request.encode())
                caller.recv(4096)

    def die(self):
        who, when, point = self.row.who, self.row.when, self.point
        stop = {"draining": ["stop"]}.get(when, ["stop", "--now"])
        stops = when in ("draining", "daemon.stopping") or when.startswith("stop+")
        if stops or when == "running" or self.row.job == "ends":
            self.wait_until_it_runs()
        if stops:
            self.m.popen(*stop)
            self.m.wait(lambda: "stopping" in self.m.log_text(), "the stop to begin")
        if point.startswith("keeper.") and who != "keeper" and alive(self.daemon):
            # The daemon goes first, or it would see how the keeper ends.
            self.kill(self.daemon)
            self.go.touch()
        if point:
            self.m.wait_gone(self.daemon if point.startswith("daemon.") else self.keeper)
        if who in ("daemon", "both", "machine"):
            self.kill(self.daemon)
        if who in ("keeper", "both", "machine"):
            self.kill(self.keeper)
        if who == "machine":
            for pid in self.processes():
                self.kill(pid)

    def wait_until_it_runs(self):
        run = self.m.wait_runs("job", lambda r: r and r[0]["pid"], "a row with a process")[0]
        self.run_pid = run["pid"]
        self.m.wait(lambda: self.marks("S"), "the job's first mark")

    def kill(self, pid):
        send(pid, signal.SIGKILL)
        self.m.wait_gone(pid)

    def start_again(self):
        if self.row.who == "keeper" and (self.row.when == "draining" or "+" in self.row.when):
            self.m.wait_gone(self.daemon)
        if self.row.who != "machine":
            self.m.ok("start")
            return
        done = reboot.in_new_boot(self.m, "start")
        self.test.assertEqual(done.returncode, 0, done.stderr)

    # --- what must be true ---------------------------------------------------------------------

    def check_adopted(self):
        run = self.m.wait_runs("job", lambda r: r and r[0]["pid"], "a row with a process")[0]
        self.test.assertEqual(run["state"], "running", run)
        self.test.assertTrue(alive(run["pid"]), run)
        self.test.assertIn(run["pid"], self.processes())
        self.test.assertIn(self.run_pid or run["pid"], [run["pid"]])
        self.m.wait_lines(1, "run-adopted")

    def settle(self):
        runs = self.m.wait_runs("job", lambda r: r and r[0]["state"] in FINAL, "its end")
        self.m.wait(lambda: not self.processes(), f"{self.processes()} to be gone")
        self.slack.wait_requests(len(self.alerts()))
        return runs[0]

    def check(self, run):
        test, row = self.test, self.row
        test.assertEqual((run["state"], run["reason"] or "-"), (row.state, row.reason), run)
        starts, _, most = row.starts.partition("-")
        count = len(self.marks("S"))
        test.assertTrue(int(starts) <= count <= int(most or starts), f"{count} starts")
        test.assertEqual(sorted(a["kind"] for a in self.m.json("alerts")), self.alerts())
        told = self.slack.texts()
        test.assertEqual(len(told), len(self.alerts()), told)
        for kind in self.alerts():
            test.assertTrue(any(WORDS[kind] in text for text in told), told)
        test.assertEqual(self.processes(), [])
        self.check_books(run)

    def check_books(self, run):
        """What holds whatever dies, whenever."""
        test = self.test
        rows = self.m.runs("job")
        test.assertEqual([r["fire_time"] for r in rows], [run["fire_time"]], "one row an occurrence")
        test.assertEqual(len(self.m.column("SELECT id FROM run WHERE job_name = 'job'")), 1)
        twice = [k for k, n in collections.Counter(map(tuple, self.marks("S"))).items() if n > 1]
        test.assertEqual(twice, [], "an attempt that started twice")
        test.assertLessEqual({key for key, *_ in self.marks("S")}, {run["key"]})
        ended = {(key, int(attempt)): int(code) for key, attempt, code in self.marks("E")}
        if run["state"] in ("succeeded", "failed"):
            test.assertEqual(run["exit_code"], ended.get((run["key"], run["attempt"])), run)
        else:
            test.assertIsNone(run["exit_code"], run)

    def alerts(self):
        return [] if self.row.alerts == "-" else sorted(self.row.alerts.split("+"))

    def marks(self, kind):
        """What the job wrote when it started (S) or ended (E): key, attempt, exit code."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [line.split()[1:] for line in lines if line.startswith(kind + " ")]

    def processes(self):
        mark = f"OWNER={self.m.root}".encode()
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
            except OSError:
                pass
        return [pid for pid in found if alive(pid)]


@unittest.skipUnless(has_crash_points(), "the crash points are in the sanitizer builds only")
class Matrix(unittest.TestCase):
    def play(self, who):
        only = os.environ.get("ROW", "")
        for row in MATRIX:
            if row.who != who or only not in " ".join(row):
                continue
            with self.subTest(row=" ".join(row)):
                case = Case(self, row)
                try:
                    case.play()
                finally:
                    case.close()

    def test_the_daemon_dies(self):
        self.play("daemon")

    def test_the_keeper_dies(self):
        self.play("keeper")

    def test_both_die(self):
        self.play("both")

    @unittest.skipIf(reboot.why_not(), reboot.why_not())
    def test_the_machine_dies(self):
        self.play("machine")


if __name__ == "__main__":
    unittest.main()
