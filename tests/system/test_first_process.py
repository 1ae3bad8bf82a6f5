"""The daemon as process 1 of a process namespace, which it is as the program of a container: nobody
else takes away who ends there, and what signals do by default they do not do to it."""
import os
import pathlib
import shutil
import signal
import subprocess
import unittest

import machine

INSIDE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--"]
UNTIL_TOLD = "until [ -e {go} ]; do sleep 0.1; done; echo done"


def why_not():
    if os.geteuid() != 0:
        return "only root can make a process namespace"
    done = subprocess.run([*INSIDE, "true"], stderr=subprocess.PIPE, text=True, check=False)
    return "" if done.returncode == 0 else f"no process namespace can be had: {done.stderr}"


REASON = why_not()


class Container(machine.Machine):
    def __init__(self, settings=""):
        super().__init__(settings)
        text = self.config.read_text().replace(f'log_file = "{self.log}"', 'log_file = "-"')
        self.config.write_text(text)
        with open(self.log, "wb") as log:
            # Whoever is killed while it has a container takes it along.
            self.holder = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *INSIDE, self.binary, "--config",
                 str(self.config), "start", "--foreground"], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=log, env=self.environment())
        try:
            self.wait(lambda: self.holder.poll() is not None or self("status").code == 0,
                      "the daemon to run")
            assert self.holder.poll() is None, self.log_text()
        except BaseException:
            self.close()
            raise

    @property
    def first(self):
        """Process 1 of the container, by its number out here."""
        children = f"/proc/{self.holder.pid}/task/{self.holder.pid}/children"
        return int(pathlib.Path(children).read_text().split()[0])

    def sh(self, *words):
        spaces = f"/proc/{self.holder.pid}/ns/pid_for_children"
        done = subprocess.run(
            ["nsenter", f"--pid={spaces}", f"--mount=/proc/{self.first}/ns/mnt", "--",
             *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, timeout=machine.PATIENCE_S * 2,
            env=self.environment(), check=False)
        return machine.Answer(done)

    def __call__(self, *words, env=None, stdin=None, cwd=None):
        try:
            return self.sh(self.binary, "--config", self.config, *words)
        except (OSError, IndexError):  # there is no process 1 (yet)
            return machine.Answer(subprocess.CompletedProcess([], 69, "", "nothing runs"))

    def processes(self):
        """What there is, by its number in the container: [state, title]."""
        found = {}
        for line in self.sh("ps", "-e", "-o", "pid=,stat=,args=").out.splitlines():
            pid, state, title = line.split(None, 2)
            if not title.startswith("ps "):
                found[int(pid)] = (state, title)
        return found

    def no_zombies(self):
        return not [p for p in self.processes().values() if p[0].startswith("Z")]

    def end(self):
        """Its exit code, as whoever runs the container gets it."""
        return self.holder.wait(timeout=machine.PATIENCE_S)

    def close(self):
        if self.holder.poll() is None:
            self.holder.kill()
        self.holder.wait()
        shutil.rmtree(self.root, ignore_errors=True)


class FirstProcess(unittest.TestCase):
    settings = 'stop_timeout = "30s"\n'

    def setUp(self):
        if REASON:
            self.skipTest(REASON)
        self.m = Container(self.settings)
        self.addCleanup(self.m.close)
        self.go = self.m.root / "go"

    def run_job(self, name, line):
        self.m.ok("add", name, "--manual", "--shell", line)
        self.m.ok("trigger", name)
        return self.m.wait_runs(name, lambda runs: any(r["pid"] for r in runs), "it to run")[-1]

    def test_sigterm_lets_what_runs_end_and_ends_with_0(self):
        self.assertEqual(self.m.pid(), 1)
        self.run_job("long", UNTIL_TOLD.format(go=self.go))
        os.kill(self.m.first, signal.SIGTERM)
        self.m.wait(lambda: "stopping" in self.m.log_text(), "it to stop")
        self.assertIsNone(self.m.holder.poll())
        self.go.touch()
        self.assertEqual(self.m.end(), 0)
        self.assertIn("run-succeeded job=long", self.m.log_text())

    def test_what_loses_its_parent_is_taken_away_when_it_ends(self):
        # Of the keeper's own jobs what is left goes to the keeper, as anywhere.
        self.run_job("forks", "(setsid sh -c 'true' &) ; true")
        self.m.wait_state("forks", "succeeded")
        self.m.wait(self.m.no_zombies, "nothing to be left of the job")
        # A keeper that is killed leaves itself and its orphans to process 1.
        self.run_job("long", "(setsid sleep 0.3 &); sleep 1000")
        keeper = self.m.keeper_pid()
        self.m.sh("kill", "-KILL", keeper)
        self.m.wait(lambda: self.m.keeper_pid() not in (None, keeper), "another keeper")
        self.m.wait_state("long", "lost")
        self.m.wait(lambda: not any("sleep" in title for _, title in self.m.processes().values()),
                    "what the keeper left to be gone")
        self.m.wait(self.m.no_zombies, "no zombie to be left")
        # So does whoever looked in from outside (docker exec).
        self.m.sh("sh", "-c", "(setsid sh -c 'sleep 0.1' &) ; true")
        self.m.wait(lambda: not any("sleep" in title for _, title in self.m.processes().values()),
                    "the orphan to end")
        self.m.wait(self.m.no_zombies, "no zombie to be left")
        self.assertEqual(len(self.m.processes()), 2, self.m.processes())

    def test_signals_of_operators_work(self):
        os.kill(self.m.first, signal.SIGHUP)
        self.m.wait(lambda: "reloaded" in self.m.log_text(), "it to reload")
        self.m.ok("restart")
        self.assertEqual(self.m.pid(), 1)
        os.kill(self.m.first, signal.SIGUSR1)
        self.assertEqual(self.m.end(), 75)
