"""As whom, with what and in which order commands run, and what is made of their output."""
import json
import os
import pwd
import unittest

from machine import Story, alive

is_root = unittest.skipUnless(os.geteuid() == 0, "only root can run commands as others")


class Terms(Story):
    settings = ('allow_users = ["nobody", "daemon"]\n'
                '[defaults]\nkill_grace = "500ms"\n[groups]\ndb = 2\n')

    def setUp(self):
        super().setUp()
        self.m.start()

    def output_of(self, name, *options, state="succeeded"):
        """Adds the job, runs it by hand, and gives back what it wrote."""
        self.m.ok("add", name, "--manual", *options)
        self.m("trigger", name, "--wait", "--timeout", "30s")
        run = self.m.runs(name)[-1]
        self.assertEqual(run["state"], state, run)
        return self.m.ok("logs", name).out

    def why(self, name):
        return " ".join(self.m.ok("why", name).out.split())

    @is_root
    def test_a_command_runs_as_another_user_with_that_ones_environment(self):
        out = self.output_of("who", "--user", "nobody", "--shell",
                             "id -un; id -Gn; echo $USER $HOME $LOGNAME; pwd; umask; "
                             "grep CapEff /proc/self/status; cat /etc/shadow; true")
        lines = out.splitlines()
        nobody = pwd.getpwnam("nobody")
        home = nobody.pw_dir if os.path.isdir(nobody.pw_dir) else "/"
        self.assertEqual(lines[0], "nobody")
        self.assertEqual(lines[1], "nogroup")
        self.assertEqual(lines[2], f"nobody {nobody.pw_dir} nobody")
        self.assertEqual(lines[3], home)
        self.assertEqual(lines[4], "0022")
        self.assertEqual(lines[5].split()[1].strip("0"), "")
        self.assertIn("Permission denied", lines[6])

    @is_root
    def test_a_user_that_is_not_listed_runs_nothing(self):
        mark = self.m.root / "mark"
        self.m.ok("add", "bad", "--manual", "--user", "mail", "--", "touch", str(mark))
        self.m("trigger", "bad", "--wait", "--timeout", "30s")
        run = self.m.runs("bad")[-1]
        self.assertEqual((run["state"], run["reason"]), ("failed", "exec_error"), run)
        self.assertIn("user", run["error"])
        self.assertFalse(mark.exists())
        self.m.ok("add", "unknown", "--manual", "--user", "no-such-user", "--", "touch", str(mark))
        self.m("trigger", "unknown", "--wait", "--timeout", "30s")
        self.assertEqual(self.m.runs("unknown")[-1]["reason"], "exec_error")
        self.assertFalse(mark.exists())

    @is_root
    def test_what_a_user_may_not_read_is_no_standard_input(self):
        secret = self.m.root / "secret"
        secret.write_text("x\n")
        secret.chmod(0o600)
        self.m.ok("add", "in", "--manual", "--user", "nobody", "--stdin-file", str(secret), "--",
                  "cat")
        self.m("trigger", "in", "--wait", "--timeout", "30s")
        run = self.m.runs("in")[-1]
        self.assertEqual(run["reason"], "exec_error")
        self.assertIn("standard input", run["error"])

    def test_input_environment_and_limits_are_as_the_job_says(self):
        env = self.m.root / "job.env"
        env.write_text("# comment\nFROM_FILE='a b'\nBOTH=file\nSCHEDCTL_JOB=forged\n")
        out = self.output_of(
            "terms", "--env-file", str(env), "--env", "BOTH=job", "--stdin", "typed\n",
            "--umask", "027", "--nice", "5", "--limit-nofile", "64", "--limit-core", "0B",
            "--shell", "cat; echo \"$FROM_FILE $BOTH $SCHEDCTL_JOB\"; umask; nice; ulimit -n; "
                       "ulimit -c")
        self.assertEqual(out.splitlines(), ["typed", "a b job terms", "0027", "5", "64", "0"])

    def test_what_would_run_is_shown_as_it_then_runs(self):
        self.m.ok("add", "shown", "--manual", "--env", "A=1", "--cwd", "/tmp", "--nice", "3",
                  "--kill-grace", "90s", "--", "env")
        plan = self.m.json("trigger", "shown", "--dry-run")
        self.assertEqual(self.m.runs("shown"), [])
        self.assertEqual(plan["command"], ["env"])
        self.assertEqual((plan["cwd"], plan["nice"], plan["umask"]), ("/tmp", "3", "0022"))
        self.assertEqual((plan["timeout_s"], plan["kill_grace_s"]), (0, 90))
        self.assertIn("kill_grace 1m30s\n", self.m.ok("trigger", "shown", "--dry-run").out)
        self.assertNotIn("limit_core", plan)
        self.assertEqual(self.m.json("show", "shown", "--env").keys(), plan.keys())
        shown = dict(line.split("=", 1) for line in
                     self.m.ok("show", "shown", "--env").out.splitlines())
        for env in (shown, plan["env"]):
            del env["SCHEDCTL_FIRE_TIME"]
        self.assertEqual(shown, plan["env"])
        self.m.ok("trigger", "shown", "--wait")
        ran = dict(line.split("=", 1) for line in self.m.ok("logs", "shown").out.splitlines())
        own = {"SCHEDCTL_RUN_ID", "SCHEDCTL_KEY", "SCHEDCTL_FIRE_TIME"}
        self.assertEqual({k: v for k, v in ran.items() if k not in own and k != "PWD"},
                         {k: v for k, v in shown.items() if k not in own})

    def test_output_decides_where_the_job_says_so(self):
        out = self.output_of("judged", "--fail-match", "^ERROR", "--shell", "echo ERROR: disk",
                             state="failed")
        self.assertEqual(out, "ERROR: disk\n")
        run = self.m.runs("judged")[-1]
        self.assertEqual((run["reason"], run["exit_code"]), ("output", 0))
        self.assertIn("fail_match", self.why("judged"))
        self.output_of("good", "--success-match", "^done$", "--min-output", "5", "--shell",
                       "echo done")
        self.output_of("short", "--min-output", "6", "--shell", "echo done", state="failed")
        # A command that ended with 0 does not make its run a success.
        for job, code in (("judged", 1), ("good", 0), ("short", 1)):
            self.assertEqual(self.m("trigger", job, "--wait", "--exit-code").code, code, job)

    def test_output_can_go_nowhere_or_into_the_log(self):
        self.output_of("quiet", "--output", "discard", "--shell", "echo nothing to see")
        self.assertIsNone(self.m.runs("quiet")[-1]["output"])
        self.output_of("loud", "--output", "log", "--shell", "echo first; printf 'a\\033[1mb\\n'")
        self.assertIsNone(self.m.runs("loud")[-1]["output"])
        lines = self.m.wait_lines(2, "run-output")
        self.assertEqual(len(lines), 2, lines)
        self.assertIn("line=first", lines[0])
        self.assertNotIn("\033", lines[1])
        self.assertEqual([p for p in (self.m.root / "state/output").rglob("*") if p.is_file()
                          and p.stat().st_size], [])

    def test_of_long_output_both_ends_stay_and_the_gap_is_told(self):
        go = self.m.root / "go"
        out = self.output_of(
            "long", "--max-output", "1MiB", "--shell",
            f"echo head; head -c 8000000 /dev/zero | tr '\\0' x; sleep 2.5; echo; echo tail")
        self.assertTrue(out.startswith("head\n"))
        self.assertTrue(out.endswith("\ntail\n"))
        self.assertIn("cut out here (max_output)", out)
        self.assertLess(len(out), 3_000_000)

    def test_each_attempt_has_its_output(self):
        self.m.ok("add", "twice", "--manual", "--max-attempts", "2", "--backoff", "10ms",
                  "--shell", "echo try $SCHEDCTL_ATTEMPT; exit 1")
        self.m("trigger", "twice", "--wait", "--timeout", "30s")
        self.assertEqual(self.m.ok("logs", "twice").out, "try 2\n")
        self.assertEqual(self.m.ok("logs", "twice", "--attempt", "1").out, "try 1\n")
        self.assertEqual(self.m("logs", "twice", "--attempt", "3").code, 3)

    def test_a_signal_reaches_the_command_and_ends_nothing(self):
        self.m.ok("add", "sig", "--manual", "--shell",
                  "trap 'echo caught; exit 0' USR1; echo ready; while :; do sleep 0.05; done")
        self.m.ok("trigger", "sig")
        self.m.wait(lambda: "ready" in self.m("logs", "sig").out, "the trap")
        self.m.ok("signal", "sig", "USR1")
        self.m.wait_state("sig", "succeeded")
        self.assertEqual(self.m.ok("logs", "sig").out.splitlines()[-1], "caught")
        self.assertEqual(self.m("signal", "sig", "USR1").code, 5)
        self.assertEqual(self.m("signal", "sig", "NONE").code, 2)
        self.assertEqual(self.m("signal", "nobody-knows", "HUP").code, 3)

    def test_a_stop_signal_of_its_own_comes_first(self):
        self.m.ok("add", "polite", "--manual", "--stop-signal", "INT", "--kill-grace", "20s",
                  "--shell", "trap 'echo interrupted; exit 3' INT; echo ready; "
                             "while :; do sleep 0.05; done")
        self.m.ok("trigger", "polite")
        self.m.wait(lambda: "ready" in self.m("logs", "polite").out, "the trap")
        self.m.ok("cancel", "polite")
        self.m.wait_state("polite", "cancelled")
        self.assertIn("interrupted", self.m.ok("logs", "polite").out)

    def test_a_group_shares_its_slots(self):
        for name in ("a", "b", "c"):
            self.m.ok("add", name, "--manual", "--group", "db", "--", "sleep", "600")
            self.m.ok("trigger", name)
        self.m.wait(lambda: len(self.m.json("ps")) == 2, "two of three")
        self.assertIn("All 2 slots of the group db are taken", self.why("c"))
        self.m.ok("cancel", "a")
        self.m.wait_runs("c", lambda all_: all_[-1]["state"] == "running", "the third")

    def test_a_job_comes_after_another(self):
        go = self.m.root / "go"
        self.m.ok("add", "import", "--every", "1h", "--immediately", "--shell",
                  f"while [ ! -e {go} ]; do sleep 0.02; done")
        self.m.ok("add", "report", "--every", "1h", "--immediately", "--after", "import", "--",
                  "true")
        self.m.wait(lambda: "reason=after" in self.m.log_text(), "the report to wait")
        self.assertIn("It comes after import (after)", self.why("report"))
        go.touch()
        self.m.wait_state("report", "succeeded")
        self.assertEqual(self.m("set", "import", "--after", "report").code, 2)
        self.assertIn("import after report after import",
                      self.m("set", "import", "--after", "report").err)
        self.assertEqual(self.m("add", "x", "--manual", "--after", "nothing", "--", "true").code, 2)

    def test_who_waits_for_a_job_is_not_left_alone_by_its_rename_or_removal(self):
        self.m.ok("add", "base", "--manual", "--", "true")
        self.m.ok("add", "top", "--every", "1h", "--immediately", "--after", "base", "--", "true")
        self.m.ok("rename", "base", "ground")
        self.assertEqual(self.m.json("show", "top")["policy"]["after"]["value"], ["ground"])
        refused = self.m("remove", "ground")
        self.assertEqual(refused.code, 5)
        self.assertIn("job top comes after ground", refused.err)
        self.m.wait(lambda: "reason=after" in self.m.log_text(), "top to wait")
        self.m.ok("remove", "ground", "--force")
        self.assertIn("There is no job ground any more", self.why("top"))
        self.m.ok("add", "ground", "--manual", "--", "true")
        self.m.ok("trigger", "ground")
        self.m.wait_state("top", "succeeded")

    def test_no_job_can_hold_up_the_beat_by_what_it_writes(self):
        out = self.m("add", "vast", "--manual", "--max-output", "none", "--fail-match", "nothere",
                     "--shell", "truncate -s 15T /proc/self/fd/1")
        self.assertEqual(out.code, 0)
        self.m("trigger", "vast", "--wait", "--timeout", "50s")
        self.assertIn(self.m.runs("vast")[-1]["state"], ("succeeded", "failed"))
        self.m("logs", "vast", "-n", "3")

    def test_what_contradicts_itself_is_refused(self):
        for options, words in (
                (("--output", "discard", "--fail-match", "x"), "discarded"),
                (("--stdin", "x", "--stdin-file", "/dev/null"), "one standard input"),
                (("--fail-match", "("), "not a regular expression"),
                (("--user", "0"), "not a user"),
                (("--limit-nofile", "lots"), "not a number"),
                (("--memory-max", "1 GB"), "amount of data")):
            done = self.m("add", "no", "--manual", *options, "--", "true")
            self.assertEqual(done.code, 2, options)
            self.assertIn(words, done.err)
        files = self.m.root / "jobs"
        files.mkdir()
        (files / "a.toml").write_text('[job.a]\nmanual = true\ncommand = ["true"]\nafter = "b"\n'
                                      '[job.b]\nmanual = true\ncommand = ["true"]\nafter = ["a"]\n')
        done = self.m("validate", str(files))
        self.assertNotEqual(done.code, 0)
        self.assertIn("each would wait for the other", done.out + done.err)
