"""schedctl under a real supervisord, by supervisor/schedctl.conf as it is, with what operators type."""
import re
import unittest

from room import RoomStory

CONF = "/etc/supervisor/conf.d/schedctl.conf"
# What Debian's package puts there.
SUPERVISORD = """\
[unix_http_server]
file=/var/run/supervisor.sock
chmod=0700
[supervisord]
logfile=/var/log/supervisor/supervisord.log
pidfile=/var/run/supervisord.pid
childlogdir=/var/log/supervisor
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix:///var/run/supervisor.sock
[include]
files = /etc/supervisor/conf.d/*.conf
"""
# Runs until the file is there; what a job of unknown length is in these stories.
UNTIL_TOLD = "until [ -e /run/go ]; do sleep 0.1; done; echo done"

NEW_JOB = '[job.new]\nevery = "1h"\ncommand = ["true"]\n'


class Supervised(RoomStory):
    def setUp(self):
        super().setUp()
        self.need("supervisord", "supervisor")
        (self.m.here / "etc/supervisor/conf.d").mkdir(parents=True)
        (self.m.here / "etc/supervisor/supervisord.conf").write_text(SUPERVISORD)
        self.logs = self.m.here / "var/log/supervisor"
        self.logs.mkdir()

    def begin(self, edit=lambda text: text):
        """Starts supervisord, and with it schedctl."""
        self.m.put("supervisor/schedctl.conf", CONF, edit=edit)
        self.begin_supervisord()
        self.wait_state("RUNNING")
        return self.m.pid()

    def begin_supervisord(self):
        answer = self.m.sh("supervisord", "-c", "/etc/supervisor/supervisord.conf")
        self.assertEqual(answer.code, 0, answer)

    def ctl(self, *words):
        """What supervisorctl answers; its exit code tells little."""
        answer = self.m.sh("supervisorctl", *words)
        return answer.out + answer.err

    def state(self):
        return (self.ctl("status", "schedctl").split() + ["", ""])[1]

    def wait_state(self, *states):
        return self.m.wait(lambda: self.state() in states,
                           f"supervisord to say {' or '.join(states)}; it says "
                           f"{self.ctl('status')}, {self.ctl('tail', 'schedctl')}")

    def log(self):
        return (self.logs / "supervisord.log").read_text()

    def wait_log(self, words):
        self.m.wait(lambda: words in self.log(), f"supervisord to log {words}")

    def wait_other_daemon(self, pid):
        """Until supervisord has started another; gives back its process id."""
        def look():
            answer = self.m("status", "--json")
            other = answer.json["pid"] if answer.code == 0 else None
            return other if other not in (None, pid) else None
        other = self.m.wait(look, "another daemon")
        self.wait_state("RUNNING")
        return other

    def let_go(self):
        (self.m.here / "run/go").touch()


class Stopping(Supervised):
    settings = 'stop_timeout = "20s"\n'

    def test_stop_waits_for_what_runs_and_leaves_nothing(self):
        self.begin()
        self.m.run_job("short", "sleep 2; exit 3")
        self.assertIn("schedctl: stopped", self.ctl("stop", "schedctl"))
        self.assertEqual(self.state(), "STOPPED")
        run = self.m.runs("short")[0]
        self.assertEqual((run["state"], run["exit_code"]), ("failed", 3))
        self.m.wait(lambda: not self.m.schedctls(), "daemon and keeper to be gone")
        self.assertIn("stopped: schedctl (exit status 0)", self.log())
        self.assertEqual(self.m("status").code, 3)
        self.assertIn("schedctl: started", self.ctl("start", "schedctl"))
        self.assertEqual(self.m("status").code, 0)

    def test_restart_waits_for_what_runs(self):
        pid = self.begin()
        self.m.run_job("short", "sleep 2; exit 3")
        (self.m.jobs_dir / "new.toml").write_text(NEW_JOB)
        answer = self.ctl("restart", "schedctl")
        self.assertIn("schedctl: stopped\nschedctl: started", answer)
        self.assertNotEqual(self.m.pid(), pid)
        self.assertEqual(self.m.runs("short")[0]["exit_code"], 3)
        self.assertIsNotNone(self.m.job("new"))

    def test_the_end_of_supervisord_is_a_stop(self):
        self.begin()
        self.m.run_job("short", "sleep 2; exit 3")
        self.assertIn("Shut down", self.ctl("shutdown"))
        self.m.wait(lambda: not self.m.schedctls(), "daemon and keeper to be gone")
        self.assertEqual(self.m.runs("short")[0]["exit_code"], 3)

    def test_schedctl_stop_is_a_stop_for_supervisord_too(self):
        self.begin()
        self.m.ok("stop")
        self.wait_state("EXITED")
        self.wait_log("exited: schedctl (exit status 0; expected)")
        self.assertEqual(self.m("status").code, 3)
        self.assertIn("schedctl: started", self.ctl("start", "schedctl"))

    def test_a_daemon_started_by_hand_is_in_supervisords_way(self):
        self.begin()
        self.ctl("stop", "schedctl")
        self.m.ok("start")
        self.ctl("start", "schedctl")
        self.wait_state("FATAL")
        self.assertIn("schedctl is already running", self.ctl("tail", "schedctl"))
        self.m.ok("stop", "--keep-jobs")
        self.assertIn("schedctl: started", self.ctl("start", "schedctl"))


