"""What stands between a run and its process: no process, no descriptor, no program; numbers that
come again, signals that were set otherwise. (FAULTS rows 21, 23, 24, 33, 34.)"""
import os
import pathlib
import shutil
import subprocess
import unittest

from faults import Pressure, children_of, descriptors, is_sanitized
from machine import BINARY, alive

FORKS = "clone,clone3,fork,vfork"


class NoProcess(Pressure):
    """fork fails."""

    def test_a_fork_that_fails_keeps_the_run_pending_with_the_reason_and_tells_once(self):
        self.m.start()
        self.tick("tick", "--overlap", "queue")
        self.succeeds_again()
        keeper = self.m.keeper_pid()
        with self.failing_calls(keeper, FORKS, "EAGAIN"):
            run = self.wait_pending("tick", "cannot start a process: Resource temporarily")
            self.assertEqual(run["state"], "pending")
            self.assertIsNone(run["exit_code"])
            self.wait_why("tick", "Resource temporarily unavailable")
            self.m.wait_lines(1, "run-not-started")
            self.m.wait(lambda: self.episodes("delayed"), "the alert")
            alert = self.m.json("alerts")[0]
            self.assertIn("Resource temporarily unavailable", str(alert))
            self.assert_calm(self.m.pid(), keeper)
            self.m.wait(lambda: self.m.log_text().count("run-not-started") >= 4, "four tries")
            self.assertEqual(self.episodes("delayed"), 1)
            self.assertIn("pending", self.m.ok("runs", "tick").out)
        self.succeeds_again()
        self.assertEqual(self.m.keeper_pid(), keeper)
        self.m.wait(lambda: not self.m.json("alerts"), "the alert's end")
        self.assertEqual(self.episodes("delayed"), 1)
        self.assertEqual(self.m.column("SELECT count(*) FROM run WHERE state IN ('failed', 'lost')"),
                         [0])

    def test_a_run_that_waits_for_memory_can_be_cancelled_and_the_daemon_stopped(self):
        self.m.start()
        self.m.ok("add", "once", "--manual", "--", "/bin/true")
        self.m.ok("add", "other", "--manual", "--", "/bin/true")
        with self.failing_calls(self.m.keeper_pid(), FORKS, "ENOMEM"):
            self.m.ok("trigger", "once")
            run = self.wait_pending("once", "cannot start a process: Cannot allocate memory")
            self.m.ok("cancel", f"#{run['id']}")
            ended = self.m.wait_state("once", "cancelled")
            self.assertEqual(ended["reason"], "operator")
            self.m.ok("trigger", "other")
            self.wait_pending("other", "Cannot allocate memory")
            self.assert_takes(10, lambda: self.m.ok("stop"))
        # It waits on and is started by the next daemon.
        self.m.start()
        self.m.wait_state("other", "succeeded")

    def test_one_start_in_three_that_fails_loses_and_doubles_nothing(self):
        self.m.start()
        keeper = self.m.keeper_pid()
        names = [f"job-{number}" for number in range(5)]
        with self.failing_calls(keeper, FORKS, "EAGAIN", when="1+3"):
            for name in names:
                self.tick(name, "--overlap", "queue")
            self.m.wait(lambda: self.m.log_text().count("run-not-started") >= 5, "five refusals")
        for name in names:
            self.succeeds_again(name)
        self.m.ok("pause", "--all")
        self.m.wait(lambda: not self.m.column(
            "SELECT id FROM run WHERE state IN ('pending', 'running')"), "all runs to end")
        for name in names:
            self.assert_books_balance(name)
            fired = {run["key"]: run["fire_time"] for run in self.m.runs(name, "-n", "1000")}
            order = [fired[key] for key in self.lines(name)]
            self.assertEqual(order, sorted(order), "a later one of the queue came first")
        self.assertEqual(
            self.m.column("SELECT count(*) FROM run WHERE state = 'failed'"), [0])


    def test_a_keeper_that_cannot_be_made_is_told_once_and_made_when_it_can_be(self):
        pid = self.m.start()
        self.tick()
        self.succeeds_again()
        with self.failing_calls(pid, FORKS, "EAGAIN"):
            os.kill(self.m.keeper_pid(), 9)
            self.m.wait(lambda: any(a["kind"] == "keeper" for a in self.m.json("alerts")),
                        "the alert")
            self.m.wait_lines(1, "Resource temporarily unavailable")
            self.assert_calm(pid)
            self.assertFalse([r for r in self.m.runs("tick") if r["state"] == "running"])
            self.assertEqual(self.m("check").code, 2)
        self.succeeds_again()
        self.m.wait(lambda: not self.m.json("alerts"), "the alert's end")
        self.assertEqual(self.episodes("keeper"), 1)
        self.assertEqual(self.m.pid(), pid)


