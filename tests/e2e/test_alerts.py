"""What people are told: a real daemon, a real HTTP server in Slack's place."""
import json
import os
import pathlib
import signal
import time
import unittest

from machine import Machine, Story, freeze
from slack import HANG, Answer, SlackServer, failing


class Told(Story):
    """A machine whose daemon tells a server of the test's own."""
    more = ""

    def setUp(self):
        self.slack = SlackServer()
        self.addCleanup(self.slack.end)
        self.m = Machine(self.told_settings())
        self.addCleanup(self.m.close)

    def told_settings(self, more=None):
        return (f'environment = "testing"\n{self.more if more is None else more}\n'
                f'[alerts.slack]\nwebhook_url = "{self.slack.url}"\n')

    def texts(self):
        """The fallback texts received so far, oldest first."""
        return [r.json.get("text", "") for r in self.slack.requests]

    def bodies(self):
        return [json.dumps(r.json, ensure_ascii=False) for r in self.slack.requests]

    def wait_text(self, *words):
        """Waits for a message whose fallback text has all the words."""
        def look():
            return next((t for t in self.texts() if all(w in t for w in words)), None)
        return self.m.wait(look, f"a message with {words}; so far {self.texts()}")

    def flag(self, name):
        return self.m.root / name


class Episodes(Told):
    def test_a_failure_is_told_with_its_output_and_its_end_once_each(self):
        flag = self.flag("bad")
        flag.write_text("")
        self.m.start()
        self.m.ok("add", "backup", "--every", "1s", "--shell",
                  f"echo reading; if [ -e {flag} ]; then echo disk is full; exit 3; fi")
        self.wait_text("backup failed", "exit status 3", "[testing]")
        body = next(b for b in self.bodies() if "backup failed" in b)
        self.assertIn("disk is full", body)
        self.m.wait_runs("backup", lambda runs: len([r for r in runs if r["state"] == "failed"]) >= 4,
                         "four failures")
        self.assertEqual(len(self.texts()), 1, self.texts())
        self.assertEqual(self.m.job("backup")["open_alerts"], 1)
        self.assertEqual(self.m.json("status")["alerts_open"], 1)
        flag.unlink()
        self.wait_text("backup succeeded again")
        self.assertEqual(self.m.job("backup")["open_alerts"], 0)
        # Back within the flap window: counted, not told.
        flag.write_text("")
        self.m.wait(lambda: self.m.json("status")["alerts_open"] == 1, "the episode to be back")
        time.sleep(2.5)
        self.assertEqual(len(self.texts()), 2, self.texts())

    def test_a_job_that_waits_for_its_own_run_is_delayed_and_says_which(self):
        self.m.start()
        self.m.ok("add", "slow", "--every", "2s", "--alert-grace", "1s", "--shell",
                  f"while [ ! -e {self.flag('go')} ]; do sleep 0.1; done")
        text = self.wait_text("slow is delayed")
        self.assertIn("still runs", text)
        self.flag("go").write_text("")
        self.m.wait(lambda: any("slow" in t and ("has started" in t or "succeeded" in t)
                                for t in self.texts()), "its end")

    def test_a_job_that_never_ran_is_inactive_and_a_manual_or_paused_one_is_not(self):
        self.m.write_config("max_running = 1\n" + self.told_settings())
        self.m.start()
        self.m.ok("add", "hog", "--manual", "--shell",
                  f"while [ ! -e {self.flag('go')} ]; do sleep 0.1; done")
        self.m.ok("trigger", "hog")
        self.m.wait_state("hog", "running")
        self.m.ok("add", "by-hand", "--manual", "--alert-grace", "1s", "--", "true")
        self.m.ok("trigger", "by-hand")
        self.m.ok("add", "held", "--every", "1s", "--alert-grace", "1s", "--paused", "--", "true")
        self.m.ok("add", "starved", "--every", "1s", "--alert-grace", "1s", "--", "true")
        text = self.wait_text("starved has never run")
        self.assertIn("max_running", text)
        self.flag("go").write_text("")
        self.m.wait_state("starved", "succeeded")
        self.wait_text("starved has started")
        self.assertFalse([t for t in self.texts() if "by-hand" in t or "held" in t])

    def test_occurrences_missed_while_the_daemon_was_off_are_told_with_the_cause(self):
        self.m.start()
        self.m.ok("add", "strict", "--every", "1s", "--misfire-grace", "4s", "--", "true")
        self.m.wait_state("strict", "succeeded")
        self.m.stop()
        stopped = time.monotonic()
        self.m.wait(lambda: time.monotonic() > stopped + 6, "some occurrences")
        self.m.start()
        self.wait_text("strict missed its time")
        body = next(b for b in self.bodies() if "missed its time" in b)
        self.assertIn("the daemon was stopped", body)

    def test_a_lost_run_is_told_when_its_keeper_is_killed(self):
        self.m.start()
        self.m.ok("add", "long", "--every", "1s", "--", "sleep", "1000")
        self.m.wait_state("long", "running")
        self.m.wait(lambda: self.m.runs("long")[0]["pid"], "its process")
        os.kill(self.m.keeper_pid(), signal.SIGKILL)
        self.wait_text("long was lost")
        self.assertIn("the keeper died", "".join(self.bodies()))

    def test_a_frozen_keeper_is_told_nothing_is_claimed_and_it_is_over_when_it_goes_on(self):
        self.m.start()
        self.m.ok("add", "tick", "--every", "1s", "--", "true")
        self.m.wait_state("tick", "succeeded")
        usual = self.seconds_to_add("usual")
        keeper = self.m.keeper_pid()
        os.kill(keeper, signal.SIGSTOP)
        try:
            self.wait_text("the keeper cannot be reached")
            before = [r for r in self.m.runs("tick") if r["state"] == "running"]
            self.assertLessEqual(len(before), 1)
            self.assertNotIn("lost", {r["state"] for r in self.m.runs("tick")})
            # The daemon serves its users meanwhile.
            self.assertLess(self.seconds_to_add("other"), 8 + 2 * usual)
        finally:
            os.kill(keeper, signal.SIGCONT)
        self.wait_text("the keeper works again")
        done = len([r for r in self.m.runs("tick") if r["state"] == "succeeded"])
        self.m.wait_runs("tick", lambda runs: len([r for r in runs if r["state"] == "succeeded"])
                         > done, "it to run again")

    def seconds_to_add(self, name):
        began = time.monotonic()
        self.m.ok("add", name, "--every", "1h", "--", "true")
        self.m.ok("reload")
        return time.monotonic() - began

    def test_pause_ack_and_removal_end_an_episode(self):
        self.m.start()
        for name in ("paused", "acked", "removed"):
            self.m.ok("add", name, "--every", "1h", "--immediately", "--", "false")
            self.wait_text(f"{name} failed")
        self.m.ok("pause", "paused")
        self.m.ok("alerts", "ack", "acked")
        self.m.ok("remove", "removed")
        self.wait_text("paused was paused")
        self.wait_text("acked: acknowledged")
        self.wait_text("removed was removed")
        self.assertEqual(self.m.json("alerts"), [])

    def test_a_bad_job_file_is_told_keeps_its_last_good_jobs_and_is_over_when_mended(self):
        path = self.m.jobs_dir / "night.toml"
        path.write_text('[job.tick]\nevery = "1s"\ncommand = ["true"]\n')
        self.m.start()
        path.write_text('[job.tick]\nevery = "1x"\ncommand = ["true"]\n')
        self.m("reload")
        text = self.wait_text("night.toml cannot be used")
        self.assertIn("night.toml:2", text)
        done = len(self.m.runs("tick"))
        self.m.wait_runs("tick", lambda runs: len(runs) > done, "the job to go on")
        path.write_text('[job.tick]\nevery = "2s"\ncommand = ["true"]\n')
        self.m.ok("reload")
        self.wait_text("night.toml works again")

    def test_hostile_output_mentions_nobody_and_breaks_nothing(self):
        self.m.start()
        nasty = self.m.root / "nasty"
        nasty.write_bytes(b"<!channel> <!here> <@U123> <https://evil|click> ```out``` `x` &lt; \xff\xfe"
                          b"\x1b[31m \x00 \"}]} @channel @here\n" * 200)
        self.m.ok("add", "nasty", "--every", "1h", "--immediately", "--shell",
                  f"cat {nasty}; exit 1")
        self.wait_text("nasty failed")
        body = self.bodies()[0]
        for mark in ("<!channel>", "<!here>", "<@U123>", "<https", "@channel", "@here"):
            self.assertNotIn(mark, body)
        for block in self.slack.requests[0].json["blocks"]:
            text = block.get("text", {}).get("text", "")
            self.assertLessEqual(len(text), 3000)
            self.assertIn(text.count("```"), (0, 2), text)


