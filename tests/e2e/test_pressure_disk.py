"""What stands between a run and its row: disks without room, disks that err, a database that others
lock, move or tidy away. (FAULTS rows 13 to 16, 19, 20.)"""
import os
import pathlib
import shutil
import sqlite3
import subprocess
import time
import unittest

from faults import Pressure
from machine import BINARY, alive

# The daemon waits so long for a lock, and so long until people are told of a store that fails.
BUSY_S, STORAGE_S = 1, 10


class FullDatabase(Pressure):
    """The database has a disk of its own, the keeper and the outputs have another."""

    def setUp(self):
        super().setUp()
        self.disk = self.m.root / "db"
        self.m.write_config(f'store = "sqlite:{self.disk}/schedctl.db"\n' + self.settings)

    def column(self, query):
        db = sqlite3.connect(self.disk / "schedctl.db")
        try:
            return [row[0] for row in db.execute(query)]
        finally:
            db.close()

    def assert_whole(self):
        self.assertEqual(self.column("PRAGMA integrity_check"), ["ok"])

    def begin(self, options):
        self.small_disk(self.disk, options)
        self.m.column = self.column
        pid = self.m.start()
        self.tick()
        self.m.ok("add", "long", "--manual", "--", "sleep", "600")
        self.m.ok("trigger", "long")
        self.succeeds_again()
        return pid

    def fill_until_beats_fail(self):
        ballast = self.fill(self.disk)
        # What the write-ahead log has of old room lasts for a few beats.
        self.m.wait(lambda: "beat-failed" in self.m.log_text(), "a beat that fails")
        return ballast

    def test_without_room_for_the_database_nothing_starts_and_no_fire_is_lost(self):
        pid = self.begin("size=3m")
        keeper = self.m.keeper_pid()
        ballast = self.fill_until_beats_fail()
        self.assertIn("no space left on the disk of", self.m.log_text())
        self.assert_starts_nothing(pid, keeper, why="something started without a durable claim")
        self.assertIn("no space left", self.m("check").out)
        # Who wants to cancel hears the reason at once, and it is done when there is room.
        answer = self.assert_takes(15, lambda: self.m("cancel", "long"))
        self.assertIn(answer.code, (0, 69), answer)
        if answer.code:
            self.assertIn("no space left", answer.err)
        ballast.unlink()
        self.succeeds_again()
        self.assertEqual(self.m.log_text().count(" beat-failed "), 1, self.m.log_text())
        self.m.wait_lines(1, "store-back")
        self.m.ok("cancel", "long")
        self.m.wait_state("long", "cancelled")
        self.m.ok("pause", "--all")
        self.m.wait(lambda: not self.column("SELECT id FROM run WHERE state IN "
                                            "('pending', 'running')"), "all runs to end")
        self.assert_books_balance()
        self.assert_whole()

    def test_a_daemon_whose_database_disk_is_full_can_be_stopped_and_forgets_no_end(self):
        pid = self.begin("size=3m")
        self.m.ok("add", "seven", "--manual", "--shell",
                  f"while [ ! -e {self.m.root}/go ]; do sleep 0.05; done; exit 7")
        self.m.ok("trigger", "seven")
        self.m.wait_runs("seven", lambda r: r and r[0]["pid"], "a process")
        ballast = self.fill_until_beats_fail()
        (self.m.root / "go").touch()
        self.assert_takes(30, lambda: self.m.ok("stop"))
        self.assertFalse(alive(pid))
        # A start has nothing to write with: it says so, and nothing is damaged.
        answer = self.m("start")
        if answer.code:
            self.assertIn("no space left", answer.err, answer)
        else:
            self.m.ok("stop")
        ballast.unlink()
        self.m.start()
        run = self.m.wait_state("seven", "failed")
        self.assertEqual(run["exit_code"], 7)
        self.succeeds_again()
        self.assert_whole()

    def test_without_inodes_the_reason_is_said_and_work_goes_on_afterwards(self):
        self.begin("nr_inodes=40")
        ballast = self.fill_inodes(self.disk)
        # A beat needs none; a database that is opened anew does.
        self.succeeds_again()
        self.m.ok("stop")
        for left in self.disk.glob("*-wal"):
            self.fail(f"{left} outlived its last user")
        shutil.rmtree(ballast)
        ballast = self.fill_inodes(self.disk)
        answer = self.m("start")
        self.assertNotEqual(answer.code, 0, answer)
        self.assertIn("no inodes left on the disk of", answer.err, answer)
        shutil.rmtree(ballast)
        self.m.start()
        self.succeeds_again()
        self.assert_whole()