class NoDescriptor(Pressure):
    def starve(self, pid):
        """Leaves the process no descriptor beyond those it has."""
        self.limit(pid, "nofile", descriptors(pid)[-1] + 1)

    @unittest.skipIf(is_sanitized(), "UBSan needs a pipe of its own to tell what an object is")
    def test_a_keeper_out_of_descriptors_keeps_runs_pending_and_starts_them_later(self):
        self.m.start()
        self.tick()
        self.m.ok("add", "long", "--manual", "--", "sleep", "600")
        self.m.ok("trigger", "long")
        self.succeeds_again()
        keeper = self.m.keeper_pid()
        self.starve(keeper)
        # The waiting output files are used up first.
        for number in range(8):
            self.m.ok("add", f"hold-{number}", "--manual", "--", "sleep", "600")
            self.m.ok("trigger", f"hold-{number}")
        self.m.wait(lambda: "Too many open files" in self.m.log_text(), "a start that failed")
        run = self.m.wait(lambda: next((r for r in self.m.json("runs") if r["state"] == "pending"
                                        and "Too many open files" in (r["error"] or "")), None),
                          "a run that waits")
        self.wait_why(run["job"], "Too many open files")
        self.assert_calm(self.m.pid(), keeper, lines=25)
        self.m.ok("cancel", "long")
        self.m.wait_state("long", "cancelled")
        self.limit(keeper, "nofile", 1024)
        self.m.wait(lambda: not self.m.column("SELECT id FROM run WHERE state = 'pending'"),
                    "all to be started")
        self.succeeds_again()
        self.assertEqual(self.m.keeper_pid(), keeper)

    def test_a_daemon_out_of_descriptors_goes_on_with_what_it_has_and_recovers(self):
        pid = self.m.start()
        self.tick()
        self.succeeds_again()
        keeper = self.m.keeper_pid()
        self.starve(pid)
        self.succeeds_again()
        callers = self.silent_callers(500, self.m.run_dir / "schedctl.sock")
        self.assert_calm(pid, keeper)
        self.succeeds_again()
        # Who says something is heard all the same.
        self.assertIn("Too many open files", self.m("reload").err)
        self.m.ok("trigger", "tick", "--wait")
        # Without a keeper it would need a descriptor, and has none: it waits for one.
        os.kill(keeper, 9)
        self.m.wait_lines(1, "keeper-unreachable", "Too many open files")
        self.assert_calm(pid)
        self.limit(pid, "nofile", 1024)
        self.succeeds_again()
        self.assertEqual(self.m.pid(), pid)
        for caller in callers:
            caller.close()
        self.assert_takes(10, lambda: self.m.ok("stop"))

    def test_a_stop_by_signal_ends_a_daemon_that_has_no_descriptor_left(self):
        pid = self.m.start()
        self.m.ok("add", "long", "--manual", "--", "sleep", "600")
        self.m.ok("trigger", "long")
        run = self.m.wait_runs("long", lambda r: r and r[0]["pid"], "a process")[0]
        self.starve(pid)
        self.m.ok("stop", "--now")
        self.m.wait_gone(pid)
        self.m.wait_gone(run["pid"])


    def test_callers_of_the_keeper_who_say_nothing_keep_no_daemon_from_it(self):
        self.m.start()
        self.tick()
        self.silent_callers(200, self.m.state / "keeper" / "socket")
        keeper = self.m.keeper_pid()
        self.assertLess(len(descriptors(keeper)), 50)
        self.assert_calm(keeper)
        self.m.ok("restart")
        self.succeeds_again()
        self.assertEqual(self.m.keeper_pid(), keeper)


