"""`logs`: which run of a job it finds, and what it prints while that runs."""
import contextlib
import sqlite3

from machine import Story

# More than are looked through for output at once.
MANY = 150


class Logs(Story):
    def setUp(self):
        super().setUp()
        self.db = self.m.state / "schedctl.db"

    def add(self, name, line, *words):
        self.m.ok("add", name, "--manual", "--cwd", str(self.m.root), *words, "--shell", line)

    def trigger(self, name):
        """Gives the run once it has begun."""
        self.m.ok("trigger", name)
        return self.m.wait_runs(name, lambda runs: runs[-1]["pid"], f"{name} to run")[-1]

    def touch(self, name):
        (self.m.root / name).touch()

    def skip(self, name, rows):
        """So many occurrences that were skipped, newer than all runs, as a job leaves them whose
        run hangs."""
        with contextlib.closing(sqlite3.connect(self.db, timeout=30)) as db:
            columns = [row[1] for row in db.execute("PRAGMA table_info(run)")]
            changed = {"id": "NULL", "fire_time": "fire_time + value * 1000000",
                       "cause": "'schedule'", "state": "'skipped'", "reason": "'overlap'",
                       "pid": "0", "started_at": "NULL", "output_path": "''", "output_tail": "x''"}
            values = ", ".join(changed.get(column, column) for column in columns)
            db.execute("WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n "
                       f"WHERE value < {rows}) INSERT INTO run SELECT {values} FROM n, "
                       "(SELECT * FROM run WHERE job_name = ? ORDER BY id LIMIT 1)", (name,))
            db.commit()

    def follow(self, *words):
        """A follower that has printed its first line, and that line."""
        follower = self.m.popen("logs", "-f", *words)
        return follower, follower.stdout.readline()

    def end_of(self, follower):
        """What it prints until it ends of itself."""
        out, err = follower.communicate(timeout=60)
        self.assertEqual(follower.returncode, 0, err)
        return out

    def wait_until_it_waits(self, follower):
        self.assertIn("waiting for the next run", follower.stderr.readline())


class WhichRun(Logs):
    def test_a_run_that_hangs_is_found_behind_all_that_were_skipped_since(self):
        self.m.start()
        self.add("hung", "echo hello; until [ -e go ]; do sleep 0.05; done; echo end")
        self.trigger("hung")
        self.m.wait(lambda: self.m("logs", "hung").out, "its first line")
        self.skip("hung", MANY)
        self.assertEqual(self.m.ok("logs", "hung").out, "hello\n")
        follower, line = self.follow("hung")
        self.assertEqual(line, "hello\n")
        self.touch("go")
        self.assertEqual(self.end_of(follower), "end\n")

    def test_output_is_found_behind_all_that_were_skipped_since(self):
        self.m.start()
        self.add("once", "echo hello")
        self.m.ok("trigger", "once", "--wait")
        self.skip("once", MANY)
        self.assertEqual(self.m.ok("logs", "once").out, "hello\n")

    def test_the_next_run_may_be_waiting_already(self):
        self.m.write_config("[groups]\nnarrow = 1")
        self.m.start()
        self.add("first", "until [ -e go ]; do sleep 0.05; done", "--group", "narrow")
        self.add("second", "echo hello", "--group", "narrow")
        self.trigger("first")
        self.m.ok("trigger", "second")
        self.m.wait_state("second", "pending")
        follower = self.m.popen("logs", "-f", "second")
        self.wait_until_it_waits(follower)
        self.touch("go")
        self.assertEqual(self.end_of(follower), "hello\n")

    def test_a_job_has_the_output_of_its_own_runs_and_not_of_one_that_had_its_name(self):
        self.m.start()
        self.add("old", "echo of the first")
        self.m.ok("trigger", "old", "--wait")
        self.m.ok("rename", "old", "new")
        self.assertEqual(self.m.ok("logs", "new").out, "of the first\n")
        self.add("old", "echo of the second")
        answer = self.m.ok("logs", "old")
        self.assertEqual(answer.out, "")
        self.assertIn("old has written nothing yet", answer.err)
        self.m.ok("trigger", "old", "--wait")
        self.m.ok("trigger", "new", "--wait")
        self.assertEqual(self.m.ok("logs", "old").out, "of the second\n")
        self.assertEqual(self.m.ok("logs", "new").out, "of the first\n")

    def test_the_output_of_a_removed_job_is_found_by_its_name_until_the_next_of_it_has_some(self):
        self.m.start()
        self.add("again", "echo one")
        self.m.ok("trigger", "again", "--wait")
        self.m.ok("remove", "again")
        self.assertEqual(self.m.ok("logs", "again").out, "one\n")
        self.add("again", "echo two")
        self.assertEqual(self.m.ok("logs", "again").out, "one\n")
        self.m.ok("trigger", "again", "--wait")
        self.assertEqual(self.m.ok("logs", "again").out, "two\n")

    def test_what_runs_of_a_removed_job_is_followed(self):
        self.m.start()
        self.add("gone", "trap 'until [ -e go ]; do sleep 0.05; done; echo two; exit' TERM; "
                 "echo one; while :; do sleep 0.05; done", "--kill-grace", "1h")
        self.trigger("gone")
        self.m.wait(lambda: self.m("logs", "gone").out, "the trap")
        self.m.ok("remove", "--force", "gone")
        follower, line = self.follow("gone")
        self.assertEqual(line, "one\n")
        self.touch("go")
        self.assertEqual(self.end_of(follower), "two\n")


