"""Jobs run, are skipped, fail, are retried, ended and recorded."""
import os
import unittest
import uuid

from machine import Story, alive


class Running(Story):
    settings = '[defaults]\nkill_grace = "500ms"\n'

    def setUp(self):
        super().setUp()
        self.m.start()

    def test_an_interval_job_runs_on_its_grid_and_never_early(self):
        self.m.ok("add", "tick", "--every", "1s", "--", "/bin/true")
        runs = self.m.wait_runs(
            "tick", lambda all_: sum(r["state"] == "succeeded" for r in all_) >= 3, "three runs")
        good = [r for r in runs if r["state"] == "succeeded"]
        self.assertTrue(all(r["delay_s"] >= 0 for r in good))
        self.assertEqual(len({r["fire_time"] for r in runs}), len(runs))
        self.assertTrue(all(r["exit_code"] == 0 and r["cause"] == "schedule" for r in good))

    def test_who_searches_an_output_for_seconds_holds_up_nobody_else(self):
        slow = [f"slow-{n}" for n in range(4)]
        for name in slow:
            # Some microseconds a byte: each search is given up after two seconds.
            self.m.ok("add", name, "--manual", "--fail-match", "((a{0,100}){0,10})b",
                      "--shell", f"head -c 5000000 /dev/zero | tr '\\0' a; echo x >> {self.m.root}/ended")
        self.m.ok("add", "tick", "--every", "1s", "--", "/bin/true")
        for name in slow:
            self.m.ok("trigger", name)
        self.m.wait(lambda: (self.m.root / "ended").exists()
                    and len((self.m.root / "ended").read_text()) == 2 * len(slow), "all to end")
        before = len(self.m.runs("tick"))
        ticks = self.m.wait_runs("tick", lambda all_: len(all_) >= before + 2, "two more runs")
        states = {name: self.m.runs(name)[0]["state"] for name in slow}
        self.assertIn("running", states.values(), "they were searched before anything else ran")
        self.assertEqual([r for r in ticks if r["state"] == "skipped"], [])
        for name in slow:
            self.assertEqual(self.m.wait_state(name, "failed")["reason"], "output")

    def test_a_change_takes_effect_at_once_without_a_restart(self):
        self.m.ok("add", "soon", "--in", "1s", "--", "/bin/true")
        self.m.wait_state("soon", "succeeded")
        self.assertIsNone(self.m.job("soon")["next_fire"])

    def test_an_occurrence_whose_job_still_runs_is_a_row_skipped_overlap(self):
        self.m.ok("add", "slow", "--every", "1s", "--", "sleep", "600")
        skipped = self.m.wait_reason("slow", "overlap")
        self.assertEqual(skipped["state"], "skipped")
        self.assertEqual(len(self.m.json("ps")), 1)
        self.assertEqual(self.m.job("slow")["running"], 1)

    def test_a_failure_has_its_exit_code_and_the_end_of_its_output(self):
        self.m.ok("add", "bad", "--manual", "--shell", "echo before; echo oops >&2; exit 3")
        answer = self.m("trigger", "bad", "--wait")
        self.assertEqual(answer.code, 1, answer)
        run = self.m.runs("bad")[0]
        self.assertEqual((run["state"], run["reason"], run["exit_code"]),
                         ("failed", "exit_status", 3))
        self.assertEqual(self.m.ok("logs", "bad").out, "before\noops\n")
        self.assertEqual(self.m("trigger", "bad", "--wait", "--exit-code").code, 3)
        self.assertTrue(os.path.isfile(run["output"]))
        self.assertEqual(os.stat(run["output"]).st_mode & 0o777, 0o600)

    def test_a_signal_is_named(self):
        self.m.ok("add", "dies", "--manual", "--shell", "kill -SEGV $$")
        self.assertEqual(self.m("trigger", "dies", "--wait").code, 1)
        run = self.m.runs("dies")[0]
        self.assertEqual((run["state"], run["reason"], run["signal"], run["exit_code"]),
                         ("failed", "signal", "SIGSEGV", None))

    def test_what_cannot_be_executed_is_exec_error_in_words(self):
        plain = self.m.root / "plain"
        plain.write_text("#!/bin/sh\n")
        for name, path, words in (("gone", "/no/such/program", "No such file"),
                                  ("plain", str(plain), "Permission denied")):
            self.m.ok("add", name, "--manual", "--", path)
            self.assertEqual(self.m("trigger", name, "--wait").code, 1)
            run = self.m.runs(name)[0]
            self.assertEqual((run["state"], run["reason"]), ("failed", "exec_error"))
            self.assertIn(words, self.m.ok("show", name).out + self.m.log_text())

    def test_the_exit_code_127_means_the_command_and_nothing_else(self):
        plain = self.m.root / "plain"
        plain.write_text("#!/bin/sh\n")
        for name, code, words in (
                ("gone", 127, ["--", "/no/such/program"]),
                ("plain", 126, ["--", plain]),
                ("nowhere", 126, ["--cwd", "/no/such/directory", "--", "true"]),
                ("bare", 126, ["--env-file", self.m.root / "no-such-file", "--", "true"]),
                ("mute", 126, ["--stdin-file", self.m.root / "no-such-file", "--", "true"])):
            self.m.ok("add", name, "--manual", *map(str, words))
            answer = self.m("trigger", name, "--wait", "--exit-code")
            self.assertEqual(answer.code, code, (name, answer))
            self.assertEqual(self.m.runs(name)[0]["reason"], "exec_error")

    def test_a_timeout_ends_the_whole_group_even_if_it_ignores_term(self):
        pids = self.m.root / "pids"
        self.m.ok("add", "deaf", "--manual", "--timeout", "1s", "--kill-grace", "300ms", "--shell",
                  f"trap '' TERM; sleep 600 & echo $! $$ > {pids}; while :; do sleep 1; done")
        self.assertEqual(self.m("trigger", "deaf", "--wait").code, 1)
        run = self.m.runs("deaf")[0]
        self.assertEqual((run["state"], run["reason"]), ("failed", "timeout"))
        for pid in map(int, pids.read_text().split()):
            self.m.wait_gone(pid)

    def test_retries_back_off_and_keep_their_key(self):
        seen = self.m.root / "seen"
        self.m.ok("add", "flaky", "--manual", "--max-attempts", "3", "--backoff", "1s",
                  "--max-delay", "5s", "--shell",
                  f"echo $SCHEDCTL_ATTEMPT $SCHEDCTL_KEY $SCHEDCTL_RUN_ID >> {seen}; "
                  "test $SCHEDCTL_ATTEMPT = 3")
        self.m.ok("trigger", "flaky", "--wait")
        run = self.m.runs("flaky")[0]
        self.assertEqual((run["state"], run["attempt"]), ("succeeded", 3))
        lines = [line.split() for line in seen.read_text().splitlines()]
        self.assertEqual([line[0] for line in lines], ["1", "2", "3"])
        self.assertEqual(len({tuple(line[1:]) for line in lines}), 1)
        self.assertEqual(uuid.UUID(lines[0][1]).version, 5)
        self.assertEqual(run["key"], lines[0][1])

    def test_the_environment_is_built_and_holds_nothing_of_the_daemons(self):
        os.environ["LEAKED_SECRET"] = "hunter2"
        self.addCleanup(os.environ.pop, "LEAKED_SECRET")
        self.m.ok("restart")
        self.m.ok("add", "env", "--manual", "--timezone", "Europe/Berlin", "--env", "GREETING=hello you",
                  "--", "/usr/bin/env")
        self.m.ok("trigger", "env", "--wait")
        lines = self.m.ok("logs", "env").out.splitlines()
        variables = dict(line.split("=", 1) for line in lines)
        self.assertEqual(
            set(variables),
            {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "GREETING",
             "SCHEDCTL_RUN_ID", "SCHEDCTL_JOB", "SCHEDCTL_FIRE_TIME", "SCHEDCTL_ATTEMPT",
             "SCHEDCTL_KEY"})
        self.assertEqual(variables["GREETING"], "hello you")
        self.assertEqual(variables["SCHEDCTL_JOB"], "env")

    def test_a_job_gets_only_three_descriptors_and_default_signals(self):
        self.m.ok("add", "fds", "--manual", "--shell",
                  "ls /proc/$$/fd; grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status")
        self.m.ok("trigger", "fds", "--wait")
        lines = self.m.ok("logs", "fds").out.split()
        self.assertEqual(lines[:3], ["0", "1", "2"])
        self.assertEqual(lines[4], "0" * 16)
        self.assertEqual(lines[6], "0" * 16)

    def test_cancel_ends_a_running_job_and_is_the_operators(self):
        self.m.ok("add", "long", "--manual", "--max-attempts", "5", "--", "sleep", "600")
        self.m.ok("trigger", "long")
        self.m.wait(lambda: self.m.runs("long")[0]["pid"], "a pid")
        pid = self.m.runs("long")[0]["pid"]
        self.m.ok("cancel", "long")
        run = self.m.wait_state("long", "cancelled")
        self.assertEqual(run["reason"], "operator")
        self.assertFalse(alive(pid))

    def test_cancel_ends_a_waiting_retry(self):
        self.m.ok("add", "later", "--manual", "--max-attempts", "2", "--backoff", "1h", "--",
                  "/bin/false")
        self.m.ok("trigger", "later")
        run = self.m.wait_runs("later", lambda r: r[0]["attempt"] == 2, "the retry to wait")[0]
        self.m.ok("cancel", f"#{run['id']}")
        self.assertEqual(self.m.runs("later")[0]["state"], "cancelled")

    def test_a_failed_attempt_keeps_its_retry_when_the_schedule_changes(self):
        self.m.ok("add", "rt", "--every", "1h", "--immediately", "--max-attempts", "2",
                  "--backoff", "2s", "--shell", "exit 3")
        self.m.wait_runs("rt", lambda r: r and r[0]["attempt"] == 2, "the retry to wait")
        self.m.ok("set", "rt", "--every", "2h")
        run = self.m.wait_runs("rt", lambda r: r[0]["state"] == "failed", "the retry to fail")[-1]
        self.assertEqual((run["attempt"], run["reason"]), (2, "exit_status"))

    def test_a_failed_attempt_whose_job_goes_from_its_file_is_told(self):
        file = self.m.jobs_dir / "rt.toml"
        file.write_text('[job.rt]\nevery = "1h"\nimmediately = true\nshell = "exit 3"\n'
                        'retry = { max_attempts = 2, backoff = "1h" }\n')
        file.chmod(0o600)
        self.m.ok("reload")
        self.m.wait_runs("rt", lambda r: r and r[0]["attempt"] == 2, "the retry to wait")
        file.unlink()
        self.m.ok("reload")
        run = self.m.runs("rt")[0]
        self.assertEqual((run["state"], run["reason"], run["exit_code"]),
                         ("cancelled", "removed", 3))
        told = self.m.ok("why", "rt", "--at", run["fire_time"]).out
        self.assertIn("failed (exit status 3), and it was not tried again", told)
        self.assertNotIn("did not run", told)

    def test_trigger_follows_overlap_and_force_overrides(self):
        self.m.ok("add", "busy", "--manual", "--", "sleep", "600")
        self.m.ok("trigger", "busy")
        self.m.wait_state("busy", "running")
        refused = self.m("trigger", "busy")
        self.assertNotEqual(refused.code, 0)
        self.assertEqual(self.m.runs("busy")[-1]["reason"], "overlap")
        self.m.ok("trigger", "busy", "--force")
        self.m.wait(lambda: len(self.m.json("ps")) == 2, "two live runs")

    def test_a_run_ends_with_its_child_not_with_its_output(self):
        self.m.ok("add", "leaves", "--manual", "--shell", "sleep 600 & echo $!; exit 0")
        self.m.ok("trigger", "leaves", "--wait")
        left = int(self.m.ok("logs", "leaves").out)
        # It does not outlive the run for long, in a session of its own or not.
        self.m.wait(lambda: not os.path.exists(f"/proc/{left}"), "the end of what it left behind")

    def test_output_is_kept_as_bytes_and_its_tail_is_in_the_row(self):
        self.m.ok("add", "loud", "--manual", "--shell",
                  r"head -c 100000 /dev/zero | tr '\0' x; printf 'end\n'")
        self.m.ok("trigger", "loud", "--wait")
        self.assertEqual(len(self.m.ok("logs", "loud").out), 100004)
        tail = self.m.column("SELECT output_tail FROM run")[0]
        self.assertEqual(len(tail), 8192)
        self.assertTrue(bytes(tail).endswith(b"xend\n"))

    def test_cpu_and_memory_are_measured(self):
        self.m.ok("add", "busy", "--manual", "--shell",
                  "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
        self.m.ok("trigger", "busy", "--wait")
        run = self.m.runs("busy")[0]
        self.assertGreater(run["cpu_s"], 0.01)
        self.assertGreaterEqual(run["duration_s"], run["cpu_s"] * 0.5)

    def test_follow_prints_what_a_live_run_writes_and_ends_with_it(self):
        self.m.ok("add", "talks", "--manual", "--cwd", str(self.m.root), "--shell",
                  "echo one; while [ ! -e go ]; do sleep 0.05; done; echo two")
        self.m.ok("trigger", "talks")
        self.m.wait(lambda: self.m.runs("talks")[0]["pid"], "a pid")
        follower = self.m.popen("logs", "-f", "talks")
        self.assertEqual(follower.stdout.readline(), "one\n")
        (self.m.root / "go").touch()
        out, _ = follower.communicate(timeout=60)
        self.assertEqual(out, "two\n")

    def test_the_log_tells_each_transition_on_one_line(self):
        self.m.ok("add", "tell", "--manual", "--", "/bin/false")
        self.m("trigger", "tell", "--wait")
        lines = self.m.wait_lines(2, "job=tell")
        self.assertEqual(len(lines), 2, lines)
        self.assertIn("run-started", lines[0])
        self.assertIn("run-failed", lines[1])
        self.assertIn("exit=1", lines[1])


class Missed(Story):
    def backdate(self, name, seconds):
        """What the store looks like when the daemon was off for that long."""
        import contextlib
        import sqlite3
        with contextlib.closing(sqlite3.connect(self.m.state / "schedctl.db")) as db:
            db.execute("UPDATE job SET planned_through = planned_through - ?1, "
                       "next_fire = next_fire - ?1, anchor = anchor - ?1 WHERE name = ?2",
                       (seconds * 1_000_000, name))
            db.commit()

    def test_within_the_grace_the_latest_runs_and_the_others_have_their_row(self):
        self.m.ok("add", "m", "--every", "60s", "--", "/bin/true")
        self.backdate("m", 1800)
        self.m.start()
        self.m.wait_state("m", "succeeded")
        runs = self.m.runs("m")
        self.assertEqual(sum(r["count"] for r in runs), 30)
        self.assertEqual([r["reason"] for r in runs[:1]], ["coalesced"])

    def test_beyond_the_grace_they_are_missed(self):
        self.m.ok("add", "m", "--every", "2h", "--misfire-grace", "1m", "--", "/bin/true")
        self.backdate("m", 86400 + 3600)
        self.m.start()
        missed = self.m.wait_state("m", "missed")
        self.assertEqual((missed["reason"], missed["count"]), ("misfire", 12))

    def test_all_of_them_run_where_asked_for(self):
        self.m.ok("add", "m", "--every", "60s", "--coalesce", "all", "--", "/bin/true")
        self.backdate("m", 300)
        self.m.start()
        self.m.wait_runs("m", lambda all_: sum(r["state"] == "succeeded" for r in all_) == 5,
                         "five runs")

    def test_a_pause_is_one_row_and_nothing_is_caught_up(self):
        self.m.ok("add", "m", "--every", "60s", "--", "/bin/true")
        self.m.ok("pause", "m", "--reason", "maintenance")
        self.m.start()
        self.assertTrue(self.m.job("m")["paused"])
        self.assertIsNone(self.m.job("m")["next_fire"])
        self.m.ok("stop")
        self.m.column("SELECT 1")
        self.m.ok("resume", "m")
        self.assertFalse(self.m.job("m")["paused"])
        self.assertEqual(self.m.runs("m"), [])


class KeeperAndDaemonDie(Story):
    def test_after_kill_9_of_the_daemon_real_exit_codes_are_recorded(self):
        pid = self.m.start()
        self.m.ok("add", "lives", "--manual", "--cwd", str(self.m.root), "--shell",
                  "while [ ! -e go ]; do sleep 0.05; done; exit 9")
        self.m.ok("trigger", "lives")
        self.m.wait(lambda: self.m.runs("lives")[0]["pid"], "a pid")
        job_pid = self.m.runs("lives")[0]["pid"]
        os.kill(pid, 9)
        self.m.wait_gone(pid)
        (self.m.root / "go").touch()
        self.m.wait_gone(job_pid)
        self.m.start()
        self.assertEqual(self.m.wait_state("lives", "failed")["exit_code"], 9)

    def test_after_kill_9_of_the_keeper_its_runs_are_lost_and_work_goes_on(self):
        self.m.start()
        self.m.ok("add", "gone", "--manual", "--", "sleep", "600")
        self.m.ok("trigger", "gone")
        self.m.wait(lambda: self.m.runs("gone")[0]["pid"], "a pid")
        job_pid = self.m.runs("gone")[0]["pid"]
        os.kill(self.m.keeper_pid(), 9)
        lost = self.m.wait_state("gone", "lost")
        self.assertEqual(lost["reason"], "keeper_died")
        self.m.wait_gone(job_pid)
        self.m.ok("add", "next", "--manual", "--", "/bin/true")
        self.m.ok("trigger", "next", "--wait")


if __name__ == "__main__":
    unittest.main()
