"""apply, export and edit: the store as files say, files as the store says, and a job in an editor."""
import contextlib
import os
import pathlib
import pty
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time

import machine
from machine import Story

EVERY_KIND = r'''
[job.grid]
every = "90s"
anchor = "2026-01-01T00:00:00.000001+01:00"
until = "2199-01-01"
command = ["/bin/true", "it's", 'C:\x', ""]

[job."other.week"]
cron = "30 2 * * 1"
weeks = 2
anchor = 2026-01-05
timezone = "Europe/Berlin"
dst_gap = "skip"
dst_fold = "second"
not_before = "2026-06-01 08:00"
exclude = ["holidays"]
on_excluded = "next"
shell = """
for i in 1 2; do
\techo "$i" 'x'
done
"""
env = { B = "1", A = "über \u0001" }
tags = ["b", "a"]
cwd = "/tmp"

[job.once]
at = "2199-03-29 02:30"
timezone = "Europe/Berlin"
command = ["true"]

[job.boot]
on_reboot = true
command = ["true"]

[job.hand]
manual = true
shell = 'echo "hi" # no comment'
overlap = "skip"
misfire_grace = "15m"
coalesce = "all"
max_catchup = 7
catchup_spread = "1m"
jitter = "250ms"
max_wait = "2h"
max_runs = 3
timeout = "1d"
kill_grace = "1s"
retry = { max_attempts = 3, backoff = "30s", max_delay = "10m" }
on_lost = "retry"
alert_grace = "5m"
'''


