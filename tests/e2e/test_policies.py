"""Policies that bound a job, seen from outside: weeks, boots, pauses with an end, numbers of runs,
waits."""
import unittest

import reboot
from machine import Story


class Bounds(Story):
    def test_every_other_week_is_every_other_week(self):
        self.m.ok("add", "a", "--cron", "0 9 * * MON", "--weeks", "2", "--anchor", "2030-01-07",
                  "--", "/bin/true")
        fires = self.m.json("next", "a", "--from", "2030-01-01", "-n", "3")
        self.assertEqual([f["fire_time"][:10] for f in fires],
                         ["2030-01-07", "2030-01-21", "2030-02-04"])
        self.assertEqual(self.m.job("a")["schedule"],
                         {"cron": "0 9 * * MON", "weeks": 2, "anchor": "2030-01-07"})
        shown = self.m.ok("show", "a").out
        self.assertIn("every other week", shown)
        answer = self.m("add", "b", "--every", "1h", "--weeks", "2", "--", "/bin/true")
        self.assertEqual(answer.code, 2)
        self.assertIn("--weeks", answer.err)

    def test_a_schedule_ends_after_its_runs_and_says_so(self):
        self.m.start()
        # Both, also where the first is not done, or not begun, when the second is due.
        added = self.m.ok("add", "twice", "--every", "1s", "--max-runs", "2", "--coalesce", "all",
                          "--overlap", "queue", "--", "/bin/true")
        self.assertEqual(added.out.count("(in "), 2, added.out)
        self.m.wait(lambda: self.m.job("twice")["next_fire"] is None, "the schedule has ended")
        self.assertIn("next       no more: it has had its max_runs",
                      self.m.ok("set", "twice", "--max-wait", "1h").out)
        self.m.wait(lambda: len(self.m.runs("twice", "--state", "succeeded")) == 2, "both ran")
        self.assertEqual(self.m.ok("list").out.count("twice"), 1)

    def test_until_in_the_past_is_a_mistake(self):
        answer = self.m("add", "a", "--every", "1h", "--until", "2020-01-01", "--", "/bin/true")
        self.assertEqual(answer.code, 2)
        self.assertIn("in the past", answer.err)
        self.assertIn("--until", answer.err)

    def test_a_job_that_has_no_fires_between_its_bounds_is_said_to_run_never(self):
        answer = self.m.ok("add", "a", "--cron", "0 12 * * *", "--not-before", "2030-01-01",
                           "--until", "2030-01-01 10:00", "--", "/bin/true")
        self.assertIn("never: none of its fires lies before its until", answer.out)

    def test_a_grace_with_which_nothing_would_be_in_time_is_a_mistake(self):
        answer = self.m("add", "a", "--every", "1m", "--misfire-grace", "0s", "--", "/bin/true")
        self.assertEqual(answer.code, 2)
        self.assertIn("--misfire-grace: '0s' is too short", answer.err)

    def test_what_is_not_limited_is_shown_as_none(self):
        self.m.ok("add", "a", "--every", "1m", "--", "/bin/true")
        shown = self.m.ok("show", "a").out
        for key in ("jitter", "timeout", "catchup_spread", "max_wait", "max_runs"):
            self.assertRegex(shown, rf"\n  {key} +none +built-in\n")
        self.assertRegex(shown, r"\n  kill_grace +10s +built-in\n")


class Pauses(Story):
    def test_a_pause_ends_by_itself_and_leaves_one_row(self):
        self.m.start()
        for name, end in (("a", "now+3s"), ("b", "now+1h")):
            self.m.ok("add", name, "--every", "1s", "--", "/bin/true")
            self.m.ok("pause", name, "--until", end, "--reason", "works")
        self.assertIn("paused until", self.m.ok("list").out)
        self.assertIsNone(self.m.job("b")["next_fire"])
        self.m.wait(lambda: not self.m.job("a")["paused"], "the pause is over")
        self.m.wait(lambda: self.m.runs("a", "--state", "succeeded"), "it runs again")
        paused = [r for r in self.m.runs("a") if r["reason"] == "paused"]
        self.assertEqual(len(paused), 1, self.m.runs("a"))
        self.assertIn("job-resumed", self.m.log_text())


class Waiting(Story):
    settings = "max_running = 1"

    def test_what_finds_no_slot_in_time_is_missed(self):
        self.m.start()
        self.m.ok("add", "long", "--manual", "--", "sleep", "600")
        self.m.ok("add", "short", "--manual", "--max-wait", "1s", "--", "/bin/true")
        self.m.ok("trigger", "long")
        self.m.wait(lambda: self.m.runs("long", "--state", "running"), "the slot is taken")
        self.m.ok("trigger", "short")
        self.m.wait(lambda: self.m.runs("short", "--state", "missed"), "it gave up")
        self.assertEqual(self.m.runs("short")[0]["reason"], "waited_too_long")


@unittest.skipIf(reboot.why_not(), reboot.why_not())
class Boots(Story):
    def test_once_a_boot_and_not_in_the_boot_in_which_it_was_made(self):
        ran = self.m.root / "ran"
        self.m.start()
        self.m.ok("add", "boot", "--on-reboot", "--shell", f"echo x >> {ran}")
        self.m.ok("restart")
        self.m.ok("stop")
        self.m.start()
        self.m.ok("stop")
        self.assertEqual(self.m.runs("boot"), [])
        for boots in (1, 2):
            done = reboot.in_new_boot(self.m, "start")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.m.wait(lambda: len(self.m.runs("boot", "--state", "succeeded")) == boots,
                         "it ran once more")
            self.m.ok("restart")
            self.m.ok("stop")
        self.assertEqual(ran.read_text(), "x\nx\n")
        self.assertEqual({r["cause"] for r in self.m.runs("boot")}, {"reboot"})
