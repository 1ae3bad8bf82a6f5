"""Commands that behave badly, and memory that runs out. (FAULTS rows 27 to 29, 31, 32, 35, 36.)"""
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

import faults
from faults import Pressure, children_of, descriptors, is_sanitized, status_field
from machine import BINARY, alive

HERE = pathlib.Path(__file__).resolve().parent


class BadCommands(Pressure):
    def setUp(self):
        super().setUp()
        self.m.start()

    def run_one(self, *words):
        self.m.ok("add", "job", "--manual", *words)
        self.m("trigger", "job", "--wait")
        return self.m.runs("job")[-1]

    def kill_later(self, path):
        pid = int(path.read_text())
        self.assertTrue(alive(pid))
        os.kill(pid, signal.SIGKILL)

    def test_a_background_process_that_holds_stdout_delays_no_end(self):
        left = self.m.root / "left"
        run = self.assert_takes(20, lambda: self.run_one(
            "--keep-children", "--shell", f"setsid sleep 60 & echo $! > {left}; echo hi"))
        self.assertEqual((run["state"], run["exit_code"]), ("succeeded", 0))
        self.assertEqual(self.m.ok("logs", "job").out, "hi\n")
        self.m.ok("trigger", "job", "--wait")

    def test_a_flood_of_output_ends_at_its_timeout_and_delays_nobody(self):
        self.tick()
        self.succeeds_again()
        memory = int(status_field(self.m.pid(), "VmRSS"))
        self.m.ok("add", "flood", "--manual", "--timeout", "1s", "--shell",
                  "ulimit -f 400000; yes flood")
        self.assertEqual(self.assert_takes(20, lambda: self.m("trigger", "flood", "--wait")).code, 1)
        run = self.m.runs("flood")[0]
        self.assertEqual(run["state"], "failed")
        self.assertGreater(self.m.column("SELECT output_bytes FROM run WHERE job_name = 'flood'")[0],
                           1_000_000)
        tail = bytes(self.m.column("SELECT output_tail FROM run WHERE job_name = 'flood'")[0])
        self.assertLessEqual(len(tail), 8192)
        self.assertIn(b"flood\nflood\n", tail)
        self.succeeds_again()
        late = [r["delay_s"] for r in self.m.runs("tick") if r["state"] == "succeeded"]
        self.assertLess(max(late), 5)
        self.assertLess(int(status_field(self.m.pid(), "VmRSS")) - memory, 40_000)

    def test_output_that_is_no_text_is_kept_byte_for_byte(self):
        self.run_one("--shell", r"printf '\377\376\000\200abc'; head -c 20000 /dev/zero")
        path = self.m.runs("job")[0]["output"]
        self.assertEqual(pathlib.Path(path).read_bytes(),
                         b"\xff\xfe\0\x80abc" + b"\0" * 20000)
        for words in (["runs", "job"], ["show", "job"], ["why", "job"], ["runs", "job", "--json"]):
            self.m.ok(*words)

    def test_a_trickle_of_output_costs_daemon_and_keeper_nothing(self):
        self.m.ok("add", "drip", "--manual", "--", "python3", "-uc",
                  "import time\nwhile True: print('x', end=''); time.sleep(0.001)")
        self.m.ok("trigger", "drip")
        self.m.wait_runs("drip", lambda r: r and r[0]["pid"], "a process")
        self.assert_calm(self.m.pid(), self.m.keeper_pid())
        self.m.ok("cancel", "drip")
        self.assertEqual(self.m.wait_state("drip", "cancelled")["signal"], "SIGTERM")

    def test_a_command_that_closes_its_stdout_is_the_only_one_to_notice(self):
        run = self.run_one("--shell", "exec >&- 2>&-; echo lost; sleep 0.1; exit 3")
        self.assertEqual((run["state"], run["exit_code"]), ("failed", 3))
        self.assertIsNone(run["output"])

    def test_a_command_that_reads_stdin_gets_its_end_at_once(self):
        run = self.assert_takes(20, lambda: self.run_one("--shell", "cat; wc -c"))
        self.assertEqual(run["state"], "succeeded")
        self.assertEqual(self.m.ok("logs", "job").out, "0\n")

    def test_a_command_that_closes_its_stdin_unread_runs_to_its_end(self):
        run = self.run_one("--shell", "exec <&-; sleep 0.1; exit 4")
        self.assertEqual((run["state"], run["exit_code"]), ("failed", 4))

    def test_input_that_a_command_does_not_read_holds_up_nobody(self):
        big = self.m.root / "big"
        big.write_text("x" * 1_000_000)
        big.chmod(0o644)
        for number, words in enumerate((["--stdin", "x" * 60_000], ["--stdin-file", big])):
            self.m.ok("add", f"deaf-{number}", "--manual", *words, "--shell",
                      "exec <&-; sleep 0.1; exit 4")
            self.assert_takes(20, lambda n=number: self.m("trigger", f"deaf-{n}", "--wait"))
            run = self.m.runs(f"deaf-{number}")[0]
            self.assertEqual((run["state"], run["exit_code"]), ("failed", 4))

    def test_a_command_that_stops_itself_is_ended_by_its_timeout(self):
        run = self.assert_takes(20, lambda: self.run_one(
            "--timeout", "1s", "--shell", "trap '' TERM; kill -STOP $$"))
        self.assertEqual((run["state"], run["reason"]), ("failed", "timeout"))
        self.m.ok("set", "job", "--unset", "timeout")
        self.m.ok("trigger", "job")
        run = self.m.wait_runs("job", lambda r: len(r) == 2 and r[1]["pid"], "a process")[1]
        self.m.wait(lambda: status_field(run["pid"], "State") == "T", "it to be stopped")
        self.m.ok("cancel", "job")
        self.m.wait_state("job", "cancelled")
        self.m.wait_gone(run["pid"])


