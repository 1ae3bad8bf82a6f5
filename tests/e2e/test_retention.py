"""What is kept of the past, and what goes: rows and output files, by the daemon and by `db prune`."""
import contextlib
import os
import re
import signal
import sqlite3
import time

from faults import is_sanitized
from machine import Story, alive
from test_db import has_crash_points, is_whole

DAY_US = 86_400 * 1_000_000
# Old enough for [retention] below, and of no age that a test could come to.
OLD_DAYS = 40


class Retention(Story):
    settings = '[retention]\nmax_age = "30d"\n'

    def setUp(self):
        super().setUp()
        self.output = self.m.state / "output"
        self.db = self.m.state / "schedctl.db"

    def write(self, *statements):
        with contextlib.closing(sqlite3.connect(self.db, timeout=30)) as db:
            for statement in statements:
                db.execute(*([statement] if isinstance(statement, str) else statement))
            db.commit()

    def run_one(self, name, words="echo hello"):
        self.m.ok("trigger", name, "--wait")

    def history(self, runs=5, job="report", words="echo hello $$"):
        """A job with runs that really ran, of which all but the last are made old."""
        self.m.ok("add", job, "--manual", "--shell", words)
        if not self.m.log_text():
            self.m.start()
        for _ in range(runs):
            self.m.ok("trigger", job, "--wait")
        self.age(f"job_name = '{job}' AND id <> (SELECT max(id) FROM run WHERE job_name = '{job}')")
        return self.m.runs(job)

    def age(self, where, days=OLD_DAYS):
        """Makes rows, and their files, so many days older."""
        past = days * DAY_US
        with contextlib.closing(sqlite3.connect(self.db, timeout=30)) as db:
            for path, in db.execute(f"SELECT output_path FROM run WHERE output_path <> '' AND {where}"):
                then = time.time() - days * 86_400
                os.utime(path, (then, then))
            db.execute("UPDATE run SET " + ", ".join(
                f"{column} = {column} - {past}" for column in
                ("fire_time", "created_at", "due_at", "started_at", "ended_at")) + f" WHERE {where}")
            db.commit()

    def files(self):
        """Those with something in them: empty ones are the keeper's stock."""
        return sorted(str(p) for p in self.output.iterdir() if p.stat().st_size)

    def swept(self):
        """Makes the daemon sweep at once (a reload with other rules does) and waits for its line."""
        before = len(re.findall(r" retention ", self.m.log_text()))
        self.m.ok("reload")
        return self.m.wait(lambda: (re.findall(r" retention .*", self.m.log_text()) + [None])[before],
                           "the end of a sweep")


class ByHand(Retention):
    def test_db_prune_removes_old_runs_and_their_files_with_the_daemon_up(self):
        runs = self.history()
        paths = [run["output"] for run in runs]
        self.assertEqual(self.files(), sorted(paths))
        gone = self.m.json("db", "prune")
        self.assertEqual((gone["runs"], gone["files"]), (4, 4))
        self.assertGreater(gone["bytes"], 4 * len("hello"))
        self.assertEqual([run["id"] for run in self.m.runs("report")], [runs[-1]["id"]])
        self.assertEqual(self.files(), [paths[-1]])
        self.assertEqual(self.m.column("SELECT count(*) FROM audit WHERE action = 'prune'"), [1])
        self.assertTrue(is_whole(self.db))

    def test_db_prune_works_with_the_daemon_down_and_says_what_went_in_words(self):
        self.history()
        self.m.stop()
        answer = self.m.ok("db", "prune")
        self.assertRegex(answer.out, r"^removed 4 runs, 4 output files \(\d+ B\)")
        self.assertIn("nothing is older", self.m.ok("db", "prune").out)
        self.assertEqual(len(self.files()), 1)

    def test_a_dry_run_says_the_same_and_removes_nothing(self):
        runs = self.history()
        before = self.files()
        dry = self.m.json("db", "prune", "--dry-run")
        self.assertEqual((dry["prune"], dry["dry_run"]), (False, True))
        self.assertRegex(self.m.ok("db", "prune", "--dry-run").out, r"^would remove 4 runs")
        self.assertEqual(self.m.runs("report"), runs)
        self.assertEqual(self.files(), before)
        self.assertEqual(self.m.column("SELECT count(*) FROM audit WHERE action = 'prune'"), [0])
        wet = self.m.json("db", "prune")
        for count in ("runs", "attempts", "files", "bytes", "events", "audits"):
            self.assertEqual(dry[count], wet[count], count)

    def test_what_makes_no_sense_is_exit_2(self):
        for words in (("db", "prune", "x"), ("db", "check", "--dry-run")):
            self.assertEqual(self.m(*words).code, 2, words)

    def test_the_free_room_in_the_database_is_told(self):
        self.history(2, words="yes | head -c 100000")
        answer = self.m.ok("db", "prune")
        self.assertRegex(answer.err, r"of the database's .* are free now")
        gone = self.m.json("db", "prune")
        self.assertGreater(gone["database_free_bytes"], 0)
        self.assertGreaterEqual(gone["database_bytes"], gone["database_free_bytes"])

    def test_a_named_store_is_pruned_without_its_files(self):
        self.history()
        self.m.stop()
        copy = self.m.root / "copy.db"
        self.m.ok("db", "backup", copy)
        before = self.files()
        answer = self.m.ok("--store", f"sqlite:{copy}", "db", "prune")
        self.assertIn("removed 4 runs", answer.out)
        self.assertIn("files are left alone", answer.err)
        self.assertEqual(self.files(), before)


