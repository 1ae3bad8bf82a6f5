"""`why`, `next` and `simulate` told by the real binary: what somebody reads who looks at 3 a.m. why a
job did not run. Times in the past are made by moving the rows, never by waiting."""
import contextlib
import datetime as dt
import getpass
import os
import signal
import sqlite3
import subprocess
import time
import unittest

from machine import BINARY, Story

ME = getpass.getuser()


def seconds_ago(n):
    return int((time.time() - n) * 1e6)


class WhyStory(Story):
    def why(self, *words):
        return self.m.ok("why", *words).out

    def verdict(self, *words):
        answer = self.m.json("why", *words)
        return answer["verdict"], answer["reason"]

    def sql(self, statement, *values):
        with contextlib.closing(sqlite3.connect(self.m.state / "schedctl.db")) as db:
            with db:
                db.execute(statement, values)

    def made_long_ago(self, name, days=10):
        """Moves a job's beginning into the past, as if it had been added then."""
        then = seconds_ago(days * 86400)
        self.sql("UPDATE job SET created_at = ?, defined_at = ?, planned_through = ? WHERE name = ?",
                 then, then, then, name)
        self.sql("UPDATE job_version SET valid_from = ? WHERE name = ?", then, name)
        self.sql("UPDATE audit SET at = ? WHERE job = ? AND action = 'add'", then, name)


class Ran(WhyStory):
    def test_a_run_and_a_failure_are_told(self):
        self.m.start()
        self.m.ok("add", "good", "--every", "1s", "--", "true")
        self.m.ok("add", "bad", "--every", "1s", "--shell", "echo disk is full; exit 3")
        self.m.wait_state("good", "succeeded")
        run = self.m.wait_state("bad", "failed")
        # Asked just so it speaks of the latest fire, which may be about to start.
        self.m.wait(lambda: "good ran for " in self.why("good"), "why to tell of a run")
        at = run["fire_time"]
        text = self.why("bad", "--at", at)
        self.assertIn(f"and failed: #{run['id']}, exit status 3.", text)
        self.assertIn(f"schedctl logs {run['id']}", text)
        self.assertEqual(self.verdict("bad", "--at", at), ("failed", "exit_status"))
        answer = self.m.json("why", "bad", "--at", at)
        self.assertEqual(answer["run"]["id"], run["id"])
        self.assertEqual(answer["at"], at)
        self.assertEqual(len(answer["occurrences"]), 1)

    def test_a_trigger_names_who(self):
        self.m.start()
        self.m.ok("add", "hand", "--manual", "--", "true")
        self.assertIn("hand has not run yet", self.why("hand"))
        self.m.ok("trigger", "hand", "--wait")
        text = self.why("hand")
        self.assertIn("hand ran by hand at", text)
        self.assertIn(f"It was triggered by {ME}", text)
        self.assertIn("It fires by no clock", text)

    def test_what_runs_and_what_waits_for_a_retry(self):
        self.m.start()
        self.m.ok("add", "long", "--every", "1h", "--immediately", "--", "sleep", "600")
        self.m.ok("add", "again", "--every", "1h", "--immediately", "--max-attempts", "3",
                  "--backoff", "10m", "--", "false")
        self.m.wait_state("long", "running")
        self.m.wait_runs("again", lambda runs: runs and runs[0]["attempt"] == 2, "a retry")
        self.assertIn("long is running for ", self.why("long"))
        text = self.why("again")
        self.assertIn("again waits for attempt 2 of 3", text)
        self.assertIn("Attempt 1 failed: exit status 1", text)
        self.m.ok("cancel", "long")
        self.m.wait_state("long", "cancelled")
        self.assertIn(f"was cancelled by {ME}", self.why("long"))