class Following(Logs):
    def test_output_that_goes_into_the_log_is_printed_once(self):
        self.m.start()
        self.add("logged", "echo one; until [ -e go ]; do sleep 0.05; done; echo two",
                 "--output", "log")
        self.trigger("logged")
        follower, line = self.follow("logged")
        self.assertEqual(line, "one\n")
        self.touch("go")
        self.assertEqual(self.end_of(follower), "two\n")

    def test_every_try_is_printed_to_its_end(self):
        self.m.start()
        self.add("tries", "echo begin; until [ -e go ]; do sleep 0.05; done; echo error; exit 1",
                 "--max-attempts", "4", "--backoff", "0s")
        self.trigger("tries")
        follower, line = self.follow("tries")
        self.assertEqual(line, "begin\n")
        self.touch("go")
        self.assertEqual(self.end_of(follower), "error\n" + "begin\nerror\n" * 3)

    def test_tries_that_came_and_went_before_they_were_seen_are_printed(self):
        self.m.write_config("[groups]\nnarrow = 1")
        self.m.start()
        self.add("first", "until [ -e go ]; do sleep 0.05; done", "--group", "narrow")
        self.add("quick", "echo try; exit 1", "--max-attempts", "5", "--backoff", "0s",
                 "--group", "narrow")
        self.trigger("first")
        self.m.ok("trigger", "quick")
        follower = self.m.popen("logs", "-f", "quick")
        self.wait_until_it_waits(follower)
        self.touch("go")
        self.assertEqual(self.end_of(follower), "try\n" * 5)

    def test_a_run_that_waits_for_its_retry_is_printed_once_when_it_is_cancelled(self):
        self.m.start()
        self.add("tries", "echo try; exit 1", "--max-attempts", "2", "--backoff", "1h")
        self.m.ok("trigger", "tries")
        self.m.wait_runs("tries", lambda runs: runs[0]["attempt"] == 2, "the first try to be over")
        follower, line = self.follow("tries")
        self.assertEqual(line, "try\n")
        self.m.ok("cancel", "tries")
        self.assertEqual(self.end_of(follower), "")

    def test_it_ends_when_nobody_reads_it_any_more(self):
        self.m.start()
        self.add("long", "echo one; until [ -e go ]; do sleep 0.05; done")
        self.trigger("long")
        follower, line = self.follow("long")
        self.assertEqual(line, "one\n")
        follower.stdout.close()
        self.assertEqual(follower.wait(timeout=60), 0)
        self.assertEqual(self.m.runs("long")[0]["state"], "running")

    def test_it_stops_waiting_for_the_next_run_when_nobody_reads_it_any_more(self):
        self.m.start()
        self.add("long", "echo one")
        follower = self.m.popen("logs", "-f", "long")
        self.wait_until_it_waits(follower)
        follower.stdout.close()
        self.assertEqual(follower.wait(timeout=60), 0)