class ByDaemon(Retention):
    def test_the_daemon_removes_what_is_too_old_and_says_so_in_one_line(self):
        runs = self.history()
        self.m.write_config('[retention]\nmax_age = "31d"\n')
        line = self.swept()
        self.assertRegex(line, r"retention runs=4 files=4 bytes=\d+")
        self.assertEqual([run["id"] for run in self.m.runs("report")], [runs[-1]["id"]])
        self.assertEqual(self.files(), [runs[-1]["output"]])
        self.assertEqual(self.m.column("SELECT count(*) FROM event WHERE kind = 'retention'"), [1])

    def test_too_many_runs_of_a_job_go(self):
        self.history(6)
        self.history(3, job="other")
        self.m.write_config('[retention]\nmax_age = 0\nmax_runs = 3\n')
        self.assertIn("runs=3 files=3", self.swept())
        self.assertEqual(len(self.m.runs("report")), 3)
        self.assertEqual(len(self.m.runs("other")), 3)

    def test_too_much_output_goes_the_oldest_first_and_rows_and_tails_stay(self):
        runs = self.history(4, words="yes | head -c 100000")
        self.m.write_config('[retention]\nmax_age = 0\nmax_output_bytes = "250KB"\n')
        self.assertIn("runs=0 files=2", self.swept())
        after = self.m.runs("report")
        self.assertEqual([run["id"] for run in after], [run["id"] for run in runs])
        self.assertEqual([bool(run["output"]) for run in after], [False, False, True, True])
        self.assertEqual(self.files(), sorted(run["output"] for run in runs[2:]))
        answer = self.m.ok("logs", f"#{runs[0]['id']}")
        self.assertEqual(answer.out, "y\n" * 4096)
        self.assertIn("the output file is gone (retention", answer.err)

    def test_what_runs_stays_however_old_it_is(self):
        self.m.ok("add", "long", "--manual", "--shell", "echo begun; exec sleep 600")
        self.m.start()
        self.m.ok("trigger", "long")
        run = self.m.wait_state("long", "running")
        self.m.wait(self.files, "its output")
        self.age("job_name = 'long'", days=400)
        self.history()
        self.m.write_config('[retention]\nmax_age = "1d"\nmax_runs = 1\nmax_output_bytes = 1\n')
        self.swept()
        self.assertIn(run["id"], [r["id"] for r in self.m.runs("long")])
        self.assertEqual(self.m.ok("logs", f"#{run['id']}").out, "begun\n")
        self.m.ok("cancel", "long")
        self.m.wait_state("long", "cancelled")

    def test_a_beat_is_on_time_while_much_goes(self):
        self.history(1)
        self.write(("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
                    "INSERT INTO run(job_id, job_name, job_version, cause, fire_time, count, created_at,"
                    " due_at, state, reason, attempt, result_attempt, lost_count, start_failures, fence,"
                    " node, keeper, waits, forced, cancel_requested, key, pid, signal, error, cpu,"
                    " output_path, output_bytes, output_tail, backfill_id, replaced_by)"
                    " SELECT job_id, job_name, job_version, 'manual', 1000000 + i, 1, 1000000 + i,"
                    " 1000000 + i, 'succeeded', '', 1, 1, 0, 0, 1, '', '', 0, 0, 0, '', 1, 0, '', 0,"
                    " '', 0, NULL, 0, 0 FROM run, n WHERE run.id = 1",))
        self.m.ok("add", "tick", "--every", "1s", "--", "/bin/true")
        # They came after the last run of the job, which is therefore none of the last any more.
        self.m.write_config('[retention]\nmax_age = "2d"\n')
        self.assertRegex(self.swept(), r"runs=(4999|5000) ")
        ticks = [run for run in self.m.runs("tick") if run["started"]]
        self.assertTrue(ticks)
        self.assertLess(max(run["delay_s"] for run in ticks), 3 if is_sanitized() else 1)


