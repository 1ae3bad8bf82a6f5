"""Jobs that fall due milliseconds apart share commits: claimed together a moment ahead, each is
started at its own time, whatever dies meanwhile."""
import collections
import datetime
import os
import random
import signal

from machine import Story

JOBS = 40
APART_MS = 17
TELL = 'echo "$SCHEDCTL_KEY $SCHEDCTL_FIRE_TIME $(date -u +%Y-%m-%dT%H:%M:%S.%6NZ)" >> {}'


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


class Ahead(Story):
    def setUp(self):
        super().setUp()
        self.told = self.m.root / "told"
        origin = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
        with open(self.m.jobs_dir / "dense.toml", "w", encoding="utf-8") as file:
            for n in range(JOBS):
                anchor = origin + datetime.timedelta(milliseconds=n * APART_MS)
                file.write(f'[job.dense-{n:02}]\nevery = "1s"\n'
                           f'anchor = "{anchor.isoformat(timespec="microseconds")}"\n'
                           f"command = ['/bin/sh', '-c', '{TELL.format(self.told)}']\n")
        self.m.start()

    def lines(self):
        try:
            return [line.split() for line in self.told.read_text().splitlines()]
        except FileNotFoundError:
            return []

    def wait_for_more(self, count):
        begin = len(self.lines())
        self.m.wait(lambda: len(self.lines()) >= begin + count, f"{count} more runs")

    def settle(self):
        self.m.ok("stop")
        return self.m.runs("-n", "100000")

    def check_accounts(self, rows):
        """Each command ran once for its row, and none before its time by its own clock."""
        keys = collections.Counter(key for key, _, _ in self.lines())
        self.assertEqual([key for key, count in keys.items() if count > 1], [])
        for key, fire, began in self.lines():
            self.assertGreaterEqual(instant(began), instant(fire), key)
        ran = {row["key"] for row in rows if row["state"] == "succeeded"}
        self.assertEqual(ran - set(keys), set(), "rows of runs that never were")
        fires = collections.Counter((row["job"], row["fire_time"]) for row in rows)
        self.assertEqual([fire for fire, count in fires.items() if count > 1], [])
        for row in rows:
            if row["started"]:
                self.assertGreaterEqual(instant(row["started"]), instant(row["fire_time"]), row)
        self.assertEqual([row for row in rows if row["state"] in ("pending", "running", "lost")], [])

    def test_each_starts_at_its_time_and_none_before(self):
        self.wait_for_more(3 * JOBS)
        rows = self.settle()
        self.check_accounts(rows)
        # One a second of each, without a gap.
        for name in {row["job"] for row in rows}:
            fires = sorted(instant(row["fire_time"]) for row in rows if row["job"] == name)
            between = {(b - a).total_seconds() for a, b in zip(fires, fires[1:])}
            self.assertLessEqual(between, {1.0}, name)

    def test_a_daemon_that_is_killed_among_them_loses_none_and_runs_none_twice(self):
        for _ in range(6):
            self.wait_for_more(random.randint(5, JOBS))
            os.kill(self.m.pid(), signal.SIGKILL)
            self.m.start()
        self.wait_for_more(JOBS)
        self.check_accounts(self.settle())

    def test_a_daemon_that_leaves_or_restarts_among_them_loses_none_and_runs_none_twice(self):
        for leave in (True, False, True, False):
            self.wait_for_more(random.randint(5, JOBS))
            if not leave:
                self.m.ok("restart")
                continue
            pid = self.m.pid()
            os.kill(pid, signal.SIGUSR1)
            self.m.wait_gone(pid)
            self.m.start()
        self.wait_for_more(JOBS)
        self.check_accounts(self.settle())

    def test_a_keeper_that_is_killed_takes_along_only_what_it_had_begun(self):
        for _ in range(3):
            self.wait_for_more(random.randint(5, JOBS))
            os.kill(self.m.keeper_pid(), signal.SIGKILL)
        self.wait_for_more(JOBS)
        rows = self.settle()
        lost = [row for row in rows if row["state"] == "lost"]
        self.check_accounts([row for row in rows if row["state"] != "lost"])
        # None of those was waiting for its time: their orders had gone to the keeper, or to what
        # was left of it.
        losses = [instant(line.split()[0]) + datetime.timedelta(milliseconds=1)
                  for line in self.m.log_text().splitlines() if " keeper-lost " in line]
        for row in lost:
            noticed = max(loss for loss in losses if loss <= instant(row["ended"]))
            self.assertLessEqual(instant(row["fire_time"]), noticed, row)

    def test_who_cancels_a_job_in_the_crowd_cancels_one_run_and_the_next_fires_go_on(self):
        self.wait_for_more(JOBS)
        for _ in range(10):
            self.m("cancel", "dense-07")
        self.wait_for_more(JOBS)
        rows = self.settle()
        self.check_accounts([row for row in rows if row["state"] != "cancelled"])
