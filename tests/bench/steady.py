"""The same load for a long time: nothing may grow but the history, and that as it is told to."""

import datetime
import sqlite3
import time

from daemons import BenchError, Daemon, Rows, cpu_ns, give_up_after, memory
from report import percentile

JOBS = 200
SETTLE_S = 3
LOOK_S = 0.5  # how often the rows are looked at
OLD_S = 2 * 24 * 3600
MAX_AGE = "1d"
LONG_S = 300  # before that, SQLite's cache is still being filled


def steady(scratch, report, options):
    """Each job fires once a second, and their fire times are spread evenly over it, so that both
    processes wake for each run: the dearest way to have so many."""
    seconds = options.seconds or (10 if options.quick else 60)
    history = int(seconds * JOBS)
    daemon = daemon_with_jobs(scratch, "steady", 1 / JOBS)
    with daemon:
        wait_until_all_ran(daemon)
    give_history(daemon, history)
    bare = [bare_us(scratch)]
    with daemon:
        time.sleep(SETTLE_S)
        found = watch_steady(daemon, seconds, history)
    bare.append(bare_us(scratch))
    found["bare_us"], found["bare_together_us"] = (sum(both) / 2 for both in zip(*bare))
    if not options.quick:
        daemon = daemon_with_jobs(scratch, "together", 0)
        with daemon:
            time.sleep(SETTLE_S)
            found["together_us"] = cpu_a_run(daemon, seconds / 6)
    tell(report, found, seconds)
    report.details["steady"] = found


def bare_us(scratch):
    """What a fork and an exec cost at the pace of the jobs, and one right after the other."""
    command = scratch.stamp(scratch.path / "bare-stamps")
    return scratch.bare(command, 1000, 1 / JOBS)[1], scratch.bare(command, 1000)[1]


def daemon_with_jobs(scratch, name, apart_s):
    daemon = Daemon(scratch, name)
    origin = int(time.time()) - 1000
    daemon.write_job_file(
        [{"name": f"steady-{n:03}", "every": "1s", "anchor": moment(origin + n * apart_s),
          "command": scratch.stamp(daemon.stamps)} for n in range(JOBS)])
    return daemon


def wait_until_all_ran(daemon):
    rows, begin = Rows(daemon), time.time()
    ran = "SELECT count(DISTINCT job_id) FROM run WHERE state = 'succeeded'"
    while (jobs := rows.ask(ran)[0][0]) < JOBS:
        give_up_after(begin, f"of {JOBS} jobs only {jobs} ran", daemon)
        time.sleep(0.1)
    rows.close()


def cpu_a_run(daemon, seconds):
    begin = [cpu_ns(pid) for pid in daemon.pids()]
    before = daemon.stamps.stat().st_size
    time.sleep(seconds)
    runs = max(1, (daemon.stamps.stat().st_size - before) / 20)
    return [(cpu_ns(pid) - start) / runs / 1e3 for pid, start in zip(daemon.pids(), begin)]


