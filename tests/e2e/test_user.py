"""What a user, a careless one and a hostile one do at the command line: strange bytes, broken files,
other people's daemons."""
import json
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile
import unittest

from machine import BINARY, Machine, Story

HOSTILE = ["\x1b[2J", "\x9b31m", "\x7f", "a\nb", "\u202etxt.exe", "\u2066x", "%s%n", "'; DROP TABLE",
           "--", "-", "#", "#-1", "#99999999999999999999", "7", "*", "[", "naïve", "", " ",
           os.fsdecode(b"\xff\xfe"), "x" * 120_000]
RAW = ("\x1b", "\x9b", "\x7f", "\u202e", "\u2066")
KNOWN_CODES = {0, 1, 2, 3, 4, 5, 69, 77, 78}


class Hostile(Story):
    def check_clean(self, words, answer):
        self.assertIn(answer.code, KNOWN_CODES, (words, answer))
        self.assertLess(len(answer.err), 10_000, words)
        for text in (answer.out, answer.err):
            self.assertFalse([c for c in RAW if c in text], (words, answer))

    def test_no_argument_reaches_the_terminal_raw_or_breaks_json(self):
        self.m.ok("add", "a", "--manual", "--", "true")
        commands = [["show", "@"], ["cancel", "@"], ["logs", "@"], ["@"],
                    ["add", "@", "--manual", "--", "true"],
                    ["add", "q", "--manual", "--tag", "@", "--", "true"],
                    ["add", "q", "--every", "@", "--", "true"],
                    ["add", "q", "--cron", "@", "--", "true"],
                    ["add", "q", "--at", "@", "--", "true"],
                    ["set", "a", "--env", "@"], ["set", "a", "--cwd", "@"],
                    ["pause", "a", "--reason", "@"], ["show", "a"], ["resume", "a"],
                    ["--set", "@=1", "list"], ["list", "--@"], ["validate", "./@"]]
        for hostile in HOSTILE:
            for command in commands:
                words = [w.replace("@", hostile) for w in command]
                self.check_clean(words, self.m(*words))
                answer = self.m("--json", *words)
                for text in filter(str.strip, (answer.out, answer.err)):
                    if text.startswith(("{", "[")):
                        json.loads(text.splitlines()[0] if text == answer.err else text)

    def test_what_is_stored_is_shown_escaped(self):
        evil = "\x1b[2J\x9b\x7f\u202e\n"
        self.m.ok("add", "a", "--manual", "--env", f"A={evil}", "--", "/bin/echo", evil)
        self.m.ok("pause", "a", "--reason", evil)
        for words in (["list"], ["show", "a"], ["list", "--json"], ["show", "a", "--json"]):
            out = self.m.ok(*words).out
            self.assertFalse([c for c in RAW[:3] if c in out], (words, out))
        self.assertEqual(self.m.json("show", "a")["action"]["command"][1], evil)

    def test_escapes_are_not_escaped_again(self):
        answer = self.m("add", "a", "--cron", "0 0 * * \x1b", "--", "true")
        lines = answer.err.splitlines()
        self.assertEqual(lines[1], "  0 0 * * \\x1b")
        self.assertEqual(lines[2].index("^"), lines[1].index("\\x1b"))

    def test_a_reason_has_an_end(self):
        self.m.ok("add", "a", "--manual", "--", "true")
        answer = self.m("pause", "a", "--reason", "x" * 501)
        self.assertEqual(answer.code, 2, answer)
        self.assertIn("--reason", answer.err)
        self.assertFalse(self.m.job("a")["paused"])