class Late(WhyStory):
    def test_a_queued_run_names_the_run_that_it_waited_for(self):
        self.m.start()
        gate = self.m.root / "gate"
        self.m.ok("add", "line", "--manual", "--overlap", "queue", "--shell",
                  f"until [ -e {gate} ]; do sleep 0.1; done")
        first = self.m.json("trigger", "line")
        self.m.wait_state("line", "running")
        second = self.m.json("trigger", "line")
        # As if both had been asked for long ago.
        self.sql("UPDATE run SET fire_time = fire_time - 9000000 WHERE id = ?", first["id"])
        self.sql("UPDATE run SET due_at = due_at - 5000000 WHERE id = ?", second["id"])
        gate.touch()
        self.m.wait_runs("line", lambda runs: {r["state"] for r in runs} == {"succeeded"}, "the end")
        text = self.why("line")
        self.assertIn(f"late: it waited for #{first['id']} of its job, which ended at ", text)
        self.assertIn("(overlap = queue).", text)
        self.assertNotIn("coalesce", text)

    def test_a_gated_run_names_the_run_that_let_it_by(self):
        self.m.start()
        self.m.ok("add", "before", "--manual", "--", "true")
        self.m.ok("add", "later", "--in", "1s", "--after", "before", "--", "true")
        self.m.wait_state("later", "pending")
        self.assertEqual(self.verdict("later"), ("waiting", "after"))
        self.m.ok("stop")
        text = self.why("later")
        self.assertIn("A daemon alone does not start it (schedctl start).", text)
        self.assertIn("It comes after before (after), which has not succeeded", text)
        self.assertNotIn("It is started when a daemon comes", text)
        self.sql("UPDATE run SET due_at = due_at - 5000000 WHERE job_name = 'later'")
        self.m.start()
        run = self.m.json("trigger", "before", "--wait")
        self.m.wait_state("later", "succeeded")
        self.assertIn(f"waited for before to succeed (after), which its run #{run['id']} did at ",
                      self.why("later"))


class InTheWay(WhyStory):
    settings = "max_running = 1"

    def test_what_waited_for_another_job_until_too_many_did(self):
        self.m.start()
        self.m.ok("add", "before", "--manual", "--", "true")
        self.m.ok("add", "all", "--every", "1s", "--after", "before", "--coalesce", "all",
                  "--max-catchup", "2", "--", "true")
        self.m.ok("add", "latest", "--every", "1s", "--after", "before", "--", "true")
        for name, words in {"all": "as many later ones waited as are caught up (max_catchup = 2)",
                            "latest": "its next fire was due"}.items():
            self.m.wait(lambda n=name: self.m.runs(n, "--state", "missed"), f"{name} to miss one")
            run = self.m.runs(name, "--state", "missed")[-1]
            text = self.m.ok("why", name, "--at", run["fire_time"]).out
            self.assertIn("It waited for before (after), until " + words, text)
        self.assertLessEqual(len(self.m.runs("all", "--state", "pending")), 2)

    def test_an_overlap_names_the_run_in_the_way(self):
        self.m.start()
        self.m.ok("add", "slow", "--every", "1s", "--", "sleep", "600")
        blocker = self.m.wait_state("slow", "running")
        skipped = self.m.wait_reason("slow", "overlap")
        text = self.why("slow", "--at", skipped["fire_time"])
        self.assertIn(f"its run #{blocker['id']} had not ended yet", text)
        self.assertIn(f"#{blocker['id']} runs since", text)
        self.assertEqual(self.verdict("slow", "--at", skipped["fire_time"]),
                         ("skipped", "overlap"))

    def test_a_run_without_a_slot_names_who_has_it(self):
        self.m.start()
        self.m.ok("add", "first", "--every", "1h", "--immediately", "--", "sleep", "600")
        run = self.m.wait_state("first", "running")
        self.m.ok("add", "second", "--every", "1h", "--immediately", "--", "true")
        self.m.wait_state("second", "pending")
        text = self.why("second")
        self.assertIn(f"The only slot is taken (max_running), by first #{run['id']}", text)
        self.assertEqual(self.verdict("second"), ("waiting", "slots"))


