"""What jobs are under a real systemd: the keeper's unit, what its drop-ins allow, reboots."""
import re
import subprocess
import sys
import unittest

from container import ROOT
from units import KEEPER_D, MINE, UNTIL_TOLD, Started


class Keeper(Started):
    def test_a_killed_keeper_is_replaced_and_its_run_is_lost(self):
        run = self.run_job()
        self.m.kill(self.keeper, "KILL")
        self.m.wait_gone(run["pid"])
        self.wait_new_daemon(self.pid)
        lost = self.m.wait_state("long", "lost")
        self.assertEqual((lost["id"], lost["reason"]), (run["id"], "keeper_died"))
        self.wait_active("active", "schedctl-keeper")
        self.wait_active("active")
        self.assertNotEqual(self.main_pid("schedctl-keeper"), self.keeper)
        self.assertEqual(self.output_of("echo hello"), "hello")
        self.assertEqual(self.m.json("status")["keeper_pid"], self.main_pid("schedctl-keeper"))
        self.assertEqual(self.m.must("systemctl --failed --no-legend"), "")

    def test_what_a_killed_keeper_leaves_goes_with_it(self):
        run = self.run_job("brood", "trap '' TERM; (trap '' TERM; echo $BASHPID; "
                           f"{UNTIL_TOLD}) & wait")
        self.m.wait(lambda: len(self.processes("schedctl-keeper")) > 2, "the job's child")
        self.m.kill(self.keeper, "KILL")
        self.m.wait_gone(run["pid"])
        self.wait_new_daemon(self.pid)
        self.m.wait(lambda: len(self.processes("schedctl-keeper")) == 1,
                    "nobody but the keeper to be left")

    def test_restarting_the_keeper_restarts_the_daemon(self):
        self.m.must("systemctl restart schedctl-keeper")
        self.assertNotEqual(self.main_pid("schedctl-keeper"), self.keeper)
        self.wait_active("active")
        self.assertNotEqual(self.main_pid(), self.pid)
        self.assertEqual(self.output_of("echo hello"), "hello")

    def test_one_that_somebody_ends_comes_back(self):
        self.m.kill(self.keeper, "TERM")
        self.m.wait(lambda: self.main_pid("schedctl-keeper") not in (0, self.keeper),
                    "the next keeper")
        self.wait_new_daemon(self.pid)
        self.assertEqual(self.output_of("echo hello"), "hello")


class Jobs(Started):
    def test_a_job_gets_what_a_service_gets_and_nothing_of_the_units(self):
        lines = self.output_of("cat /proc/self/oom_score_adj; ulimit -Sn; ulimit -Hn; umask; id -un; "
                               "pwd; env").splitlines()
        # How many files there can be at most is up to the machine that this one is in.
        hard = re.search(r"Max open files +\d+ +(\d+)",
                         (self.m.here / f"proc/{self.keeper}/limits").read_text())[1]
        self.assertEqual(lines[:6], ["0", "1024", hard, "0022", "schedctl", "/var/lib/schedctl"])
        names = {line.split("=")[0] for line in lines[6:]}
        self.assertFalse(names & {"NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM", "MAINPID",
                                  "STATE_DIRECTORY", "SYSTEMD_EXEC_PID", "SCHEDCTL_BOOT_ID"})

    def test_it_lives_in_the_keepers_unit(self):
        run = self.run_job()
        self.assertIn(run["pid"], self.processes("schedctl-keeper"))
        self.assertEqual(list(self.processes("schedctl")), [self.pid])

    def test_it_writes_where_its_user_may(self):
        self.m.must("install -d -o schedctl /var/backups/db /srv/out")
        self.assertEqual(
            self.output_of("echo x > /var/backups/db/x && echo x > /srv/out/x && mkdir -p ~/.ssh && "
                           "echo x > /tmp/x && nice -n 5 chgrp schedctl /srv/out/x && pgrep -x "
                           "systemd-journal >/dev/null && echo done"), "done")
        self.assertEqual(self.m.must("cat /tmp/x"), "x\n")
        said = self.output_of("touch /usr/x /etc/x /boot/x 2>&1 || :")
        self.assertEqual(said.count("Read-only file system"), 3, said)

    def test_limits_of_memory_are_kept(self):
        controllers = (self.m.here / "sys/fs/cgroup/cgroup.controllers").read_text()
        if "memory" not in controllers.split():
            self.skipTest("this kernel's control groups version 2 have no controller for memory")
        self.run_job("greedy", "sleep 30 & tail /dev/zero", "--memory-max", "32M")
        ended = self.m.wait_state("greedy", "failed")
        self.assertEqual(ended["reason"], "out_of_memory")

    def test_strict_it_writes_nowhere_but_its_output(self):
        self.m.must("install -d -o schedctl /srv/out /home/other")
        self.m.must(f"mkdir -p {KEEPER_D}; ln -s /dev/null {KEEPER_D}/command-jobs.conf; "
                    "systemctl daemon-reload; systemctl restart schedctl-keeper")
        self.wait_active("active")
        said = self.output_of("touch /srv/out/x /var/lib/schedctl/x 2>&1; ls /home/other 2>&1; "
                              "touch /tmp/mine; nice true 2>&1; echo written")
        self.assertEqual(said.count("Read-only file system"), 2, said)
        self.assertIn("/home/other", said)
        self.assertTrue(said.endswith("written"), said)
        self.assertFalse((self.m.here / "tmp/mine").exists())