class Delivery(Told):
    def fail_job(self, name):
        self.m.ok("add", name, "--every", "1h", "--immediately", "--", "false")

    def test_a_busy_slack_is_tried_again_when_it_says_and_a_broken_one_later(self):
        self.slack.answers += [failing(429, Retry_After="3"), failing(500)]
        self.m.start()
        self.fail_job("one")
        self.m.wait(lambda: len(self.slack.requests) >= 3, "three tries")
        times = [r.time for r in self.slack.requests]
        self.assertGreaterEqual(times[1] - times[0], 2.9)
        self.assertGreaterEqual(times[2] - times[1], 1.0)
        self.m.wait(lambda: not self.m.column("SELECT id FROM message WHERE settled_at IS NULL"),
                    "the message to be settled")
        self.assertEqual(len(set(self.texts())), 1)

    def test_a_webhook_that_is_gone_stops_the_notifier_until_it_is_changed(self):
        self.slack.answers.append(failing(404, "no_service"))
        self.m.start()
        self.fail_job("one")
        self.m.wait(lambda: "notifier-stopped" in self.m.log_text(), "the notifier to be stopped")
        self.fail_job("two")
        self.m.wait(lambda: len(self.m.column("SELECT id FROM message")) >= 2, "a second message")
        time.sleep(2)
        self.assertEqual(len(self.slack.requests), 1)
        self.assertIn("slack is stopped: it answered 404", self.m("status").out)
        # Nothing changes by a restart; a new address lets it go on with all that waits.
        self.m.stop()
        self.m.start()
        time.sleep(1)
        self.assertEqual(len(self.slack.requests), 1)
        self.m.write_config(self.told_settings().replace("/services", "/changed"))
        self.m.ok("reload")
        self.wait_text("one failed")
        self.wait_text("two failed")

    def test_a_dead_slack_delays_no_job_and_loses_no_message(self):
        self.slack.close()
        self.m.start()
        self.m.ok("add", "tick", "--every", "1s", "--", "true")
        self.fail_job("one")
        self.m.wait(lambda: "alert-not-sent" in self.m.log_text(), "a failed try")
        self.m.wait_runs("tick", lambda runs: len([r for r in runs if r["state"] == "succeeded"])
                         >= 3, "other jobs to run")
        os.kill(self.m.pid(), signal.SIGKILL)
        self.m.start()
        self.slack.reopen()
        self.wait_text("one failed")
        self.assertEqual(len([t for t in self.texts() if "one failed" in t]), 1)

    def test_a_hanging_slack_holds_up_nothing(self):
        self.slack.answers.append(HANG)
        self.m.start()
        self.fail_job("one")
        self.m.ok("add", "tick", "--every", "1s", "--", "true")
        self.m.wait(lambda: self.slack.requests, "the first try")
        self.m.wait_runs("tick", lambda runs: len([r for r in runs if r["state"] == "succeeded"])
                         >= 3, "other jobs to run")
        late = [r["delay_s"] for r in self.m.runs("tick") if r["delay_s"] is not None]
        # It is waited for longer than that.
        self.assertLess(max(late), 5.0)
        self.m.wait(lambda: len(self.slack.requests) >= 2, "the second try")

    def test_five_at_once_arrive_one_a_second(self):
        self.m.start()
        for i in range(5):
            self.fail_job(f"job-{i}")
        self.m.wait(lambda: sum("failed" in t for t in self.texts()) >= 5 or any(
            "5 alerts" in t for t in self.texts()), "five messages")
        times = [r.time for r in self.slack.requests]
        for earlier, later in zip(times, times[1:]):
            self.assertGreaterEqual(later - earlier, 1.0)

    def test_a_failure_just_before_kill_9_is_told_by_the_next_daemon(self):
        pid = self.m.start()
        self.fail_job("one")
        self.m.wait(lambda: self.m.column("SELECT id FROM alert"), "the episode")
        os.kill(pid, signal.SIGKILL)
        self.m.wait_gone(pid)
        self.m.start()
        self.wait_text("one failed")
        time.sleep(1.5)
        self.assertEqual(len(self.texts()), 1, self.texts())

    def test_kill_9_between_send_and_record_sends_again_and_loses_nothing(self):
        killed = []

        def kill(_):
            if not killed:
                killed.append(self.pid)
                os.kill(self.pid, signal.SIGKILL)
            return Answer()
        self.slack.answer = kill
        self.pid = self.m.start()
        self.fail_job("one")
        self.m.wait(lambda: killed, "the first message")
        self.m.wait_gone(self.pid)
        self.pid = self.m.start()
        self.m.wait(lambda: len(self.slack.requests) >= 2, "the message again")
        self.m.wait(lambda: not self.m.column("SELECT id FROM message WHERE settled_at IS NULL"),
                    "the message to be settled")
        self.assertEqual(len(set(self.texts())), 1)

    def test_five_thousand_jobs_that_fail_at_once_are_a_handful_of_messages(self):
        self.m.start()
        rows = []
        for i in range(5000):
            rows.append(f'[job.fail-{i}]\nevery = "1000h"\ncommand = ["false"]\n')
        (self.m.jobs_dir / "many.toml").write_text("\n".join(rows))
        self.m.ok("reload")
        import contextlib
        import sqlite3
        with contextlib.closing(sqlite3.connect(self.m.state / "schedctl.db", timeout=30)) as db:
            due = int(time.time() * 1e6)
            db.execute("UPDATE job SET anchor = ? - every, next_fire = ?, planned_through = ? - 1",
                       (due, due, due))
            db.commit()
        self.m.ok("reload")
        self.m.wait(lambda: self.m.column("SELECT count(*) FROM run WHERE state = 'failed'")[0]
                    == 5000, "all to fail")
        self.m.wait(lambda: self.m.column("SELECT count(*) FROM alert WHERE told_at IS NULL")[0]
                    == 0, "all to be told")
        self.m.wait(lambda: not self.m.column("SELECT id FROM message WHERE settled_at IS NULL"),
                    "all messages to be sent")
        self.assertLessEqual(len(self.slack.requests), 12, self.texts())
        self.assertIn("schedctl alerts", "".join(self.bodies()))
        self.assertEqual(self.m.json("status")["alerts_open"], 5000)