class NotToBeKilled(Pressure):
    """A frozen process dies of no signal, like one that waits for a dead disk."""

    def test_a_process_that_no_kill_reaches_keeps_its_slot_and_delays_nobody_else(self):
        group = self.make_group("freezer")
        keeper = self.m.start() and self.m.keeper_pid()
        self.m.ok("add", "stuck", "--every", "1s", "--timeout", "4s", "--shell",
                  f"echo $$ > {group}/cgroup.procs; exec sleep 600")
        # At once: asked for by a command, its pid may come after its timeout.
        pid = self.m.wait((group / "cgroup.procs").read_text, "it to be in its group")
        (group / "freezer.state").write_text("FROZEN")
        self.addCleanup((group / "freezer.state").write_text, "THAWED")
        run = self.m.wait_runs("stuck", lambda r: r and r[0]["pid"], "a process")[0]
        self.assertEqual(run["pid"], int(pid))
        self.tick()
        self.m.wait_runs("stuck", lambda r: len(r) > 8, "its timeout and its grace to be over")
        # Each second a line of what is skipped and two of the other job.
        self.assert_calm(keeper, self.m.pid(), lines=25)
        states = [r["state"] for r in self.m.runs("stuck")]
        self.assertEqual((states[0], set(states[1:])), ("running", {"skipped"}))
        self.succeeds_again()
        answer = self.assert_takes(40, lambda: self.m.ok("stop"))
        self.assertIn("left with the keeper: stuck (#", answer.err)
        self.m.start()
        self.succeeds_again()
        (group / "freezer.state").write_text("THAWED")
        self.m.wait_gone(run["pid"])
        ended = self.m.wait_runs("stuck", lambda r: r[0]["state"] != "running", "its end")[0]
        self.assertEqual(ended["id"], run["id"])
        self.assertIn(ended["signal"], ("SIGTERM", "SIGKILL"))


