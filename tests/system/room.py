"""A machine within this one: the real /etc, /usr and /var, with everything that is written to them
in memory, an empty /run, and processes of its own. schedctl, supervisord, init scripts and logrotate
run there as root at the very paths they have on a server; when the room is closed, the kernel ends
every process in it, and nothing of it is left."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

from elsewhere import PATH, Elsewhere
from machine import BINARY, PATIENCE_S, Answer

ROOT = pathlib.Path(__file__).resolve().parents[2]

# $1: a directory for what is written. Whatever schedctl this machine has itself is hidden: its jobs
# must not run here. The first process stays, and reaps those that lose their parents.
SETUP = r"""
set -eu
mount -t tmpfs -o mode=0755 tmpfs "$1"
for dir in etc usr var; do
    mkdir -p "$1/upper/$dir" "$1/busy/$dir"
    mount -t overlay -o "lowerdir=/$dir,upperdir=$1/upper/$dir,workdir=$1/busy/$dir" overlay "/$dir"
    [ "$(stat -f -c %T "/$dir")" = overlayfs ]
done
mount -t tmpfs -o mode=0755 tmpfs /run
rm -rf /etc/schedctl /etc/default/schedctl /etc/init.d/schedctl /etc/logrotate.d/schedctl \
    /var/lib/schedctl /var/log/schedctl /etc/supervisor/conf.d /var/log/supervisor
mkdir -p /etc/schedctl/jobs.d
rm -f /usr/bin/schedctl
install -m 0755 "$2" /usr/bin/schedctl
echo ready
exec <&- >/dev/null
while :; do sleep 3600 & wait $! || :; done
"""
UNSHARE = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]


def why_no_room():
    """Why there can be no room on this machine; empty: there can."""
    if os.geteuid() != 0:
        return "only root can make a mount namespace"
    missing = [tool for tool in ("unshare", "nsenter") if shutil.which(tool) is None]
    if missing:
        return f"{missing[0]} is missing"
    try:
        Room().close()
    except RuntimeError as error:
        return f"no mount namespace with overlays can be had: {error}"
    return ""


class Room(Elsewhere):
    """What Machine is, but schedctl serves the whole (small) machine, without any option."""

    def __init__(self, settings="", user=""):
        self.user = user
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="schedctl-room-"))
        self.foreground = []
        # Whoever is killed while it has a room takes the room along.
        self.holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *UNSHARE, "bash", "-c", SETUP, "room",
             str(self.root), BINARY], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "ready\n":
            error = self.holder.stderr.read().strip()
            self.close()
            raise RuntimeError(error)
        self.here = pathlib.Path(f"/proc/{self.holder.pid}/root")
        self.config = self.here / "etc/schedctl/schedctl.toml"
        self.jobs_dir = self.here / "etc/schedctl/jobs.d"
        self.state, self.run_dir = self.here / "var/lib/schedctl", self.here / "run/schedctl"
        self.log = self.here / "var/log/schedctl/info.log"
        if user:
            made = self.sh("useradd", "--system", "--user-group", user)
            assert made.code == 0, made
        self.write_config(settings)

    def write_config(self, settings=""):
        text = f'timezone = "UTC"\n{settings}\n'
        if self.user:
            text = f'daemon_user = "{self.user}"\n' + text
        self.config.write_text(text)
        self.config.chmod(0o600)
        if self.user:
            self.sh("chgrp", self.user, "/etc/schedctl/schedctl.toml")
            self.config.chmod(0o640)

    def put(self, source, path, mode=0o644, edit=lambda text: text):
        """A file of the repository at its place in the room."""
        target = self.here / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(edit((ROOT / source).read_text()))
        target.chmod(mode)
        return target

    def entering(self, words):
        spaces = f"/proc/{self.holder.pid}/ns"
        return ["nsenter", f"--mount={spaces}/mnt", f"--pid={spaces}/pid_for_children", "--",
                *map(str, words)]

    def sh(self, *words, patience=PATIENCE_S * 2, env=None):
        """Any program, as root in the room."""
        done = subprocess.run(self.entering(words), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              errors="replace", env=self.environment(env), timeout=patience,
                              check=False)
        return Answer(done)

    def __call__(self, *words, env=None, stdin=None, cwd=None):
        return self.sh("schedctl", *words, env=env)

    def kill(self, pid, name):
        answer = self.sh("kill", "-s", name, pid)
        assert answer.code == 0, answer

    def titles(self):
        """What runs in the room, by process id."""
        found = {}
        for entry in (self.here / "proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:
                continue
            if line:
                found[int(entry.name)] = line
        return found

    def schedctls(self):
        return [line for line in self.titles().values() if line.startswith("schedctl: ")]

    def run_job(self, name, line, *options):
        """Adds a job, starts it, and gives back its run once it runs."""
        self.ok("add", name, "--manual", *options, "--shell", line)
        self.ok("trigger", name)
        return self.wait_runs(name, lambda all_: any(r["pid"] for r in all_),
                              f"{name} to run")[-1]

    def close(self):
        self.holder.send_signal(signal.SIGKILL)
        self.holder.communicate()
        for child in self.foreground:
            child.communicate()
        shutil.rmtree(self.root, ignore_errors=True)


REASON = why_no_room()


class RoomStory(unittest.TestCase):
    """A test with a room of its own."""
    settings = ""
    user = ""  # daemon_user

    def setUp(self):
        if REASON:
            self.skipTest(REASON)
        self.m = Room(self.settings, self.user)
        self.addCleanup(self.m.close)

    def uid(self, pid):
        """The name of the user that a process is."""
        return self.m.sh("ps", "-o", "user:32=", "-p", pid).out.strip()

    def need(self, tool, package):
        if shutil.which(tool, path=PATH) is None:
            self.skipTest(f"{tool} is missing (package {package})")
