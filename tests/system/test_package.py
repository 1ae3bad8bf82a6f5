"""The Debian package on a machine that boots systemd, and on one that has none: what dpkg does to it,
and what becomes of jobs meanwhile."""
import functools
import re
import shutil
import subprocess
import unittest

import bare
import container
import products

STATE, KEPT, LOGS = "/var/lib/schedctl", "/var/lib/schedctl-keeper", "/var/log/schedctl"
UNTIL_TOLD = "until [ -e /tmp/go ]; do sleep 0.1; done; echo done"
NEXT = "99.0.0"
BROKEN = 'stop_timeout = "soon"\n'


@functools.lru_cache
def needs():
    """The packages that it depends on; of alternatives the first."""
    field = subprocess.run(["dpkg-deb", "-f", products.package(), "Depends"], check=True,
                           stdout=subprocess.PIPE, text=True).stdout
    return tuple(re.match(r"[a-z0-9.+-]+", each.strip())[0] for each in field.split(","))


class Lintian(unittest.TestCase):
    def test_it_finds_nothing(self):
        if shutil.which("lintian") is None:
            self.skipTest("lintian is missing")
        changes = products.package().with_suffix(".changes")
        subject = changes if changes.exists() else products.package()
        done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", "--info",
                               "--display-info", "--pedantic", subject], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_the_release_build_is_hardened_by_itself(self):
        said = "".join(subprocess.run(
            [*words, container.BINARY], check=True, stdout=subprocess.PIPE, text=True).stdout
            for words in (["readelf", "-W", "-h", "-l", "-d"], ["nm", "-D"]))
        for mark in (r"Type: +DYN \(Position-Independent", "GNU_RELRO", r"FLAGS.* BIND_NOW",
                     r"FLAGS_1.* NOW.* PIE", "U __stack_chk_fail", r"U __\w+_chk@"):
            self.assertRegex(said, mark)


class Package(unittest.TestCase):
    def setUp(self):
        deb = products.package()
        self.m = container.Machine(packages=needs())
        self.addCleanup(self.m.close)
        self.m.copy(deb, "/root/schedctl.deb")

    def dpkg(self, *words):
        """What dpkg says, which has to succeed."""
        return self.m.must("sh", "-c", 'exec dpkg "$@" 2>&1', "dpkg", *words,
                           env={"DEBIAN_FRONTEND": "noninteractive"})

    def install(self):
        return self.dpkg("-i", "/root/schedctl.deb")

    def upgrade(self):
        self.m.copy(products.package(NEXT), "/root/next.deb")
        return self.dpkg("-i", "/root/next.deb")

    def state_of_package(self):
        return self.m.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", "schedctl").out.strip()

    def main_pid(self, unit):
        return int(self.m.must(f"systemctl show -P MainPID {unit}"))

    def active(self, unit):
        return self.m.run(f"systemctl is-active {unit}").out.strip() == "active"

    def run_job(self, line=UNTIL_TOLD):
        self.m.ok("add", "long", "--manual", "--shell", line)
        self.m.ok("trigger", "long")
        return self.m.wait_runs("long", lambda runs: any(r["pid"] for r in runs), "it to run")[-1]

    def survives(self, run):
        """The job's process is the same, and what becomes of it is recorded."""
        self.assertTrue(self.m.alive(run["pid"]))
        self.m.must("touch /tmp/go")
        ended = self.m.wait_state("long", "succeeded")
        self.assertEqual((ended["pid"], ended["attempt"], ended["exit_code"]), (run["pid"], 1, 0))