class ManyShortOnes(Pressure):
    RUNS = 2000

    def test_thousands_of_short_runs_leave_no_zombie_no_descriptor_and_no_memory(self):
        self.m.config.write_text('max_running = 200\n' + self.m.config.read_text())
        jobs = self.m.jobs_dir / "many.toml"
        jobs.write_text("".join(f'[job.short-{number}]\nevery = "1s"\ncommand = ["/bin/true"]\n'
                                for number in range(200)))
        pid = self.m.start()
        keeper = self.m.keeper_pid()
        done = "SELECT count(*) FROM run WHERE state = 'succeeded'"
        self.m.wait(lambda: self.m.column(done)[0] >= self.RUNS // 4, "the first of them")
        memory = [int(status_field(p, "VmRSS")) for p in (pid, keeper)]
        self.m.wait(lambda: self.m.column(done)[0] >= self.RUNS, "all of them")
        self.m.ok("pause", "--all")
        self.m.wait(lambda: not self.m.column("SELECT id FROM run WHERE state IN "
                                              "('pending', 'running')"), "all runs to end")
        self.m.wait(lambda: not children_of(keeper), "no child to be left")
        # What it has beyond its own: the free output files, at most one for each run at once.
        self.assertLess(len(descriptors(keeper)), 280)
        self.assertLess(len(descriptors(pid)), 60)
        if not is_sanitized():  # ASan keeps what was freed
            self.assertLess(int(status_field(keeper, "VmRSS")) - memory[1], 600)
            self.assertLess(int(status_field(pid, "VmRSS")) - memory[0], 12_000)
        self.assertEqual(self.m.column("SELECT count(*) FROM run WHERE state IN ('failed', 'lost')"),
                         [0])


class OutOfMemory(Pressure):
    def test_a_job_over_the_memory_limit_of_its_group_dies_alone(self):
        group = self.make_group("memory")
        (group / "memory.limit_in_bytes").write_text("20M")
        pid, keeper = self.m.start(), self.m.keeper_pid()
        self.m.ok("add", "greedy", "--manual", "--shell",
                  f"echo $$ > {group}/cgroup.procs; exec python3 -c 'x = \"x\" * 200000000'")
        self.assertEqual(self.m("trigger", "greedy", "--wait").code, 1)
        run = self.m.runs("greedy")[0]
        self.assertEqual((run["state"], run["signal"]), ("failed", "SIGKILL"))
        self.assertEqual((self.m.pid(), self.m.keeper_pid()), (pid, keeper))
        self.tick()
        self.succeeds_again()

    @unittest.skipIf(is_sanitized(), "ASan brings an allocator of its own")
    def test_a_daemon_that_dies_for_want_of_memory_loses_and_doubles_nothing(self):
        library = self.m.root / "failing_malloc.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library,
                        HERE.parent / "pressure" / "failing_malloc.c"], check=True)
        self.m.start()
        self.tick()
        self.tick("queued", "--overlap", "queue")
        self.succeeds_again()
        self.m.ok("stop", "--keep-jobs")
        died = 0
        for number in range(12):
            env = {"LD_PRELOAD": str(library), "FAIL_MALLOC_AFTER": str(3000 * (number + 1))}
            child = subprocess.Popen([BINARY, "--config", self.m.config, "start", "--foreground"],
                                     env=self.m.environment(env), stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.addCleanup(child.kill)
            try:
                died += child.wait(timeout=3) != 0
            except subprocess.TimeoutExpired:
                child.terminate()
                self.assertIsNotNone(child.wait(timeout=faults.CALM_S + 20))
        self.assertGreater(died, 0, "no allocation failed")
        self.m.start()
        self.succeeds_again()
        self.succeeds_again("queued")
        self.m.ok("pause", "--all")
        self.m.wait(lambda: not self.m.column("SELECT id FROM run WHERE state IN "
                                              "('pending', 'running')"), "all runs to end")
        self.assert_books_balance()
        self.assert_books_balance("queued")
        self.m.ok("db", "check")


if __name__ == "__main__":
    unittest.main()