class Apply(Story):
    settings = '[calendars.holidays]\ndates = ["12-25"]\n'

    def write(self, name, text):
        path = self.m.root / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def simple(self, names, period="1h"):
        return "".join(f'[job.{n}]\nevery = "{period}"\ncommand = ["true"]\n' for n in names)

    def rows(self):
        """Everything that an apply could have written."""
        with contextlib.closing(sqlite3.connect(self.m.state / "schedctl.db")) as db:
            return [db.execute(f"SELECT * FROM {table}").fetchall()
                    for table in ("job", "job_version", "run", "audit")]

    def names(self):
        return [job["name"] for job in self.m.json("list")]

    def test_what_export_writes_apply_reads_and_nothing_changes(self):
        kinds = self.write("kinds.toml", EVERY_KIND)
        self.assertEqual(self.m.json("apply", kinds)["added"],
                         ["grid", "other.week", "once", "boot", "hand"])
        self.m.ok("add", "mine", "--every", "5m", "--", "echo", "a b")
        self.m.jobs_dir.joinpath("file.toml").write_text(self.simple(["from-file"]))
        self.m.jobs_dir.joinpath("file.toml").chmod(0o600)
        self.m.start()
        self.m.wait(lambda: self.m.job("from-file"), "the job of the file")
        self.m.ok("stop")

        exported = self.write("exported.toml", self.m.ok("export").out)
        before = self.rows()
        answer = self.m.ok("apply", exported, "--json").json
        self.assertFalse(answer["changed"])
        self.assertEqual(answer["unchanged"], 7)
        self.assertEqual(len(answer["managed_by_others"]), 7)
        self.assertEqual(self.rows(), before)
        again = self.m.ok("apply", kinds, "--prune")
        self.assertIn("0 to add, 0 to change, 0 to remove, 5 unchanged", again.out)
        self.assertEqual(self.rows(), before)

        # Elsewhere, in another zone, it is the same; on another day too.
        other = machine.Machine('[calendars.holidays]\ndates = ["12-25"]\n')
        self.addCleanup(other.close)
        env = {"SCHEDCTL_TIMEZONE": "Asia/Kathmandu"}
        self.assertIn("7 to add", other.ok("apply", exported, env=env).out)
        self.assertEqual(other.ok("export", env=env).out, exported.read_text())

    def test_jobs_are_exported_by_name_in_the_order_asked_for(self):
        self.m.ok("apply", self.write("kinds.toml", EVERY_KIND))
        out = self.m.ok("export", "once", "grid", "once").out
        self.assertEqual(re.findall(r"^\[job\.(.*)\]$", out, re.M), ["once", "grid"])
        missing = self.m("export", "grid", "gird")
        self.assertEqual(missing.code, 3)
        self.assertIn('did you mean "grid"', missing.err)
        self.m.ok("pause", "grid")
        self.assertIn("job grid is paused", self.m.ok("export", "grid").err)
        document = self.m.json("export", "hand")
        self.assertEqual(document["jobs"], ["hand"])
        self.assertTrue(document["toml"].startswith("[job.hand]\n"))

    def test_a_job_that_toml_cannot_hold_is_left_out_and_told(self):
        self.m.ok("add", "good", "--manual", "--", "true")
        subprocess.run([machine.BINARY, "--config", str(self.m.config), "add", "bytes", "--manual",
                        "--", "echo", b"\xff"], check=True, capture_output=True,
                       env=self.m.environment())
        answer = self.m("export")
        self.assertEqual(answer.code, 1)
        self.assertIn("[job.good]", answer.out)
        self.assertIn("# Left out: job bytes", answer.out)
        self.assertIn("its command has bytes that are no UTF-8", answer.err)

    def test_the_difference_is_shown_and_a_dry_run_writes_nothing(self):
        file = self.write("jobs.toml", self.simple(["a", "b", "c"]))
        self.m.ok("apply", file)
        self.write("jobs.toml", self.simple(["a"]) + self.simple(["b"], "2h") +
                   self.simple(["new"]))
        before = self.rows()
        dry = self.m.ok("apply", file, "--prune", "--dry-run")
        self.assertIn('~ b\n    every           "1h" -> "2h"\n', dry.out)
        self.assertIn("+ new\n", dry.out)
        self.assertIn("- c\n1 to add, 1 to change, 1 to remove, 1 unchanged\n", dry.out)
        document = self.m.ok("apply", file, "--prune", "--dry-run", "--json").json
        self.assertTrue(document["changed"])
        self.assertTrue(document["dry_run"])
        self.assertEqual(self.rows(), before)
        done = self.m.ok("apply", file, "--prune")
        self.assertEqual(done.out, dry.out)
        self.assertEqual(self.names(), ["a", "b", "new"])
        self.assertEqual(document["changed_jobs"],
                         [{"name": "b", "changes": {"every": ["1h", "2h"]}}])
        self.assertEqual((document["added"], document["removed"], document["unchanged"]),
                         (["new"], ["c"], 1))

    def test_a_dry_run_needs_no_database_and_makes_none(self):
        file = self.write("jobs.toml", self.simple(["a"]))
        self.assertIn("+ a\n", self.m.ok("apply", file, "--dry-run").out)
        self.assertFalse((self.m.state / "schedctl.db").exists())

    def test_prune_removes_only_what_the_same_argument_brought(self):
        one, two = self.m.root / "one", self.m.root / "two"
        one.mkdir()
        two.mkdir()
        self.write("one/a.toml", self.simple(["a1", "a2"]))
        self.write("two/b.toml", self.simple(["b1"]))
        self.m.ok("add", "mine", "--manual", "--", "true")
        self.m.ok("apply", one, two)
        self.write("one/a.toml", self.simple(["a2"]))
        (two / "b.toml").unlink()
        kept = self.m.ok("apply", one)
        self.assertIn("a1 is no longer in the files; --prune removes it", kept.err)
        self.assertEqual(self.names(), ["a1", "a2", "b1", "mine"])
        self.m.ok("apply", "--prune", one)
        self.assertEqual(self.names(), ["a2", "b1", "mine"])
        # With a slash at its end, or seen from within, it is the same directory.
        self.m.ok("apply", "--prune", "./two/", cwd=self.m.root)
        self.assertEqual(self.names(), ["a2", "mine"])
        missing = self.m("apply", self.m.root / "nothing", "--prune")
        self.assertEqual(missing.code, 3)
        self.assertIn("nothing does not exist", missing.err)

    def test_every_error_is_told_with_its_place_and_nothing_is_applied(self):
        self.m.ok("add", "mine", "--every", "5m", "--", "true")
        file = self.write("jobs.toml", self.simple(["good", "mine"]) +
                          '[job.bad]\ncron = "61 * * * *"\ncommand = ["true"]\n'
                          '[job.past]\nat = "2001-01-01"\ncommand = ["true"]\n')
        before = self.rows()
        answer = self.m("apply", file)
        self.assertEqual(answer.code, 78)
        for place in (f"{file}:8:1", f"{file}:11:1", f"{file}:4:6: job mine is made on the command"):
            self.assertIn(place, answer.err)
        self.assertIn("nothing was applied", answer.err)
        document = self.m("apply", file, "--json")
        self.assertFalse(document.json["changed"])
        self.assertEqual(len(document.json["errors"]), 3)
        self.write("jobs.toml", self.simple(["good", "mine"]))
        self.assertEqual(self.m("apply", file).code, 5)
        self.assertEqual(self.rows(), before)
        self.m.ok("apply", file, "--adopt")
        self.assertEqual(self.m.job("mine")["managed_by"], f"apply:{file}")

        told = self.m("set", "mine", "--every", "2h")
        self.assertEqual(told.code, 5)
        self.assertIn(f"job mine is defined in {file}; change it there and run schedctl apply",
                      told.err)
        self.assertEqual(self.m("edit", "mine", env={"EDITOR": "false"}).code, 5)
        self.assertEqual(self.m("remove", "mine").code, 5)
        file.unlink()
        self.m.ok("remove", "mine")

    def test_jobs_dirs_are_the_daemons(self):
        inside = self.m.jobs_dir / "jobs.toml"
        inside.write_text(self.simple(["a"]))
        inside.chmod(0o600)
        for argument in (inside, self.m.jobs_dir):
            answer = self.m("apply", argument)
            self.assertEqual(answer.code, 78)
            self.assertIn("schedctl reload", answer.err)
        self.assertEqual(self.names(), [])

    def test_a_running_daemon_takes_over_what_is_applied(self):
        file = self.write("jobs.toml", '[job.tick]\nevery = "1s"\ncommand = ["true"]\n'
                          '[job.still]\nevery = "1h"\ncommand = ["true"]\n')
        self.m.start()
        self.m.ok("apply", file)
        self.m.wait_state("tick", "succeeded")
        self.m.ok("pause", "still", "--reason", "later")
        self.write("jobs.toml", file.read_text().replace('"true"', '"/bin/echo", "two"'))
        self.m.ok("apply", file)
        self.assertTrue(self.m.job("still")["paused"])
        self.m.wait(lambda: self.m.runs("tick")[-1:] and
                    "two" in self.m("logs", "tick").out, "the new command")
        self.write("jobs.toml", "")
        self.m.ok("apply", file, "--prune")
        self.assertEqual(self.names(), [])
        self.assertTrue(self.m.runs("tick"))

    def test_an_apply_that_is_killed_has_applied_all_or_nothing(self):
        count = 400
        file = self.write("jobs.toml", self.simple([f"j{i}" for i in range(count)]))
        empty = self.write("empty.toml", "")
        begun = time.monotonic()
        self.m.ok("apply", file, "--name", "s", "-q")
        whole = time.monotonic() - begun
        seen = set()
        for part in range(12):
            self.m.ok("apply", empty, "--name", "s", "--prune", "-q")
            child = self.m.popen("apply", file, "--name", "s", "-q")
            begun = time.monotonic()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(whole * (0.35 + part / 12))
                # The machine may have been busy with something else when it was measured.
                whole = min(whole, time.monotonic() - begun)
            child.kill()
            child.wait()
            left = len(self.names())
            self.assertIn(left, (0, count))
            seen.add(left)
        self.assertIn(0, seen, "no apply was killed before its end")
        self.m.ok("apply", file, "--name", "s")
        self.assertEqual(len(self.names()), count)

    def test_two_applies_at_once_follow_each_other(self):
        names = [f"j{i}" for i in range(100)]
        one = self.write("one.toml", self.simple(names, "1h"))
        two = self.write("two.toml", self.simple(names, "2h"))
        for _ in range(3):
            children = [self.m.popen("apply", file, "--name", "s") for file in (one, two, one)]
            codes = []
            for child in children:
                _, err = child.communicate(timeout=machine.PATIENCE_S)
                codes.append(child.returncode)
                if child.returncode != 0:
                    self.assertRegex(err, "somebody changed these jobs at the same moment|locked|busy")
            self.assertIn(0, codes)
            self.assertLessEqual(set(codes), {0, 5, 69})
            periods = {str(job["schedule"]) for job in self.m.json("list")}
            self.assertEqual(len(periods), 1, "half of one file and half of the other")
            self.assertEqual(len(self.names()), len(names))

    def test_thousands_of_jobs_come_back(self):
        count = 8000
        file = self.write("jobs.toml", "".join(
            f'[job.j{i:05}]\nevery = "1h"\ncommand = ["/usr/bin/env", "true", "number {i}"]\n'
            for i in range(count)))
        self.m.ok("apply", file, "-q")
        exported = self.write("exported.toml", self.m.ok("export").out)
        self.assertGreater(exported.stat().st_size, 1 << 20)
        self.assertEqual(self.m.json("apply", exported)["unchanged"], count)