class Installing(Package):
    def test_daemon_and_keeper_run_and_are_nobody_else(self):
        self.install()
        status = self.m.json("status")
        self.assertEqual(status["pid"], self.main_pid("schedctl"))
        self.assertEqual(status["keeper_pid"], self.main_pid("schedctl-keeper"))
        for pid in (status["pid"], status["keeper_pid"]):
            self.assertEqual(self.m.must(f"ps -o user= -p {pid}").strip(), "schedctl")
        self.m.ok("add", "whoami", "--manual", "--shell", "id -un; pwd")
        self.m.ok("trigger", "whoami", "--wait")
        self.assertEqual(self.m.ok("logs", "whoami").out, f"schedctl\n{STATE}\n")
        said = self.m.must(f"stat -c '%U:%G %a %n' {STATE} {KEPT} {LOGS} /etc/schedctl/jobs.d")
        self.assertEqual(said.split("\n")[:-1], [
            f"schedctl:schedctl 700 {STATE}", f"schedctl:schedctl 750 {KEPT}",
            f"schedctl:schedctl 750 {LOGS}", "root:root 755 /etc/schedctl/jobs.d"])
        self.assertEqual(self.m.must("systemctl is-enabled schedctl").strip(), "enabled")
        self.m.reboot()
        self.m.wait(lambda: self.active("schedctl"), "the daemon to run after the boot")
        self.assertEqual(len(self.m.runs("whoami")), 1)

    def test_policy_rc_d_is_obeyed(self):
        self.m.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
        self.install()
        self.assertEqual(self.state_of_package(), "ii")
        self.assertEqual(self.m("status").code, 3)
        self.assertFalse(self.active("schedctl") or self.active("schedctl-keeper"))
        # It holds for the installation, not for the next boot.
        self.m.must("systemctl is-enabled schedctl")

    def test_settings_that_cannot_be_used_are_told_and_leave_nothing_half_done(self):
        self.m.write("/etc/schedctl/schedctl.toml", BROKEN)
        said = self.dpkg("--force-confold", "-i", "/root/schedctl.deb")
        self.assertIn("stop_timeout", said)
        self.assertIn("service schedctl start", said)
        self.assertEqual(self.state_of_package(), "ii")
        self.assertFalse(self.active("schedctl"))
        self.m.must("mv /etc/schedctl/schedctl.toml.dpkg-dist /etc/schedctl/schedctl.toml")
        self.m.must("service schedctl start")
        self.assertTrue(self.active("schedctl"))


class Upgrading(Package):
    def test_what_runs_goes_on_and_what_was_edited_stays(self):
        self.install()
        settings = self.m.config.read_text() + 'environment = "mine"\n'
        self.m.config.write_text(settings)
        self.m.write("/etc/default/schedctl", "# mine\n")
        before, run = self.m.json("status"), self.run_job()
        self.upgrade()
        after = self.m.json("status")
        self.assertEqual((before["version"] == after["version"], after["version"]), (False, NEXT))
        self.assertEqual(after["environment"], "mine")
        # Another daemon; the keeper is the same process, by now the new program.
        self.assertNotEqual(after["pid"], before["pid"])
        self.assertEqual(after["pid"], self.main_pid("schedctl"))
        self.assertEqual(after["keeper_pid"], before["keeper_pid"])
        self.assertEqual(after["keeper_pid"], self.main_pid("schedctl-keeper"))
        self.assertEqual(self.m.must(f"stat -Lc %i /proc/{after['keeper_pid']}/exe"),
                         self.m.must("stat -c %i /usr/bin/schedctl"))
        self.survives(run)
        self.assertEqual(self.m.config.read_text(), settings)
        self.assertEqual((self.m.here / "etc/default/schedctl").read_text(), "# mine\n")

    def test_with_settings_that_cannot_be_used_the_old_daemon_goes_on(self):
        self.install()
        settings, run, pid = self.m.config.read_text(), self.run_job(), self.m.pid()
        self.m.config.write_text(settings + BROKEN)
        said = self.upgrade()
        self.assertIn("stop_timeout", said)
        self.assertIn("goes on", said)
        self.assertEqual(self.state_of_package(), "ii")
        self.assertEqual(self.main_pid("schedctl"), pid)
        self.m.config.write_text(settings)
        self.m.ok("restart")
        self.assertEqual(self.m.json("status")["version"], NEXT)
        self.survives(run)

    def test_what_was_switched_off_stays_off(self):
        self.install()
        self.m.must("systemctl disable --now schedctl; systemctl stop schedctl-keeper")
        self.upgrade()
        self.assertEqual(self.m("status").code, 3)
        self.assertNotEqual(self.m.run("systemctl is-enabled schedctl").code, 0)


