"""`schedctl __complete`, which the scripts of completions/ ask: what it answers for a line, and
that nobody notices it, whatever state the store is in. The shells themselves: tests/system."""
import contextlib
import hashlib
import os
import pathlib
import pwd
import signal
import sqlite3
import subprocess
import unittest

from machine import BINARY, PATIENCE_S, Answer, Story, freeze

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = {"bash": "schedctl.bash", "zsh": "_schedctl", "fish": "schedctl.fish"}
JOBS = 10_000


class Completion(Story):
    def ask(self, *line, shell="bash", binary=BINARY, wrapper=()):
        """The answer to a line that ends at the cursor; it never fails and says nothing else."""
        done = subprocess.run([*wrapper, binary, "__complete", shell, *map(str, line)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              stdin=subprocess.DEVNULL, env=self.m.environment(),
                              timeout=PATIENCE_S, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), Answer(done))
        return done.stdout.splitlines()

    def offers(self, *line, **kw):
        return self.ask("--config", self.m.config, *line, **kw)

    def jobs(self, *names, words=("--manual",)):
        for name in names:
            self.m.ok("add", name, *words, "--", "true")

    @property
    def database(self):
        return self.m.state / "schedctl.db"

    def traces(self):
        """All that there is of the store's files. Not when their owner was last set: as root SQLite
        sets that of a WAL to the database's whenever it opens one."""
        found = {}
        for path in sorted(self.m.root.rglob("*")):
            s = path.lstat()
            data = path.read_bytes() if path.is_file() else b""
            # What is written through a mapping is dated when the kernel comes to it.
            dated = () if path.name.endswith("-shm") else (s.st_mtime_ns,)
            found[str(path)] = (s.st_mode, s.st_uid, s.st_size, *dated,
                                hashlib.sha256(data).hexdigest())
        return found


class Names(Completion):
    settings = '[calendars.holidays]\ndates = ["12-24..01-02"]\n[groups]\ndb = 2\n'

    def test_jobs_tags_calendars_and_groups(self):
        self.jobs("nightly", "noon")
        self.m.ok("add", "tagged", "--manual", "--tag", "slow", "--", "true")
        self.m.ok("pause", "noon")
        self.assertEqual(self.offers("show", "n"), ["nightly", "noon"])
        self.assertEqual(self.offers("remove", "noon", "n"), ["nightly"])
        self.assertEqual(self.offers("resume", ""), ["noon"])
        self.assertEqual(self.offers("pause", "--tag", ""), ["slow"])
        self.assertEqual(self.offers("add", "x", "--exclude", ""), ["holidays"])
        self.assertEqual(self.offers("add", "x", "--group", ""), ["db"])
        self.assertEqual(self.offers("add", "x", "--after=nightly,no"), ["--after=nightly,noon"])
        self.assertEqual(self.offers("add", "n"), [])
        self.assertEqual(self.offers("add", "--replace", "ni"), ["nightly"])
        self.assertEqual(self.offers("show", "-q", "--", "ni"), ["nightly"])

    def test_living_runs(self):
        self.m.start()
        self.m.ok("add", "long", "--manual", "--shell", "exec sleep 1000")
        self.m.ok("trigger", "long")
        self.m.wait_state("long", "running")
        self.jobs("done")
        self.m.ok("trigger", "done", "--wait")
        self.assertEqual(self.offers("cancel", ""), ["done", "long", "#1"])
        self.assertEqual(self.offers("cancel", "\\#"), ["#1"])
        self.assertEqual(self.offers("logs", "'#"), ["#1"])
        self.assertEqual(self.offers("signal", "1"), ["1"])
        self.assertEqual(self.offers("signal", "1", "QU"), ["QUIT"])
        self.assertIn("#1\tlong", self.offers("logs", "", shell="zsh"))
        self.m.ok("cancel", "long")
        self.m.wait_state("long", "cancelled")
        self.assertEqual(self.offers("cancel", "#"), [])

    def test_the_store_that_the_line_names_is_looked_at(self):
        self.jobs("here")
        other = self.m.root / "other place.db"
        self.m.ok("--store", f"sqlite:{other}", "add", "there", "--manual", "--", "true")
        self.assertEqual(self.offers("show", ""), ["here"])
        self.assertEqual(self.offers("--store", f"sqlite:{other}", "show", ""), ["there"])
        self.assertEqual(self.offers("show", f"--store='sqlite:{other}'", ""), ["there"])
        self.assertEqual(self.offers("--set", f"store=sqlite:{other}", "show", ""), ["there"])
        self.assertEqual(self.offers("show", f"--set=store=sqlite:{other}", "the"), ["there"])
        self.assertEqual(self.ask("--config=/nowhere/at/all", "show", ""), [])


class Scripts(Completion):
    def test_they_are_the_files_of_the_repository(self):
        for shell, name in SCRIPTS.items():
            self.assertEqual(self.m.ok("completion", shell).out,
                             (ROOT / "completions" / name).read_text())

    def test_another_shell_or_none_is_told_which_there_are(self):
        for words in (["tcsh"], [""], [], ["bash", "zsh"]):
            answer = self.m("completion", *words)
            self.assertEqual((answer.code, answer.out), (2, ""), answer)
            for shell in SCRIPTS:
                self.assertIn(shell, answer.err)