class NoBuffer(Pressure):
    """The kernel has no memory for what daemon and keeper tell each other."""

    def go_through(self, calls, error):
        pid = self.m.start()
        self.tick()
        self.succeeds_again()
        keeper = self.m.keeper_pid()
        with self.failing_calls(keeper, calls, error):
            self.assert_calm(pid, lines=60)
        self.succeeds_again()
        self.assertEqual((self.m.pid(), self.m.keeper_pid()), (pid, keeper))
        self.m.ok("pause", "--all")
        self.m.wait(lambda: not self.m.column("SELECT id FROM run WHERE state IN "
                                              "('pending', 'running')"), "all runs to end")
        self.assert_books_balance()

    def test_what_a_keeper_cannot_tell_for_want_of_a_buffer_it_tells_later(self):
        self.go_through("sendto", "ENOBUFS")

    def test_a_line_on_which_nothing_can_be_sent_any_more_is_ended_and_made_anew(self):
        self.go_through("sendto", "EPERM")

    def test_a_line_to_the_keeper_that_breaks_again_and_again_is_not_hurried(self):
        self.go_through("recvfrom", "ENOMEM")


class NoProgram(Pressure):
    def test_each_way_in_which_a_program_cannot_be_executed_has_its_own_words(self):
        self.m.start()
        busy = self.m.root / "busy"
        shutil.copy("/bin/true", busy)
        writer = os.open(busy, os.O_WRONLY)
        self.addCleanup(os.close, writer)
        plain = self.m.root / "plain"
        plain.write_text("#!/bin/sh\n")
        garbage = self.m.root / "garbage"
        garbage.write_bytes(b"\x7fELFgarbage")
        garbage.chmod(0o755)
        orphan = self.m.root / "orphan"
        orphan.write_text("#!/no/such/interpreter\n")
        orphan.chmod(0o755)
        loop = self.m.root / "loop"
        loop.symlink_to(loop)
        cases = {"gone": ("/no/such/program", "No such file"),
                 "plain": (plain, "Permission denied"),
                 "directory": ("/tmp", "Permission denied"),
                 "busy": (busy, "Text file busy"),
                 "garbage": (garbage, "Exec format error"),
                 "orphan": (orphan, "No such file"),
                 "loop": (loop, "Too many levels of symbolic links")}
        for name, (program, words) in cases.items():
            self.m.ok("add", name, "--manual", "--", program)
            self.assertEqual(self.m("trigger", name, "--wait").code, 1, name)
            run = self.m.runs(name)[0]
            self.assertEqual((run["state"], run["reason"]), ("failed", "exec_error"), name)
            self.assertIn(words, run["error"], name)
            self.assertIn(words, self.m.ok("why", name).out, name)
            self.assertIsNone(run["exit_code"])


