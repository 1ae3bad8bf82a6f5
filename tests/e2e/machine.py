"""A schedctl of its own in a scratch directory, driven as a user would: the real binary, its command
line, its files. Tests wait on facts (a row, a line, a process that is gone), never on a sleep."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

BINARY = os.environ.get("SCHEDCTL", str(pathlib.Path("build/schedctl").resolve()))
# Everything here takes milliseconds; on a machine that is busy with sanitizers it may take long.
PATIENCE_S = 60


class Answer:
    """What a command gave back."""

    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Machine:
    def __init__(self, settings=""):
        self.binary = BINARY
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="schedctl-test-"))
        self.config = self.root / "schedctl.toml"
        self.state, self.run_dir = self.root / "state", self.root / "run"
        self.log = self.root / "info.log"
        self.jobs_dir = self.root / "jobs.d"
        self.jobs_dir.mkdir()
        self.write_config(settings)
        self.foreground = []

    def write_config(self, settings=""):
        self.config.write_text(
            f'state_dir = "{self.state}"\nruntime_dir = "{self.run_dir}"\n'
            f'log_file = "{self.log}"\njobs_dirs = ["{self.jobs_dir}"]\n'
            f'timezone = "UTC"\n{settings}\n')
        self.config.chmod(0o600)

    def environment(self, extra=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith("SCHEDCTL")}
        env.update(extra or {})
        return env

    def __call__(self, *words, env=None, stdin=None, cwd=None):
        done = subprocess.run([self.binary, "--config", str(self.config), *map(str, words)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              errors="replace", env=self.environment(env), input=stdin or "",
                              timeout=PATIENCE_S * 2, cwd=cwd, check=False)
        return Answer(done)

    def ok(self, *words, **kw):
        answer = self(*words, **kw)
        assert answer.code == 0, f"{words}: {answer}\n{self.log_text()[-4000:]}"
        return answer

    def json(self, *words):
        return self.ok(*words, "--json").json

    def popen(self, *words, **kw):
        child = subprocess.Popen([self.binary, "--config", str(self.config), *map(str, words)],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 env=self.environment(), stdin=subprocess.DEVNULL, **kw)
        self.foreground.append(child)
        return child

    def start(self):
        self.ok("start")
        return self.pid()

    def pid(self):
        return self.json("status")["pid"]

    def keeper_pid(self):
        return self.json("status")["keeper_pid"]

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def runs(self, *words):
        """Oldest first, which reads better in tests than the command's newest first."""
        return list(reversed(self.json("runs", *words)))

    def job(self, name):
        return next((j for j in self.json("list") if j["name"] == name), None)

    def wait(self, fact, what):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            value = fact()
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {PATIENCE_S} s for {what}\n{self.log_text()[-6000:]}")
            time.sleep(0.05)

    def wait_runs(self, name, condition, what):
        """Waits until `condition` holds for the list of the job's runs; gives it back."""
        def look():
            runs = self.runs(name)
            return runs if condition(runs) else None
        return self.wait(look, what)

    def wait_state(self, name, state):
        """The first run of the job that is in `state`."""
        runs = self.wait_runs(name, lambda all_: any(r["state"] == state for r in all_),
                              f"{name} to be {state}")
        return next(r for r in runs if r["state"] == state)

    def wait_reason(self, name, reason):
        """The first run of the job that has this reason. A busy machine coalesces, so that the
        first that was skipped may be one for which nothing was in the way."""
        runs = self.wait_runs(name, lambda all_: any(r["reason"] == reason for r in all_),
                              f"a run of {name} with the reason {reason}")
        return next(r for r in runs if r["reason"] == reason)

    def wait_lines(self, count, *words):
        """So many lines of the log that have all the words. Its row is there before a run's line."""
        def look():
            lines = [line for line in self.log_text().splitlines()
                     if all(word in line for word in words)]
            return lines if len(lines) >= count else None
        return self.wait(look, f"{count} lines with {words}")

    def wait_gone(self, pid):
        self.wait(lambda: not alive(pid), f"process {pid} to be gone")

    def column(self, query):
        """The first column of a query on the store."""
        with contextlib.closing(sqlite3.connect(self.state / "schedctl.db")) as db:
            return [row[0] for row in db.execute(query)]

    def stop(self):
        return self("stop", "--now")

    def close(self):
        """Ends whatever is left, by pid, and removes the directory."""
        pids = []
        try:
            status = json.loads(self("status", "--json").out or "{}")
            pids = [status.get("pid"), status.get("keeper_pid")]
            self.stop()
        except (AssertionError, ValueError, subprocess.TimeoutExpired):
            pass
        lock = self.state / "keeper" / "lock"
        if lock.exists():
            words = lock.read_text(errors="replace").split()
            if words[:1] == ["pid"] and words[1].isdigit():
                pids.append(int(words[1]))
        # Where its settings are broken, it cannot be asked.
        pidfile = self.run_dir / "schedctl.pid"
        if pidfile.exists() and (number := pidfile.read_text().strip()).isdigit():
            pids.append(int(number))
        for pid in pids:
            if pid and is_ours(pid):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)
        for child in self.foreground:
            if child.poll() is None:
                child.kill()
            child.communicate()
        shutil.rmtree(self.root, ignore_errors=True)


def freeze(pid):
    """Stops a process; all its threads stand still when this comes back."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + PATIENCE_S
    tasks = pathlib.Path(f"/proc/{pid}/task")
    while any((task / "stat").read_text().rsplit(")", 1)[1].split()[0] != "T"
              for task in tasks.iterdir()):
        assert time.monotonic() < deadline, f"process {pid} does not stop"
        time.sleep(0.01)


def alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state != "Z"
    except OSError:
        return False


def is_ours(pid):
    try:
        return b"schedctl" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def title(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()


class Story(unittest.TestCase):
    """A test with a machine of its own."""
    settings = ""

    def setUp(self):
        self.m = Machine(self.settings)
        self.addCleanup(self.m.close)