class Told(Retention):
    settings = '[retention]\nmax_age = "30d"\n'

    def test_whoever_asks_for_what_is_gone_is_told_of_retention(self):
        runs = self.history()
        self.m.ok("db", "prune")
        answer = self.m("logs", f"#{runs[0]['id']}")
        self.assertEqual(answer.code, 3)
        self.assertIn("retention has removed older runs", answer.err)
        self.assertIn("retention has removed older runs",
                      self.m.ok("runs", "report", "--since", "60d").err)
        self.assertNotIn("retention", self.m("logs", "#99999").err)

    def test_who_backfills_what_is_missing_is_warned_that_rows_are_gone(self):
        self.m.ok("add", "hourly", "--cron", "0 * * * *", "--", "/bin/true")
        words = ("backfill", "hourly", "--from", "50d", "--missing", "--dry-run")
        self.history()
        self.assertNotIn("row is gone", self.m.ok(*words).err)
        self.m.ok("db", "prune")
        self.assertIn("row is gone: retention has removed older runs", self.m.ok(*words).err)
        self.assertNotIn("row is gone", self.m.ok("backfill", "hourly", "--from", "5h", "--missing",
                                                  "--dry-run").err)

    def test_why_says_that_retention_has_removed_the_row_of_a_past_day(self):
        self.m.ok("add", "daily", "--cron", "0 3 * * *", "--", "/bin/true")
        self.history()
        past = OLD_DAYS * 2 * DAY_US
        self.write(f"UPDATE job SET created_at = created_at - {past}, defined_at = defined_at - {past}",
                   f"UPDATE job_version SET valid_from = valid_from - {past}")
        day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - OLD_DAYS * 86_400))
        self.assertNotIn("etention", self.m.ok("why", "daily", "--at", f"{day} 03:00").out)
        self.m.ok("db", "prune")
        answer = self.m.ok("why", "daily", "--at", f"{day} 03:00")
        self.assertIn("not recorded any more", answer.out)
        self.assertIn("Retention has removed old rows", answer.out)


class Hostile(Retention):
    def test_no_path_in_a_row_leads_out_of_the_output_directory(self):
        runs = self.history(5)
        self.m.stop()
        precious = self.m.root / "precious"
        precious.write_text("keep me")
        link = self.output / "00000000000000aa-1.log"
        link.symlink_to(precious)
        directory = self.output / "00000000000000aa-2.log"
        directory.mkdir()
        evil = ["../../../../../../etc/passwd", str(precious), str(link),
                f"{self.output}/../../precious"]
        for run, path in zip(runs, evil):
            os.unlink(run["output"])
            self.write(("UPDATE run SET output_path = ? WHERE id = ?", (path, run["id"])))
        gone = self.m.json("db", "prune")
        self.assertEqual((gone["runs"], gone["files"], gone["left"]), (4, 0, 4))
        self.assertEqual(precious.read_text(), "keep me")
        self.assertTrue(link.is_symlink())
        self.assertTrue(directory.is_dir())
        self.assertTrue(os.path.exists("/etc/passwd"))

    def test_an_old_file_of_no_row_goes_and_a_stranger_s_stays(self):
        runs = self.history(2)
        then = time.time() - OLD_DAYS * 86_400
        names = ["00000000000000aa-1.log", "notes.txt", "00000000000000aa-2.log"]
        for name in names:
            (self.output / name).write_text("x")
        for name in names[:2]:
            os.utime(self.output / name, (then, then))
        self.m.ok("db", "prune")
        self.assertEqual(self.files(), sorted([runs[-1]["output"], str(self.output / names[1]),
                                               str(self.output / names[2])]))


class Killed(Retention):
    def setUp(self):
        super().setUp()
        if not has_crash_points():
            self.skipTest("a build without crash points")

    def test_a_prune_killed_between_files_and_rows_is_finished_by_the_next(self):
        runs = self.history()
        answer = self.m("db", "prune", env={"_SCHEDCTL_CRASH_AT": "retention.unlinked"})
        self.assertEqual(answer.code, -signal.SIGKILL)
        # The files are gone, the rows are not, and say so.
        self.assertEqual(self.files(), [runs[-1]["output"]])
        self.assertEqual(len(self.m.runs("report")), 5)
        self.assertIn("hello", self.m.ok("logs", f"#{runs[0]['id']}").out)
        gone = self.m.json("db", "prune")
        self.assertEqual((gone["runs"], gone["files"]), (4, 0))
        self.assertEqual(len(self.m.runs("report")), 1)
        self.assertTrue(is_whole(self.db))

    def test_a_daemon_killed_in_its_sweep_leaves_nothing_that_the_next_does_not_find(self):
        runs = self.history()
        self.m.stop()
        daemon = self.m.ok("start", env={"_SCHEDCTL_CRASH_AT": "retention.unlinked"})
        self.assertEqual(daemon.code, 0)
        pid = self.m.pid()
        self.m.write_config('[retention]\nmax_age = "31d"\n')
        self.m("reload")
        self.m.wait(lambda: not alive(pid), "the daemon to die in its sweep")
        self.assertEqual(len(self.m.runs("report")), 5)
        self.m.start()
        self.m.write_config('[retention]\nmax_age = "32d"\n')
        self.assertIn("runs=4", self.swept())
        self.assertEqual(self.files(), [runs[-1]["output"]])
        self.assertTrue(is_whole(self.db))
