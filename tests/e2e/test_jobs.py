"""Jobs are defined, changed and looked at, with the daemon down; bad input gets clear answers."""
import json
import os
import re
import subprocess
import unittest

from machine import BINARY, Story


class Defining(Story):
    def test_add_says_what_it_understood_and_the_next_three_fires(self):
        answer = self.m.ok("add", "backup", "--cron", "30 2 * * *", "--timezone",
                           "Europe/Amsterdam", "--", "/bin/true")
        text = answer.out
        self.assertIn("02:30", text)
        self.assertIn("Europe/Amsterdam", text)
        self.assertEqual(len(re.findall(r" 02:30:00 ?\+0[12]:00", text)), 3, answer)
        self.assertIn("no daemon", answer.err)

    def test_everything_that_list_promises_is_there(self):
        self.m.ok("add", "a", "--every", "5m", "--tag", "db", "--", "/bin/echo", "hi there")
        self.m.ok("add", "b", "--manual", "--shell", "echo $HOME")
        a, b = self.m.json("list")
        self.assertEqual(set(a), {"name", "schedule", "timezone", "action", "paused", "next_fire",
                                  "last_fire", "last_start", "last_end", "last_state", "running",
                                  "tags", "managed_by", "open_alerts"})
        self.assertEqual(a["schedule"], {"every": "5m"})
        self.assertEqual(a["action"], {"command": ["/bin/echo", "hi there"]})
        self.assertEqual((a["tags"], a["timezone"], a["managed_by"]), (["db"], "UTC", "cli"))
        self.assertRegex(a["next_fire"], r"^\d{4}-\d\d-\d\dT[\d:.]+Z$")
        self.assertEqual((b["schedule"], b["action"], b["next_fire"]),
                         ({"manual": True}, {"shell": "echo $HOME"}, None))
        self.assertEqual([j["name"] for j in self.m.json("list", "--tag", "db")], ["a"])

    def test_set_show_pause_remove(self):
        self.m.ok("add", "a", "--every", "5m", "--timeout", "10s", "--", "/bin/true")
        self.m.ok("set", "a", "--every", "10m")
        self.assertEqual(self.m.job("a")["schedule"], {"every": "10m"})
        self.m.ok("set", "a", "--unset", "timeout")
        self.m.ok("pause", "a", "--reason", "holiday")
        self.assertIn("holiday", self.m.ok("show", "a").out)
        self.m.ok("resume", "a")
        self.m.ok("remove", "a")
        self.assertEqual(self.m("show", "a").code, 3)
        actions = self.m.column("SELECT action FROM audit ORDER BY rowid")
        self.assertEqual(actions, ["add", "set", "set", "pause", "resume", "remove"])

    def test_next_without_a_daemon_and_for_an_expression(self):
        fires = self.m.json("next", "--cron", "0 12 * * *", "--timezone", "America/New_York",
                            "--from", "2026-03-07T00:00:00Z", "-n", "3")
        self.assertEqual([f["fire_time"] for f in fires],
                         ["2026-03-07T17:00:00Z", "2026-03-08T16:00:00Z", "2026-03-09T16:00:00Z"])
        self.assertEqual(fires[0]["local"], "2026-03-07T12:00:00-05:00")

    def test_a_trigger_while_no_daemon_runs_is_done_by_the_next_one(self):
        self.m.ok("add", "a", "--manual", "--", "/bin/true")
        answer = self.m.ok("trigger", "a")
        self.assertIn("no daemon", answer.err)
        self.m.start()
        self.m.wait_state("a", "succeeded")

    def test_ten_thousand_characters_of_anything_in_output_do_no_harm_to_a_terminal(self):
        self.m.ok("add", "a", "--manual", "--", "/bin/echo", "\x1b[2Jevil\nname")
        for command in (["list"], ["show", "a"]):
            self.assertNotIn("\x1b[2J", self.m.ok(*command).out)

    def test_a_job_file_as_deep_as_the_sea_is_an_error_at_its_place(self):
        self.m.start()
        file = self.m.jobs_dir / "deep.toml"
        file.write_text("job" + ".a" * 1_000_000 + " = 1\n")
        file.chmod(0o600)
        answer = self.m("validate", self.m.jobs_dir)
        self.assertGreater(answer.code, 0, answer.err)
        self.assertIn(f"{file}:1:66", answer.out + answer.err)
        self.m("reload")
        self.m.wait(lambda: "job-file-error" in self.m.log.read_text(), "the error in the log")
        self.m.ok("status")

    def test_job_files_own_their_jobs(self):
        (self.m.jobs_dir / "x.toml").write_text(
            '[job.filed]\ncron = "0 4 * * *"\nshell = "echo hi"\nretry = { max_attempts = 3 }\n')
        self.m.ok("validate", self.m.jobs_dir)
        self.m.start()
        answer = self.m("remove", "filed")
        self.assertEqual(answer.code, 5, answer)
        self.assertIn("x.toml", answer.err)
        self.m.ok("pause", "filed")
        self.m.ok("reload")
        self.assertTrue(self.m.job("filed")["paused"])