class FailingDatabase(Pressure):
    """The disk answers with an error."""

    def go_through(self, calls, error, words):
        pid = self.m.start()
        self.tick()
        self.succeeds_again()
        with self.failing_calls(pid, calls, error):
            self.m.wait(lambda: "beat-failed" in self.m.log_text(), "a beat that fails")
            self.assertIn(words, self.m.log_text())
            self.assert_starts_nothing(pid, why="something started without a durable claim")
            self.assertEqual(self.m("check").code, 2)
        self.succeeds_again()
        self.m.ok("pause", "--all")
        self.m.wait(lambda: not self.m.column("SELECT id FROM run WHERE state IN "
                                              "('pending', 'running')"), "all runs to end")
        self.assert_books_balance()
        self.m.ok("db", "check")
        self.assertEqual(self.m.pid(), pid)

    def test_a_commit_whose_fsync_fails_never_was_and_starts_nothing(self):
        self.go_through("fsync,fdatasync", "EIO", "Input/output error")

    def test_a_write_that_fails_is_told_as_what_it_is(self):
        self.go_through("pwrite64", "EIO", "Input/output error")

    def test_a_database_on_a_disk_that_became_read_only_says_so(self):
        self.go_through("pwrite64", "EROFS", "Read-only file system")

    def test_a_command_whose_commit_fails_says_so_and_has_done_nothing(self):
        self.m.start()
        calls = "fsync,fdatasync"
        strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e",
                  f"inject={calls}:error=EIO"]
        if not shutil.which("strace"):
            self.skipTest("needs strace to make system calls fail")
        # The leak checker cannot work where something else traces.
        env = self.m.environment({"ASAN_OPTIONS": "detect_leaks=0"})
        words = ["add", "lost", "--every", "1s", "--", "true"]
        done = subprocess.run([*strace, BINARY, "--config", self.m.config, *words], env=env,
                              stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertIn("Input/output error", done.stderr)
        self.assertIsNone(self.m.job("lost"))
        self.m.ok(*words)
        self.m.wait_state("lost", "succeeded")
        self.m.ok("db", "check")

    def test_a_single_failure_of_the_disk_costs_one_beat(self):
        pid = self.m.start()
        self.tick()
        self.succeeds_again()
        with self.failing_calls(pid, "fsync,fdatasync", "EIO", when="1"):
            self.m.wait(lambda: "store-back" in self.m.log_text(), "the store to be back")
        self.succeeds_again()
        self.assertEqual(self.episodes("storage"), 0)
        self.m.ok("pause", "--all")
        self.m.wait(lambda: not self.m.column("SELECT id FROM run WHERE state IN "
                                              "('pending', 'running')"), "all runs to end")
        self.assert_books_balance()


class TakenDatabase(Pressure):
    """Somebody else has it."""

    def hold(self):
        holder = sqlite3.connect(self.m.state / "schedctl.db", isolation_level=None,
                                 check_same_thread=False)
        self.addCleanup(holder.close)
        holder.execute("BEGIN EXCLUSIVE")
        return holder

    def test_a_database_that_is_locked_for_long_delays_and_loses_nothing(self):
        pid = self.m.start()
        self.tick()
        self.m.ok("add", "seven", "--manual", "--shell",
                  f"while [ ! -e {self.m.root}/go ]; do sleep 0.05; done; exit 7")
        self.m.ok("trigger", "seven")
        self.m.wait_runs("seven", lambda r: r and r[0]["pid"], "a process")
        self.succeeds_again()
        holder = self.hold()
        self.m.wait(lambda: "is locked by another process" in self.m.log_text(), "a beat to fail")
        begun = time.monotonic()
        (self.m.root / "go").touch()
        self.assert_starts_nothing(pid, self.m.keeper_pid(),
                                   why="something started without a durable claim")
        answer = self.assert_takes(10, lambda: self.m("cancel", "seven"))
        self.assertEqual(answer.code, 69)
        self.assertIn("locked by another process", answer.err)
        self.assertIn("locked", self.m("check").out)
        self.m.wait(lambda: time.monotonic() - begun > STORAGE_S + BUSY_S + 1,
                    "every timeout in the code to be over")
        holder.execute("ROLLBACK")
        self.succeeds_again()
        self.assertEqual(self.m.log_text().count(" beat-failed "), 1, self.m.log_text())
        run = self.m.wait_state("seven", "failed")
        self.assertEqual(run["exit_code"], 7)
        self.assertEqual(self.episodes("storage"), 1)
        self.m.ok("pause", "--all")
        self.m.wait(lambda: not self.m.column("SELECT id FROM run WHERE state IN "
                                              "('pending', 'running')"), "all runs to end")
        self.assert_books_balance()

    def test_a_daemon_whose_database_is_locked_can_be_stopped_and_forgets_no_end(self):
        pid = self.m.start()
        self.m.ok("add", "long", "--manual", "--", "sleep", "600")
        self.m.ok("trigger", "long")
        run = self.m.wait_runs("long", lambda r: r and r[0]["pid"], "a process")[0]
        holder = self.hold()
        self.assert_takes(30, lambda: self.m.ok("stop", "--now"))
        self.assertFalse(alive(pid))
        self.m.wait_gone(run["pid"])
        answer = self.assert_takes(20, lambda: self.m("start"))
        self.assertEqual(answer.code, 69)
        self.assertIn("is locked by another process", answer.err)
        holder.execute("ROLLBACK")
        self.m.start()
        ended = self.m.wait_runs("long", lambda r: r[0]["state"] != "running", "its end")[0]
        self.assertEqual(ended["signal"], "SIGTERM")


class TidiedDatabase(Pressure):
    """Somebody removes or replaces its files. (Moving them away and back: test_survival.)"""

    def begin(self):
        pid = self.m.start()
        self.tick()
        self.succeeds_again()
        return pid, self.m.state / "schedctl.db"

    def assert_stands_still(self, pid):
        self.m.wait(lambda: "was removed or replaced" in self.m.log_text(), "a beat that failed")
        self.assert_starts_nothing(pid, why="something started on a database nobody sees")
        self.assertEqual(self.m.log_text().count(" beat-failed "), 1)

    def test_a_database_that_is_replaced_stops_all_starts_until_a_restart(self):
        pid, database = self.begin()
        copy = self.m.root / "copy.db"
        self.m.ok("db", "backup", copy)
        os.rename(copy, database)
        self.assert_stands_still(pid)
        for suffix in ("-wal", "-shm"):
            pathlib.Path(f"{database}{suffix}").unlink(missing_ok=True)
        self.m.ok("restart")
        self.succeeds_again()
        self.assertEqual(self.m.pid(), pid)
        self.m.ok("db", "check")

    def test_a_database_that_is_removed_is_not_made_anew_under_the_daemon(self):
        pid, database = self.begin()
        for suffix in ("", "-wal", "-shm"):
            pathlib.Path(f"{database}{suffix}").unlink()
        self.assert_stands_still(pid)
        self.assertFalse(database.exists())
        self.assert_takes(30, lambda: self.m.ok("stop", "--now"))
        self.assertFalse(alive(pid))

    def test_without_its_shm_file_two_writers_would_not_see_each_other_so_it_stops(self):
        pid, database = self.begin()
        pathlib.Path(f"{database}-shm").unlink()
        self.assert_stands_still(pid)
        # What others write now is in no index that the daemon knows, and must outlive its end.
        self.m.ok("add", "meanwhile", "--manual", "--", "true")
        self.assert_takes(30, lambda: self.m.ok("stop", "--now"))
        self.assertFalse(alive(pid))
        self.assertIsNotNone(self.m.job("meanwhile"))
        self.m.start()
        self.succeeds_again()
        self.assertIsNotNone(self.m.job("meanwhile"))
        self.m.ok("db", "check")
        self.m.ok("pause", "--all")
        self.m.wait(lambda: not self.m.column("SELECT id FROM run WHERE state IN "
                                              "('pending', 'running')"), "all runs to end")
        self.assert_books_balance()


class DistantDatabase(Pressure):
    def test_a_database_on_a_network_file_system_is_refused_and_nothing_is_begun(self):
        library = self.m.root / "network_disk.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library,
                        pathlib.Path(__file__).parent.parent / "pressure" / "network_disk.c"],
                       check=True)
        asan = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        env = {"LD_PRELOAD": str(library), "ASAN_OPTIONS": asan}
        refused = self.m("start", env=env)
        self.assertEqual(refused.code, 78)
        self.assertIn("schedctl.db lies on NFS, where SQLite's locks do not hold", refused.err)
        self.assertIn("set state_dir (or store) to a directory on a local disk", refused.err)
        self.assertFalse((self.m.state / "schedctl.db").exists())
        self.assertIn("lies on NFS", self.m("doctor", env=env).out)
        self.m.start()


