"""The daemon is started, looked at and stopped properly."""
import os
import signal
import subprocess
import unittest

from machine import BINARY, Story, alive, title


class Starting(Story):
    def test_start_returns_when_ready_and_stop_when_really_gone(self):
        began = self.m.ok("start")
        self.assertIn("running", began.err)
        status = self.m.json("status")
        self.assertTrue(status["running"])
        pid, keeper = status["pid"], status["keeper_pid"]
        self.assertEqual(title(pid), "schedctl: daemon")
        self.assertEqual(title(keeper), "schedctl: keeper")
        self.assertEqual((self.m.run_dir / "schedctl.pid").read_text(), f"{pid}\n")
        self.assertEqual(self.m("status").code, 0)
        self.m.ok("stop")
        self.assertFalse(alive(pid))
        self.assertEqual(self.m("status").code, 3)
        self.assertFalse((self.m.run_dir / "schedctl.pid").exists())
        self.m.wait_gone(keeper)

    def test_a_second_start_says_so_and_is_0_in_the_foreground_1(self):
        pid = self.m.start()
        again = self.m("start")
        self.assertEqual(again.code, 0)
        self.assertIn(str(pid), again.err)
        foreground = self.m("start", "--foreground")
        self.assertEqual(foreground.code, 1)
        self.assertIn("already running", foreground.err)
        self.assertEqual(self.m.pid(), pid)

    def test_of_twelve_starts_at_once_exactly_one_becomes_the_daemon(self):
        children = [self.m.popen("start") for _ in range(12)]
        codes = [child.wait() for child in children]
        self.assertEqual(codes, [0] * 12)
        self.assertEqual(self.m.log_text().count("daemon-up"), 1)

    def test_stop_of_a_stopped_daemon_is_no_error(self):
        answer = self.m("stop")
        self.assertEqual(answer.code, 0)
        self.assertRegex(answer.err + answer.out, "not running|no daemon")

    def test_a_daemon_that_was_killed_leaves_status_1_and_no_obstacle(self):
        pid = self.m.start()
        os.kill(pid, signal.SIGKILL)
        self.m.wait_gone(pid)
        self.assertEqual(self.m("status").code, 1)
        self.assertNotEqual(self.m.start(), pid)

    def test_whatever_stands_where_the_pidfile_belongs_is_no_obstacle_and_no_weapon(self):
        pidfile = self.m.run_dir / "schedctl.pid"
        victim = self.m.root / "victim"
        victim.write_text("precious")
        stranger = subprocess.Popen(["sleep", "600"])
        self.addCleanup(stranger.wait)
        self.addCleanup(stranger.kill)
        self.m.run_dir.mkdir()
        for make in (lambda: pidfile.write_text("garbage\n"),
                     lambda: pidfile.write_text(f"{stranger.pid}\n"),
                     lambda: pidfile.symlink_to(victim),
                     lambda: os.mkfifo(pidfile),
                     lambda: (pidfile.write_text("1\n"), pidfile.chmod(0o666))):
            make()
            self.assertIn(self.m("status").code, (1, 3))
            self.assertEqual(self.m("stop").code, 0)
            pid = self.m.start()
            self.assertEqual(pidfile.read_text(), f"{pid}\n")
            self.m.ok("stop")
            self.assertFalse(pidfile.exists() or pidfile.is_symlink())
        self.assertEqual(victim.read_text(), "precious")
        self.assertIsNone(stranger.poll())

    def test_status_never_makes_a_start_fail(self):
        self.m.ok("add", "x", "--manual", "--", "/bin/true")
        probe = subprocess.Popen(
            ["sh", "-c", f'while :; do "{BINARY}" --config "{self.m.config}" status; done'],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            for _ in range(5):
                self.m.ok("start")
                self.m.ok("stop")
        finally:
            os.killpg(probe.pid, signal.SIGKILL)
            probe.wait()

    def test_failures_come_back_to_the_caller_with_their_exit_code(self):
        self.m.state.mkdir()
        (self.m.state / "schedctl.db").write_bytes(b"this is no database at all" * 100)
        answer = self.m("start")
        self.assertEqual(answer.code, 78, answer)
        self.assertIn("schedctl.db", answer.err)
        self.assertEqual(self.m("status").code, 3)

    def test_a_bad_configuration_is_78_and_names_the_place(self):
        self.m.config.write_text("max_runing = 3\n")
        answer = self.m("start")
        self.assertEqual(answer.code, 78)
        self.assertIn(f"{self.m.config}:1:", answer.err)
        self.assertIn("max_running", answer.err)


class Stopping(Story):
    settings = 'stop_timeout = "1s"\n[defaults]\nkill_grace = "1s"\n'

    def test_a_live_run_is_waited_for_then_ended_and_is_cancelled_by_shutdown(self):
        self.m.start()
        self.m.ok("add", "slow", "--manual", "--max-attempts", "3", "--", "sleep", "600")
        self.m.ok("trigger", "slow")
        run = self.m.wait_state("slow", "running")
        self.m.wait(lambda: self.m.runs("slow")[0]["pid"], "a pid")
        job_pid = self.m.runs("slow")[0]["pid"]
        answer = self.m.ok("stop")
        self.assertFalse(alive(job_pid))
        ended = self.m.runs("slow")[0]
        self.assertEqual((ended["id"], ended["state"], ended["reason"]),
                         (run["id"], "cancelled", "shutdown"), answer)

    def test_a_run_that_ends_within_the_drain_succeeds(self):
        self.m.write_config('stop_timeout = "50s"')
        self.m.start()
        self.m.ok("add", "short", "--manual", "--shell", "while [ ! -e go ]; do sleep 0.05; done",
                  "--cwd", str(self.m.root))
        self.m.ok("trigger", "short")
        self.m.wait_state("short", "running")
        stopping = self.m.popen("stop")
        self.m.wait(lambda: "stopping" in self.m.log_text(), "the stop to begin")
        (self.m.root / "go").touch()
        self.assertEqual(stopping.wait(), 0)
        self.assertEqual(self.m.runs("short")[0]["state"], "succeeded")

    def test_keep_jobs_leaves_them_and_the_next_start_records_their_end(self):
        pid = self.m.start()
        self.m.ok("add", "kept", "--manual", "--shell",
                  "while [ ! -e go ]; do sleep 0.05; done; exit 7", "--cwd", str(self.m.root))
        self.m.ok("trigger", "kept")
        self.m.wait(lambda: (self.m.runs("kept") or [{}])[0].get("pid"), "a pid")
        job_pid = self.m.runs("kept")[0]["pid"]
        self.m.ok("stop", "--keep-jobs")
        self.m.wait_gone(pid)
        self.assertTrue(alive(job_pid))
        (self.m.root / "go").touch()
        self.m.wait_gone(job_pid)
        self.m.start()
        ended = self.m.wait_state("kept", "failed")
        self.assertEqual(ended["exit_code"], 7)

    def test_usr1_ends_the_daemon_with_75(self):
        child = self.m.popen("start", "--foreground")
        self.m.wait(lambda: self.m("status").code == 0, "the daemon")
        child.send_signal(signal.SIGUSR1)
        self.assertEqual(child.wait(), 75)

    def test_term_ends_the_foreground_daemon_with_0(self):
        child = self.m.popen("start", "--foreground")
        self.m.wait(lambda: self.m("status").code == 0, "the daemon")
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(), 0)