class BadInput(Story):
    def refused(self, code, *words, **kw):
        answer = self.m(*words, **kw)
        self.assertEqual(answer.code, code, f"{words}: {answer}")
        self.assertEqual(answer.out, "")
        self.assertTrue(answer.err.strip())
        return answer.err

    def test_cron_errors_point_at_the_character(self):
        text = self.refused(2, "add", "x", "--cron", "61 * * * *", "--", "/bin/true")
        lines = text.splitlines()
        expression = next(i for i, line in enumerate(lines) if line.strip() == "61 * * * *")
        self.assertEqual(lines[expression].index("61"), lines[expression + 1].index("^"))
        self.assertIn("--cron", text)
        for bad in ("* * *", "* * * * * * *", "0 0 30 2 *", "a * * * *", "*/0 * * * *",
                    "5-1 * * * *", "", "0 0 31 4,6,9,11 *", "1,,2 * * * *"):
            self.refused(2, "add", "x", "--cron", bad, "--", "/bin/true")

    def test_durations(self):
        for bad in ("5", "-5s", "1x", "999999999999999999w", "0s", "500ms", "1.5h", ""):
            self.refused(2, "add", "x", f"--every={bad}", "--", "/bin/true")

    def test_names_zones_commands_and_combinations(self):
        self.assertIn("Europe/Berlin", self.refused(
            2, "add", "x", "--cron", "0 0 * * *", "--timezone", "Europe/Berlim", "--", "true"))
        for name in ("", "-x", "a b", "a/b", "x" * 129, ".hidden", "naïve"):
            self.assertNotEqual(self.m("add", "--every", "5m", "--", "true").code, 0)
            answer = self.m("add", name, "--every", "5m", "--", "true")
            self.assertEqual(answer.code, 2, (name, answer))
        self.refused(2, "add", "x", "--every", "5m")
        self.refused(2, "add", "x", "--", "true")
        self.refused(2, "add", "x", "--every", "5m", "--cron", "* * * * *", "--", "true")
        self.refused(2, "add", "x", "--at", "2001-01-01 00:00", "--", "true")
        self.refused(2, "add", "x", "--every", "5m", "--shell", "a", "--", "true")
        self.m.ok("add", "x", "--every", "5m", "--", "true")
        self.refused(5, "add", "x", "--every", "5m", "--", "true")
        self.assertEqual(len(self.m.json("list")), 1)

    def test_too_much_for_the_keeper_is_refused_when_it_is_added(self):
        text = self.refused(2, "add", "x", "--every", "5m", "--", "echo", "x" * 125_000)
        self.assertIn("122880", text)

    def test_unknown_words(self):
        for wrong, right in (("lst", "list"), ("run", "trigger"), ("rm", "remove"),
                             ("history", "runs"), ("enable", "resume"), ("kill", "cancel")):
            self.assertIn(right, self.refused(2, wrong, "x"))
        self.refused(2, "stop", "backup")
        self.refused(2, "add", "x", "--evry", "5m", "--", "true")
        self.refused(3, "show", "nothing")
        self.refused(3, "cancel", "#99")

    def test_errors_as_json(self):
        answer = self.m("--json", "show", "nothing")
        self.assertEqual(json.loads(answer.err)["error"]["kind"], "not_found")

    def test_a_config_that_others_may_write_is_refused(self):
        self.m.config.chmod(0o664)
        self.assertIn("chmod", self.refused(78, "list"))

    def test_a_locked_database_is_69_and_the_daemon_goes_on(self):
        import sqlite3
        pid = self.m.start()
        self.m.ok("add", "tick", "--every", "1s", "--", "/bin/true")
        holder = sqlite3.connect(self.m.state / "schedctl.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        self.assertIn("locked", self.refused(69, "add", "y", "--every", "5m", "--", "true"))
        self.m.wait(lambda: "beat-failed" in self.m.log_text(), "a beat that failed")
        holder.execute("ROLLBACK")
        holder.close()
        self.m.wait_state("tick", "succeeded")
        self.assertEqual(self.m.pid(), pid)

    def test_a_newer_or_corrupt_database_is_78_and_is_not_touched(self):
        self.m.ok("add", "x", "--manual", "--", "true")
        import contextlib
        import sqlite3
        path = self.m.state / "schedctl.db"
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA user_version = 4711")
        self.assertIn("4711", self.refused(78, "list"))
        self.assertEqual(self.m("start").code, 78)
        path.write_bytes(os.urandom(8192))
        before = path.read_bytes()
        self.refused(78, "add", "y", "--manual", "--", "true")
        self.assertEqual(path.read_bytes(), before)

    @unittest.skipUnless(os.geteuid() == 0, "mounting a small file system needs root")
    def test_a_full_disk_is_told_and_recovered_from(self):
        self.m.state.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", self.m.state],
                       check=True)
        # Cleaned up in the opposite order: first the daemon, then its disk.
        self.addCleanup(subprocess.run, ["umount", "-l", self.m.state], check=False)
        self.addCleanup(self.m.stop)
        self.m.ok("add", "tick", "--every", "1s", "--", "/bin/true")
        pid = self.m.start()
        self.m.wait_state("tick", "succeeded")
        filler = self.m.state / "filler"
        try:
            with open(filler, "wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
        except OSError:
            pass
        self.m.wait(lambda: "beat-failed" in self.m.log_text(), "a beat that failed")
        answer = self.m("add", "y", "--every", "5m", "--", "x" * 8000)
        self.assertNotEqual(answer.code, 0, answer)
        self.assertIn("space", answer.err)
        filler.unlink()
        count = len(self.m.runs("tick"))
        self.m.wait_runs("tick", lambda r: len(r) > count, "runs to go on")
        self.assertEqual(self.m.pid(), pid)

    def test_help_and_version(self):
        self.assertRegex(self.m.ok("--version").out, r"^schedctl \d+\.\d+\.\d+")
        for words in (["help"], ["--help"], ["help", "add"], ["add", "--help"]):
            self.assertIn("schedctl", self.m.ok(*words).out)
        bare = subprocess.run([BINARY], capture_output=True, text=True, check=False)
        self.assertEqual(bare.returncode, 2)


class Configuration(Story):
    def test_config_names_each_settings_origin(self):
        self.m.write_config("max_running = 7")
        rows = {r["key"]: r for r in self.m.json("--set", "stop_timeout=5s", "config")}
        self.assertIn(f"{self.m.config}:", rows["max_running"]["origin"])
        self.assertEqual(rows["max_running"]["value"], "7")
        self.assertEqual(rows["stop_timeout"]["origin"], "--set")
        self.assertEqual(rows["log_level"]["origin"], "default")
        answer = self.m("config", "--json", env={"SCHEDCTL_LOG_LEVEL": "debug"})
        level = next(r for r in answer.json if r["key"] == "log_level")
        self.assertEqual((level["value"], level["origin"]), ("debug", "SCHEDCTL_LOG_LEVEL"))

    def test_an_unknown_variable_is_a_warning_an_unknown_key_an_error(self):
        self.assertEqual(self.m("list", env={"SCHEDCTL_PORT": "tcp://10.0.0.1:80"}).code, 0)
        answer = self.m("--set", "max_runing=3", "list")
        self.assertEqual(answer.code, 78, answer)
        self.assertIn("max_running", answer.err)


if __name__ == "__main__":
    unittest.main()
