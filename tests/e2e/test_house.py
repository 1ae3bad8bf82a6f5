"""Whether all is well: `check` for a monitoring system, `doctor` for the person who is woken by it.
Both are needed most where something is broken, so nothing that is broken may stop them."""
import contextlib
import hashlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import tempfile
import threading
import time
import unittest

from faults import is_sanitized
from machine import BINARY, Answer, Story
from slack import SlackServer, failing

# A monitoring system gives a plug-in ten seconds; a person has no more patience. A sanitized program
# takes several times as long as one that people run, though less than any wait that is too long.
QUICK_S = 25 if is_sanitized() else 10
NOBODY = 65534


def quickly(test, argv, env=None, **kw):
    """Runs it; it must end in time, by itself, and not by a crash."""
    began = time.monotonic()
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace", stdin=subprocess.DEVNULL, env=env, check=False,
                          timeout=QUICK_S * 3, **kw)
    answer = Answer(done)
    test.assertLess(time.monotonic() - began, QUICK_S, answer)
    test.assertNotIn("Sanitizer", answer.err)
    test.assertNotIn("runtime error", answer.err)
    return answer


def spoil(path, start=0, count=4096):
    """What a disk that lies may leave of a file."""
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * count)


class Broken(Story):
    """A machine, and what ends processes that its own clean-up would not find any more."""
    settings = ""

    def start(self):
        pid = self.m.start()
        self.addCleanup(self.end, pid)
        return pid

    def end(self, pid):
        with contextlib.suppress(ProcessLookupError):
            cmdline = pathlib.Path(f"/proc/{pid}/cmdline")
            if cmdline.exists() and b"schedctl" in cmdline.read_bytes():
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)

    @contextlib.contextmanager
    def stopped(self, pid):
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def kill(self, pid):
        os.kill(pid, signal.SIGKILL)
        self.m.wait_gone(pid)

    def keeper_by_its_lock(self):
        """0 if there was none. It may be dead."""
        lock = self.m.state / "keeper" / "lock"
        text = lock.read_text(errors="replace") if lock.is_file() else ""
        found = re.search(r"^pid (\d+)$", text, re.M)
        return int(found[1]) if found else 0

    def run_quickly(self, *words, env=None):
        return quickly(self, [BINARY, "--config", str(self.m.config), *map(str, words)],
                       self.m.environment(env))

    def small_disk(self):
        """state_dir as a file system of its own."""
        if os.geteuid() != 0:
            self.skipTest("needs root to mount a small file system")
        self.m.state.mkdir(mode=0o700)
        if os.system(f"mount -t tmpfs -o size=3m,mode=700 none {self.m.state}") != 0:
            self.skipTest("cannot mount a tmpfs here")
        self.addCleanup(lambda: os.system(f"umount -l {self.m.state}"))