class NotThere(WhyStory):
    def test_a_pause_names_who_and_why(self):
        self.m.start()
        self.m.ok("add", "tick", "--every", "1s", "--", "true")
        self.m.wait_state("tick", "succeeded")
        self.m.ok("pause", "tick", "--reason", "disk is full")
        paused = f"It was paused by {ME} at "
        text = self.m.wait(lambda: (lambda t: t if "did not run" in t else None)(self.why("tick")),
                           "an occurrence in the pause")
        self.assertIn(paused, text)
        self.assertIn('"disk is full"', text)
        self.assertEqual(self.verdict("tick"), ("skipped", "paused"))
        self.assertTrue(self.m.json("why", "tick")["now"]["paused"])
        self.m.ok("resume", "tick")
        row = next(r for r in self.m.runs("tick") if r["reason"] == "paused")
        self.assertIn(f"It was resumed by {ME}", self.why("tick", "--at", row["fire_time"]))

    def test_a_daemon_that_is_down_is_named_with_since_when(self):
        self.m.start()
        # Not each second: this is about one occurrence that is overdue.
        self.m.ok("add", "tick", "--every", "5s", "--immediately", "--misfire-grace", "1h", "--",
                  "true")
        self.m.wait_state("tick", "succeeded")
        self.m.ok("stop", "--now")
        text = self.m.wait(
            lambda: (lambda t: t if "no daemon is running" in t else None)(self.why("tick")),
            "an overdue occurrence")
        self.assertIn("No daemon is running: it was stopped at ", text)
        self.assertIn("If a daemon is started by ", text)
        self.assertIn("Nothing runs before schedctl start", text)
        # What was said of the occurrence is not said again of how the job stands now.
        self.assertEqual(text.count("No daemon is running"), 1)
        self.assertEqual(self.verdict("tick"), ("due", "daemon_down"))

    def test_missed_while_it_was_down_is_told_afterwards(self):
        self.m.start()
        self.m.ok("add", "tick", "--every", "1s", "--misfire-grace", "4s", "--", "true")
        self.m.wait_state("tick", "succeeded")
        pid = self.m.pid()
        os.kill(pid, signal.SIGKILL)
        self.m.wait_gone(pid)
        gone = time.time()
        self.m.wait(lambda: time.time() > gone + 6, "some occurrences")
        self.m.start()
        row = self.m.wait_state("tick", "missed")
        # The first of them may have been due just before the end.
        at = row["last_fire_time"] or row["fire_time"]
        text = self.why("tick", "--at", at)
        self.assertIn("no daemon was running", text)
        self.assertIn("it ended without being stopped", text)
        self.assertEqual(self.verdict("tick", "--at", at), ("missed", "daemon_down"))

    def test_a_removed_job_and_one_that_did_not_exist_yet(self):
        self.m.start()
        self.m.ok("add", "tick", "--every", "1s", "--", "true")
        self.assertEqual(self.verdict("tick", "--at", "1h"), ("no_job", "not_created"))
        self.assertIn(f"by {ME}", self.why("tick", "--at", "1h"))
        run = self.m.wait_state("tick", "succeeded")
        self.m.ok("remove", "tick", "--force")
        text = self.why("tick")
        self.assertIn("There is no job tick at ", text)
        self.assertIn(f"It was removed by {ME}", text)
        self.assertEqual(self.verdict("tick", "--at", run["fire_time"])[0], "succeeded")
        answer = self.m("why", "tock")
        self.assertEqual(answer.code, 3)
        self.assertEqual(self.m("explain", "tick").code, 2)


    def test_a_renamed_job_is_told_under_both_names(self):
        self.m.ok("add", "old", "--every", "1h", "--", "true")
        self.m.ok("rename", "old", "new")
        self.assertIn(f"It was renamed to new by {ME} at ", self.why("old"))
        self.assertEqual(self.verdict("old"), ("no_job", "renamed"))
        self.assertIn(f"by {ME}, with the name old", self.why("new", "--at", "2020-01-01 00:00"))

    def test_a_day_before_the_job_shows_what_a_backfill_ran_for_it(self):
        self.m.start()
        self.m.ok("add", "report", "--cron", "0 * * * *", "--", "true")
        self.m.ok("backfill", "report", "--from", "2026-01-05", "--to", "2026-01-05 02:00",
                  "--wait")
        out = self.why("report", "--at", "2026-01-05")
        self.assertIn("2 occurrences: 2 succeeded (backfill)", out)
        self.assertNotIn("late", out)