class FullOutput(Pressure):
    """The output directory is a disk of its own."""

    def test_a_job_that_fills_the_output_disk_fails_itself_and_its_end_is_kept(self):
        self.small_disk(self.m.state / "output", "size=1m")
        self.m.start()
        self.tick()
        self.m.ok("add", "flood", "--manual", "--shell", "yes; exit 9")
        self.assertEqual(self.m("trigger", "flood", "--wait").code, 1)
        run = self.m.runs("flood")[0]
        self.assertEqual((run["reason"], run["exit_code"]), ("exit_status", 9))
        self.succeeds_again()
        self.m.ok("add", "loud", "--manual", "--shell", "echo lost; exit 5")
        self.assertEqual(self.m("trigger", "loud", "--wait").code, 1)
        self.assertEqual(self.m.runs("loud")[0]["exit_code"], 5)

    def test_without_inodes_for_output_runs_wait_and_start_by_themselves_later(self):
        self.small_disk(self.m.state / "output", "nr_inodes=30")
        pid = self.m.start()
        self.tick("tick", "--overlap", "queue")
        self.succeeds_again()
        ballast = self.fill_inodes(self.m.state / "output")
        # The files that were made before wait for silent runs; a loud one takes its away.
        self.m.ok("add", "loud", "--manual", "--", "echo", "hello")
        for _ in range(2):
            self.m("trigger", "loud")
        run = self.m.wait(lambda: next(
            (r for r in self.m.json("runs") if r["state"] == "pending" and
             "cannot make its output file: No space left" in (r["error"] or "")), None),
            "a run that waits")
        self.wait_why(run["job"], "No space left")
        self.assert_calm(pid, self.m.keeper_pid())
        shutil.rmtree(ballast)
        self.succeeds_again()
        self.m.wait_state("loud", "succeeded")
        self.assertEqual(self.m.column("SELECT count(*) FROM run WHERE state = 'failed'"), [0])