class Check(Broken):
    WORDS = {0: "OK", 1: "WARNING", 2: "CRITICAL", 3: "UNKNOWN"}

    def check(self, code, *words):
        """What it says after its state, if it ends with `code`."""
        answer = self.run_quickly("check", *words)
        self.assertEqual(answer.code, code, answer)
        lines = answer.out.splitlines()
        self.assertEqual(len(lines), 1, answer)
        self.assertTrue(lines[0].startswith(f"{self.WORDS[code]} - "), answer)
        self.assertTrue(answer.out.endswith("\n"))
        return lines[0]

    def wait_check(self, code, *words):
        self.m.wait(lambda: self.run_quickly("check", *words).code == code, f"check to be {code}")
        return self.check(code, *words)

    def test_a_healthy_idle_daemon_is_ok_and_says_when_it_fires_next(self):
        self.start()
        self.assertIn("0 jobs | jobs=0 running=0 alerts=0 overdue=0", self.check(0))
        self.m.ok("add", "later", "--every", "1h", "--", "true")
        self.assertRegex(self.check(0), r"1 job, next fire in (59m|1h)\S* \| jobs=1 running=0")

    def test_no_daemon_is_critical_whether_it_never_was_was_stopped_or_killed(self):
        self.assertIn("no daemon is running", self.check(2))
        self.start()
        self.check(0)
        self.m.stop()
        self.assertIn("no daemon is running", self.check(2))
        self.kill(self.start())
        self.assertIn("no daemon is running", self.check(2))

    def test_words_that_cannot_be_written_are_unknown_whatever_they_would_have_said(self):
        words = shlex.join([BINARY, "--config", str(self.m.config), "check"])
        for _ in ("no daemon", "a healthy one"):
            for redirection in (">&-", ">/dev/full"):
                done = subprocess.run(f"{words} {redirection}", shell=True, capture_output=True,
                                      text=True, timeout=60, env=self.m.environment(), check=False)
                self.assertEqual(done.returncode, 3, done)
                self.assertIn("cannot write to standard output", done.stderr)
            self.start()

    def test_a_silent_daemon_is_told_from_an_idle_one(self):
        pid = self.start()
        with self.stopped(pid):
            self.assertIn(f"the daemon (pid {pid}) does not answer", self.check(2))
        self.wait_check(0)

    def test_a_silent_keeper_is_critical(self):
        self.start()
        self.m.ok("add", "tick", "--every", "1s", "--", "true")
        self.m.wait_state("tick", "succeeded")
        with self.stopped(self.m.keeper_pid()):
            self.assertIn("the keeper is silent", self.wait_check(2))
        self.wait_check(0)

    def test_an_open_alert_is_critical_until_it_is_acknowledged(self):
        self.start()
        self.m.ok("add", "bad", "--every", "1h", "--immediately", "--", "false")
        line = self.wait_check(2)
        self.assertRegex(line, r"1 open alert: bad failed \(since .*\) \| .* alerts=1 ")
        self.m.ok("alerts", "ack", "bad")
        self.check(0)

    def test_of_a_job_its_last_run_decides(self):
        self.start()
        for name, command in (("good", "true"), ("bad", "false")):
            self.m.ok("add", name, "--every", "1h", "--immediately", "--", command)
        self.m.ok("add", "never", "--every", "1h", "--", "true")
        self.m.wait_state("good", "succeeded")
        self.m.wait_state("bad", "failed")
        self.assertIn("last run succeeded", self.check(0, "good"))
        self.assertIn("it has not run yet", self.check(0, "never"))
        self.assertIn("bad: last run failed", self.check(2, "bad"))
        self.m.ok("pause", "bad", "--reason", "known | bad\nsince May")
        line = self.check(0, "bad")
        self.assertIn("bad is paused", line)
        self.assertIn("known / bad\\nsince May", line)

    def test_what_nobody_can_tell_is_unknown(self):
        self.start()
        self.m.ok("add", "backup", "--every", "1h", "--", "true")
        self.assertIn('did you mean "backup"?', self.check(3, "bakcup"))
        self.check(3, "\x1b[2J|\nx")
        self.check(3, "--nonsense")
        self.check(3, "one", "two")

    def test_settings_that_cannot_be_used_are_unknown(self):
        pid = self.start()
        self.m.config.write_text(self.m.config.read_text() + "nonsense = 1\n")
        line = self.check(3)
        self.assertIn("nonsense", line)
        self.m.config.write_text("[")
        self.check(3)
        self.m.config.unlink()
        self.check(3)
        self.m.write_config()
        self.check(0)
        self.assertEqual(self.m.pid(), pid)

    def test_a_daemon_whose_runtime_dir_was_wiped_is_critical_not_dead(self):
        pid = self.start()
        shutil.rmtree(self.m.run_dir)
        line = self.check(2)
        self.assertIn(f"the daemon (pid {pid}) lives", line)
        self.assertIn("runtime_dir", line)

    def test_a_database_that_cannot_be_read_is_unknown_under_a_daemon_that_answers(self):
        self.start()
        self.m.ok("add", "later", "--every", "1h", "--", "true")
        self.m.stop()
        self.start()
        for suffix in ("", "-wal"):
            path = self.m.state / f"schedctl.db{suffix}"
            if path.exists() and path.stat().st_size:
                spoil(path, count=path.stat().st_size)
        answer = self.run_quickly("check")
        self.assertIn(answer.code, (2, 3), answer)
        self.assertEqual(len(answer.out.splitlines()), 1, answer)
        self.assertIn("schedctl.db", answer.out)

    def test_a_disk_that_became_read_only_does_not_end_it(self):
        self.small_disk()
        self.start()
        self.m.ok("add", "later", "--every", "1h", "--", "true")
        self.kill(self.m.pid())
        self.kill(self.keeper_by_its_lock())
        # What was killed may still be closing its files.
        self.m.wait(lambda: os.system(f"mount -o remount,ro {self.m.state} 2> /dev/null") == 0,
                    "the disk to be read-only")
        self.assertIn("no daemon is running", self.check(2))

    def test_a_stopped_notifier_is_a_warning(self):
        slack = SlackServer()
        self.addCleanup(slack.end)
        slack.answers.append(failing(404, "no_service"))
        self.m.write_config(f'[alerts.slack]\nwebhook_url = "{slack.url}"\n')
        self.start()
        self.m.ok("add", "bad", "--every", "1h", "--immediately", "--", "false")
        self.m.wait(lambda: "notifier-stopped" in self.m.log_text(), "the notifier to be stopped")
        self.m.ok("alerts", "ack", "bad")
        line = self.check(1)
        self.assertIn("notifier slack is stopped: ", line)
        self.assertNotIn(slack.url, line)

    def test_json_says_the_same(self):
        answer = self.run_quickly("check", "--json")
        self.assertEqual(answer.code, 2)
        self.assertEqual(set(answer.json), {"status", "code", "message", "perfdata"})
        self.assertEqual((answer.json["status"], answer.json["code"]), ("CRITICAL", 2))
        self.start()
        answer = self.run_quickly("check", "--json")
        self.assertEqual((answer.json["status"], answer.json["code"], answer.code), ("OK", 0, 0))
        self.assertEqual(answer.json["perfdata"],
                         {"jobs": 0, "running": 0, "alerts": 0, "overdue": 0})
        answer = self.run_quickly("check", "no-such-job", "--json")
        self.assertEqual((answer.json["status"], answer.code), ("UNKNOWN", 3))