class OtherUsers(Started):
    settings = 'allow_users = ["backup", "root"]\n'

    def setUp(self):
        super().setUp()
        self.m.copy("systemd/examples/other-users.conf", f"{KEEPER_D}/other-users.conf")
        self.m.must("systemctl daemon-reload && systemctl restart schedctl-keeper")
        self.wait_active("active")

    def test_jobs_are_the_users_that_the_machine_allows(self):
        daemon, keeper = self.main_pid(), self.main_pid("schedctl-keeper")
        self.assertEqual((self.user(daemon), self.user(keeper)), ("schedctl", "root"))
        self.assertEqual(self.m.must("stat -c '%a %U:%G' /var/lib/schedctl-keeper"),
                         "750 root:schedctl\n")
        who = "id -un; grep -E '^(CapEff|NoNewPrivs)' /proc/self/status | tr -s '\\t\\n' '  '"
        self.assertEqual(self.output_of(who).split(),
                         ["schedctl", "CapEff:", "0000000000000000", "NoNewPrivs:", "0"])
        self.assertEqual(self.output_of(who, "--user", "backup").split(),
                         ["backup", "CapEff:", "0000000000000000", "NoNewPrivs:", "0"])
        self.assertEqual(self.output_of("id -u; chown backup /srv && stat -c %U /srv",
                                        "--user", "root").split(), ["0", "backup"])
        self.m.ok("add", "mail", "--manual", "--user", "mail", "--", "true")
        self.assertNotEqual(self.m("trigger", "mail", "--wait").code, 0)
        self.assertEqual(self.m.runs("mail")[-1]["state"], "failed")

    def test_they_are_ended_with_all_they_leave_and_silent_ones_leave_no_file(self):
        run = self.run_job("long", f"setsid sh -c 'sleep 1000; :' & {UNTIL_TOLD}", "--user", "backup")
        self.m.ok("cancel", "long")
        self.assertEqual(self.m.wait_state("long", "cancelled")["id"], run["id"])
        keeper = self.main_pid("schedctl-keeper")
        self.m.wait(lambda: list(self.processes("schedctl-keeper")) == [keeper],
                    "nobody but the keeper to be left")
        self.assertEqual(self.output_of("true", "--user", "backup", name="silent"), "")
        self.assertIsNone(self.m.runs("silent")[-1]["output"])

    def test_without_the_drop_in_the_keeper_is_an_ordinary_user_again(self):
        (self.m.here / KEEPER_D.lstrip("/") / "other-users.conf").unlink()
        self.m.must("systemctl daemon-reload && systemctl restart schedctl-keeper")
        self.wait_active("active")
        self.assertEqual(self.user(self.main_pid("schedctl-keeper")), "schedctl")
        self.assertEqual(self.output_of("id -un"), "schedctl")

    def test_their_runs_outlive_the_daemon_and_are_seen_by_the_next(self):
        run = self.run_job("long", UNTIL_TOLD, "--user", "backup")
        self.assertEqual(self.user(run["pid"]), "backup")
        old = self.main_pid()
        self.m.kill(old, "KILL")
        self.wait_new_daemon(old)
        self.expect_succeeded_once(run)
        self.assertEqual(self.m.ok("logs", "long").out, "done\n")