class SameNumberAgain(Pressure):
    """Process numbers are few and come again."""

    def in_a_small_world(self, script, *arguments):
        """Runs a program where there are 400 process numbers."""
        if os.geteuid() != 0 or not shutil.which("unshare"):
            self.skipTest("needs root and unshare to make a pid namespace")
        probe = subprocess.run(
            ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c",
             "echo 400 > /proc/sys/kernel/pid_max && cat /proc/sys/kernel/pid_max"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        outside = pathlib.Path("/proc/sys/kernel/pid_max").read_text().strip()
        if probe.stdout.strip() != "400" or outside == "400":
            self.skipTest("this kernel has no pid_max of a pid namespace's own: " + probe.stderr)
        return subprocess.run(
            ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
             "echo 400 > /proc/sys/kernel/pid_max; " + script, "world", BINARY, self.m.config,
             *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
            env=self.m.environment(), stdin=subprocess.DEVNULL, check=False)

    def test_a_stranger_with_the_number_of_a_lost_run_is_left_alone(self):
        self.m.ok("add", "long", "--manual", "--", "sleep", "600")
        done = self.in_a_small_world(r"""
            s="$1 --config $2"; root=$3
            # The kernel gives numbers below 300 only once.
            for i in $(seq 300); do /bin/true; done
            $s start; $s trigger long
            until lost=$($s runs long --json | grep -o '"pid": *[0-9][0-9]*' | grep -o '[0-9][0-9]*')
            do sleep 0.05; done
            keeper=$(sed -n 's/^pid //p' $root/state/keeper/lock)
            kill -9 $(cat $root/run/schedctl.pid); kill -9 $keeper
            while kill -0 $lost 2>/dev/null; do sleep 0.05; done
            # A leader of its own session, as the run's command was, with its very number.
            for i in $(seq 2000); do
                setsid sleep 500 & stranger=$!
                [ $stranger = $lost ] && break
                kill $stranger; wait $stranger
            done 2>/dev/null
            echo same=$lost,$stranger
            $s start
            until $s runs long --json | grep -q '"lost"'; do sleep 0.05; done
            $s trigger long
            until $s runs long --json | grep -q '"running"'; do sleep 0.05; done
            kill -0 $stranger && echo the stranger lives
            kill $stranger
            $s stop --now
            """, self.m.root)
        lost, stranger = [line for line in done.stdout.splitlines()
                          if line.startswith("same=")][0][5:].split(",")
        self.assertEqual(lost, stranger, "the number did not come again: " + done.stdout)
        self.assertIn("the stranger lives", done.stdout, self.m.log_text())

    def test_when_numbers_come_again_quickly_each_run_has_its_own_end(self):
        # Short runs use up all numbers several times, long ones are timed out and cancelled
        # meanwhile; a bystander that belongs to nobody is never signalled.
        for name, words in {"short": ["--every", "1s"], "slow": ["--every", "1s"]}.items():
            seconds = "exit 7" if name == "short" else "sleep 500"
            self.m.ok("add", name, *words, "--timeout", "700ms", "--shell", seconds)
        done = self.in_a_small_world(r"""
            s="$1 --config $2"
            setsid sleep 500 & bystander=$!
            $s start
            for i in $(seq 25); do
                for j in $(seq 30); do /bin/true; done
                $s trigger short --force; $s trigger slow --force >/dev/null
                $s cancel slow
            done >/dev/null 2>&1
            until [ $($s runs slow --state failed --json | grep -c '"timeout"') -ge 3 ]; do
                for j in $(seq 30); do /bin/true; done
            done
            $s pause --all
            until ! $s runs -n 1000 --json | grep -qE '"(running|pending)"'; do sleep 0.05; done
            kill -0 $bystander && echo the bystander lives
            kill $bystander
            $s stop --now
            """)
        self.assertIn("the bystander lives", done.stdout, self.m.log_text()[-3000:])
        for run in self.m.runs("short", "-n", "1000"):
            if run["state"] != "skipped":
                self.assertEqual((run["state"], run["exit_code"]), ("failed", 7), run)
        for run in self.m.runs("slow", "-n", "1000"):
            self.assertIn((run["state"], run["reason"]),
                          {("failed", "timeout"), ("cancelled", "operator"),
                           ("skipped", "overlap"), ("skipped", "coalesced")}, run)


class InheritedSignals(Pressure):
    def test_blocked_and_ignored_signals_of_whoever_started_it_reach_no_job(self):
        done = subprocess.run(
            ["env", "--block-signal", "--ignore-signal", BINARY, "--config", self.m.config, "start"],
            env=self.m.environment(), stderr=subprocess.PIPE, text=True, check=False)
        if "unrecognized option" in done.stderr:
            self.skipTest("env of this machine cannot block signals")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.m.ok("add", "signals", "--manual", "--", "grep", "-E", "Sig(Blk|Ign)",
                  "/proc/self/status")
        # More than one, so that ends which were told with one signal are all noticed.
        for number in range(10):
            self.m.ok("add", f"crowd-{number}", "--manual", "--shell", f"exit {number}")
            self.m.ok("trigger", f"crowd-{number}")
        self.m.ok("trigger", "signals", "--wait")
        self.assertEqual(self.m.ok("logs", "signals").out.split()[1::2], ["0" * 16] * 2)
        for number in range(10):
            run = self.m.wait_runs(f"crowd-{number}", lambda r: r[0]["exit_code"] is not None,
                                   "its end")[0]
            self.assertEqual(run["exit_code"], number)
        self.assertFalse([p for p, state in children_of(self.m.keeper_pid()) if state == "Z"])
        self.m.ok("add", "piped", "--manual", "--shell", "yes | head -1; kill -PIPE $$")
        self.assertEqual(self.m("trigger", "piped", "--wait").code, 1)
        self.assertEqual(self.m.runs("piped")[0]["signal"], "SIGPIPE")
        pid = self.m.pid()
        self.m.ok("stop")
        self.assertFalse(alive(pid))


if __name__ == "__main__":
    unittest.main()