class Storage(Told):
    def test_a_full_disk_is_told_from_memory_and_its_end_from_a_row(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to mount a small file system")
        small = self.m.root / "state"
        small.mkdir()
        if os.system(f"mount -t tmpfs -o size=3m none {small}") != 0:
            self.skipTest("cannot mount a tmpfs here")
        self.addCleanup(lambda: os.system(f"umount -l {small}"))
        self.m.start()
        self.m.ok("add", "tick", "--every", "1s", "--", "true")
        self.m.wait_state("tick", "succeeded")
        ballast = small / "ballast"
        out = os.open(ballast, os.O_CREAT | os.O_WRONLY)
        try:
            while True:
                os.write(out, b"x" * 4096)
        except OSError:
            os.close(out)
        text = self.wait_text("the store cannot be written")
        self.assertIn("no space left", text)
        ballast.unlink()
        self.wait_text("the store works again")
        done = self.m.column("SELECT count(*) FROM run WHERE state = 'succeeded'")[0]
        self.m.wait(lambda: self.m.column("SELECT count(*) FROM run WHERE state = 'succeeded'")[0]
                    > done, "it to go on by itself")


class Heartbeat(Story):
    def test_the_monitor_is_called_while_beats_succeed_and_not_when_they_do_not(self):
        monitor = SlackServer()
        self.addCleanup(monitor.end)
        self.m.write_config(f'heartbeat_url = "{monitor.url}"\nheartbeat_interval = "1s"\n')
        pid = self.m.start()
        self.m.wait(lambda: len(monitor.requests) >= 3, "three calls")
        freeze(pid)
        try:
            time.sleep(1.5)
            seen = len(monitor.requests)
            time.sleep(2)
            self.assertLessEqual(len(monitor.requests), seen)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.m.wait(lambda: len(monitor.requests) > seen, "another call")


if __name__ == "__main__":
    unittest.main()
