"""Whatever stands where pidfile, lock, socket and their directory belong is no obstacle that nobody
explains, and no weapon: the lock decides who is the daemon, never a file's content."""
import fcntl
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import time
import unittest

from machine import BINARY, PATIENCE_S, Answer, Story, alive, is_ours, title

NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
# A file that must not be opened hangs for ever; everything else takes milliseconds.
AT_ONCE_S = 20


def why_no_other_user():
    """Why there can be no other user's process here; empty: there can."""
    if os.geteuid() != 0:
        return "only root can become another user"
    if shutil.which("setpriv") is None:
        return "setpriv is missing"
    done = subprocess.run([*AS_NOBODY, BINARY, "--version"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, check=False)
    return "" if done.returncode == 0 else f"another user cannot run it: {done.stderr.strip()}"


class Files(Story):
    settings = 'stop_timeout = "1s"\n[defaults]\nkill_grace = "300ms"\n'

    def setUp(self):
        super().setUp()
        self.pidfile = self.m.run_dir / "schedctl.pid"
        self.lock = self.m.run_dir / "schedctl.lock"
        self.socket = self.m.run_dir / "schedctl.sock"
        self.victim = self.m.root / "victim"
        self.victim.write_text("precious")
        self.stranger = self.start_stranger("sleep", "600")

    def start_stranger(self, *words, **kw):
        """Any of the signals that are for a daemon would end it."""
        stranger = subprocess.Popen(words, **kw)
        self.addCleanup(stranger.wait)
        self.addCleanup(stranger.kill)
        return stranger

    def hold_lock(self, path, *prefix):
        """A stranger that holds a lock: flock(1) execs nothing, so the pid is the holder's."""
        path.parent.mkdir(mode=0o700, exist_ok=True)
        holder = self.start_stranger(*prefix, "flock", "--no-fork", path, "sleep", "600")
        self.m.wait(lambda: self.is_locked(path), "the stranger to hold the lock")
        return holder

    @staticmethod
    def is_locked(path):
        if not path.exists():
            return False
        with open(path, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def quick(self, *words):
        began = time.monotonic()
        answer = self.m(*words)
        self.assertLess(time.monotonic() - began, AT_ONCE_S, words)
        return answer

    def check_untouched(self):
        self.assertEqual(self.victim.read_text(), "precious")
        self.assertIsNone(self.stranger.poll(), "the stranger was signalled")

    def check_runs(self):
        """A daemon like any other: seen, answering, with a pidfile that tells the truth."""
        pid = self.m.pid()
        self.assertEqual(title(pid), "schedctl: daemon")
        mode = self.pidfile.lstat()
        self.assertTrue(stat.S_ISREG(mode.st_mode))
        self.assertEqual((stat.S_IMODE(mode.st_mode), mode.st_uid), (0o644, os.geteuid()))
        self.assertEqual(self.pidfile.read_text(), f"{pid}\n")
        self.m.ok("reload")
        self.assertEqual(self.m("check").code, 0)
        return pid

    def run_long_job(self):
        self.m.ok("add", "long", "--manual", "--", "sleep", "600")
        self.m.ok("trigger", "long")
        return self.m.wait_runs("long", lambda r: r and r[0]["pid"], "a process")[0]["pid"]


class Pidfiles(Files):
    def obstacles(self):
        """What may stand there: its name, how it is made, and the status that LSB wants."""
        dead = subprocess.Popen(["true"])
        dead.wait()
        here, stranger = self.pidfile, self.stranger.pid

        def write(text, mode=0o644):
            here.write_bytes(text)
            here.chmod(mode)

        def huge():
            here.touch()
            os.truncate(here, 1 << 40)

        dead_with_pidfile, stopped = 1, 3
        return [
            ("stale", lambda: write(b"%d\n" % dead.pid), dead_with_pidfile),
            ("a stranger's pid", lambda: write(b"%d\n" % stranger), dead_with_pidfile),
            ("a stranger's pid, no newline", lambda: write(b"%d" % stranger), dead_with_pidfile),
            ("init's pid", lambda: write(b"1\n"), dead_with_pidfile),
            ("world-writable", lambda: write(b"%d\n" % stranger, 0o666), dead_with_pidfile),
            ("set-user-id", lambda: write(b"%d\n" % stranger, 0o6777), dead_with_pidfile),
            ("unreadable", lambda: write(b"%d\n" % stranger, 0), None),
            ("of another user", lambda: (write(b"%d\n" % stranger), self.give_away(here)),
             dead_with_pidfile),
            ("symbolic link", lambda: here.symlink_to(self.victim), stopped),
            ("dangling link", lambda: here.symlink_to(self.m.root / "none"), stopped),
            ("link to a pid", lambda: (self.m.root.joinpath("p").write_text(f"{stranger}\n"),
                                       here.symlink_to(self.m.root / "p")), stopped),
            ("hard link", lambda: os.link(self.victim, here), stopped),
            ("FIFO", lambda: os.mkfifo(here), stopped),
            ("socket", self.bind_pidfile, stopped),
            ("empty", lambda: write(b""), stopped),
            ("garbage", lambda: write(b"garbage\n"), stopped),
            ("binary", lambda: write(bytes(range(256))), stopped),
            ("zero", lambda: write(b"0\n"), stopped),
            ("every process", lambda: write(b"-1\n"), stopped),
            ("a process group", lambda: write(b"-%d\n" % stranger), stopped),
            ("no number that fits", lambda: write(b"9" * 30 + b"\n"), stopped),
            ("huge", huge, stopped),
        ]

    def give_away(self, path):
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)

    def bind_pidfile(self):
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(self.pidfile))

    def test_what_stands_there_is_no_obstacle_and_no_weapon(self):
        self.m.run_dir.mkdir()
        for name, make, status in self.obstacles():
            with self.subTest(name):
                make()
                if status is not None:
                    self.assertEqual(self.quick("status").code, status)
                self.assertEqual(self.quick("check").code, 2)
                self.assertEqual(self.quick("reload").code, 69)
                stopped = self.quick("stop")
                self.assertEqual((stopped.code, stopped.out), (0, "the daemon is not running\n"))
                self.check_untouched()
                self.assertEqual(self.quick("restart").code, 0)
                pid = self.check_runs()
                self.m.ok("stop")
                self.assertFalse(alive(pid))
                self.assertFalse(os.path.lexists(self.pidfile))
                self.assertFalse((self.m.root / "none").exists())
                self.check_untouched()

    def test_what_is_put_there_under_a_daemon_changes_nothing(self):
        for name, make, _ in self.obstacles():
            with self.subTest(name):
                pid = self.m.start()
                self.pidfile.unlink()
                make()
                self.assertEqual(self.m.pid(), pid)
                self.m.ok("reload")
                self.assertEqual(self.quick("start").code, 0)
                self.m.ok("stop")
                self.assertFalse(alive(pid))
                self.check_untouched()
                if os.path.lexists(self.pidfile):
                    self.pidfile.unlink()

    def test_a_restart_in_place_puts_a_true_one_back(self):
        pid = self.m.start()
        self.pidfile.unlink()
        self.pidfile.symlink_to(self.victim)
        self.m.ok("restart")
        self.assertEqual(self.check_runs(), pid)
        self.check_untouched()

    def test_a_directory_there_is_refused_with_its_name_and_nothing_is_left(self):
        for full in (False, True):
            self.pidfile.mkdir(parents=True)
            if full:
                (self.pidfile / "x").touch()
            answer = self.quick("start")
            self.assertEqual(answer.code, 1, answer)
            self.assertIn(f"directory stands where the pidfile {self.pidfile}", answer.err)
            self.assertEqual(self.m("status").code, 3)
            self.assertFalse((self.m.state / "keeper").exists())
            shutil.rmtree(self.m.run_dir)
        self.m.start()
        self.check_runs()

    def test_who_locks_the_pidfile_keeps_nobody_from_starting(self):
        pid = self.m.start()
        self.hold_lock(self.pidfile)
        os.kill(pid, signal.SIGKILL)
        self.m.wait_gone(pid)
        self.m.start()
        self.check_runs()