class Then(WhyStory):
    """As of a past day; no daemon is needed for any of it."""

    def test_a_changed_schedule_is_told_as_it_was_then(self):
        self.m.ok("add", "backup", "--cron", "0 2 * * *", "--", "true")
        self.made_long_ago("backup")
        self.m.ok("set", "backup", "--cron", "0 5 * * *")
        day = (dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=3)).date()
        text = self.why("backup", "--at", f"{day} 05:00")
        self.assertIn("backup was not due", text)
        self.assertIn("Its schedule was another then: at 02:00 every day, UTC (version 1)", text)
        self.assertIn(f"by {ME}", text)
        self.assertIn("Today's is: at 05:00 every day, UTC", text)
        self.assertEqual(self.verdict("backup", "--at", f"{day} 02:00"), ("missed", "misfire"))

    def test_clock_changes_of_the_past_are_told(self):
        self.m.ok("add", "shift", "--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--",
                  "true")
        self.m.ok("add", "skip", "--cron", "30 2 * * *", "--timezone", "Europe/Berlin",
                  "--dst-gap", "skip", "--", "true")
        for name in ("shift", "skip"):
            self.made_long_ago(name, days=3650)
        text = self.why("skip", "--at", "2025-03-30 02:30")
        self.assertIn("At 02:00 the clock goes forward to 03:00, so 02:30 is left out", text)
        self.assertEqual(self.verdict("skip", "--at", "2025-03-30 02:30"), ("not_due", "dst_gap"))
        self.assertEqual(self.m.json("why", "shift", "--at", "2025-03-30 02:30")["at"],
                         "2025-03-30T01:00:00Z")
        self.assertEqual(self.m.json("why", "shift", "--at", "2025-10-26 02:30")["at"],
                         "2025-10-26T00:30:00Z")

    def test_a_day_is_a_line_for_each_occurrence(self):
        self.m.ok("add", "tick", "--every", "6h", "--anchor", "2020-01-01 00:00", "--", "true")
        self.made_long_ago("tick")
        day = (dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=3)).date()
        answer = self.m.json("why", "tick", "--at", str(day))
        self.assertEqual(sum(o["count"] for o in answer["occurrences"]), 4)
        self.assertIn("4 occurrences", self.why("tick", "--at", str(day)))
        self.assertEqual(self.m("why", "tick", "--at", "noon").code, 2)
        self.assertIn("--at", self.m("why", "tick", "--at", "noon").err)

    def test_history_of_years_costs_nothing(self):
        self.m.ok("add", "tick", "--every", "1s", "--", "true")
        self.made_long_ago("tick", days=3)
        job, created = self.row("SELECT id, created_at FROM job")
        with contextlib.closing(sqlite3.connect(self.m.state / "schedctl.db")) as db, db:
            db.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) "
                "INSERT INTO run(job_id, job_name, job_version, cause, fire_time, count, created_at,"
                " due_at, state, reason, attempt, result_attempt, lost_count, start_failures, fence,"
                " node, keeper, waits, forced, cancel_requested, key, started_at, ended_at, pid,"
                " signal, error, cpu, output_path, output_bytes) SELECT ?1, 'tick', 1, 'schedule',"
                " ?2 + i * 1000000, 1, ?2 + i * 1000000, ?2 + i * 1000000, 'succeeded', '', 1, 1, 0,"
                " 0, 1, '', '', 0, 0, 0, '', ?2 + i * 1000000, ?2 + i * 1000000, 1, 0, '', 0, '', 0"
                " FROM n", (job, created))
            db.execute("UPDATE job SET planned_through = ?", (created + 200_000_000_000,))
            # What `why` asks for: each of these must find its rows by an index.
            for words in (["why", "tick"], ["why", "tick", "--at", "50h"]):
                self.assertLess(self.cpu_seconds(*words), 5, words)
        # Each of these lines looks for the run that was in its way.
        self.sql("UPDATE run SET state = 'skipped', reason = 'overlap' WHERE id % 2 = 0")
        day = dt.datetime.fromtimestamp(created / 1e6, dt.timezone.utc) + dt.timedelta(days=1)
        words = ("why", "tick", "--at", str(day.date()))
        self.assertLess(self.cpu_seconds(*words), 10)
        answer = self.m.json(*words)
        self.assertEqual(len(answer["occurrences"]), 60)
        self.assertGreater(answer["left_out"], 80_000)

    def cpu_seconds(self, *words):
        """Of the command: how busy the machine is does not count."""
        child = subprocess.Popen([BINARY, "--config", str(self.m.config), *words],
                                 stdout=subprocess.DEVNULL, env=self.m.environment())
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(child.returncode, 0, words)
        return usage.ru_utime + usage.ru_stime

    def row(self, query):
        with contextlib.closing(sqlite3.connect(self.m.state / "schedctl.db")) as db:
            return db.execute(query).fetchone()