class DeafJobs(Supervised):
    def test_stopwaitsecs_is_longer_than_a_stop_with_jobs_that_ignore_it(self):
        """With the defaults of schedctl and the file as it is."""
        self.begin()
        run = self.m.run_job("deaf", "trap '' TERM; while :; do sleep 1; done")
        self.ctl("stop", "schedctl")
        self.assertIn("stopped: schedctl (exit status 0)", self.log())
        self.assertNotIn("killing 'schedctl'", self.log())
        ended = self.m.runs("deaf")[0]
        self.assertEqual((ended["state"], ended["reason"], ended["signal"]),
                         ("cancelled", "shutdown", "SIGKILL"))
        self.assertFalse(self.m.alive(run["pid"]))
        self.m.wait(lambda: not self.m.schedctls(), "daemon and keeper to be gone")

    def test_a_daemon_that_supervisord_kills_leaves_its_jobs_to_the_next(self):
        self.begin(lambda text: re.sub("stopwaitsecs=.*", "stopwaitsecs=2", text))
        run = self.m.run_job("long", UNTIL_TOLD)
        self.ctl("stop", "schedctl")
        self.assertIn("killing 'schedctl'", self.log())
        self.assertTrue(self.m.alive(run["pid"]))
        self.ctl("start", "schedctl")
        self.let_go()
        ended = self.m.wait_state("long", "succeeded")
        self.assertEqual((ended["pid"], ended["attempt"]), (run["pid"], 1))


