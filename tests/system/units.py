"""schedctl in a machine with a real systemd, by the units in systemd/ as they are."""
import contextlib
import unittest

from container import BINARY, Machine, library_packages

UNITS = "/usr/lib/systemd/system"
MINE = "/etc/systemd/system"
KEEPER_D = f"{MINE}/schedctl-keeper.service.d"
SETTINGS = """\
daemon_user = "schedctl"
keeper = "external"
keeper_dir = "/var/lib/schedctl-keeper"
timezone = "UTC"
"""
# Runs until it is told; what a job of unknown length is in these stories.
UNTIL_TOLD = "until [ -e /run/go ]; do sleep 0.05; done; echo done"


class Installed(unittest.TestCase):
    """A machine that has what the package has, and has not started it."""
    settings = ""

    def setUp(self):
        self.m = Machine(packages=library_packages())
        self.addCleanup(self.m.close)
        self.m.copy(BINARY, "/usr/bin/schedctl", 0o755)
        for name in ("schedctl.service", "schedctl-keeper.service", "schedctl-keeper.service.d"):
            self.m.copy(f"systemd/{name}", f"{UNITS}/{name}")
        self.m.copy("systemd/schedctl.sysusers", "/usr/lib/sysusers.d/schedctl.conf")
        self.m.copy("systemd/schedctl.tmpfiles", "/usr/lib/tmpfiles.d/schedctl.conf")
        self.m.must("systemd-sysusers && systemd-tmpfiles --create schedctl.conf")
        self.configure(self.settings)
        self.m.must("systemctl daemon-reload")

    def configure(self, settings=""):
        self.m.write("/etc/schedctl/schedctl.toml", SETTINGS + settings, 0o640)
        self.m.must("chgrp schedctl /etc/schedctl/schedctl.toml")

    def drop_in(self, unit, text):
        """What `systemctl edit` does."""
        self.m.write(f"{MINE}/{unit}.service.d/zz-test.conf", text)
        self.m.must("systemctl daemon-reload")

    def show(self, unit, name):
        return self.m.must("systemctl", "show", "--value", "-p", name, unit).strip()

    def main_pid(self, unit="schedctl"):
        return int(self.show(unit, "MainPID"))

    def is_active(self, unit="schedctl"):
        return self.m.run("systemctl", "is-active", unit).out.strip()

    def wait_active(self, word, unit="schedctl"):
        self.m.wait(lambda: self.is_active(unit) == word, f"{unit} to be {word}")

    def processes(self, unit):
        """Of its control group, and those within, by their command lines."""
        found = {}
        group = self.show(unit, "ControlGroup")
        for pid in self.m.must(f"cat $(find /sys/fs/cgroup{group} -name cgroup.procs)").split():
            with contextlib.suppress(OSError):
                line = (self.m.here / f"proc/{pid}/cmdline").read_bytes()
                found[int(pid)] = line.replace(b"\0", b" ").decode().strip()
        return found

    def user(self, pid):
        return self.m.must("ps", "-o", "user:32=", "-p", pid).strip()


class Started(Installed):
    """The same after `systemctl enable --now schedctl`."""

    def setUp(self):
        super().setUp()
        self.m.must("systemctl enable --quiet --now schedctl")
        self.pid, self.keeper = self.main_pid(), self.main_pid("schedctl-keeper")

    def run_job(self, name="long", line=UNTIL_TOLD, *options):
        """Adds a job, starts it, and gives back its run once it runs."""
        self.m.ok("add", name, "--manual", *options, "--shell", line)
        self.m.ok("trigger", name)
        return self.m.wait_runs(name, lambda all_: any(r["pid"] for r in all_),
                                f"{name} to run")[-1]

    def output_of(self, line, *options, name="ask"):
        """What a job prints; it has to succeed."""
        self.m.ok("add", name, "--manual", "--replace", *options, "--shell", line)
        answer = self.m("trigger", name, "--wait")
        self.assertEqual(answer.code, 0, (answer, self.m("logs", name)))
        return self.m.ok("logs", name).out.strip()

    def expect_succeeded_once(self, run):
        """It is told to end, and nobody has touched it."""
        self.assertTrue(self.m.alive(run["pid"]))
        self.m.write("/run/go", "")
        self.m.wait_state(run["job"], "succeeded")
        runs = self.m.runs(run["job"])
        self.assertEqual([(r["id"], r["state"], r["attempt"], r["pid"]) for r in runs],
                         [(run["id"], "succeeded", 1, run["pid"])])

    def wait_new_daemon(self, old):
        """The next daemon's pid, once systemd has heard that it is ready."""
        def look():
            pid = self.main_pid()
            return pid if pid not in (0, old) and self.is_active() == "active" else None
        return self.m.wait(look, "the next daemon to be ready")