class Careless(Story):
    def test_nothing_like_it_is_not_suggested(self):
        self.m.ok("add", "a", "--manual", "--", "true")
        self.assertNotIn("did you mean", self.m("show", "7").err)
        self.assertIn('"status"', self.m("stauts").err)

    def test_a_directory_that_is_not_there_is_told_when_the_job_is_added(self):
        answer = self.m.ok("add", "a", "--manual", "--cwd", "/nonexistent", "--", "true")
        self.assertIn("/nonexistent: No such file", answer.err)

    def test_validate_names_each_error_once(self):
        (self.m.jobs_dir / "a.toml").write_text('[job.x]\nevery = "5m"\n')
        (self.m.jobs_dir / "b.toml").write_text('[job.y]\nevry = "5m"\n')
        answer = self.m("validate", self.m.jobs_dir, self.m.root / "nosuch")
        self.assertEqual(answer.code, 78, answer)
        self.assertEqual(len(answer.err.splitlines()), 3, answer)
        self.assertEqual(answer.err.count("nosuch"), 1, answer)
        document = json.loads(self.m("validate", self.m.jobs_dir, "--json").out)
        self.assertEqual(len(document["errors"]), 2)

    def test_config_refuses_time_zones_that_the_daemon_would_refuse(self):
        for settings, key in (('timezone = "Mars/Base"', "timezone"),
                              ('[calendars.c]\ntimezone = "Mars/Base"\ndates = ["2030-01-01"]',
                               "calendars.c.timezone")):
            self.m.write_config("")
            text = self.m.config.read_text()
            self.m.config.write_text(text.replace('timezone = "UTC"\n', "") + settings + "\n")
            for words in (["config"], ["config", "--json"]):
                answer = self.m(*words)
                self.assertEqual(answer.code, 78, answer)
                self.assertIn("Mars/Base", answer.err)
                self.assertIn(key, answer.err)
                self.assertIn("stop_timeout", answer.out)

    def test_a_job_file_stays_valid_when_its_moment_is_over(self):
        (self.m.jobs_dir / "a.toml").write_text('[job.x]\nat = "2020-01-01T00:00:00Z"\nshell = "x"\n')
        answer = self.m.ok("validate", self.m.jobs_dir)
        self.assertIn("a.toml:2:1: job x:", answer.err)
        self.assertIn("is in the past", answer.err)
        document = json.loads(self.m.ok("validate", self.m.jobs_dir, "--json").out)
        self.assertEqual((document["errors"], len(document["warnings"])), ([], 1))

    def test_start_tells_of_bad_job_files_and_starts(self):
        (self.m.jobs_dir / "a.toml").write_text('[job.x]\ncron = "61 * * * *"\nshell = "x"\n')
        (self.m.jobs_dir / "b.toml").write_text('[job.y]\nevery = "5m"\nshell = "x"\n')
        answer = self.m.ok("start")
        self.assertIn("a.toml:2:1", answer.err)
        self.assertIn("schedctl validate", answer.err)
        self.assertEqual([j["name"] for j in self.m.json("list")], ["y"])

    def test_job_files_that_are_not_mounted_do_not_cost_their_jobs(self):
        (self.m.jobs_dir / "a.toml").write_text('[job.x]\nevery = "5m"\nshell = "x"\n')
        self.m.start()
        self.m.jobs_dir.rename(self.m.root / "elsewhere")
        answer = self.m("reload")
        self.assertEqual(answer.code, 78, answer)
        self.assertIn(str(self.m.jobs_dir), answer.err)
        self.assertEqual([j["name"] for j in self.m.json("list")], ["x"])
        self.m.jobs_dir.mkdir()
        self.m.ok("reload")
        self.assertEqual(self.m.json("list"), [])

    def test_job_files_may_move_to_another_directory_with_the_setting(self):
        text = '[job.x]\nevery = "5m"\nshell = "x"\n'
        (self.m.jobs_dir / "a.toml").write_text(text)
        self.m.start()
        elsewhere = self.m.root / "elsewhere"
        self.m.jobs_dir.rename(elsewhere)
        (elsewhere / "a.toml").write_text(text.replace("5m", "7m"))
        self.m.config.write_text(self.m.config.read_text().replace("/jobs.d", "/elsewhere"))
        self.m.ok("reload")
        job = self.m.job("x")
        self.assertEqual(job["schedule"], {"every": "7m"})
        self.assertEqual(job["managed_by"], f"file:{elsewhere / 'a.toml'}")

    def test_a_store_that_others_can_write_starts_no_daemon(self):
        self.m.ok("add", "a", "--manual", "--", "true")
        self.m.state.chmod(0o770)
        answer = self.m("start")
        self.assertEqual(answer.code, 78, answer)
        self.assertIn(f"others can write {self.m.state},", answer.err)
        self.assertIn("warning: others can write", self.m.ok("list").err)
        self.m.state.chmod(0o700)
        (self.m.state / "schedctl.db").chmod(0o660)
        for words in (["start"], ["list"], ["add", "b", "--manual", "--", "true"]):
            self.assertEqual(self.m(*words).code, 78, words)
        (self.m.state / "schedctl.db").chmod(0o600)
        if os.geteuid() == 0:
            os.chown(self.m.state / "schedctl.db", 23456, -1)
            self.assertIn("23456", self.m("start").err)
            os.chown(self.m.state / "schedctl.db", 0, -1)
        self.m.ok("start")

    def test_settings_with_the_wrong_type_or_a_zone_that_is_none(self):
        for line, words in (("max_running = 5.5", "a string or an integer"),
                            ("stop_timeout = true", "is not a duration"), ("defaults = 1", "[defaults]"),
                            ("environment = 5", "must be a string")):
            self.m.write_config(line)
            answer = self.m("config")
            self.assertEqual(answer.code, 78, answer)
            self.assertIn(words, answer.err)
            self.assertIn("schedctl.toml:6:", answer.err)
        self.m.config.write_text(self.m.config.read_text().split("environment")[0]
                                 .replace('"UTC"', '"Mars/X"'))
        answer = self.m("start")
        self.assertEqual(answer.code, 78, answer)
        self.assertIn("schedctl.toml:5:", answer.err)