class Credentials(Started):
    def test_a_secret_of_roots_reaches_the_daemon(self):
        # A server of this process's, in the machine's network.
        code = ("import sys; sys.path.insert(0, sys.argv[1])\nimport slack\n"
                "s = slack.SlackServer()\nprint(s.url, flush=True)\nsys.stdin.read()\n"
                "print(s.wait_requests(1)[0].text)")
        server = subprocess.Popen(
            ["nsenter", "-t", str(self.m.leader), "-n", "--", sys.executable, "-c", code,
             str(ROOT / "tests/e2e")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.kill)
        url = server.stdout.readline().strip()
        self.m.write("/etc/schedctl/credentials/slack_url", url + "\n", 0o600)
        self.m.copy("systemd/examples/credentials.conf",
                    f"{MINE}/schedctl.service.d/credentials.conf")
        self.configure("[alerts.slack]\n"
                       'webhook_url_file = "/run/credentials/schedctl.service/slack_url"\n')
        self.m.must("systemctl daemon-reload && systemctl restart schedctl")
        self.assertEqual(self.m.must("stat -c %U /run/credentials/schedctl.service/slack_url"),
                         "schedctl\n")
        self.m.ok("add", "bad", "--manual", "--", "false")
        self.m.ok("trigger", "bad")
        self.m.wait(lambda: "alert-sent" in self.m.log_text(), "the alert to be sent")
        asked, _ = server.communicate("")
        self.assertIn("bad", asked)
        self.m.must("systemctl reload schedctl")

    def test_without_the_file_the_unit_does_not_start(self):
        self.m.copy("systemd/examples/credentials.conf",
                    f"{MINE}/schedctl.service.d/credentials.conf")
        self.m.must("systemctl daemon-reload")
        self.assertNotEqual(self.m.run("systemctl restart schedctl").code, 0)
        # What the process says on its way may get lost; how it ended does not.
        self.assertIn("243/CREDENTIALS", self.m.journal("schedctl"))


class Reboot(Started):
    settings = 'stop_timeout = "1s"\n'

    def setUp(self):
        super().setUp()
        self.m.ok("add", "boot", "--on-reboot", "--", "true")

    def expect_runs_at_boot(self, number):
        self.m.wait_runs("boot", lambda all_: [r["state"] for r in all_]
                         == ["succeeded"] * number, f"{number} runs at boot")

    def test_a_reboot_drains_and_everything_comes_back(self):
        self.assertEqual(self.m.runs("boot"), [])  # not for the boot in which it was added
        run = self.run_job()
        self.m.reboot()
        self.wait_active("active")
        ended = self.m.runs("long")[-1]
        self.assertEqual((ended["id"], ended["state"], ended["reason"]),
                         (run["id"], "cancelled", "shutdown"))
        self.expect_runs_at_boot(1)
        self.m.must("systemctl restart schedctl")  # is no boot
        self.assertEqual(self.output_of("echo hello"), "hello")
        self.assertEqual(len(self.m.runs("boot")), 1)

    def test_after_a_power_cut_what_ran_is_lost(self):
        run = self.run_job()
        self.m.power_cut()
        self.wait_active("active")
        lost = self.m.wait_state("long", "lost")
        self.assertEqual((lost["id"], lost["reason"]), (run["id"], "rebooted"))
        self.expect_runs_at_boot(1)
        self.m.power_cut()
        self.wait_active("active")
        self.expect_runs_at_boot(2)


if __name__ == "__main__":
    unittest.main()