class FullKeeper(Pressure):
    """The keeper's directory is a disk of its own: what it cannot write down it must not start."""

    def test_without_room_for_the_journal_nothing_starts_and_all_starts_later(self):
        disk = self.m.state / "keeper"
        self.small_disk(disk, "size=256k")
        pid = self.m.start()
        self.tick("tick", "--overlap", "queue")
        self.m.ok("add", "long", "--manual", "--", "sleep", "600")
        self.m.ok("trigger", "long")
        self.succeeds_again()
        ballast = self.fill(disk)
        run = self.wait_pending("tick", "the keeper cannot write its journal: No space left")
        self.assertEqual(run["state"], "pending")
        self.assert_starts_nothing(pid, self.m.keeper_pid(),
                                   why="something started that is in no journal")
        self.m.wait(lambda: self.episodes("delayed"), "the alert")
        self.assertIn("No space left", str(self.m.json("alerts")))
        # What runs can be ended, and its end is told and recorded.
        self.m.ok("cancel", "long")
        self.m.wait_state("long", "cancelled")
        ballast.unlink()
        self.succeeds_again()
        self.assertEqual(self.episodes("delayed"), 1)
        self.m.wait(lambda: not self.m.json("alerts"), "the alert's end")
        self.m.ok("pause", "--all")
        self.m.wait(lambda: not self.m.column("SELECT id FROM run WHERE state IN "
                                              "('pending', 'running')"), "all runs to end")
        self.assert_books_balance()
        self.m.ok("stop")

    def test_a_journal_whose_disk_errs_starts_nothing_and_all_is_started_later(self):
        self.m.start()
        self.tick("tick", "--overlap", "queue")
        self.succeeds_again()
        keeper = self.m.keeper_pid()
        with self.failing_calls(keeper, "write", "EIO"):
            self.wait_pending("tick", "the keeper cannot write its journal: Input/output error")
            self.assert_starts_nothing(keeper, self.m.pid(),
                                       why="something started that is in no journal")
        self.succeeds_again()
        self.assertEqual(self.m.keeper_pid(), keeper)
        self.m.ok("pause", "--all")
        self.m.wait(lambda: not self.m.column("SELECT id FROM run WHERE state IN "
                                              "('pending', 'running')"), "all runs to end")
        self.assert_books_balance()

    def test_a_daemon_that_cannot_have_a_keeper_for_want_of_room_says_why(self):
        disk = self.m.state / "keeper"
        self.small_disk(disk, "size=64k,nr_inodes=20")
        for fill in (self.fill_inodes, self.fill):
            with self.subTest(fill.__name__):
                ballast = fill(disk)
                answer = self.m("start")
                self.assertNotEqual(answer.code, 0)
                self.assertIn("No space left on device", answer.err)
                subprocess.run(["rm", "-r", ballast], check=True)
                self.m.start()
                self.m.ok("add", fill.__name__, "--manual", "--", "true")
                self.m.ok("trigger", fill.__name__, "--wait")
                self.m.ok("stop")


