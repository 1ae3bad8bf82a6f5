"""Real faults for the stories of test_pressure_*.py: system calls that fail (strace), file systems
without room (tmpfs), limits put on a living process (prlimit), and what shows that nothing spins.
Where this machine cannot do one of them the story skips and says which."""
import contextlib
import mmap
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import time

from machine import BINARY, Story

# In so many seconds a loop that spins uses all of its processor and one that sleeps next to none.
CALM_S = 2


def is_sanitized():
    with open(BINARY, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return text.find(b"__ubsan_handle") >= 0


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status_field(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split()[1]
    raise KeyError(name)


def descriptors(pid):
    return sorted(int(fd) for fd in os.listdir(f"/proc/{pid}/fd"))


def cmdline(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def children_of(pid):
    """[(pid, state)] of all that have it as their parent, zombies included."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append((int(entry.name), fields[0]))
    return found


class Pressure(Story):
    """A job that was due is told of soon, and nobody waits long for a process that must end."""
    settings = 'stop_timeout = "1s"\n[defaults]\nkill_grace = "300ms"\nalert_grace = "2s"\n'

    # --- faults ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def failing_calls(self, pid, calls, error, when=""):
        """While it lasts, these system calls of the process fail in all its threads. The children
        of a keeper are not followed: strace cannot let go of a parent that waits in vfork for a
        child that strace holds, too."""
        if not shutil.which("strace"):
            self.skipTest("needs strace to make system calls fail")
        inject = f"inject={calls}:error={error}" + (f":when={when}" if when else "")
        follow = ["-f"] if len(os.listdir(f"/proc/{pid}/task")) > 1 else []
        strace = subprocess.Popen(["strace", *follow, "-qq", "-o", self.m.root / "strace",
                                   "-e", f"trace={calls}", "-e", inject, "-p", str(pid)],
                                  stderr=subprocess.PIPE, text=True)

        def attached():
            if strace.poll() is not None:
                self.skipTest("strace cannot attach here: " + strace.stderr.read())
            tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
            return all(status_field(task.name, "TracerPid") != "0" for task in tasks)
        try:
            self.m.wait(attached, "strace to hold the process")
            yield
        finally:
            strace.terminate()
            strace.communicate()

    def small_disk(self, path, options):
        """A file system of its own at `path`, so small that it can be filled."""
        if os.geteuid() != 0:
            self.skipTest("needs root to mount a small file system")
        path.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", path],
                              stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            self.skipTest("cannot mount a tmpfs here: " + done.stderr)
        self.addCleanup(subprocess.run, ["umount", "-l", path], check=False)
        path.chmod(0o700)

    @staticmethod
    def fill(directory):
        """Takes all room; gives back the file to unlink."""
        ballast = directory / "ballast"
        out = os.open(ballast, os.O_CREAT | os.O_WRONLY)
        for size in (65536, 512):
            with contextlib.suppress(OSError):
                while True:
                    os.write(out, b"x" * size)
        os.close(out)
        return ballast

    @staticmethod
    def fill_inodes(directory):
        """Takes all inodes; gives back the directory to remove."""
        ballast = directory / "ballast"
        ballast.mkdir()
        with contextlib.suppress(OSError):
            for number in range(100_000):
                (ballast / str(number)).touch()
        return ballast

    def make_group(self, controller):
        """A cgroup of its own, of the old kind, which this kernel may have or not."""
        group = pathlib.Path("/sys/fs/cgroup") / controller / self.m.root.name
        try:
            group.mkdir()
        except OSError as error:
            self.skipTest(f"cannot make a cgroup with the {controller} controller here: {error}")

        def remove():
            for _ in range(40):
                try:
                    return group.rmdir()
                except OSError:  # somebody is still dying in it
                    time.sleep(0.05)
            return None
        self.addCleanup(remove)
        return group

    def limit(self, pid, what, value):
        subprocess.run(["prlimit", "--pid", str(pid), f"--{what}={value}:"], check=True)

    def silent_callers(self, number, path):
        """So many connections to a socket that say nothing."""
        callers = []
        self.addCleanup(lambda: [caller.close() for caller in callers])
        for _ in range(number):
            callers.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            # While the queue is full it waits, which it would not with a timeout of Python's.
            callers[-1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 20, 0))
            callers[-1].connect(str(path))
        return callers

    # --- what must hold --------------------------------------------------------------------------

    def tick(self, name="tick", *words):
        """A job that leaves a line with its key each second."""
        self.m.ok("add", name, "--every", "1s", *words, "--shell",
                  f"echo $SCHEDCTL_KEY >> {self.m.root / name}")

    def lines(self, name="tick"):
        path = self.m.root / name
        return path.read_text().split() if path.exists() else []

    def succeeds_again(self, name="tick"):
        count = self.succeeded(name)
        self.m.wait(lambda: self.succeeded(name) > count, f"one more run of {name}")

    def succeeded(self, name="tick"):
        return self.m.column("SELECT count(*) FROM run WHERE state = 'succeeded' AND job_name = "
                             f"'{name}'")[0]

    def assert_calm(self, *pids, cpu_s=None, lines=10):
        """For a while these processes hardly work, and the log hardly grows."""
        cpu_s = cpu_s or (0.8 if is_sanitized() else 0.3)
        begun = time.monotonic()
        before = [cpu_seconds(pid) for pid in pids]
        written = self.m.log_text().count("\n")
        time.sleep(CALM_S)
        used = [cpu_seconds(pid) for pid in pids]
        written = self.m.log_text().count("\n") - written
        # On a busy machine the while is longer than it was meant to be.
        times = (time.monotonic() - begun) / CALM_S
        for then, now in zip(before, used):
            self.assertLess(now - then, cpu_s * times, self.m.log_text()[-2000:])
        self.assertLess(written, lines * times, self.m.log_text()[-2000:])

    def assert_starts_nothing(self, *pids, why):
        """Calm, and no line of a new start. What had started before may be about to write its."""
        keeper = int((self.m.state / "keeper" / "lock").read_text().split()[1])
        self.m.wait(lambda: not [pid for pid, _ in children_of(keeper) if b"SCHEDCTL_KEY >>" in
                                 cmdline(pid)], "what had started to end")
        before = self.lines()
        self.assert_calm(*pids)
        self.assertEqual(self.lines(), before, why)

    def episodes(self, kind):
        return self.m.column(f"SELECT count(*) FROM alert WHERE kind = '{kind}'")[0]

    def assert_books_balance(self, name="tick"):
        """Each second from the first to the last is in one row, and whatever ran has its row."""
        rows = self.m.runs(name, "-n", "100000")
        lines = self.lines(name)
        self.assertEqual(len(lines), len(set(lines)), "something ran twice")
        keys = {row["key"] for row in rows if row["state"] == "succeeded"}
        self.assertLessEqual(set(lines), keys | {r["key"] for r in rows if r["state"] == "running"})
        seconds = []
        for row in rows:
            first = self.second(row["fire_time"])
            seconds += range(first, first + row["count"])
        self.assertEqual(sorted(seconds), list(range(min(seconds), max(seconds) + 1)), rows)

    @staticmethod
    def second(text):
        whole = text.split(".")[0].rstrip("Z")
        return round(time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone)

    def assert_takes(self, seconds, action):
        """A sanitized program may take longer, as it does for everything."""
        begun = time.monotonic()
        result = action()
        self.assertLess(time.monotonic() - begun, seconds * (2 if is_sanitized() else 1))
        return result

    def wait_pending(self, name, words):
        """A run of the job that waits because it could not be started, for the reason given."""
        def look():
            return next((r for r in self.m.runs(name)
                         if r["state"] == "pending" and words in self.error_of(r["id"])), None)
        return self.m.wait(look, f"{name} to wait because of: {words}")

    def wait_why(self, name, words):
        """`why` speaks of the newest fire, and of a job that fires each second there is a new one
        before anything was tried."""
        self.m.wait(lambda: words in self.m.ok("why", name).out, f"why {name} to say {words}")

    def error_of(self, run):
        return self.m.column(f"SELECT error FROM run WHERE id = {run}")[0] or ""