def contents(root):
    """Everything below: names, kinds, modes, bytes. The database by its rows: SQLite may put its
    log away."""
    found = {}
    for path in sorted(pathlib.Path(root).rglob("*")):
        status = path.lstat()
        what = [stat.filemode(status.st_mode), status.st_uid]
        if path.name.startswith("schedctl.db") and path.name != "schedctl.db.lock":
            if path.name != "schedctl.db":
                continue
            what.append(rows_of(path))
        elif stat.S_ISREG(status.st_mode):
            what += [status.st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()]
        found[str(path)] = what
    return found


def rows_of(database):
    """Read from a copy: a look must not change what is looked at."""
    with tempfile.TemporaryDirectory() as scratch:
        for suffix in ("", "-wal"):
            if pathlib.Path(f"{database}{suffix}").is_file():
                shutil.copy(f"{database}{suffix}", f"{scratch}/copy{suffix}")
        try:
            with contextlib.closing(sqlite3.connect(f"{scratch}/copy")) as db:
                return list(db.iterdump())
        except (sqlite3.Error, UnicodeDecodeError):
            return hashlib.sha256(pathlib.Path(database).read_bytes()).hexdigest() if (
                pathlib.Path(database).is_file()) else "no file"


class Doctor(Broken):
    AREAS = ["settings", "directories", "disk", "store", "jobs", "job files", "other stores",
             "clock", "zones", "daemon", "keeper", "limits", "alerts"]

    def examine(self, code, *words, env=None):
        """The findings, if it ends with `code`; in both forms, which must say the same."""
        before = contents(self.m.root) if self.nobody_works() else None
        answer = self.run_quickly("doctor", "--json", *words, env=env)
        self.assertEqual(answer.code, code, answer)
        self.assertEqual(set(answer.json), {"errors", "warnings", "findings"})
        findings = answer.json["findings"]
        for finding in findings:
            self.assertEqual(set(finding), {"level", "area", "what", "remedy"})
            self.assertIn(finding["level"], ("ok", "warning", "error"))
            self.assertIn(finding["area"], self.AREAS)
            self.assertTrue(finding["what"])
            if finding["level"] != "ok":
                self.assertTrue(finding["remedy"], finding)
        errors, warnings = (sum(f["level"] == level for f in findings)
                            for level in ("error", "warning"))
        self.assertEqual((answer.json["errors"], answer.json["warnings"]), (errors, warnings))
        self.assertEqual(code, 1 if errors else 0)
        text = self.run_quickly("doctor", *words, env=env)
        self.assertEqual(text.code, code, text)
        shown = sum(text.out.count(f"\n  {level} ") for level in ("ok", "warning", "error"))
        self.assertEqual(shown, len(findings), text)
        self.assertFalse([c for c in text.out if ord(c) < 32 and c != "\n" or ord(c) == 127], text)
        if before is not None:
            self.assertEqual(before, contents(self.m.root))
        return findings

    def nobody_works(self):
        """Only then is every change one of the doctor's."""
        status = self.m("status", "--json")
        running = status.code == 4 or (status.out and status.json["running"])
        return not running and not os.path.exists(f"/proc/{self.keeper_by_its_lock() or 'none'}")

    def assert_found(self, findings, level, area, *words):
        for finding in findings:
            said = finding["what"] + "\n" + (finding["remedy"] or "")
            if (finding["level"], finding["area"]) == (level, area) and all(
                    word in said for word in words):
                return finding
        raise AssertionError(f"no {level} of {area} with {words} in\n" +
                             "\n".join(map(str, findings)))

    def assert_no(self, findings, level, area):
        self.assertFalse([f for f in findings if (f["level"], f["area"]) == (level, area)])

    def test_a_fresh_installation_of_ones_own_is_well_but_for_silence(self):
        env = self.m.environment({"XDG_CONFIG_HOME": str(self.m.root / "c"),
                                  "XDG_STATE_HOME": str(self.m.root / "s")})
        answer = quickly(self, [BINARY, "--own", "doctor", "--json"], env)
        self.assertEqual(answer.code, 0, answer)
        silence = self.assert_found(answer.json["findings"], "warning", "alerts",
                                    "silence promises nothing", "webhook_url_file")
        self.assertIn(f"{self.m.root}/c/schedctl/schedctl.toml", silence["remedy"])
        self.assertIn("schedctl --own alerts test slack", silence["remedy"])
        self.assert_found(answer.json["findings"], "warning", "daemon", "no daemon is running",
                          "schedctl --own start")
        self.assertFalse((self.m.root / "c").exists() or (self.m.root / "s").exists())

    def test_a_healthy_daemon_with_a_webhook_has_no_errors(self):
        slack = SlackServer()
        self.addCleanup(slack.end)
        self.m.write_config(f'[alerts.slack]\nwebhook_url = "{slack.url}"\n')
        self.start()
        self.m.ok("add", "tick", "--every", "1s", "--", "true")
        self.m.wait_state("tick", "succeeded")
        findings = self.examine(0)
        for area in self.AREAS:
            if area not in ("other stores", "clock"):
                self.assertIn("ok", {f["level"] for f in findings if f["area"] == area}, area)
        warned = {f["area"] for f in findings if f["level"] == "warning"}
        self.assertEqual(warned - {"clock"}, set())
        self.assert_found(findings, "ok", "disk", "state_dir: ", " free of ")
        self.assertFalse(slack.requests)

    def test_a_secret_that_others_can_read_is_named_but_not_told(self):
        secret = self.m.root / "slack-url"
        secret.write_text("http://127.0.0.1:9/services/T0/B0/geheim\n")
        secret.chmod(0o644)
        self.m.write_config(f'[alerts.slack]\nwebhook_url_file = "{secret}"\n')
        findings = self.examine(0)
        found = self.assert_found(findings, "warning", "alerts", "others can read", str(secret))
        self.assertEqual(found["remedy"], f"chmod 600 {secret}")
        self.assertNotIn("geheim", str(findings))
        secret.chmod(0o600)
        self.assert_no(self.examine(0), "warning", "alerts")
        self.m.write_config('[alerts.slack]\nwebhook_url = "http://127.0.0.1:9/geheim"\n')
        self.m.config.chmod(0o644)
        findings = self.examine(0)
        self.assert_found(findings, "warning", "settings",
                          "others can read alerts.slack.webhook_url")
        self.assertNotIn("geheim", str(findings))

    def test_a_secret_that_cannot_be_used_is_an_error(self):
        secret = self.m.root / "slack-url"
        self.m.write_config(f'[alerts.slack]\nwebhook_url_file = "{secret}"\n'
                            .replace("[alerts", f'heartbeat_url_file = "{secret}"\n[alerts'))
        self.examine_bad_secret("No such file")
        secret.write_text("")
        self.examine_bad_secret("is empty")
        secret.write_text("not a URL")
        self.examine_bad_secret("http:// or https://")
        secret.unlink()
        os.mkfifo(secret)
        self.examine_bad_secret("not a regular file")
        secret.unlink()
        secret.symlink_to(secret)
        self.examine_bad_secret("")
        secret.unlink()
        secret.mkdir()
        self.examine_bad_secret("directory")

    def examine_bad_secret(self, word):
        findings = self.examine(1)
        self.assert_found(findings, "error", "alerts", "alerts test slack", word)
        self.assert_found(findings, "error", "alerts", "alerts test heartbeat", word)

    def test_a_stopped_notifier_and_open_alerts_are_told(self):
        slack = SlackServer()
        self.addCleanup(slack.end)
        slack.answers.append(failing(410, "gone"))
        self.m.write_config(f'[alerts.slack]\nwebhook_url = "{slack.url}"\n')
        self.start()
        self.m.ok("add", "bad", "--every", "1h", "--immediately", "--", "false")
        self.m.wait(lambda: "notifier-stopped" in self.m.log_text(), "the notifier to be stopped")
        findings = self.examine(1)
        self.assert_found(findings, "error", "alerts", "slack is stopped", "410",
                          "alerts test slack")
        run = self.m.runs("bad")[0]["id"]
        alert = self.assert_found(findings, "warning", "alerts", "bad failed: exit status 1")
        self.assertTrue(alert["remedy"].endswith(f"logs {run}"), alert)

    def test_messages_that_cannot_be_sent_are_told(self):
        slack = SlackServer()
        self.addCleanup(slack.end)
        slack.close()
        self.m.write_config(f'[alerts.slack]\nwebhook_url = "{slack.url}"\n')
        self.start()
        self.m.ok("add", "bad", "--every", "1h", "--immediately", "--", "false")
        self.m.wait(lambda: "alert-not-sent" in self.m.log_text(), "a failed try")
        self.assert_found(self.examine(0), "warning", "alerts", "1 message to slack")

    def test_a_broken_job_file_is_told_with_its_line(self):
        (self.m.jobs_dir / "a.toml").write_text('[job.x]\nevery = "1x"\ncommand = ["true"]\n')
        self.assert_found(self.examine(1), "error", "job files", f"{self.m.jobs_dir}/a.toml:2")
        for i in range(20):
            (self.m.jobs_dir / f"b{i}.toml").write_text("[")
        findings = self.examine(1)
        self.assertEqual(sum(f["area"] == "job files" for f in findings), 6)
        self.assert_found(findings, "error", "job files", "more error", "validate")

    def test_hostile_job_files_do_not_hold_it_up(self):
        jobs = self.m.jobs_dir
        os.mkfifo(jobs / "fifo.toml")
        (jobs / "loop.toml").symlink_to("loop.toml")
        (jobs / "gone.toml").symlink_to("/no/such/file")
        (jobs / "zero.toml").symlink_to("/dev/zero")
        (jobs / "deep.toml").write_text("a = " + "[" * 100_000)
        (jobs / "huge.toml").write_text("# x\n" * 600_000)
        (jobs / "nul.toml").write_bytes(b"[job.a]\0\xff\xfe\n")
        (jobs / "dir.toml").mkdir()
        (jobs / "name\x1b[2J\n.toml").write_text("[")
        (jobs / "many.toml").write_text(
            "".join(f'[job.j{i}]\nevery = "1h"\ncommand = ["true"]\n' for i in range(10_000)))
        self.assert_found(self.examine(1), "error", "job files")

    def test_wrong_settings_are_told_with_their_place_and_the_machine_is_looked_at(self):
        self.m.write_config("max_runing = 5\n")
        findings = self.examine(1)
        self.assert_found(findings, "error", "settings", f"{self.m.config}:6", "max_running")
        self.assert_found(findings, "ok", "zones")

    def test_settings_that_are_no_settings_do_not_hold_it_up(self):
        path = self.m.config
        for make in (path.mkdir, lambda: os.mkfifo(path), lambda: path.symlink_to(path),
                     lambda: path.symlink_to("/dev/zero"), lambda: path.write_bytes(b"\xff\0\x1b"),
                     lambda: path.write_text("a = " + "[" * 200_000), lambda: None):
            with contextlib.suppress(FileNotFoundError):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            make()
            answer = self.run_quickly("doctor", "--json")
            self.assertEqual(answer.code, 1, answer)
            self.assert_found(answer.json["findings"], "error", "settings")
        self.m.write_config()

    def store_of_one_job(self):
        self.start()
        self.m.ok("add", "later", "--every", "1h", "--", "true")
        self.m.stop()
        return self.m.state / "schedctl.db"

    def test_a_damaged_database_is_told_with_the_way_to_restore_it(self):
        database = self.store_of_one_job()
        whole = database.read_bytes()
        size = len(whole)
        for start, count in ((0, 100), (0, size), (18, 2), (100, 200), (4096, 4096),
                             (size // 2, size // 2)):
            database.write_bytes(whole)
            spoil(database, start, min(count, size - start))
            found = self.assert_found(self.examine(1), "error", "store", "schedctl.db")
            self.assertTrue(found["remedy"])
        for size in (0, 1, 99, 100, 4096, len(whole) - 4096):
            database.write_bytes(whole[:size])
            findings = self.examine(1)
            bad = [f for f in findings if f["area"] == "store" and f["level"] != "ok"]
            self.assertTrue(bad, size)
            self.assertEqual(database.read_bytes(), whole[:size])
        database.write_bytes(whole)
        self.assert_no(self.examine(1), "error", "store")

    def test_a_database_that_is_none_does_not_hold_it_up(self):
        self.store_of_one_job()
        database = self.m.state / "schedctl.db"
        for make in (database.mkdir, lambda: os.mkfifo(database),
                     lambda: database.symlink_to(database),
                     lambda: database.symlink_to("/dev/zero"),
                     lambda: database.write_text("hello" * 999)):
            if database.is_dir() and not database.is_symlink():
                database.rmdir()
            else:
                database.unlink()
            make()
            self.assert_found(self.examine(1), "error", "store", "schedctl.db")
        database.unlink()

    def test_a_database_of_another_program_or_schema_is_left_as_it_is(self):
        database = self.store_of_one_job()
        with contextlib.closing(sqlite3.connect(database)) as db:
            db.execute("PRAGMA user_version = 999")
        self.assert_found(self.examine(1), "error", "store", "999", "newer")
        database.unlink()
        with contextlib.closing(sqlite3.connect(database)) as db:
            db.executescript("CREATE TABLE mine(x); INSERT INTO mine VALUES(1)")
        database.chmod(0o600)
        before = database.read_bytes()
        self.assert_found(self.examine(1), "error", "store")
        self.assertEqual(database.read_bytes(), before)

    def test_an_older_schema_is_told_and_not_migrated(self):
        database = self.store_of_one_job()
        with contextlib.closing(sqlite3.connect(database)) as db:
            db.executescript("PRAGMA user_version = 1; PRAGMA wal_checkpoint(TRUNCATE)")
        self.assert_found(self.examine(1), "warning", "store", "schema 1", "db migrate")
        with contextlib.closing(sqlite3.connect(database)) as db:
            self.assertEqual(db.execute("PRAGMA user_version").fetchone(), (1,))

    def test_rows_that_cannot_be_and_names_that_are_weapons_are_told(self):
        database = self.store_of_one_job()
        with contextlib.closing(sqlite3.connect(database)) as db:
            db.execute("UPDATE job SET name = ?, next_fire = NULL", ("\x1b[2J\n'; rm -rf /|`x`",))
            db.commit()
        findings = self.examine(1)
        self.assertNotIn("\x1b", str([f["what"] for f in findings]).replace("\\x1b", ""))
        with contextlib.closing(sqlite3.connect(database)) as db:
            db.execute("UPDATE job SET name = 'plain'")
            db.commit()
        self.assert_found(self.examine(1), "error", "jobs", "job plain", "set plain --every")

    def test_rows_at_the_ends_of_time_and_of_any_length_do_not_end_it(self):
        database = self.store_of_one_job()
        self.m.write_config('[alerts.slack]\nwebhook_url = "http://127.0.0.1:9/x"\n')
        for at in (-2**63, -1, 2**63 - 1):
            with contextlib.closing(sqlite3.connect(database)) as db:
                db.execute("UPDATE job SET name = ?, planned_through = ?, next_fire = ?",
                           ("x" * 1_000_000, at, at))
                db.execute("UPDATE node SET started_at = ?, last_beat = ?, stopped_at = ?",
                           (at, at, at))
                db.execute("DELETE FROM alert")
                db.execute("INSERT INTO alert(kind, job_id, subject, node, began_at, ended_by,"
                           " ended_who, count, events, run_id, detail, cause, reminders,"
                           " over_untold) SELECT 'failed', id, ?, 'n', ?, '', '', 1, 1, 1, ?, '',"
                           " 0, 0 FROM job", ("\x1b[2J|\n" * 50_000, at, "\x07" * 100_000))
                db.execute("DELETE FROM message")
                db.execute("INSERT INTO message(notifier, created_at, due_at, tries, payload,"
                           " summary, given_up, error) VALUES('slack', ?, ?, 1, '', '', 0, ?)",
                           (at, at, "e\x1b\n" * 50_000))
                db.commit()
            findings = self.examine(1)
            self.assert_found(findings, "warning", "alerts", "message to slack")
            self.assert_found(findings, "warning", "alerts", "open since")
            self.assertLess(len(str(findings)), 30_000)
            answer = self.run_quickly("check")
            self.assertEqual(answer.code, 2, answer)
            self.assertEqual(len(answer.out.splitlines()), 1)

    def test_a_hundred_thousand_jobs_that_were_set_aside_are_a_handful_of_lines(self):
        database = self.store_of_one_job()
        with contextlib.closing(sqlite3.connect(database)) as db:
            db.execute("UPDATE job SET next_fire = NULL")
            columns = [row[1] for row in db.execute("PRAGMA table_info(job)") if row[1] != "id"]
            values = ["name || '-' || x" if c == "name" else c for c in columns]
            numbers = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?)"
            db.execute(f"{numbers} INSERT INTO job({', '.join(columns)})"
                       f" SELECT {', '.join(values)} FROM job, n", (100_000,))
            db.execute(f"{numbers} INSERT INTO event(at, node, kind, detail)"
                       " SELECT 0, 'n', 'job-error', 'later-' || x || ': so' FROM n", (5000,))
            db.commit()
        findings = [f for f in self.examine(1) if f["area"] == "jobs"]
        self.assertEqual(len(findings), 6)
        self.assertIn("99996 more", findings[-1]["what"])

    def test_a_socket_that_is_mute_or_babbles_does_not_hold_it_up(self):
        self.store_of_one_job()
        for reply in (None, b"", b"ok " + b"\x1b[2J\n a=b" * 5000, b"\xff" * 100):
            path = self.m.run_dir / "schedctl.sock"
            path.unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
                server.bind(str(path))
                server.listen(8)
                threading.Thread(target=self.answer_all, args=(server, reply)).start()
                try:
                    self.run_quickly("doctor", "--json").json
                    self.assertIn(self.run_quickly("check").code, (1, 2, 3))
                finally:
                    server.shutdown(socket.SHUT_RDWR)
        path.unlink()

    def answer_all(self, server, reply):
        with contextlib.ExitStack() as held:
            while True:
                try:
                    peer = held.enter_context(server.accept()[0])
                    if reply is not None:
                        peer.recv(100)
                        peer.send(reply)
                except OSError:
                    return

    def test_a_database_or_runtime_dir_that_is_gone_under_a_daemon_is_told(self):
        pid = self.start()
        self.m.ok("add", "later", "--every", "1h", "--", "true")
        shutil.rmtree(self.m.run_dir)
        findings = self.examine(1)
        self.assert_found(findings, "error", "daemon", f"pid {pid}", "nobody can reach it",
                          f"kill -USR2 {pid}")
        for path in self.m.state.glob("schedctl.db*"):
            if path.name != "schedctl.db.lock":
                path.unlink()
        self.assert_found(self.examine(1), "error", "store", "gone under a living daemon")

    def test_the_remedy_for_a_wiped_runtime_dir_works(self):
        self.start()
        shutil.rmtree(self.m.run_dir)
        found = self.assert_found(self.examine(1), "error", "daemon", "nobody can reach it")
        subprocess.run(found["remedy"].split(" (")[0], shell=True, check=True)
        self.m.wait(lambda: self.run_quickly("check").code == 0, "the daemon to be reached again")
        self.assert_no(self.examine(0), "error", "daemon")

    def test_a_daemon_that_is_dead_silent_or_stopped_is_told_apart(self):
        pid = self.start()
        self.m.ok("add", "later", "--every", "1h", "--", "true")
        with self.stopped(pid):
            found = self.assert_found(self.examine(1), "error", "daemon", f"pid {pid}", "SIGSTOP")
            self.assertEqual(found["remedy"], f"kill -CONT {pid}")
        self.m.wait(lambda: self.run_quickly("check").code == 0, "it to answer again")
        self.kill(pid)
        found = self.assert_found(self.examine(1), "error", "daemon", "killed or crashed", str(pid))
        self.assertIn(f"--config {self.m.config} start", found["remedy"])
        self.assertIn(str(self.m.log), found["remedy"])
        self.start()
        self.m.stop()
        self.assert_found(self.examine(1), "error", "daemon", "it was stopped")

    def test_a_keeper_that_is_dead_or_stopped_is_told(self):
        pid = self.start()
        keeper = self.m.keeper_pid()
        with self.stopped(keeper):
            found = self.assert_found(self.examine(1), "error", "keeper", f"pid {keeper}",
                                      "SIGSTOP")
            self.assertEqual(found["remedy"], f"kill -CONT {keeper}")
        # A daemon that cannot make a new one.
        with self.stopped(pid):
            self.kill(keeper)
            self.assert_found(self.examine(1), "error", "keeper", "no keeper lives")

    def test_jobs_of_the_same_names_in_two_stores_are_told(self):
        env = {"XDG_CONFIG_HOME": str(self.m.root / "c"), "XDG_STATE_HOME": str(self.m.root / "s")}
        own = [BINARY, "--own", "add", "twin", "--every", "1h", "--", "true"]
        quickly(self, own, self.m.environment(env))
        self.m.ok("add", "twin", "--every", "1h", "--", "true")
        self.m.ok("add", "single", "--every", "1h", "--", "true")
        found = self.assert_found(self.examine(1, env=env), "warning", "other stores", "twin",
                                  f"{self.m.root}/s/schedctl/schedctl.db")
        self.assertNotIn("single", found["what"])
        subprocess.run(found["remedy"].split(" (")[0].replace("schedctl", BINARY, 1), shell=True,
                       check=True, env=self.m.environment(env), stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        self.assert_no(self.examine(1, env=env), "warning", "other stores")

    def test_directories_that_others_may_write_or_that_are_none_are_told(self):
        self.store_of_one_job()
        self.m.state.chmod(0o777)
        found = self.assert_found(self.examine(1), "error", "directories",
                                  "others can write state_dir")
        self.assertEqual(found["remedy"], f"chmod go-w {self.m.state}")
        self.m.state.chmod(0o755)
        self.assert_found(self.examine(1), "warning", "directories",
                          "others can look into state_dir")
        self.m.state.chmod(0o700)
        shutil.rmtree(self.m.run_dir, ignore_errors=True)
        self.m.run_dir.symlink_to(self.m.run_dir)
        self.examine(1)
        self.m.run_dir.unlink()
        self.m.run_dir.write_text("")
        self.assert_found(self.examine(1), "error", "directories", "is not a directory")
        self.m.run_dir.unlink()

    def test_a_full_and_a_read_only_disk_are_told(self):
        self.small_disk()
        self.store_of_one_job()
        self.assert_found(self.examine(1), "error", "disk", "state_dir", "is full")
        self.m.wait_gone(self.keeper_by_its_lock())
        self.assertEqual(os.system(f"mount -o remount,ro {self.m.state}"), 0)
        self.assert_found(self.examine(1), "error", "disk", "read-only")

    def test_a_limit_below_max_running_is_told(self):
        self.m.write_config("max_running = 1000\n")
        answer = quickly(self, ["prlimit", "--nofile=500:500", BINARY, "--config",
                                str(self.m.config), "doctor", "--json"], self.m.environment())
        self.assert_found(answer.json["findings"], "warning", "limits", "1300", "500",
                          "LimitNOFILE=1300")

    def test_a_clock_that_was_set_is_told(self):
        database = self.store_of_one_job()
        now = int(time.time() * 1e6)
        with contextlib.closing(sqlite3.connect(database)) as db:
            db.execute("UPDATE job SET planned_through = ?", (now + 7200 * 1_000_000,))
            columns = [row[1] for row in db.execute("PRAGMA table_info(event)")]
            row = {"at": now, "node": "x", "kind": "clock-jump", "detail": "back by 2h to then"}
            known = [c for c in columns if c in row]
            db.execute(f"INSERT INTO event({','.join(known)}) VALUES({','.join('?' * len(known))})",
                       [row[c] for c in known])
            db.commit()
        findings = self.examine(1)
        self.assert_found(findings, "warning", "clock", "will not fire before", "trigger")
        self.assert_found(findings, "warning", "clock", "set the clock 1 time",
                          "back by 2h to then")


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root to become nobody")
class Nobody(Broken):
    """Root's installation, examined by somebody who may see next to nothing of it."""

    def as_nobody(self, *words, env=None):
        self.m.root.chmod(0o755)
        return quickly(self, ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                              BINARY, "--config", str(self.m.config), *words],
                       self.m.environment({"HOME": "/nonexistent", **(env or {})}), cwd="/")

    def setUp(self):
        super().setUp()
        probe = subprocess.run(["setpriv", f"--reuid={NOBODY}", "--clear-groups", BINARY,
                                "--version"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, check=False)
        if probe.returncode != 0:
            self.skipTest("the program's file cannot be reached by others here")

    def test_unreadable_settings_are_no_crash_and_the_remedy_is_sudo(self):
        answer = self.as_nobody("doctor", "--json")
        self.assertEqual(answer.code, 1, answer)
        found = answer.json["findings"][0]
        self.assertEqual((found["area"], found["level"]), ("settings", "error"))
        self.assertIn("sudo", found["remedy"])
        self.assertEqual(self.as_nobody("check").code, 3)

    def test_what_may_not_be_looked_at_is_said_and_the_rest_looked_at(self):
        self.m.write_config('[alerts.slack]\n'
                            f'webhook_url_file = "{self.m.root}/secret"\n')
        self.m.config.chmod(0o644)
        (self.m.root / "secret").write_text("http://127.0.0.1:9/x")
        (self.m.root / "secret").chmod(0o600)
        self.m.jobs_dir.chmod(0o700)
        self.start()
        self.m.ok("add", "later", "--every", "1h", "--", "true")
        for running in (True, False):
            answer = self.as_nobody("doctor", "--json")
            self.assertIn(answer.code, (0, 1), answer)
            areas = {f["area"] for f in answer.json["findings"]}
            self.assertLessEqual({"settings", "directories", "disk", "store", "daemon", "alerts"},
                                 areas, answer)
            self.assertIn("sudo", answer.out)
            self.assertIn(self.as_nobody("check").code, (2, 3))
            if running:
                self.m.stop()


if __name__ == "__main__":
    unittest.main()