class Surviving(Supervised):
    def survives(self, run):
        """The job's process is the same, and what becomes of it is recorded."""
        self.assertTrue(self.m.alive(run["pid"]))
        self.let_go()
        ended = self.m.wait_state("long", "succeeded")
        self.assertEqual((ended["pid"], ended["attempt"], ended["exit_code"]), (run["pid"], 1, 0))
        self.assertEqual(len(self.m.runs("long")), 1)
        self.assertEqual(self.m.ok("logs", "long").out, "done\n")

    def test_a_daemon_that_is_killed_is_started_again_and_takes_over_what_runs(self):
        pid = self.begin()
        run = self.m.run_job("long", UNTIL_TOLD)
        keeper = self.m.keeper_pid()
        self.m.kill(pid, "KILL")
        self.wait_other_daemon(pid)
        self.assertIn("exited: schedctl (terminated by SIGKILL; not expected)", self.log())
        self.assertEqual(self.m.keeper_pid(), keeper)
        self.survives(run)

    def test_usr1_restarts_and_leaves_what_runs_alone(self):
        pid = self.begin()
        run = self.m.run_job("long", UNTIL_TOLD)
        self.assertIn("schedctl: signalled", self.ctl("signal", "USR1", "schedctl"))
        self.wait_other_daemon(pid)
        self.assertIn("exited: schedctl (exit status 75; not expected)", self.log())
        self.survives(run)

    def test_stop_keep_jobs_is_a_restart_under_supervisord(self):
        pid = self.begin()
        run = self.m.run_job("long", UNTIL_TOLD)
        self.m.ok("stop", "--keep-jobs")
        self.wait_other_daemon(pid)
        self.survives(run)

    def test_a_restart_in_place_is_not_even_noticed(self):
        pid = self.begin()
        run = self.m.run_job("long", UNTIL_TOLD)
        before = self.log()
        self.assertIn(f"restarted (pid {pid})", self.m.ok("restart").out)
        self.assertIn(f"RUNNING   pid {pid}", self.ctl("status", "schedctl"))
        self.assertEqual(self.log(), before)
        self.survives(run)
        self.ctl("stop", "schedctl")
        self.assertEqual(self.state(), "STOPPED")

    def test_when_supervisord_is_killed_daemon_and_jobs_go_on_and_can_be_handed_to_the_next(self):
        pid = self.begin()
        run = self.m.run_job("long", UNTIL_TOLD)
        supervisord = int((self.m.here / "run/supervisord.pid").read_text())
        self.m.kill(supervisord, "KILL")
        self.m.wait_gone(supervisord)
        self.m.run_job("short", "sleep 1")
        self.m.wait_state("short", "succeeded")
        self.assertEqual(self.m.pid(), pid)
        self.begin_supervisord()
        self.wait_state("FATAL")
        self.m.ok("stop", "--keep-jobs")
        self.assertIn("schedctl: started", self.ctl("start", "schedctl"))
        self.survives(run)

    def test_with_stopsignal_usr1_stop_and_restart_and_update_leave_what_runs_alone(self):
        def usr1(text):
            return text.replace("stopsignal=TERM", "stopsignal=USR1")
        pid = self.begin(usr1)
        run = self.m.run_job("long", UNTIL_TOLD)
        self.assertIn("schedctl: stopped\nschedctl: started", self.ctl("restart", "schedctl"))
        other = self.wait_other_daemon(pid)
        self.m.put("supervisor/schedctl.conf", CONF,
                   edit=lambda text: usr1(text).replace("stopwaitsecs=60", "stopwaitsecs=61"))
        self.ctl("update")
        self.wait_other_daemon(other)
        self.ctl("stop", "schedctl")
        self.assertEqual(self.state(), "STOPPED")
        self.assertTrue(self.m.alive(run["pid"]))
        self.ctl("start", "schedctl")
        self.survives(run)


class SurvivingAsUser(Surviving):
    """The same with a daemon that gives root up."""
    user = "schedctl"

    def begin(self, edit=lambda text: text):
        pid = super().begin(edit)
        self.assertEqual(self.uid(pid), self.user)
        return pid


class Changing(Supervised):
    settings = 'stop_timeout = "20s"\n'

    def test_update_picks_up_a_changed_file_and_restart_does_not(self):
        more = self.m.here / "etc/schedctl/100%more"
        more.mkdir()
        (more / "new.toml").write_text(NEW_JOB)
        pid = self.begin()
        self.assertEqual(self.ctl("reread"), "No config updates to processes\n")
        self.m.put("supervisor/schedctl.conf", CONF, edit=lambda text: text.replace(
            'environment=LANG="C.UTF-8"\n',
            'environment=LANG="C.UTF-8",SCHEDCTL_JOBS_DIRS="/etc/schedctl/100%%more"\n'))
        self.ctl("restart", "schedctl")
        other = self.wait_other_daemon(pid)
        self.assertEqual(self.ctl("reread"), "schedctl: changed\n")
        self.assertEqual(self.m.pid(), other)
        self.assertIsNone(self.m.job("new"))
        self.m.run_job("short", "sleep 2; exit 3")
        self.assertIn("schedctl: updated process group", self.ctl("update"))
        self.wait_other_daemon(other)
        self.assertIsNotNone(self.m.job("new"))
        # It stopped and started, so what ran was waited for.
        self.assertEqual(self.m.runs("short")[0]["exit_code"], 3)

    def test_update_starts_what_is_new_and_stops_what_is_gone(self):
        pid = self.begin()
        (self.m.here / CONF.lstrip("/")).unlink()
        self.assertEqual(self.ctl("reread"), "schedctl: disappeared\n")
        self.assertIn("schedctl: removed process group", self.ctl("update"))
        self.m.wait_gone(pid)
        self.m.put("supervisor/schedctl.conf", CONF)
        self.assertEqual(self.ctl("reread"), "schedctl: available\n")
        self.assertIn("schedctl: added process group", self.ctl("update"))
        self.wait_state("RUNNING")

    def test_hup_reads_settings_and_jobs_again(self):
        pid = self.begin()
        (self.m.jobs_dir / "new.toml").write_text(NEW_JOB)
        self.assertIn("schedctl: signalled", self.ctl("signal", "HUP", "schedctl"))
        self.m.wait(lambda: self.m.job("new"), "the job of the new file")
        self.assertEqual(self.m.pid(), pid)