class Locks(Files):
    def test_a_lock_that_is_no_plain_file_of_ours_is_refused_and_left_as_it_is(self):
        dangling = self.m.root / "none"
        for name, make in (("symbolic link", lambda: self.lock.symlink_to(self.victim)),
                           ("dangling link", lambda: self.lock.symlink_to(dangling)),
                           ("FIFO", lambda: os.mkfifo(self.lock)),
                           ("directory", self.lock.mkdir),
                           ("hard link", lambda: os.link(self.victim, self.lock)),
                           ("device", lambda: os.mknod(self.lock, stat.S_IFCHR | 0o666,
                                                       os.makedev(1, 3)))):
            if name == "device" and os.geteuid() != 0:
                continue
            with self.subTest(name):
                self.m.run_dir.mkdir()
                make()
                before = self.lock.lstat()
                answer = self.quick("start")
                self.assertEqual(answer.code, 1 if name == "directory" else 77, answer)
                self.assertIn(str(self.lock), answer.err)
                self.assertEqual(self.quick("status").code, 3)
                self.assertEqual(self.quick("stop").code, 0)
                self.assertEqual(self.quick("check").code, 2)
                after = self.lock.lstat()
                self.assertEqual((before.st_ino, before.st_mode), (after.st_ino, after.st_mode))
                self.assertFalse(dangling.exists())
                self.check_untouched()
                shutil.rmtree(self.m.run_dir)

    def test_a_lock_with_anything_in_it_and_any_mode_is_taken_and_made_private(self):
        self.m.run_dir.mkdir()
        for text, mode in (("", 0o600), ("garbage", 0o666), (f"{self.stranger.pid}\n", 0o777)):
            self.lock.write_text(text)
            self.lock.chmod(mode)
            self.m.start()
            self.assertEqual(stat.S_IMODE(self.lock.stat().st_mode), 0o600)
            self.check_runs()
            self.m.ok("stop")
            self.check_untouched()

    def test_a_start_gives_way_to_whoever_holds_the_lock(self):
        holder = self.hold_lock(self.lock)
        answer = self.quick("start")
        self.assertIn(f"already running (pid {holder.pid})", answer.err)
        self.assertEqual(self.quick("start", "--foreground").code, 1)
        self.assertEqual(self.m.log_text(), "")
        self.assertFalse((self.m.state / "schedctl.db").exists())
        self.assertEqual(self.quick("status").code, 4)
        for words in (["stop"], ["stop", "--now"], ["restart"], ["reload"]):
            answer = self.quick(*words)
            self.assertEqual(answer.code, 5, (words, answer))
            self.assertIn(f"process {holder.pid} holds {self.lock}", answer.err)
        self.assertIsNone(holder.poll())
        holder.kill()
        holder.wait()
        self.m.start()
        self.check_runs()

    def test_a_stranger_who_holds_the_databases_lock_is_named_and_never_signalled(self):
        self.m.ok("add", "x", "--manual", "--", "true")
        holder = self.hold_lock(self.m.state / "schedctl.db.lock")
        answer = self.quick("start")
        self.assertEqual(answer.code, 5, answer)
        self.assertIn(f"(pid {holder.pid})", answer.err)
        self.assertEqual(self.quick("status").code, 3)
        self.assertEqual(self.quick("stop").code, 0)
        self.assertEqual(self.quick("stop", "--now").code, 0)
        self.assertEqual(self.quick("reload").code, 69)
        self.assertEqual(self.quick("restart").code, 5)
        self.assertIsNone(holder.poll())

    def test_a_lock_that_was_removed_lets_nobody_in(self):
        pid = self.m.start()
        self.lock.unlink()
        for words in (["start"], ["start", "--foreground"]):
            answer = self.quick(*words)
            self.assertNotEqual(answer.code, 0)
            self.assertIn(f"pid {pid}", answer.err)
        self.assertEqual(self.m.pid(), pid)
        self.m.ok("restart")
        self.assertEqual(self.check_runs(), pid)
        self.m.ok("stop")


