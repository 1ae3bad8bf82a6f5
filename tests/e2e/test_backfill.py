"""A past range of a job is run: every fire of it once, whoever is killed in the middle."""
import os
import pty
import select
import signal
import subprocess
import time
import unittest

import machine
from machine import Story

FROM, TO = "2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z"
HOURS = [f"2026-01-05T{hour:02}:00:00Z" for hour in range(24)]


class Backfill(Story):
    def setUp(self):
        super().setUp()
        self.seen = self.m.root / "seen"
        self.go = self.m.root / "go"

    def add_hourly(self, script=""):
        """A job that fires each hour, and notes down for which fire it was started."""
        self.m.ok("add", "hourly", "--cron", "0 * * * *", "--paused", "--shell",
                  f'echo "$SCHEDCTL_FIRE_TIME" >> {self.seen}; {script}')

    def fires(self):
        return self.seen.read_text().split() if self.seen.exists() else []

    def backfills(self):
        return self.m.json("backfill", "hourly")

    def wait_fires(self, count):
        self.m.wait(lambda: len(self.fires()) >= count, f"{count} fires")

    def test_every_fire_of_the_range_runs_once_in_order_with_its_own_time(self):
        self.m.start()
        self.add_hourly()
        answer = self.m.ok("backfill", "hourly", "--from", FROM, "--to", TO, "--wait")
        self.assertIn("24 fires", answer.out)
        self.assertIn("is done: 24 succeeded", answer.out)
        self.assertEqual(self.fires(), HOURS)
        runs = self.m.runs("hourly", "--cause", "backfill")
        self.assertEqual([run["fire_time"] for run in runs], HOURS)
        self.assertEqual({run["state"] for run in runs}, {"succeeded"})
        self.assertEqual(len({run["key"] for run in runs}), 24)
        self.assertTrue(all(0 <= run["delay_s"] < 60 for run in runs), "a delay since last year")
        one, = self.backfills()
        self.assertEqual((one["state"], one["fires"], one["runs"]["succeeded"]), ("done", 24, 24))
        self.m.wait_lines(1, "backfill-done")

    def test_a_killed_daemon_and_a_killed_watcher_lose_and_double_nothing(self):
        self.m.start()
        # The last ones wait: were they done, the same words would ask for all of them again.
        self.add_hourly(f"sleep 0.2; case $SCHEDCTL_FIRE_TIME in *T2*) "
                        f"while ! [ -e {self.go} ]; do sleep 0.05; done;; esac")
        command = ("backfill", "hourly", "--from", FROM, "--to", TO, "--wait")
        watcher = self.m.popen(*command)
        for count in (4, 9, 15):
            self.wait_fires(count)
            os.kill(self.m.pid(), signal.SIGKILL)
            if watcher.poll() is None:
                watcher.kill()
            self.m.start()
        self.assertIn("is open", self.m.ok(*command[:-1]).out)
        self.go.touch()
        answer = self.m.ok("backfill", "hourly", "--wait")
        self.assertIn("is done: 24 succeeded", answer.out)
        self.assertEqual(self.fires(), HOURS)
        self.assertEqual(len(self.backfills()), 1)

    def test_a_killed_keeper_costs_the_run_it_kept_and_the_backfill_goes_on(self):
        self.m.start()
        self.add_hourly("sleep 0.2")
        self.m.ok("backfill", "hourly", "--from", FROM, "--to", TO)
        self.wait_fires(5)
        pids = self.m.pid(), self.m.keeper_pid()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.m.wait_gone(pids[0])
        self.m.start()
        self.m.wait(lambda: self.backfills()[0]["state"] == "done", "the backfill to be done")
        runs = self.m.runs("hourly", "--cause", "backfill")
        self.assertEqual([run["fire_time"] for run in runs], HOURS)
        lost = [run["fire_time"] for run in runs if run["state"] != "succeeded"]
        self.assertLessEqual(len(lost), 1, runs)
        self.assertEqual(len(set(self.fires())), len(self.fires()))
        self.assertLessEqual(set(HOURS) - set(self.fires()), set(lost))
        # What was lost is what is missing.
        answer = self.m.ok("backfill", "hourly", "--from", FROM, "--to", TO, "--missing", "--wait")
        self.assertIn("missing 1 of 24" if lost else "nothing to do", answer.out)

    def test_only_what_is_missing_is_run_again(self):
        self.m.start()
        self.add_hourly(f"[ -e {self.go} ] || case $SCHEDCTL_FIRE_TIME in *T0[37]:*) exit 4;; esac")
        command = ("backfill", "hourly", "--from", FROM, "--to", TO)
        answer = self.m(*command, "--wait")
        self.assertEqual(answer.code, 1, answer)
        self.assertIn("22 succeeded, 2 failed", answer.out)
        self.go.touch()
        self.assertIn("missing 2 of 24", self.m.ok(*command, "--missing", "--dry-run").out)
        self.assertEqual(len(self.backfills()), 1)
        self.m.ok(*command, "--missing", "--wait")
        self.assertEqual(self.fires()[24:], [HOURS[3], HOURS[7]])
        self.assertIn("nothing to do", self.m.ok(*command, "--missing").out)
        self.m.ok(*command, "--wait")
        self.assertEqual(self.fires()[26:], HOURS)

    def test_so_many_at_once_run_side_by_side(self):
        self.m.start()
        self.add_hourly(f"while ! [ -e {self.go} ]; do sleep 0.05; done")
        self.m.ok("backfill", "hourly", "--from", FROM, "--to", TO, "--max-parallel", "3")
        self.wait_fires(3)
        self.assertEqual(len(self.m.json("ps")), 3)
        # More room for the one that is open.
        answer = self.m.ok("backfill", "hourly", "--from", FROM, "--max-parallel", "5")
        self.assertIn("is open", answer.out)
        self.wait_fires(5)
        self.assertEqual(sorted(self.fires()), HOURS[:5])
        self.go.touch()
        self.m.ok("backfill", "hourly", "--wait")
        self.assertEqual(sorted(self.fires()), HOURS)

    def test_what_is_due_now_waits_for_one_run_of_a_backfill_and_goes_before_the_next(self):
        self.m.start()
        self.m.ok("add", "tick", "--every", "1s", "--anchor", FROM, "--shell",
                  f'[ "$SCHEDCTL_FIRE_TIME" \\> 2026-01-07 ] || while ! [ -e {self.go} ]; '
                  'do sleep 0.05; done')
        self.m.ok("backfill", "tick", "--from", FROM, "--to", "2026-01-05T00:00:02Z")
        first = self.m.wait_runs("tick", lambda all_: any(
            r["cause"] == "backfill" and r["state"] == "running" for r in all_), "a backfill's run")
        number = next(r["id"] for r in first if r["cause"] == "backfill")
        self.m.wait(lambda: "run-waits" in self.m.log_text(), "an occurrence to wait")
        self.m.wait_runs("tick", lambda all_: any(
            r["id"] > number and r["reason"] == "overlap" for r in all_), "the one after it")
        self.go.touch()
        self.m.ok("backfill", "tick", "--wait")
        runs = self.m.runs("tick")
        waited = next(r for r in runs if r["id"] > number and r["cause"] == "schedule"
                      and r["started"])
        self.assertEqual(waited["state"], "succeeded", runs)
        one, two = [r for r in runs if r["cause"] == "backfill"]
        self.assertLessEqual(one["ended"], waited["started"])
        self.assertLessEqual(waited["ended"], two["started"])

    def test_without_a_daemon_it_waits_for_one(self):
        self.add_hourly()
        command = ("backfill", "hourly", "--from", FROM, "--to", "2026-01-05T03:00:00Z")
        answer = self.m.ok(*command)
        self.assertIn("no daemon is running", answer.err)
        self.assertEqual(self.m(*command, "--wait").code, 69)
        self.assertEqual(self.backfills()[0]["state"], "open")
        self.m.start()
        self.wait_fires(3)
        self.assertEqual(self.fires(), HOURS[:3])

    def test_cancel_ends_it_and_says_so(self):
        self.m.start()
        self.add_hourly("sleep 600")
        self.m.ok("backfill", "hourly", "--from", FROM, "--to", TO)
        self.wait_fires(1)
        watcher = self.m.popen("backfill", "hourly", "--wait")
        refused = self.m("backfill", "hourly", "--from", "2026-01-04", "--to", TO)
        self.assertEqual(refused.code, 5, refused)
        self.assertIn("schedctl cancel hourly", refused.err)
        self.assertIn("ended backfill 1 of hourly", self.m.ok("cancel", "hourly").out)
        out, err = watcher.communicate(timeout=machine.PATIENCE_S)
        self.assertEqual(watcher.returncode, 1, err)
        self.assertIn("was ended after 1 of 24 fires", out)
        self.m.wait_runs("hourly", lambda all_: all_[0]["state"] == "cancelled", "the run to end")
        self.assertEqual(self.fires(), HOURS[:1])
        self.assertEqual(self.backfills()[0]["state"], "cancelled")

    def test_a_dry_run_and_refusals_leave_nothing(self):
        self.add_hourly()
        answer = self.m.ok("backfill", "hourly", "--from", FROM, "--to", TO, "--dry-run")
        self.assertIn("would run 24 fires of hourly", answer.out)
        plan = self.m.json("backfill", "hourly", "--from", FROM, "--to", TO, "--dry-run")
        self.assertEqual((plan["id"], plan["state"], plan["first_fire"], plan["last_fire"]),
                         (None, "planned", HOURS[0], HOURS[-1]))
        for words, code, say in (
                (("--from", FROM, "--to", "2999-01-01"), 2, "future"),
                (("--from", TO, "--to", FROM), 2, "--from"),
                (("--from", "2000-01-01", "--to", TO), 2, "narrow the range"),
                (("--missing",), 2, "only goes with --from"),
                (("--from", FROM, "--max-parallel", "0"), 2, "--max-parallel")):
            refused = self.m("backfill", "hourly", *words)
            self.assertEqual(refused.code, code, refused)
            self.assertIn(say, refused.err)
        self.assertEqual(self.backfills(), [])

    def test_on_a_terminal_it_shows_how_far_it_is_and_can_be_left_alone(self):
        self.m.start()
        self.add_hourly("sleep 0.1")
        screen, child = self.watch_on_terminal("--from", FROM, "--to", TO)
        text = self.read_screen(screen, child)
        self.assertEqual(child.returncode, 0, text)
        self.assertRegex(text, r"hourly: \d+ of 24 done")
        self.assertIn("is done: 24 succeeded", text)

        self.go.touch()
        screen, child = self.watch_on_terminal("--from", FROM, "--to", TO)
        self.wait_fires(26)
        child.send_signal(signal.SIGINT)
        text = self.read_screen(screen, child)
        self.assertEqual(child.returncode, 130, text)
        self.assertIn("backfill 2 of hourly goes on without you", text)
        self.m.ok("backfill", "hourly", "--wait")
        self.assertEqual(self.fires(), HOURS + HOURS)

    def watch_on_terminal(self, *words):
        screen, terminal = pty.openpty()
        self.addCleanup(os.close, screen)
        child = subprocess.Popen(
            [machine.BINARY, "--config", str(self.m.config), "backfill", "hourly", *words],
            stdin=terminal, stdout=terminal, stderr=terminal, env=self.m.environment())
        self.m.foreground.append(child)
        os.close(terminal)
        return screen, child

    @staticmethod
    def read_screen(screen, child):
        text, deadline = "", time.monotonic() + machine.PATIENCE_S
        while time.monotonic() < deadline:
            ready, _, _ = select.select([screen], [], [], 0.1)
            if not ready and child.poll() is not None:
                break
            try:
                text += os.read(screen, 65536).decode(errors="replace") if ready else ""
            except OSError:  # the terminal's other side is closed
                break
        child.wait(timeout=machine.PATIENCE_S)
        return text


if __name__ == "__main__":
    unittest.main()