class Broken(Supervised):
    def break_config(self):
        self.m.config.write_text("stop_timeout = 17 parsecs\n")

    def mend_config(self):
        self.m.write_config()

    def wait_given_up(self):
        self.wait_state("FATAL")
        self.wait_log("gave up: schedctl entered FATAL state")
        self.assertIn("/etc/schedctl/schedctl.toml:1:", self.ctl("tail", "schedctl"))

    def test_a_configuration_that_cannot_be_used_is_given_up_and_told(self):
        self.begin()
        self.ctl("stop", "schedctl")
        self.break_config()
        before = self.log().count("spawned: 'schedctl'")
        self.assertIn("ERROR", self.ctl("start", "schedctl"))
        self.wait_given_up()
        starts = self.log().count("spawned: 'schedctl'")
        self.assertEqual(starts - before, 6)
        self.mend_config()
        self.assertIn("schedctl: started", self.ctl("start", "schedctl"))
        self.assertEqual(self.log().count("spawned: 'schedctl'"), starts + 1)

    def test_a_broken_configuration_ends_neither_daemon_nor_jobs(self):
        pid = self.begin()
        run = self.m.run_job("long", UNTIL_TOLD)
        self.break_config()
        self.assertEqual(self.m("restart").code, 78)
        self.assertEqual(self.m("reload").code, 78)
        self.ctl("signal", "HUP", "schedctl")
        self.m.wait(lambda: "reload-failed" in self.m.log_text(), "the reload to fail")
        self.assertIn(f"RUNNING   pid {pid}", self.ctl("status", "schedctl"))
        # Nobody checks before this one, so the daemon cannot come back, and the jobs go on.
        self.ctl("signal", "USR1", "schedctl")
        self.wait_given_up()
        self.assertTrue(self.m.alive(run["pid"]))
        self.mend_config()
        self.ctl("start", "schedctl")
        self.let_go()
        self.assertEqual(self.m.wait_state("long", "succeeded")["pid"], run["pid"])

    def test_exit_78_of_a_daemon_that_ran_is_not_started_again(self):
        self.begin()
        (self.m.here / "etc/not-a-database").write_text("x" * 4096)
        self.m.write_config('store = "sqlite:/etc/not-a-database"')
        self.m("restart")
        self.wait_state("EXITED")
        self.wait_log("exited: schedctl (exit status 78; expected)")


class Watching(Supervised):
    def test_the_log_can_be_followed(self):
        self.begin()
        follower = self.m.popen("supervisorctl", "tail", "-f", "schedctl")
        self.m.ok("add", "hello", "--manual", "--", "true")
        self.m.ok("trigger", "hello")
        self.m.wait_state("hello", "succeeded")
        seen = []
        for line in follower.stdout:
            seen.append(line)
            if "run-succeeded job=hello" in line:
                break
        self.assertTrue(seen and "run-succeeded job=hello" in seen[-1], seen)
        self.assertIn("run-succeeded job=hello", self.ctl("tail", "schedctl"))
        self.assertIn("run-succeeded job=hello", self.m.log_text())
        copy = self.logs / "schedctl.log"
        self.m.wait(lambda: set(self.m.log_text().splitlines()) <=
                    set(copy.read_text().splitlines()), "both files to have the same lines")

    def test_the_log_can_be_supervisords_alone(self):
        self.m.write_config('log_file = "-"')
        self.begin()
        self.assertIn(" daemon-up ", self.ctl("tail", "schedctl"))
        self.assertEqual(self.m.log_text(), "")


if __name__ == "__main__":
    unittest.main()
