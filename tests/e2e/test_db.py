"""The database as an operator handles it: checked, backed up and restored, beside a working daemon and
after everything went wrong, and brought up to date from an older version."""
import collections
import contextlib
import ctypes
import ctypes.util
import mmap
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import threading
import time
import unittest

from machine import BINARY, Story, alive

# What this program writes.
SCHEMA = 8
VERSION_1 = pathlib.Path(__file__).resolve().parent.parent / "store" / "data" / "version1.sql"


def has_crash_points():
    with open(BINARY, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return text.find(b"_SCHEDCTL_CRASH_AT") >= 0


def look(path, query):
    with contextlib.closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute(query)]


def is_whole(path):
    return look(path, "PRAGMA integrity_check") == ["ok"]


def damage(path, page=None):
    """Overwrites a page, else that of some runs, which keeps nobody from opening the file."""
    if page is None:
        page = look(path, "SELECT max(pageno) FROM dbstat WHERE name = 'run'")[0]
    with open(path, "r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))


class Database(Story):
    settings = 'stop_timeout = "5s"\n[defaults]\nkill_grace = "300ms"\n'

    def setUp(self):
        super().setUp()
        self.db = self.m.state / "schedctl.db"
        self.copy = self.m.root / "copy.db"

    def refused(self, code, *words):
        """Said in one line, with this exit code, without a trace of a program's insides."""
        answer = self.m(*words)
        self.assertEqual(answer.code, code, answer)
        self.assertEqual(answer.out, "", answer)
        lines = [line for line in answer.err.splitlines() if "warning" not in line]
        self.assertEqual(len(lines), 1, answer)
        self.assertNotIn(".part-", answer.err)
        return answer.err

    def leftovers(self):
        return [p.name for d in (self.m.root, self.m.state) for p in d.glob("*.part-*")]

    def kept(self):
        return sorted(p for p in self.m.state.glob("schedctl.db.before-restore-*")
                      if not p.name.endswith(("-wal", "-shm")))

    def fill(self, runs=4000):
        """So large that a copy takes a while."""
        self.m.ok("add", "filler", "--manual", "--", "/bin/true")
        with contextlib.closing(sqlite3.connect(self.db)) as db:
            columns = [row[1] for row in db.execute("PRAGMA table_info(run)")]
            row = {c: 0 for c in columns if c not in ("id", "exit_code")}
            row |= {"job_id": 1, "job_name": "filler", "cause": "manual", "state": "succeeded",
                    "reason": "", "node": "", "keeper": "", "key": "", "error": "",
                    "output_path": "", "last_fire_time": None, "output_tail": b"x" * 4000}
            db.executemany(
                f"INSERT INTO run({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                [tuple(row.values())] * runs)
            db.commit()


class Check(Database):
    def test_a_healthy_database_is_ok_with_and_without_a_daemon(self):
        self.m.ok("add", "tick", "--every", "1s", "--", "/bin/true")
        self.assertEqual(self.m.ok("db", "check").out, f"ok: {self.db}\n")
        self.m.start()
        for i in range(5):
            self.m.ok("add", f"job-{i}", "--every", "1s", "--", "/bin/true")
            self.assertEqual(self.m.ok("db", "check").err, "")
        self.assertEqual(self.m.json("db", "check"),
                         {"check": True, "database": str(self.db), "file": None, "findings": []})
        self.m.wait_state("tick", "succeeded")

    def test_damage_is_found_and_the_way_out_is_said(self):
        self.m.ok("add", "tick", "--every", "1s", "--", "/bin/true")
        self.m.start()
        self.m.wait_state("tick", "succeeded")
        self.m.ok("stop")
        damage(self.db)
        answer = self.m("db", "check")
        self.assertEqual(answer.code, 1, answer)
        self.assertNotEqual(answer.out, "")
        self.assertIn("schedctl db restore FILE", answer.err)
        answer = self.m("db", "check", "--json")
        self.assertEqual(answer.code, 1, answer)
        self.assertFalse(answer.json["check"])
        self.assertNotEqual(answer.json["findings"], [])
        self.assertIn("damaged", self.refused(78, "db", "backup", self.copy))
        self.assertFalse(self.copy.exists())
        # Not even the list of its tables can be read.
        damage(self.db, 1)
        self.assertIn("is not a schedctl database", self.refused(78, "db", "check"))

    def test_what_is_no_database_is_said_to_be_none_at_once(self):
        self.m.state.mkdir()
        self.assertIn("there is no database", self.refused(3, "db", "check"))
        self.db.touch()
        self.assertIn("there is nothing in the database", self.refused(3, "db", "check"))
        self.db.write_text("x" * 5000)
        self.assertIn("is not a schedctl database", self.refused(78, "db", "check"))
        self.db.unlink()
        os.mkfifo(self.db, 0o600)
        for verb in (("check",), ("backup", self.copy)):
            self.assertIn("is not a file", self.refused(78, "db", *verb))
        self.db.unlink()
        self.db.mkdir()
        self.assertIn("is not a file", self.refused(78, "db", "check"))

    def test_a_command_line_that_makes_no_sense_is_exit_2(self):
        for words in (("db",), ("db", "chekc"), ("db", "check", "x"), ("db", "backup"),
                      ("db", "backup", ""), ("db", "restore"), ("db", "migrate", "x"),
                      ("db", "backup", "a", "b"), ("db", "copy"), ("db", "prune", "x"),
                      ("db", "check", "--dry-run")):
            self.refused(2, *words)
        self.assertIn("PostgreSQL", self.refused(78, "--store", "postgresql://host/x", "db", "check"))


class Backup(Database):
    def test_a_backup_beside_writers_has_all_that_was_acknowledged_before_it(self):
        self.m.ok("add", "tick", "--every", "1s", "--", "/bin/true")
        self.m.start()
        done, slowest, problems, stop = [], [0.0], [], threading.Event()

        def write(lane):
            for i in range(1000):
                if stop.is_set():
                    return
                name, began = f"w{lane}-{i}", time.monotonic()
                answers = [self.m("add", name, "--manual", "--", "/bin/true")]
                if lane == 0:
                    answers.append(self.m("trigger", name))
                slowest[0] = max(slowest[0], time.monotonic() - began)
                problems.extend(repr(a) for a in answers if a.code != 0)
                done.append(name)

        lanes = [threading.Thread(target=write, args=(lane,)) for lane in range(3)]
        for lane in lanes:
            lane.start()
        try:
            for n in range(4):
                self.m.wait(lambda n=n: len(done) > 4 * n, "more jobs")
                before = set(done)
                copy = self.m.root / f"copy-{n}.db"
                self.m.ok("db", "backup", copy)
                self.assertTrue(is_whole(copy))
                self.assertLessEqual(before, set(look(copy, "SELECT name FROM job")))
                self.assertEqual(copy.stat().st_mode & 0o7777, 0o600)
        finally:
            stop.set()
            for lane in lanes:
                lane.join()
        self.assertEqual(problems, [])
        self.assertLess(slowest[0], 20)
        self.assertEqual(self.leftovers(), [])

    def test_a_backup_gets_its_name_where_one_stands_and_never_a_taken_one(self):
        self.m.ok("add", "a", "--manual", "--", "/bin/true")
        sub = self.m.root / "sub"
        sub.mkdir()
        answer = self.m.ok("db", "backup", "../sub/./copy.db", "--json", cwd=sub)
        self.assertEqual(answer.json, {"backup": True, "database": str(self.db),
                                       "file": str(sub / "copy.db"), "findings": []})
        self.assertTrue(is_whole(sub / "copy.db"))
        before = (sub / "copy.db").read_bytes()
        self.assertIn("exists already", self.refused(5, "db", "backup", sub / "copy.db"))
        self.assertEqual((sub / "copy.db").read_bytes(), before)
        self.assertIn("is a directory", self.refused(5, "db", "backup", sub))
        self.assertIn("No such file or directory", self.refused(1, "db", "backup", sub / "no" / "x"))
        self.assertEqual(list(sub.iterdir()), [sub / "copy.db"])

    def test_where_a_backup_cannot_be_written_its_directory_is_named(self):
        if os.geteuid() == 0:
            place = pathlib.Path("/proc/schedctl-copy.db")
            self.m.ok("add", "a", "--manual", "--", "/bin/true")
            answer = self.m("db", "backup", place)
            self.assertIn(answer.code, (1, 77), answer)
            self.assertIn(f"no backup was made: cannot make {place}: ", answer.err)
            return
        self.m.ok("add", "a", "--manual", "--", "/bin/true")
        place = self.m.root / "locked"
        place.mkdir(0o500)
        self.assertIn("Permission denied", self.refused(77, "db", "backup", place / "copy.db"))

    def test_a_full_disk_gets_no_half_backup(self):
        place = self.m.root / "small"
        place.mkdir()
        libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
        if libc.mount(b"none", bytes(place), b"tmpfs", 0, b"size=64k") != 0:
            self.skipTest("no small file system can be mounted here: "
                          + os.strerror(ctypes.get_errno()))
        self.addCleanup(libc.umount2, bytes(place), 2)
        self.m.ok("add", "a", "--manual", "--", "/bin/true")
        words = self.refused(69, "db", "backup", place / "copy.db")
        self.assertIn(f"no space left on the disk of {place / 'copy.db'}", words)
        self.assertEqual(list(place.iterdir()), [])

    def test_a_backup_that_is_killed_leaves_nothing_under_the_name(self):
        self.m.ok("list")
        self.fill()
        seed = random.randrange(10**6)
        rng = random.Random(seed)
        if has_crash_points():
            self.assertEqual(self.m("db", "backup", self.copy,
                                    env={"_SCHEDCTL_CRASH_AT": "store.copied"}).code,
                             -signal.SIGKILL)
            self.assertFalse(self.copy.exists())
        took = time.monotonic()
        self.m.ok("db", "backup", self.copy)
        took = time.monotonic() - took
        self.assertEqual(self.leftovers(), [])
        self.copy.unlink()
        for _ in range(15):
            child = self.m.popen("db", "backup", self.copy)
            time.sleep(rng.uniform(0, took * 1.1))
            child.kill()
            child.wait()
            if self.copy.exists():
                self.assertTrue(is_whole(self.copy), f"seed {seed}")
                self.copy.unlink()
        self.m.ok("db", "backup", self.copy)
        self.assertTrue(is_whole(self.copy))
        self.assertEqual(self.leftovers(), [])

    def test_a_job_may_make_the_backup(self):
        self.m.start()
        self.m.ok("add", "nightly-copy", "--manual", "--", BINARY, "--config", self.m.config, "db",
                  "backup", self.copy)
        self.m.ok("trigger", "nightly-copy", "--wait")
        self.assertEqual(look(self.copy, "SELECT name FROM job"), ["nightly-copy"])


class Restore(Database):
    def prepare(self):
        """A backup with the job `then`; the live database has `later`, too."""
        self.m.ok("add", "then", "--manual", "--", "/bin/true")
        self.m.ok("db", "backup", self.copy)
        self.m.ok("add", "later", "--manual", "--", "/bin/true")

    def names(self):
        return [job["name"] for job in self.m.json("list")]

    def test_a_daemon_that_runs_is_not_robbed_of_its_database(self):
        self.prepare()
        pid = self.m.start()
        words = self.refused(5, "db", "restore", self.copy)
        self.assertIn(f"pid {pid}", words)
        self.assertIn("schedctl stop", words)
        self.assertEqual(self.kept(), [])
        self.assertEqual(self.names(), ["later", "then"])
        self.m.ok("stop")
        self.m.ok("db", "restore", self.copy)
        self.assertEqual(self.names(), ["then"])

    def test_what_is_no_backup_changes_nothing(self):
        self.prepare()
        before = sorted(p.name for p in self.m.state.iterdir()) + ["schedctl.db.lock"]
        bad = self.m.root / "bad"
        os.mkfifo(bad, 0o600)
        self.assertIn("is not a file", self.refused(78, "db", "restore", bad))
        self.assertIn("is not a file", self.refused(78, "db", "restore", self.m.state))
        self.assertIn("there is no database", self.refused(3, "db", "restore", self.m.root / "none"))
        self.assertIn("is not a schedctl database",
                      self.refused(78, "db", "restore", self.m.config))
        bad.unlink()
        bad.write_bytes(self.copy.read_bytes())
        bad.chmod(0o600)
        with contextlib.closing(sqlite3.connect(bad)) as db:
            db.execute("PRAGMA user_version = 99")
        self.assertIn("schema version 99", self.refused(78, "db", "restore", bad))
        self.assertIn("the database itself", self.refused(5, "db", "restore", self.db))
        link = self.m.root / "link"
        link.symlink_to(self.db)
        self.assertIn("the database itself", self.refused(5, "db", "restore", link))
        self.assertLessEqual({p.name for p in self.m.state.iterdir()}, set(before))
        self.assertEqual(self.names(), ["later", "then"])
        # The latest one may be known by a link.
        link.unlink()
        link.symlink_to(self.copy)
        self.m.ok("db", "restore", link)
        self.assertEqual(self.names(), ["then"])

    def test_a_backup_is_restored_on_a_machine_that_has_nothing_yet(self):
        self.prepare()
        for file in list(self.m.state.iterdir()):
            file.unlink()
        self.m.state.rmdir()
        self.assertEqual(self.m.ok("db", "restore", self.copy).out,
                         f"restored from {self.copy}; now schedctl start\n")
        self.assertEqual(self.m.state.stat().st_mode & 0o7777, 0o700)
        self.assertEqual(self.names(), ["then"])
        self.m.write_config(f'store = "sqlite:{self.m.root}/not/there.db"')
        self.assertIn("there is no directory", self.refused(78, "db", "restore", self.copy))

    def test_after_damage_the_daemon_goes_on_from_the_backup(self):
        fires = self.m.root / "fires"
        self.m.ok("add", "tick", "--every", "1s", "--shell", f"echo $SCHEDCTL_FIRE_TIME >> {fires}")
        self.m.ok("add", "long", "--manual", "--", "/bin/sleep", "600")
        self.m.ok("add", "failing", "--manual", "--", "/bin/false")
        self.m.start()
        self.m("trigger", "failing", "--wait")
        self.m.ok("trigger", "long")
        self.m.wait_state("long", "running")
        self.m.wait_state("tick", "succeeded")
        self.m.ok("db", "backup", self.copy)
        through = look(self.copy, "SELECT planned_through FROM job WHERE name = 'tick'")[0]
        known = look(self.copy, "SELECT key FROM run WHERE job_name = 'tick' AND "
                                "state = 'succeeded'")
        count = len(self.m.runs("tick"))
        self.m.ok("add", "too-late", "--manual", "--", "/bin/true")
        self.m.wait_runs("tick", lambda all_: len(all_) >= count + 2, "two more ticks")
        self.m.ok("stop", "--now")
        damage(self.db)
        self.assertEqual(self.m("db", "check").code, 1)
        damage(self.db, 1)
        for words in (("list",), ("start",), ("db", "check")):
            self.assertIn("is not a schedctl database", self.refused(78, *words))

        answer = self.m.json("db", "restore", self.copy)
        self.assertEqual(answer, {"restore": True, "database": str(self.db), "file": str(self.copy),
                                  "findings": []})
        self.assertEqual(len(self.kept()), 1)
        self.assertEqual(self.names(), ["failing", "long", "tick"])
        self.m.start()
        self.assertEqual(self.m.wait_state("long", "lost")["reason"], "keeper_died")
        self.assertEqual(self.m.runs("failing")[0]["state"], "failed")
        ended = len(fires.read_text().split())
        self.m.wait(lambda: len(fires.read_text().split()) >= ended + 2, "new ticks")
        self.m.ok("stop")
        # What the backup knows of happened once. Of what it does not know one may happen again:
        # the latest overdue occurrence, if that is so young that it ran before the stop.
        seen = collections.Counter(fires.read_text().split())
        again = [at for at, times in seen.items() if times > 1]
        self.assertLessEqual(len(again), 1, seen)
        kept = {r["key"] for r in self.m.runs("tick") if r["state"] == "succeeded"}
        self.assertTrue(known)
        self.assertLessEqual(set(known), kept)
        since = look(self.db, f"SELECT count(*) FROM run WHERE job_name = 'tick' AND fire_time > {through}")
        self.assertGreater(since[0], 0)
        self.assertTrue(is_whole(self.db))

    def test_jobs_that_outlived_the_daemon_are_not_started_beside_themselves(self):
        pids = self.m.root / "pids"
        self.m.ok("add", "long", "--manual", "--shell", f"echo $$ >> {pids}; exec sleep 600")
        daemon = self.m.start()
        keeper = self.m.keeper_pid()
        self.m.ok("trigger", "long")
        self.m.wait(lambda: pids.exists() and pids.read_text().split(), "its process")
        self.m.ok("db", "backup", self.copy)
        self.m.ok("stop", "--keep-jobs")
        self.m.wait_gone(daemon)
        words = self.refused(5, "db", "restore", self.copy)
        self.assertIn(f"jobs still run under the keeper (pid {keeper})", words)
        self.assertEqual(self.kept(), [])
        # Its end leaves an idle keeper, which the run of the backup was once given to.
        job = int(pids.read_text())
        os.kill(job, signal.SIGKILL)
        self.m.wait_gone(job)
        self.m.wait(lambda: self.m("db", "restore", self.copy).code == 0, "the keeper to be idle")
        self.m.start()
        self.assertEqual(self.m.wait_state("long", "lost")["reason"], "keeper_died")
        self.assertEqual(pids.read_text().split(), [str(job)])

    @unittest.skipUnless(has_crash_points(), "this build has no crash points")
    def test_a_restore_that_is_killed_leaves_the_old_or_the_new_database(self):
        self.prepare()
        places = {"store.copied": "later", "store.kept": "later", "store.cleared": "later",
                  "store.replaced": None}
        for place, expected in places.items():
            with self.subTest(place=place):
                self.m.ok("db", "restore", self.copy)
                self.m.ok("add", "later", "--manual", "--", "/bin/true")
                answer = self.m("db", "restore", self.copy, env={"_SCHEDCTL_CRASH_AT": place})
                self.assertEqual(answer.code, -signal.SIGKILL, answer)
                self.assertEqual(self.m("db", "check").code, 0)
                self.assertEqual("later" in self.names(), expected is not None)
                self.m.start()
                self.m.ok("trigger", "then", "--wait")
                self.m.ok("stop")
                self.m.ok("db", "restore", self.copy)
                self.assertEqual(self.leftovers(), [])

    def test_a_restore_that_is_killed_at_any_moment_can_be_said_again(self):
        self.m.ok("list")
        self.fill()
        self.prepare()
        seed = random.randrange(10**6)
        rng = random.Random(seed)
        began = time.monotonic()
        self.m.ok("db", "restore", self.copy)
        took = time.monotonic() - began
        for _ in range(15):
            self.m.ok("add", "later", "--replace", "--manual", "--", "/bin/true")
            child = self.m.popen("db", "restore", self.copy)
            time.sleep(rng.uniform(0, took * 1.1))
            child.kill()
            child.wait()
            self.assertIn(self.names(), (["filler", "later", "then"], ["filler", "then"]),
                          f"seed {seed}")
            self.assertTrue(is_whole(self.db), f"seed {seed}")
            for kept in self.kept():
                # Whatever has that name is whole; it may be the database itself still.
                self.assertTrue(is_whole(kept), f"seed {seed}")
                kept.unlink()
        self.m.ok("db", "restore", self.copy)
        self.assertEqual(self.names(), ["filler", "then"])
        self.assertEqual(self.leftovers(), [])

    def test_a_reader_is_waited_for_and_then_told_of(self):
        self.prepare()
        with contextlib.closing(sqlite3.connect(self.db, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM job").fetchall()
            self.m.ok("set", "later", "--timeout", "1m")
            self.assertIn(f"another program uses {self.db}",
                          self.refused(5, "db", "restore", self.copy))
        self.assertEqual(self.names(), ["later", "then"])
        self.m.ok("db", "restore", self.copy)


class Migration(Database):
    def setUp(self):
        super().setUp()
        self.m.state.mkdir(0o700)
        self.make()

    def make(self):
        for file in self.m.state.glob("schedctl.db*"):
            file.unlink()
        with contextlib.closing(sqlite3.connect(self.db)) as db:
            db.executescript(VERSION_1.read_text())
        self.db.chmod(0o600)

    def version(self):
        return look(self.db, "PRAGMA user_version")[0]

    def backups(self):
        return sorted(self.m.state.glob("schedctl.db.v1-*.bak"))

    def contents(self, path):
        with contextlib.closing(sqlite3.connect(path)) as db:
            return list(db.iterdump())

    def test_the_first_daemon_of_a_new_version_brings_the_database_up_to_date(self):
        before = self.contents(self.db)
        self.m.start()
        self.assertEqual(self.version(), SCHEMA)
        [backup] = self.backups()
        self.assertEqual(self.contents(backup), before)
        self.assertEqual(backup.stat().st_mode & 0o7777, 0o600)
        self.assertIn(f"store-migrated from=1 to={SCHEMA} backup={backup}", self.m.log_text())
        self.assertEqual(len(self.m.json("list")), 6)
        self.assertEqual(self.m.wait_runs("long", lambda all_: all_[-1]["state"] == "lost",
                                          "what ran to be lost")[-1]["reason"], "keeper_died")
        self.assertEqual(self.m.job("every")["paused"], True)
        self.assertEqual([r["state"] for r in self.m.runs("by-hand")], ["failed"])
        self.m.ok("resume", "every")
        self.m.wait_runs("every", lambda all_: all_[-1]["id"] > 15
                         and all_[-1]["state"] == "succeeded", "a run after the migration")
        self.m.ok("db", "check")

    def test_a_command_line_brings_it_up_to_date_and_says_so_on_stderr(self):
        answer = self.m.ok("list", "--json")
        self.assertEqual(len(answer.json), 6)
        self.assertIn(f"store-migrated from=1 to={SCHEMA}", answer.err)
        self.assertEqual(self.m.ok("db", "migrate").out, f"up to date: schema version {SCHEMA}\n")
        self.assertEqual(len(self.backups()), 1)

    def test_checks_and_backups_leave_it_as_it_is(self):
        self.m.ok("db", "check")
        self.m.ok("db", "backup", self.copy)
        self.assertEqual((self.version(), look(self.copy, "PRAGMA user_version")), (1, [1]))
        self.assertEqual(self.backups(), [])

    def test_many_commands_at_once_migrate_it_once(self):
        children = [self.m.popen("list") for _ in range(8)]
        outs = [child.communicate() for child in children]
        self.assertEqual([child.returncode for child in children], [0] * 8, outs)
        self.assertEqual(len(self.backups()), 1)
        self.assertEqual(sum("store-migrated" in err for _, err in outs), 1)

    @unittest.skipUnless(has_crash_points(), "this build has no crash points")
    def test_a_migration_that_is_killed_is_made_by_the_next_one(self):
        before = self.contents(self.db)
        for place in ("store.copied", "store.backed-up", "store.migrated"):
            with self.subTest(place=place):
                self.make()
                answer = self.m("list", env={"_SCHEDCTL_CRASH_AT": place})
                self.assertEqual(answer.code, -signal.SIGKILL, answer)
                self.assertEqual(self.version(), 1)
                self.assertEqual(self.contents(self.db), before)
                self.assertEqual(len(self.m.json("list")), 6)
                self.assertEqual(self.version(), SCHEMA)
                self.m.ok("db", "check")
                self.assertEqual(self.leftovers(), [])
                for backup in self.backups():
                    self.assertEqual(self.contents(backup), before)

    def test_without_room_for_the_backup_nothing_is_changed(self):
        before = self.contents(self.db)
        # A file may not grow beyond what is half of the database.
        done = subprocess.run(["sh", "-c", 'trap "" XFSZ; ulimit -f 100; exec "$@"', "sh", BINARY,
                               "--config", str(self.m.config), "list"], capture_output=True,
                              text=True, env=self.m.environment(), check=False)
        self.assertEqual(done.returncode, 69, done)
        self.assertIn("was left as it is, because the backup that is made first failed",
                      done.stderr)
        self.assertEqual(self.contents(self.db), before)
        self.assertEqual(self.backups() + self.leftovers(), [])
        self.m.ok("list")

    def test_a_newer_schema_is_refused_by_every_command_and_left_alone(self):
        self.m.ok("list")
        self.m.ok("db", "backup", self.copy)
        with contextlib.closing(sqlite3.connect(self.db)) as db:
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("PRAGMA user_version = 99")
        before = self.db.read_bytes()
        for words in (("list",), ("add", "x", "--every", "1s", "--", "/bin/true"), ("runs",),
                      ("trigger", "every"), ("pause", "every"), ("remove", "once"), ("alerts",),
                      ("start",), ("db", "check"), ("db", "backup", self.m.root / "new"),
                      ("db", "migrate")):
            said = self.refused(78, *words)
            self.assertIn(f"schema version 99, and this program knows versions up to {SCHEMA}", said)
            self.assertIn("Nothing was changed", said)
        self.assertEqual(self.db.read_bytes(), before)
        self.assertNotEqual(self.m("status").code, 0)
        # Who goes back to an older program puts back the backup that the newer one made.
        self.m.ok("db", "restore", self.copy)
        self.assertEqual(len(self.m.json("list")), 6)
        self.assertEqual(self.kept()[0].read_bytes(), before)


if __name__ == "__main__":
    unittest.main()