class Sockets(Files):
    def test_what_is_no_socket_in_its_place_is_named_and_left(self):
        for name, make in (("directory", self.socket.mkdir),
                           ("FIFO", lambda: os.mkfifo(self.socket)),
                           ("plain file", lambda: self.socket.write_text("precious")),
                           ("symbolic link", lambda: self.socket.symlink_to(self.victim))):
            with self.subTest(name):
                self.m.run_dir.mkdir()
                make()
                answer = self.quick("start")
                self.assertEqual(answer.code, 1, answer)
                self.assertIn(f"{self.socket} is no control socket", answer.err)
                self.assertEqual(self.quick("status").code, 3)
                self.assertTrue(os.path.lexists(self.socket))
                self.assertFalse(self.pidfile.exists())
                self.check_untouched()
                shutil.rmtree(self.m.run_dir)

    def test_a_socket_of_a_dead_daemon_is_replaced(self):
        pid = self.m.start()
        os.kill(pid, signal.SIGKILL)
        self.m.wait_gone(pid)
        self.assertTrue(stat.S_ISSOCK(self.socket.lstat().st_mode))
        self.m.start()
        self.check_runs()

    def test_a_socket_that_was_removed_is_said_and_a_restart_gives_it_back(self):
        pid = self.m.start()
        job = self.run_long_job()
        self.socket.unlink()
        status = self.m("status")
        self.assertEqual(status.code, 0, status)
        self.assertIn(str(pid), status.out)
        self.assertIn("schedctl restart", status.err)
        self.assertEqual(self.m("check").code, 2)
        for command in ("reload", "reopen-logs"):
            answer = self.quick(command)
            self.assertEqual(answer.code, 69, answer)
            self.assertIn("schedctl restart", answer.err)
        self.assertEqual(self.quick("start").code, 0)
        self.assertEqual(self.quick("restart").code, 0)
        self.assertEqual(self.check_runs(), pid)
        self.assertNotIn("restart", self.m("status").err)
        self.assertTrue(alive(job))

    def test_without_a_socket_a_stop_works_and_says_what_it_cannot(self):
        for words in (["stop"], ["stop", "--now"], ["stop", "--keep-jobs"]):
            pid = self.m.start()
            self.socket.unlink()
            answer = self.quick(*words)
            self.assertEqual(answer.code, 0, answer)
            self.assertEqual("--now" in answer.err, "--now" in words, answer)
            self.assertFalse(alive(pid))
            self.assertEqual(self.m("status").code, 3)