class NoTrace(Completion):
    maxDiff = None
    """Nothing is made, written, migrated or recovered."""

    def assert_unchanged(self, before):
        after = self.traces()
        changed = {path: (before.get(path), after.get(path)) for path in before | after
                   if before.get(path) != after.get(path)}
        self.assertEqual(changed, {})

    def unnoticed(self, *expected):
        before = self.traces()
        for line in (["show", ""], ["cancel", ""], ["pause", "--tag", ""], ["alerts", "ack", ""]):
            for shell in SCRIPTS:
                answer = self.offers(*line, shell=shell)
                if line == ["show", ""]:
                    self.assertEqual(answer, list(expected))
        self.assert_unchanged(before)

    def test_where_there_is_no_store(self):
        self.unnoticed()

    def test_at_rest(self):
        self.jobs("one")
        self.unnoticed("one")

    def test_beside_a_daemon(self):
        pid = self.m.start()
        self.jobs("one")
        # Held, it writes nothing of its own meanwhile; what it has locked stays so.
        freeze(pid)
        try:
            self.unnoticed("one")
        finally:
            os.kill(pid, signal.SIGCONT)

    def test_after_a_daemon_was_killed(self):
        pid = self.m.start()
        self.jobs("one")
        os.kill(pid, signal.SIGKILL)
        self.m.wait_gone(pid)
        self.assertTrue((self.m.state / "schedctl.db-wal").stat().st_size)
        self.unnoticed("one")
        (self.m.state / "schedctl.db-shm").unlink()
        before = self.traces()
        self.offers("show", "")
        self.assert_unchanged(before)
        self.m.start()
        self.assertEqual([job["name"] for job in self.m.json("list")], ["one"])

    def test_of_an_older_schema(self):
        self.jobs("one")
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            db.execute("PRAGMA user_version = 1")
        self.unnoticed("one")
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as db:
            self.assertEqual(db.execute("PRAGMA user_version").fetchone()[0], 1)

    def test_damaged_or_something_else(self):
        self.jobs("one")
        self.database.write_bytes(self.database.read_bytes()[:6000])
        self.unnoticed()
        self.database.write_bytes(b"not a database" * 1000)
        self.unnoticed()
        self.database.unlink()
        self.database.mkdir()
        self.unnoticed()
        self.database.rmdir()
        os.mkfifo(self.database, 0o600)
        answers = [self.offers("show", "")]
        self.assertEqual(answers, [[]])

    def test_under_a_broken_configuration(self):
        self.jobs("one")
        self.m.config.write_text("stop_timeout = 17 parsecs\n")
        self.unnoticed()
        self.assertEqual(self.offers("pau"), ["pause"])
        self.assertIn("--overlap", self.offers("add", "x", "--over"))

    def test_while_it_is_locked(self):
        self.jobs("one")
        with contextlib.closing(sqlite3.connect(self.database, isolation_level=None)) as db:
            db.execute("BEGIN EXCLUSIVE")
            db.execute("DELETE FROM job")
            self.assertEqual(self.offers("show", ""), ["one"])
            db.execute("ROLLBACK")
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("BEGIN IMMEDIATE")
            self.assertIn(self.offers("show", ""), ([], ["one"]))
            db.execute("ROLLBACK")

    def test_of_another_user(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become nobody")
        self.jobs("one")
        nobody = pwd.getpwnam("nobody")
        self.m.root.chmod(0o755)
        place = self.m.root / "program"
        # By another process: what this one holds open for writing nobody can execute.
        subprocess.run(["install", "-m", "0755", BINARY, place], check=True)
        self.m.config.chmod(0o644)
        as_nobody = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}",
                     "--clear-groups"]
        self.assertEqual(self.offers("show", "", binary=str(place), wrapper=as_nobody), [])
        self.assertEqual(self.offers("pau", binary=str(place), wrapper=as_nobody), ["pause"])


class Speed(Completion):
    def fill(self):
        jobs = [f'[job.j{n:05}]\nmanual = true\ncommand = ["true"]\n' for n in range(JOBS)]
        path = self.m.root / "jobs.toml"
        path.write_text("\n".join(jobs))
        path.chmod(0o600)
        self.m.ok("-q", "apply", path)

    def seconds(self, *words):
        """CPU time of the program, the least of some: how busy the machine is does not count."""
        spent = []
        for _ in range(5):
            child = subprocess.Popen([BINARY, *map(str, words)], stdout=subprocess.DEVNULL,
                                     env=self.m.environment())
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(child.returncode, 0)
            spent.append(usage.ru_utime + usage.ru_stime)
        return min(spent)

    def test_ten_thousand_names_take_no_longer_than_a_blink(self):
        self.fill()
        self.assertEqual(len(self.offers("show", "", shell="fish")), JOBS)
        spent = self.seconds("__complete", "fish", "--config", self.m.config, "show", "")
        self.assertEqual(self.offers("show", "j0999"), [f"j0999{n}" for n in range(10)])
        # A sanitized program takes several times as long as one that people run.
        bare = self.seconds("--version")
        self.assertLess(spent, 0.2 + 3 * bare)


if __name__ == "__main__":
    unittest.main()