def moment(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime(
        "%Y-%m-%dT%H:%M:%S.%fZ")


def give_history(daemon, rows):
    """Gives the store a past: runs that ended two days ago, older than anything that ran here.

    They are copies of real rows, one of each job, with lower ids than these; retention never
    removes what is younger than a day, and a benchmark cannot wait for that.
    """
    database = sqlite3.connect(daemon.database)
    columns = [row[1] for row in database.execute("PRAGMA table_info(run)")]
    shift = f":old - (n.value / {JOBS}) * 1000000"
    changed = {"id": "n.value + 1"} | {name: f"{name} - ({shift})" for name in (
        "fire_time", "created_at", "due_at", "started_at", "ended_at")}
    with database:
        database.execute("UPDATE run SET id = id + ?", (rows,))
        database.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'run'", (rows,))
        database.execute(
            "WITH RECURSIVE n(value) AS "
            "(SELECT 0 UNION ALL SELECT value + 1 FROM n WHERE value + 1 < :rows), "
            "pattern AS (SELECT row_number() OVER (ORDER BY id) - 1 AS number, * FROM run "
            "WHERE id IN (SELECT max(id) FROM run WHERE state = 'succeeded' GROUP BY job_id)) "
            f"INSERT INTO run({', '.join(columns)}) "
            f"SELECT {', '.join(changed.get(column, column) for column in columns)} "
            f"FROM n JOIN pattern ON pattern.number = n.value % {JOBS}",
            {"rows": rows, "old": (OLD_S + rows // JOBS) * 1_000_000})
        given = database.execute("SELECT count(*) FROM run WHERE id <= ?", (rows,)).fetchone()[0]
    database.close()
    if given != rows:
        raise BenchError(f"of {rows} rows of the past, {given} could be made")


class Lateness:
    """Of the runs that have begun, read in pieces while they still have rows."""

    def __init__(self, rows):
        self._rows = rows
        self._seen = self._last()
        self.ms = []

    def _last(self):
        return self._rows.ask("SELECT coalesce(max(id), 0) FROM run")[0][0]

    def look(self):
        # The newest may not have begun yet.
        until = self._last() - JOBS
        self.ms += [late / 1e3 for late, in self._rows.ask(
            "SELECT started_at - fire_time FROM run WHERE id > ? AND id <= ? "
            "AND started_at IS NOT NULL", self._seen, until)]
        self._seen = max(self._seen, until)


def watch_steady(daemon, seconds, history):
    """Half of the time all is kept; then retention is told to remove what is old."""
    rows = Rows(daemon)
    old = f"id <= {history}"
    log = daemon.home / "info.log"

    def look():
        return {"time": time.time(), "cpu_ns": [cpu_ns(pid) for pid in daemon.pids()],
                "runs": daemon.stamps.stat().st_size // 20, "bytes": rows.bytes(),
                "old": rows.count(old), "log": log.stat().st_size,
                "kib": [memory(pid)[0] for pid in daemon.pids()]}

    def wait_until(instant, lateness):
        while (left := instant - time.time()) > 0:
            time.sleep(min(LOOK_S, left))
            lateness.look()

    lateness = Lateness(rows)
    begin = look()
    first = rows.ask("SELECT max(id) FROM run")[0][0]
    wait_until(begin["time"] + seconds / 4, lateness)
    quarter = look()
    wait_until(begin["time"] + seconds / 2, lateness)
    half = look()
    states = dict(rows.ask("SELECT state, count(*) FROM run WHERE id > ? GROUP BY state",
                           first))
    meanwhile = Lateness(rows)
    daemon.config.write_text(daemon.config.read_text() + f'retention.max_age = "{MAX_AGE}"\n')
    daemon.cli("reload")
    while rows.count(old) > 0 and time.time() < begin["time"] + seconds:
        wait_until(time.time() + LOOK_S, meanwhile)
    swept = look()
    wait_until(begin["time"] + seconds, lateness)
    end = look()
    rows.close()
    if end["runs"] == begin["runs"] or not lateness.ms:
        raise BenchError(f"{end['runs'] - begin['runs']} runs in {seconds} s; rows: {states}")
    return {"states": states, "late_ms": sorted(lateness.ms), "meanwhile_ms": sorted(meanwhile.ms),
            "begin": begin, "quarter": quarter, "half": half, "swept": swept, "end": end}


def tell(report, found, seconds):
    begin, quarter, half, swept, end = (
        found[key] for key in ("begin", "quarter", "half", "swept", "end"))
    runs = end["runs"] - begin["runs"]
    report.line("steady", f"{JOBS} jobs, each every second, {seconds:.0f} s: runs a second",
                runs / (end["time"] - begin["time"]), "/s", goal=JOBS - 1, least=True)
    late = found["late_ms"]
    report.line("steady", "start minus fire time, p99", percentile(late, 99), "ms", goal=10,
                note=f"p50 {percentile(late, 50):.2f} ms, max {late[-1]:.0f} ms")
    others = {state: count for state, count in found["states"].items()
              if state not in ("succeeded", "running", "pending")}
    report.line("steady", "occurrences that did not run or did not succeed", sum(others.values()),
                "", goal=0, note=", ".join(f"{n} {state}" for state, n in others.items()) or None)
    first = half["runs"] - begin["runs"]
    cpu_us = [(after - before) / first / 1e3
              for before, after in zip(begin["cpu_ns"], half["cpu_ns"])]
    report.line("steady", "CPU of daemon and keeper a run, beyond fork and exec",
                sum(cpu_us) - found["bare_us"], "us", goal=150,
                note=f"{cpu_us[0]:.0f} + {cpu_us[1]:.0f} - {found['bare_us']:.0f}")
    if "together_us" in found:
        report.line("steady", "the same where all of a second are due at one instant",
                    sum(found["together_us"]) - found["bare_together_us"], "us", goal=150,
                    note=" + ".join(f"{us:.0f}" for us in found["together_us"])
                    + f" - {found['bare_together_us']:.0f}")
    grown = [after - before for before, after in zip(quarter["kib"], end["kib"])]
    report.line("steady", "resident memory, its end less a quarter of the time",
                sum(grown), "KiB", goal=512 if seconds >= LONG_S else None,
                note=" + ".join(f"{kib / 1024:.1f} MiB" for kib in end["kib"]) + " at the end")
    report.line("steady", "database a run", (half["bytes"] - begin["bytes"]) / first, "B")
    report.line("steady", "info log a run", (half["log"] - begin["log"]) / first, "B")
    report.line("steady", f"retention of {MAX_AGE} meanwhile: old rows removed a second",
                (half["old"] - swept["old"]) / (swept["time"] - half["time"]), "/s", goal=JOBS,
                least=True, note=f"{half['old']} to {swept['old']}")
    if found["meanwhile_ms"]:
        report.line("steady", "start minus fire time while it did that, p99",
                    percentile(found["meanwhile_ms"], 99), "ms", goal=20)