class RestartAndReload(Story):
    def test_restart_keeps_the_pid_and_the_jobs(self):
        pid = self.m.start()
        self.m.ok("add", "long", "--manual", "--shell",
                  "while [ ! -e go ]; do sleep 0.05; done; exit 5", "--cwd", str(self.m.root))
        self.m.ok("trigger", "long")
        self.m.wait(lambda: (self.m.runs("long") or [{}])[0].get("pid"), "a pid")
        job_pid = self.m.runs("long")[0]["pid"]
        self.m.ok("restart")
        self.assertEqual(self.m.pid(), pid)
        self.assertEqual(title(pid), "schedctl: daemon")
        self.assertTrue(alive(job_pid))
        (self.m.root / "go").touch()
        self.assertEqual(self.m.wait_state("long", "failed")["exit_code"], 5)
        self.assertEqual(len(self.m.runs("long")), 1)

    def test_restart_of_a_stopped_daemon_starts_it(self):
        self.m.ok("restart")
        self.assertEqual(self.m("status").code, 0)

    def test_reload_reads_job_files_and_a_bad_one_keeps_its_last_good_jobs(self):
        self.m.start()
        file = self.m.jobs_dir / "a.toml"
        file.write_text('[job.filed]\nevery = "1h"\ncommand = ["/bin/true"]\n')
        self.m.ok("reload")
        self.assertEqual(self.m.job("filed")["managed_by"], f"file:{file}")
        file.write_text('[job.filed]\nevry = "2h"\n')
        answer = self.m("reload")
        self.assertEqual(answer.code, 78, answer)
        self.assertIn(f"{file}:2:", answer.err)
        self.assertEqual(self.m.job("filed")["schedule"], {"every": "1h"})
        file.unlink()
        self.m.ok("reload")
        self.assertIsNone(self.m.job("filed"))

    def test_a_bad_config_at_reload_changes_nothing_and_is_told(self):
        pid = self.m.start()
        self.m.config.write_text(self.m.config.read_text() + "nonsense = 1\n")
        answer = self.m("reload")
        self.assertEqual(answer.code, 78, answer)
        self.m.write_config()
        self.assertEqual(self.m.pid(), pid)

    def test_hup_reloads_and_reopens_the_log(self):
        pid = self.m.start()
        self.m.log.rename(self.m.root / "info.log.1")
        os.kill(pid, signal.SIGHUP)
        self.m.wait(lambda: "reloaded" in self.m.log_text(), "the reload in a new file")

    def test_events_tell_of_up_down_and_reload(self):
        self.m.start()
        self.m.ok("reload")
        self.m.ok("stop")
        kinds = self.m.column("SELECT kind FROM event ORDER BY rowid")
        self.assertEqual([k for k in kinds if k in ("daemon-up", "reload", "daemon-down")],
                         ["daemon-up", "reload", "daemon-down"])



if __name__ == "__main__":
    unittest.main()