class Rename(Story):
    def test_a_renamed_job_goes_on_under_its_new_name(self):
        self.m.start()
        self.m.ok("add", "old", "--every", "1h", "--", "true")
        self.m.ok("trigger", "old", "--wait")
        next_fire = self.m.job("old")["next_fire"]
        answer = self.m.ok("rename", "old", "new")
        self.assertIn("what it ran before keeps the old name", answer.out)
        self.assertEqual(self.m.job("new")["next_fire"], next_fire)
        self.assertIsNone(self.m.job("old"))
        self.m.ok("trigger", "new", "--wait")
        self.assertEqual([len(self.m.runs(name)) for name in ("old", "new")], [1, 1])
        self.m.ok("add", "other", "--manual", "--", "true")
        self.assertEqual(self.m("rename", "new", "other").code, 5)
        self.assertEqual(self.m("rename", "new").code, 2)
        self.assertIn("new has that name already", self.m.ok("rename", "new", "new").out)
        self.assertEqual(self.m.json("rename", "new", "newer"), {"renamed": ["new", "newer"]})


class Edit(Story):
    def setUp(self):
        super().setUp()
        self.temporary = self.m.root / "tmp"
        self.temporary.mkdir()
        self.m.ok("add", "backup", "--every", "5m", "--", "/bin/echo", "first")

    def editor(self, body):
        """A program that is given the file as its argument; its path."""
        path = self.m.root / "editor"
        path.write_text(f"#!{sys.executable}\nimport os, pathlib, sys\n"
                        f"path = pathlib.Path(sys.argv[1])\ntext = path.read_text()\n{body}\n")
        path.chmod(0o755)
        return path

    def edit(self, editor, *words):
        return self.m("edit", "backup", *words,
                      env={"EDITOR": str(editor), "VISUAL": "", "TMPDIR": str(self.temporary)})

    def version(self):
        return self.m.json("show", "backup")["version"]

    def kept(self):
        """The one text that is left."""
        texts = list(self.temporary.glob("*/*.toml"))
        self.assertEqual(len(texts), 1)
        return texts[0]

    def nothing_is_left(self):
        self.assertEqual(list(self.temporary.iterdir()), [])

    def test_what_the_editor_saves_is_the_job(self):
        next_fire = self.m.job("backup")["next_fire"]
        answer = self.edit("sed -i s/first/two/")
        self.assertEqual(answer.code, 0, answer)
        self.assertIn("changed backup", answer.out)
        shown = self.m.json("show", "backup")
        self.assertEqual(shown["action"], {"command": ["/bin/echo", "two"]})
        self.assertEqual((shown["version"], shown["managed_by"]), (2, "cli"))
        self.assertEqual(shown["next_fire"], next_fire)
        self.nothing_is_left()
        document = self.edit("sed -i s/two/three/", "--json").json
        self.assertEqual(document["action"], {"command": ["/bin/echo", "three"]})

    def test_an_unchanged_text_changes_nothing(self):
        for editor in ("true", "touch", self.editor('path.write_text(text + "# hm\\n")')):
            answer = self.edit(editor)
            self.assertEqual((answer.code, answer.out), (0, "backup is unchanged\n"))
        self.assertEqual(self.version(), 1)
        self.nothing_is_left()

    def test_the_text_is_nobody_elses(self):
        modes = self.m.root / "modes"
        editor = self.editor(
            f"pathlib.Path({str(modes)!r}).write_text("
            "f'{path.stat().st_mode & 0o777:o} {path.parent.stat().st_mode & 0o777:o} {path}')\n"
            # Some editors make the file anew.
            "path.unlink(); os.umask(0); path.write_text(text.replace('first', 'two'))")
        self.assertEqual(self.edit(editor).code, 0)
        file_mode, directory_mode, path = modes.read_text().split()
        self.assertEqual((file_mode, directory_mode), ("600", "700"))
        self.assertNotIn(pathlib.Path(path).parent.name, ("schedctl-edit", "schedctl-edit-XXXXXX"))
        self.assertEqual(self.version(), 2)

    def test_visual_goes_before_editor_and_may_have_options(self):
        env = {"VISUAL": "sed -e s/first/visual/ -i", "EDITOR": "false",
               "TMPDIR": str(self.temporary)}
        self.m.ok("edit", "backup", env=env)
        self.assertIn("visual", self.m.ok("export", "backup").out)

    def test_a_wrong_text_is_told_with_its_place_and_kept(self):
        for body, why in (
                ('path.write_text(text.replace(\'every = "5m"\', \'every = "5x"\'))', ":5:"),
                ("path.write_text('[job.backup')", ":1:"),
                ("path.write_text('')", "schedctl remove backup"),
                ("path.unlink()", "No such file"),
                ("path.write_text(text.replace('backup]', 'other]'))", "schedctl rename backup other"),
                ("path.write_text(text + '[job.b]\\nmanual = true\\nshell = \"true\"')",
                 "only job backup is edited")):
            with self.subTest(why=why):
                answer = self.edit(self.editor(body))
                self.assertEqual(answer.code, 2, answer)
                self.assertIn(why, answer.err)
                kept = re.search(r"the text is kept in (\S+)", answer.err)[1]
                if "unlink" not in body:
                    self.assertTrue(pathlib.Path(kept).exists())
                self.assertEqual(self.version(), 1)

    def test_an_editor_that_fails_changes_nothing(self):
        answer = self.edit("false")
        self.assertEqual(answer.code, 1)
        self.assertIn("the editor (false) ended with exit status 1", answer.err)
        self.nothing_is_left()
        answer = self.edit(self.editor("path.write_text(text.replace('first', 'two')); sys.exit(3)"))
        self.assertEqual(answer.code, 1)
        self.assertIn(str(self.kept()), answer.err)
        self.assertEqual(self.version(), 1)
        self.assertEqual(self.edit("/nonexistent/editor").code, 1)

    def test_a_change_by_somebody_else_is_not_overwritten(self):
        command = " ".join(shlex.quote(w) for w in (
            machine.BINARY, "--config", str(self.m.config), "set", "backup", "--timeout", "1h"))
        answer = self.edit(self.editor(f"os.system({command!r})\n"
                                       "path.write_text(text.replace('first', 'two'))"))
        self.assertEqual(answer.code, 5, answer)
        self.assertIn("changed by somebody else in the meantime", answer.err)
        self.assertIn("two", self.kept().read_text())
        self.assertIn("first", self.m.ok("export", "backup").out)

    def ask(self, editor, replies):
        """Runs edit on a terminal and answers its questions; (exit code, what was shown)."""
        main, side = pty.openpty()
        child = subprocess.Popen(
            [machine.BINARY, "--config", str(self.m.config), "edit", "backup"], stdin=side,
            stdout=side, stderr=side, close_fds=True, start_new_session=True,
            env=self.m.environment({"EDITOR": str(editor), "VISUAL": "",
                                    "TMPDIR": str(self.temporary)}))
        os.close(side)
        self.addCleanup(child.kill)
        shown, asked = b"", 0
        with contextlib.suppress(OSError):
            while data := os.read(main, 4096):
                shown += data
                if shown.count(b"[Y/n]") > asked:
                    asked += 1
                    os.write(main, replies.pop(0))
        os.close(main)
        return child.wait(machine.PATIENCE_S), shown.decode()

    def garbage_first(self):
        tried = self.m.root / "tried"
        return self.editor(
            f"tried = pathlib.Path({str(tried)!r})\n"
            "if not tried.exists():\n"
            "    tried.write_text('')\n"
            "    path.write_text(text.replace('every', 'evry').replace('first', 'two'))\n"
            "else:\n"
            "    path.write_text(text.replace('evry', 'every'))")

    def test_on_a_terminal_it_offers_to_edit_again(self):
        code, shown = self.ask(self.garbage_first(), [b"\n"])
        self.assertEqual(code, 0, shown)
        self.assertIn("did you mean every?", shown)
        self.assertIn("changed backup", shown)
        self.assertIn("two", self.m.ok("export", "backup").out)
        self.nothing_is_left()

    def test_who_does_not_want_to_edit_again_keeps_the_text(self):
        code, shown = self.ask(self.garbage_first(), [b"n\n"])
        self.assertEqual(code, 2, shown)
        self.assertIn(f"the text is kept in {self.kept()}", shown.replace("\r\n", ""))
        self.assertEqual(self.version(), 1)

    def test_interrupts_are_the_editors(self):
        ready = self.m.root / "ready"
        os.mkfifo(ready)
        editor = self.editor(
            "import signal\ncaught = []\nsignal.signal(signal.SIGINT, lambda *a: caught.append(1))\n"
            f"open({str(ready)!r}, 'w').close()\n"
            "while not caught: signal.pause()\n"
            "path.write_text(text.replace('first', 'caught'))")
        child = subprocess.Popen(
            [machine.BINARY, "--config", str(self.m.config), "edit", "backup"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
            env=self.m.environment({"VISUAL": str(editor), "TMPDIR": str(self.temporary)}))
        self.addCleanup(child.kill)
        with open(ready, encoding="ascii") as begun:
            begun.read()
        os.killpg(child.pid, signal.SIGINT)
        out, _ = child.communicate(timeout=machine.PATIENCE_S)
        self.assertEqual(child.returncode, 0, out)
        self.assertIn("caught", self.m.ok("export", "backup").out)