class Wiped(Files):
    """The runtime directory is cleaned up while the daemon runs."""

    def setUp(self):
        super().setUp()
        self.pid = self.m.start()
        self.job = self.run_long_job()

    def wipe(self):
        shutil.rmtree(self.m.run_dir)

    def test_it_is_still_found_and_everybody_says_what_to_do(self):
        self.wipe()
        status = self.m("status")
        self.assertEqual(status.code, 0, status)
        self.assertIn("schedctl restart", status.err)
        self.assertEqual(json.loads(self.m("status", "--json").out)["pid"], self.pid)
        check = self.m("check")
        self.assertEqual(check.code, 2)
        self.assertIn(f"pid {self.pid}", check.out)
        for words, code in ((["start"], 5), (["start", "--foreground"], 1), (["reload"], 69),
                            (["reopen-logs"], 69)):
            answer = self.quick(*words)
            self.assertEqual(answer.code, code, (words, answer))
            self.assertIn(f"pid {self.pid}", answer.err)
            self.assertIn("schedctl restart", answer.err)
        self.assertTrue(alive(self.pid) and alive(self.job))

    def test_what_is_added_is_started_at_once_all_the_same(self):
        self.wipe()
        answer = self.m.ok("add", "new", "--every", "1h", "--immediately", "--", "true")
        self.assertIn("woken by a signal; schedctl restart puts it back", answer.err)
        self.assertNotIn("no daemon is running", answer.err)
        self.m.wait_state("new", "succeeded")

    def test_a_restart_gives_it_back_and_the_jobs_go_on(self):
        self.wipe()
        self.m.ok("restart")
        self.assertEqual(self.check_runs(), self.pid)
        self.assertTrue(alive(self.job))
        self.assertEqual(self.m.runs("long")[0]["state"], "running")

    def test_a_stop_works(self):
        for wipe_more in (self.wipe, lambda: (self.wipe(), self.m("start"))):
            wipe_more()
            answer = self.quick("stop")
            self.assertEqual(answer.code, 0, answer)
            self.assertIn(f"pid {self.pid}", answer.out)
            self.assertFalse(alive(self.pid) or alive(self.job))
            self.assertEqual(self.m("status").code, 3)
            self.pid = self.m.start()
            self.m.ok("trigger", "long")
            self.job = self.m.wait_runs("long", lambda r: r[-1]["pid"], "a process")[-1]["pid"]
        self.assertEqual([r["state"] for r in self.m.runs("long")],
                         ["cancelled", "cancelled", "running"])

    def test_a_daemon_of_another_runtime_dir_is_named_and_not_touched(self):
        own, self.m.run_dir = self.m.run_dir, self.m.root / "run2"
        self.m.write_config(self.settings)
        for command in ("stop", "restart", "reload"):
            answer = self.quick(command)
            self.assertEqual(answer.code, 5, answer)
            self.assertIn(f"pid {self.pid}", answer.err)
            self.assertIn(str(own), answer.err)
        self.assertTrue(alive(self.pid) and alive(self.job))
        self.m.run_dir = own
        self.m.write_config(self.settings)