@unittest.skipUnless(os.geteuid() == 0, "only root can be two other users")
class TwoUsers(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="schedctl-test-"))
        self.root.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.root, True)
        # Where the build directory lies may be closed to others.
        self.binary = self.root / "schedctl"
        shutil.copy(BINARY, self.binary)
        for name, uid in (("anna", 23456), ("bob", 23457)):
            home = self.root / name
            home.mkdir(mode=0o700)
            os.chown(home, uid, uid)
        self.addCleanup(lambda: self.run_as("anna", 23456, "stop", "--now"))

    def run_as(self, name, uid, *words):
        done = subprocess.run(
            [str(self.binary), *map(str, words)], user=uid, group=uid, extra_groups=[], cwd="/",
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.root / name)}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
            check=False)
        return done

    def test_a_users_own_daemon_is_closed_to_others(self):
        def anna(*words):
            return self.run_as("anna", 23456, *words)
        def bob(*words):
            return self.run_as("bob", 23457, *words)
        self.assertEqual(anna("status").returncode, 3)
        self.assertEqual(list((self.root / "anna").iterdir()), [])
        self.assertEqual(anna("start").returncode, 0)
        done = anna("add", "x", "--manual", "--", "/bin/echo", "secret")
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(anna("trigger", "x", "--wait").returncode, 0)
        state = self.root / "anna/.local/state/schedctl"
        for path in [state, *state.rglob("*")]:
            # The pidfile is for everybody, the log for the group; both lie behind a 0700 directory.
            beyond = stat.S_IMODE(path.lstat().st_mode) & 0o077
            if path.name not in ("run", "schedctl.pid", "info.log"):
                self.assertEqual(beyond, 0, path)
            self.assertEqual(beyond & 0o022, 0, path)
        here = ("--set", f"state_dir={state}")
        for opened in (False, True):
            if opened:
                for path in (self.root / "anna", state.parent.parent, state.parent, state):
                    path.chmod(0o755)
            for words in (["list"], ["add", "y", "--manual", "--", "true"], ["stop"],
                          ["stop", "--now"], ["reload"], ["restart"], ["logs", "x"], ["start"]):
                done = bob(*here, *words)
                self.assertEqual(done.returncode, 77, (opened, words, done))
                self.assertNotIn("secret", done.stdout)
        self.assertEqual(bob(*here, "status").returncode, 0)
        self.assertEqual(anna("status").returncode, 0)
        self.assertEqual(bob("list").returncode, 0)
        self.assertEqual(anna("stop").returncode, 0)