class Ahead(WhyStory):
    def test_next_marks_what_makes_a_fire_special(self):
        self.m.ok("add", "shift", "--cron", "30 2 * * *", "--timezone", "Europe/Berlin",
                  "--jitter", "1m", "--", "true")
        out = self.m.ok("next", "shift", "--from", "2027-03-28", "-n", "2").out
        self.assertIn("clock goes forward at 02:00: 02:30 does not exist, runs at 03:00; starts ",
                      out)
        self.assertIn("later (jitter)", out)
        moment = ("--at", "2027-03-28 02:30", "--timezone", "Europe/Berlin")
        note = "clock goes forward at 02:00: 02:30 does not exist, runs at 03:00"
        self.assertEqual(self.m.json("next", *moment)[0]["note"], note)
        self.assertIn(note, self.m.ok("add", "moment", *moment, "--", "true").out)
        self.m.ok("add", "twice", "--every", "1h", "--max-runs", "2", "--", "true")
        fires = self.m.json("next", "twice")
        self.assertEqual([f["note"] for f in fires], [None, "the last one (max_runs)"])
        self.m.ok("pause", "twice")
        self.assertIn("paused: will not run", self.m.ok("next", "twice").out)
        self.m.ok("add", "boot", "--on-reboot", "--", "true")
        self.assertIn("once after each boot", self.m.ok("next", "boot").err)
        self.assertEqual(self.m.json("next", "boot"), [])

    def test_next_of_all_jobs_goes_on_past_a_pause_and_a_job_that_cannot_be_planned(self):
        self.m.ok("add", "tick", "--every", "1h", "--", "true")
        self.m.ok("add", "lost", "--every", "1h", "--", "true")
        self.m.ok("add", "rest", "--every", "1h", "--", "true")
        self.m.ok("pause", "rest", "--until", "now+150m")
        self.sql("UPDATE job SET kind = 'cron', cron = '0 2 * * *', timezone = 'Mars/Base' "
                 "WHERE name = 'lost'")
        # From tomorrow on the schedules themselves are asked, not what their rows hold.
        answer = self.m.ok("next", "--from", "tomorrow", "-n", "4", "--json")
        self.assertEqual({fire["job"] for fire in answer.json}, {"tick", "rest"})
        self.assertIn("lost is left out: unknown time zone 'Mars/Base'", answer.err)
        fires = [f["job"] for f in self.m.json("next", "-n", "4") if f["job"] != "lost"]
        self.assertEqual(fires, ["tick", "tick", "tick", "rest"])

    def test_simulate_lays_all_jobs_over_a_day(self):
        self.m.ok("add", "often", "--cron", "*/10 * * * *", "--", "true")
        self.m.ok("add", "tick", "--every", "1s", "--", "true")
        self.m.ok("add", "hand", "--manual", "--", "true")
        out = self.m.ok("simulate").out
        for words in ("3 jobs, ", "busiest minutes", "only triggered by hand"):
            self.assertIn(words, out)
        answer = self.m.json("simulate", "--to", "7d")
        self.assertIn(answer["fires"], range(605_800, 605_820))
        self.assertEqual(sum(s["fires"] for s in answer["slots"]), answer["fires"])
        self.assertEqual(self.m("simulate", "--to", "2020-01-01").code, 2)


if __name__ == "__main__":
    unittest.main()