class Together(Files):
    def start_together(self, words):
        children = [self.m.popen(*line) for line in words]
        self.m.wait(lambda: self.m("status").code == 0, "a daemon")
        pid = self.m.pid()
        for child, line in zip(children, words):
            if child.pid == pid:
                self.assertIn("--foreground", line)
                continue
            _, error = child.communicate(timeout=PATIENCE_S)
            self.assertEqual(child.returncode, 1 if "--foreground" in line else 0, error)
            self.assertIn("running (pid", error)
        self.assertEqual(self.m.log_text().count("daemon-up"), 1)
        self.assertEqual(self.m.pid(), pid)
        self.check_runs()
        return pid

    def test_of_two_starts_one_is_the_daemon(self):
        for foregrounds in range(3):
            self.start_together([["start", "--foreground"]] * foregrounds +
                                [["start"]] * (2 - foregrounds))
            self.m.ok("stop")
            self.m.log.unlink()

    def test_of_twelve_starts_one_is_the_daemon_also_after_a_death(self):
        for _ in range(2):
            pid = self.start_together([["start"], ["start"], ["start", "--foreground"]] * 4)
            os.kill(pid, signal.SIGKILL)
            self.m.wait_gone(pid)
            self.m.log.unlink()
        self.m.start()
        keepers = [p.name for p in pathlib.Path("/proc").glob("[0-9]*")
                   if is_ours(int(p.name)) and self.is_keeper_of_ours(p)]
        self.assertEqual(keepers, [str(self.m.keeper_pid())])

    def is_keeper_of_ours(self, process):
        try:
            return any(os.readlink(fd).startswith(str(self.m.state / "keeper"))
                       for fd in (process / "fd").iterdir()) and \
                title(int(process.name)) == "schedctl: keeper"
        except OSError:
            return False


class OtherUsers(Files):
    def setUp(self):
        reason = why_no_other_user()
        if reason:
            self.skipTest(reason)
        super().setUp()

    def as_nobody(self, *words):
        done = subprocess.run([*AS_NOBODY, BINARY, "--config", self.m.config, *words],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              stdin=subprocess.DEVNULL, env=self.m.environment({"HOME": "/"}),
                              timeout=PATIENCE_S * 2, check=False)
        return Answer(done)

    def test_nobody_else_ends_renews_or_reloads_the_daemon_or_keeps_it_from_starting(self):
        self.m.root.chmod(0o755)
        self.m.config.chmod(0o644)
        pid = self.m.start()
        for words in (["stop"], ["stop", "--now"], ["restart"], ["reload"], ["reopen-logs"]):
            answer = self.as_nobody(*words)
            self.assertEqual(answer.code, 77, (words, answer))
        self.assertIn(self.as_nobody("status").code, (0, 4))
        self.hold_lock(self.pidfile, *AS_NOBODY)
        self.assertEqual(self.as_nobody("start").code, 77)
        self.assertEqual(self.m.pid(), pid)
        os.kill(pid, signal.SIGKILL)
        self.m.wait_gone(pid)
        self.m.start()
        self.check_runs()

    def test_a_pidfile_of_another_user_gives_way_where_the_directory_is_ones_own(self):
        os.chown(self.m.root, NOBODY, NOBODY)
        self.m.config.chmod(0o644)
        self.m.run_dir.mkdir()
        os.chown(self.m.run_dir, NOBODY, NOBODY)
        self.pidfile.write_text(f"{self.stranger.pid}\n")
        answer = self.as_nobody("start")
        self.assertEqual(answer.code, 0, answer)
        self.assertEqual(self.pidfile.stat().st_uid, NOBODY)
        pid = int(self.pidfile.read_text())
        self.assertEqual(os.stat(f"/proc/{pid}").st_uid, NOBODY)
        # root may speak to it; its own user ends it.
        self.assertEqual(self.m.pid(), pid)
        self.assertEqual(self.as_nobody("stop").code, 0)
        self.assertFalse(alive(pid))
        self.check_untouched()

    def test_where_the_directory_is_not_ones_own_the_obstacle_is_named(self):
        os.chown(self.m.root, NOBODY, NOBODY)
        self.m.config.chmod(0o644)
        self.m.run_dir.mkdir()
        self.m.run_dir.chmod(0o1777)
        self.pidfile.write_text(f"{self.stranger.pid}\n")
        answer = self.as_nobody("start")
        self.assertIn(answer.code, (1, 77), answer)
        self.assertIn(str(self.pidfile), answer.err)
        self.assertEqual(self.pidfile.read_text(), f"{self.stranger.pid}\n")
        self.check_untouched()

    def test_a_lock_of_another_user_is_refused(self):
        self.m.run_dir.mkdir()
        self.lock.touch()
        os.chown(self.lock, NOBODY, NOBODY)
        answer = self.m("start")
        self.assertEqual(answer.code, 77, answer)
        self.assertIn(str(self.lock), answer.err)


if __name__ == "__main__":
    unittest.main()