class Removing(Package):
    def test_remove_lets_jobs_end_and_stops_both(self):
        self.install()
        pids = self.m.pid(), self.m.keeper_pid()
        self.run_job("trap '' TERM; " + UNTIL_TOLD)
        removing = self.m.popen("dpkg", "-r", "schedctl")
        self.m.wait(lambda: "stopping" in self.m.log_text(), "the daemon to stop")
        self.assertIsNone(removing.poll())
        self.m.must("touch /tmp/go")
        said, _ = removing.communicate(timeout=container.PATIENCE_S)
        self.assertEqual(removing.returncode, 0, said)
        for pid in pids:
            self.assertFalse(self.m.alive(pid))
        self.assertIn("run-succeeded job=long", self.m.log_text())
        self.assertNotEqual(self.m.run("systemctl is-failed schedctl").out.strip(), "failed")
        # A new installation goes on where this one stopped.
        self.assertTrue((self.m.state / "schedctl.db").exists())
        self.install()
        self.assertEqual(self.m.wait_state("long", "succeeded")["attempt"], 1)

    def test_purge_keeps_jobs_and_history_unless_told(self):
        self.install()
        self.m.ok("add", "kept", "--manual", "--", "true")
        self.m.write("/etc/schedctl/jobs.d/mine.toml", "")
        said = self.dpkg("--purge", "schedctl")
        self.assertIn(f"{STATE} is kept", said)
        self.assertTrue((self.m.state / "schedctl.db").exists())
        self.assertTrue(self.m.log.exists())
        self.assertFalse(self.m.config.exists())
        self.assertTrue((self.m.jobs_dir / "mine.toml").exists())
        self.install()
        self.assertIsNotNone(self.m.job("kept"))
        self.m.must("echo schedctl schedctl/purge_state boolean true | debconf-set-selections")
        self.dpkg("--purge", "schedctl")
        for path in (STATE, KEPT, LOGS, "/run/schedctl"):
            self.assertFalse((self.m.here / path[1:]).exists(), path)
        self.assertEqual(self.m.must("find / -xdev -user schedctl -not -path '/proc/*'"), "")
        self.assertEqual(self.m.run("ls /etc/rc?.d /etc/systemd/system/*.wants | grep schedctl").out,
                         "")


class WithoutSystemd(unittest.TestCase):
    def test_where_the_init_script_starts_daemon_and_keeper(self):
        # invoke-rc.d starts nothing where there is no init, unless it is told to.
        said = bare.run(f"""
            export DEBIAN_FRONTEND=noninteractive
            printf '#!/bin/sh\\nexit 104\\n' > /usr/sbin/policy-rc.d
            chmod +x /usr/sbin/policy-rc.d
            mv schedctl_{NEXT}_*.deb next.deb
            dpkg -i schedctl_*.deb
            schedctl add long --manual --shell '{UNTIL_TOLD}'
            schedctl trigger long
            until schedctl ps | grep -q long; do sleep 0.1; done
            ps -e -o user=,args= | grep -o '^.*schedctl: [a-z]*' | sort
            keeper=$(cat /run/schedctl-keeper.pid)
            dpkg -i next.deb
            [ "$keeper" = "$(cat /run/schedctl-keeper.pid)" ]
            service schedctl status
            touch /tmp/go
            until schedctl runs long --state succeeded | grep long; do sleep 0.1; done
            dpkg -r schedctl
            ! ps -e -o args= | grep '^schedctl: '
            ls -l {STATE}/schedctl.db
            dpkg -i next.deb
            schedctl runs
            echo schedctl schedctl/purge_state boolean true | debconf-set-selections
            dpkg --purge schedctl
            ! ls -d {STATE} {KEPT} {LOGS}
            """, [*needs(), "procps"], [products.package(), products.package(NEXT)])
        self.assertRegex(said, r"\nschedctl +schedctl: daemon\nschedctl +schedctl: keeper\n")
        self.assertIn(f"version {NEXT}", said)
        self.assertRegex(said, r"#1 +long +manual +succeeded")

    def test_in_a_directory_where_no_init_runs_it_is_installed_and_not_started(self):
        said = bare.run("""
            DEBIAN_FRONTEND=noninteractive dpkg -i schedctl_*.deb
            dpkg-query -W -f '${db:Status-Abbrev}\n' schedctl
            schedctl status || echo "exit $?"
            """, [*needs(), "procps"], [products.package()])
        self.assertIn("\nii \n", said)
        self.assertIn("exit 3", said)


if __name__ == "__main__":
    unittest.main()