class FullLog(Pressure):
    def test_a_log_that_cannot_grow_holds_up_nothing_and_says_what_it_lost(self):
        disk = self.m.root / "log"
        self.small_disk(disk, "size=64k")
        self.m.log = disk / "info.log"
        self.m.write_config(self.settings)
        pid = self.m.start()
        self.tick()
        self.succeeds_again()
        ballast = self.fill(disk)

        def is_full():
            self.m.ok("reload")  # a line
            return self.m.log.stat().st_size % os.sysconf("SC_PAGE_SIZE") == 0
        self.m.wait(is_full, "the last block to be full")
        for _ in range(2):
            self.succeeds_again()
        self.assert_calm(pid)
        ballast.unlink()
        self.m.wait(lambda: "log-lines-lost" in self.m.log_text(), "the number of lines lost")
        for line in self.m.log_text().splitlines():
            if "log-lines-lost" in line:
                self.assertGreater(int(line.rsplit("=", 1)[1]), 0)
        self.m.ok("stop")

    def test_a_reader_of_stderr_that_stands_still_holds_up_nothing(self):
        daemon = self.m.popen("start", "--foreground")  # nobody reads its pipes
        self.m.wait(lambda: self.m("status").code == 0, "the daemon")
        self.m.jobs_dir.joinpath("many.toml").write_text("".join(
            f'[job.many-{n:03}]\nevery = "1s"\ncommand = ["/bin/true"]\n' for n in range(60)))
        self.m.ok("reload")
        # A pipe takes 64 KiB.
        self.m.wait(lambda: self.m.log.stat().st_size > 150_000, "more lines than a pipe takes")
        self.tick()
        self.succeeds_again()
        self.m.ok("stop", "--timeout", "60s")
        self.assertEqual(daemon.wait(60), 0)


if __name__ == "__main__":
    unittest.main()
