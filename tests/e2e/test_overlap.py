"""What becomes of an occurrence that is due while its job still runs."""
import os
import signal

from machine import Story, alive


class Overlap(Story):
    settings = '[defaults]\nkill_grace = "500ms"\n'

    def setUp(self):
        super().setUp()
        self.m.start()

    def states(self, name):
        return [(r["state"], r["reason"]) for r in self.m.runs(name)]

    def why(self, name, *words):
        return " ".join(self.m.ok("why", name, *words).out.split())

    def test_a_queue_is_worked_off_one_by_one_in_order(self):
        go = self.m.root / "go"
        self.m.ok("add", "slow", "--manual", "--overlap", "queue", "--max-queued", "2", "--shell",
                  f"while [ ! -e {go} ]; do sleep 0.02; done; echo $SCHEDCTL_RUN_ID")
        for _ in range(3):
            self.m.ok("trigger", "slow")
        self.m.wait(lambda: self.m.log_text().count("run-waits") == 2, "two to wait")
        self.assertEqual(len(self.m.json("ps")), 1)
        self.assertIn("this one waits for it (overlap = queue)", self.why("slow"))
        self.m.ok("trigger", "slow")
        runs = self.m.wait_runs(
            "slow", lambda all_: any(r["reason"] == "queue_full" for r in all_), "a full queue")
        self.assertEqual([r["state"] for r in runs], ["running", "pending", "pending", "skipped"])
        self.assertIn("as many waited for it as may (max_queued = 2)", self.why("slow"))
        go.touch()
        runs = self.m.wait_runs(
            "slow", lambda all_: sum(r["state"] == "succeeded" for r in all_) == 3, "all of them")
        self.assertEqual([r["state"] for r in runs], ["succeeded"] * 3 + ["skipped"])
        for before, after in zip(runs[:2], runs[1:3]):
            self.assertLessEqual(before["ended"], after["started"])

    def test_allowed_runs_live_beside_each_other_up_to_their_limit(self):
        self.m.ok("add", "many", "--every", "1s", "--overlap", "allow", "--max-instances", "2",
                  "--", "sleep", "600")
        skipped = self.m.wait_reason("many", "overlap")
        self.assertEqual(skipped["state"], "skipped")
        self.assertEqual(sum(r["state"] == "running" for r in self.m.runs("many")), 2)
        self.assertIn("as many runs of it lived as may (max_instances = 2)",
                      self.why("many", "--at", skipped["fire_time"]))

    def test_commands_have_a_limit_of_their_own_which_is_named_where_they_wait(self):
        self.m.write_config("executors.command.max_running = 1\n" + self.settings)
        self.m.ok("reload")
        for name in ("first", "second"):
            self.m.ok("add", name, "--manual", "--", "sleep", "60")
        self.m.ok("trigger", "first")
        self.m.wait_state("first", "running")
        self.m.ok("trigger", "second")
        self.m.wait_state("second", "pending")
        self.assertIn("The only slot is taken (executors.command.max_running), by first",
                      self.why("second"))
        self.m.write_config("executors.command.max_running = 2\n" + self.settings)
        self.m.ok("reload")
        self.m.wait_state("second", "running")

    def test_a_newer_one_replaces_the_one_that_runs(self):
        self.m.ok("add", "fresh", "--manual", "--overlap", "replace", "--", "sleep", "600")
        self.m.ok("trigger", "fresh")
        old = self.m.wait_runs(
            "fresh", lambda all_: all_ and all_[-1]["pid"], "the first to run")[-1]
        self.m.ok("trigger", "fresh")
        runs = self.m.wait_runs(
            "fresh", lambda all_: len(all_) == 2 and all_[-1]["pid"], "the second to run")
        self.assertEqual(self.states("fresh"), [("cancelled", "replaced"), ("running", None)])
        self.assertFalse(alive(old["pid"]))
        self.assertLessEqual(runs[0]["ended"], runs[1]["started"])
        self.assertIn(f"#{old['id']} was ended, for #{runs[1]['id']} took its place",
                      self.why("fresh", "--at", old["fire_time"]))

    def test_a_stubborn_one_is_killed_before_its_successor_starts(self):
        self.m.ok("add", "deaf", "--every", "1s", "--overlap", "replace", "--shell",
                  "trap '' TERM; while :; do sleep 0.05; done")
        runs = self.m.wait_runs(
            "deaf", lambda all_: sum(r["signal"] == "SIGKILL" for r in all_) >= 2, "two to be killed")
        self.assertEqual(len(self.m.json("ps")), 1)
        began = sorted((r for r in runs if r["started"]), key=lambda r: r["started"])
        for before, after in zip(began, began[1:]):
            self.assertLessEqual(before["ended"], after["started"])

    def test_show_says_which_exit_codes_mean_success(self):
        self.m.ok("add", "plain", "--manual", "--", "true")
        self.assertIn("success_codes 0 built-in", " ".join(self.m.ok("show", "plain").out.split()))
        codes = self.m.json("show", "plain")["policy"]["success_codes"]
        self.assertEqual(codes, {"value": [0], "origin": "built-in"})
        self.m.ok("set", "plain", "--success-codes", "3", "--shell", "exit 3")
        self.assertIn("success_codes 0,3 job", " ".join(self.m.ok("show", "plain").out.split()))
        self.m.ok("trigger", "plain", "--wait")

    def test_the_queue_outlives_a_killed_daemon(self):
        self.m.ok("add", "slow", "--manual", "--overlap", "queue", "--shell", "sleep 2")
        for _ in range(3):
            self.m.ok("trigger", "slow")
        self.m.wait_state("slow", "running")
        pid = self.m.pid()
        os.kill(pid, signal.SIGKILL)
        self.m.wait_gone(pid)
        self.m.start()
        self.m.wait_runs("slow", lambda all_: [r["state"] for r in all_] == ["succeeded"] * 3,
                         "all three to succeed, one after the other")
