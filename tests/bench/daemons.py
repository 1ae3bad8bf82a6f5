"""Real daemons in scratch directories, and what the kernel says of their processes."""

import datetime
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import sqlite3
import sys
import tempfile
import time

PATIENCE_S = 60  # for any one process and for a burst: beyond it, something hangs


class BenchError(Exception):
    """A benchmark could not be run, or its runs were not all recorded."""


class Scratch:
    """A directory that disappears at the end, and before it every process that still uses it."""

    def __init__(self, binary, programs):
        self.binary = binary
        self.programs = programs
        self.path = None

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="schedctl-bench-"))
        return self

    def __exit__(self, *_):
        # Killed processes are few and rare: a benchmark that was interrupted or that has failed.
        for pid in processes_in(self.path):
            print(f"bench: killing process {pid}, which was left over", file=sys.stderr)
            os.kill(pid, signal.SIGKILL)
        while processes_in(self.path):
            time.sleep(0.01)
        shutil.rmtree(self.path)

    def stamp(self, file):
        return [str(self.programs / "stamp"), str(file)]

    def bare(self, command, runs, apart_s=0):
        """What the machine can do at most: runs a second, and microseconds of the parent's CPU. Who
        starts one now and then pays more for each, as caches are cold by then."""
        at_once, pause_us = ("1", round(apart_s * 1e6)) if apart_s else ("8", 0)
        said = spawn([str(self.programs / "bare"), str(runs), at_once, str(pause_us), *command],
                     self.path)[1]
        rate, cpu_us = said.split()
        return float(rate), float(cpu_us)


class Daemon:
    """A daemon with its own configuration and store; runs within `with`, may be started again."""

    def __init__(self, scratch, name, settings=None, environment=None):
        self.binary = scratch.binary
        self.environment = environment or {}  # of `start` alone, so of the daemon
        self.home = scratch.path / name
        self.database = self.home / "state" / "schedctl.db"
        self.stamps = self.home / "stamps"
        self.ready_s = None
        jobs = self.home / "jobs.d"
        jobs.mkdir(parents=True)
        self.job_file = jobs / "jobs.toml"
        (self.home / "state").mkdir(mode=0o700)
        settings = (settings or {}) | {
            "store": f"sqlite:{self.database}", "state_dir": str(self.home / "state"),
            "runtime_dir": str(self.home / "run"), "log_file": str(self.home / "info.log"),
            "jobs_dirs": [str(jobs)], "timezone": "UTC"}
        self.config = self.home / "schedctl.toml"
        self.config.write_text("".join(f"{k} = {json.dumps(v)}\n" for k, v in settings.items()))
        self.config.chmod(0o600)

    def __enter__(self):
        try:
            self.ready_s = spawn(self.argv("start"), self.home, self.environment)[0]
            status = self.ask("status")
            self._pids = (status["pid"], status["keeper_pid"])
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        try:
            self.cli("stop", "--now")
        except BenchError as error:
            if kind is None:
                raise
            print(f"bench: {error}", file=sys.stderr)
        if kind is None and self._pids:
            wait_until_gone(self._pids)

    _pids = ()

    def pids(self):
        """Of the daemon and of its keeper, in this order."""
        return self._pids

    def cli(self, *words):
        """Seconds and standard output of one command line."""
        return spawn(self.argv(*words), self.home)

    def argv(self, *words):
        return [str(self.binary), "--config", str(self.config), *words]

    def ask(self, *words):
        return json.loads(self.cli("--json", *words)[1])

    def write_job_file(self, jobs):
        self.job_file.write_text("".join(
            f"[job.{job['name']}]\n"
            + "".join(f"{key} = {json.dumps(job[key])}\n" for key in job if key != "name")
            for job in jobs))
        self.job_file.chmod(0o600)

    def register_far_jobs(self, jobs):
        """Registers jobs that fire once a year, half a year from now at the earliest."""
        month = (datetime.date.today().month + 5) % 12 + 1
        self.register_jobs(jobs, lambda n: (
            "--cron", f"{n} 4 {n + 1} {month} *", "--",
            "/usr/local/bin/report", "--year", "--number", str(n)))

    def register_jobs(self, jobs, words):
        """Registers many jobs in a store that has none, while no daemon runs.

        Adding 100,000 one by one would take a quarter of an hour, and job files would be read again
        at the start that is measured. So a few are added by the program, and their rows are copied
        inside the store; a copy differs from its original in id and name only.
        """
        templates = 20
        for n in range(templates):
            self.cli("add", f"job-{n:06}", *words(n))
        database = sqlite3.connect(self.database)
        with database:
            copy_rows(database, "job", "id", templates, jobs)
            copy_rows(database, "job_version", "job_id", templates, jobs)
        database.close()

    def health(self):
        """What the runner says of itself; it answers between two beats."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
            line.settimeout(PATIENCE_S)
            line.connect(str(self.home / "run" / "schedctl.sock"))
            line.send(b"health")
            return line.recv(4096).decode()


def copy_rows(database, table, id_column, templates, rows):
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    first = database.execute(f"SELECT min({id_column}) FROM {table}").fetchone()[0]
    changed = {id_column: "n.value + :first", "name": "printf('job-%06d', n.value)"}
    values = ", ".join(changed.get(column, column) for column in columns)
    database.execute(
        "WITH RECURSIVE n(value) AS "
        "(SELECT :templates UNION ALL SELECT value + 1 FROM n WHERE value + 1 < :rows) "
        f"INSERT INTO {table}({', '.join(columns)}) SELECT {values} FROM n "
        f"JOIN {table} ON {table}.{id_column} = :first + n.value % :templates",
        {"first": first, "templates": templates, "rows": rows})


class Rows:
    """Reads a living daemon's store from outside, and only when something was committed."""

    def __init__(self, daemon):
        self._database = sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True)
        self._version = None
        self._count = 0

    def close(self):
        self._database.close()

    def ask(self, question, *values):
        return self._database.execute(question, values).fetchall()

    def count(self, condition):
        """How many runs there are of which that holds; always the same question."""
        version = self.ask("PRAGMA data_version")
        if version != self._version:
            self._version = version
            self._count = self.ask(f"SELECT count(*) FROM run WHERE {condition}")[0][0]
        return self._count

    def are_over(self, runs):
        """There are so many, and all have ended. Answered from indexes that are small, so that
        asking again and again costs next to nothing."""
        return self.ask(
            "SELECT coalesce(max(id), 0) >= ? "
            "AND NOT EXISTS (SELECT 1 FROM run WHERE state = 'pending') "
            "AND NOT EXISTS (SELECT 1 FROM run WHERE state = 'running') FROM run", runs)[0][0]

    def bytes(self):
        """Of the database, without what is free in it."""
        pages, free, size = (self.ask(f"PRAGMA {name}")[0][0]
                             for name in ("page_count", "freelist_count", "page_size"))
        return (pages - free) * size


def spawn(argv, directory, variables=None):
    """Seconds and standard output of one process; BenchError if it fails or hangs.

    posix_spawn and a pidfd, since subprocess adds milliseconds to what is measured here. Output
    goes to files: a daemon that held a pipe open would look like one that never gets ready.
    """
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith("SCHEDCTL_")} | (variables or {})
    out, err = directory / "stdout", directory / "stderr"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    begin = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, environment, file_actions=[
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(out), flags, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, str(err), flags, 0o600)])
    status = None
    try:
        pidfd = os.pidfd_open(pid)
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        in_time = ended.poll(PATIENCE_S * 1000)
        seconds = time.perf_counter() - begin
        os.close(pidfd)
        if in_time:
            status = os.waitpid(pid, 0)[1]
    finally:
        if status is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    words = " ".join(argv[1:])
    if status is None:
        raise BenchError(f"{argv[0]} {words} has not ended in {PATIENCE_S} s")
    if status != 0:
        code = os.waitstatus_to_exitcode(status)
        raise BenchError(f"{argv[0]} {words} ended with {code}: {err.read_text().strip()}")
    return seconds, out.read_text()


def processes_in(directory):
    """Processes that hold a file below this directory open: a daemon's database, a keeper's lock."""
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue  # gone, or another user's
        if pid != os.getpid() and any(link.startswith(f"{directory}/") for link in links):
            found.append(pid)
    return found


def wait_until_gone(pids):
    deadline = time.monotonic() + PATIENCE_S
    while any(is_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            raise BenchError(f"processes {pids} still live after stop")
        time.sleep(0.005)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def give_up_after(instant, message, daemon):
    if time.time() > instant + PATIENCE_S:
        raise BenchError(f"{message} after {PATIENCE_S} s; the log ends with\n"
                         + "\n".join((daemon.home / "info.log").read_text().splitlines()[-5:]))


def tasks(pid):
    return pathlib.Path(f"/proc/{pid}/task").iterdir()


def cpu_ns(pid):
    """Of all threads; exact, where clock ticks are 10 ms."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks(pid))


def usage(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    switches = sum(int(line.split()[1]) for task in tasks(pid)
                   for line in (task / "status").read_text().splitlines()
                   if "ctxt_switches" in line)
    return {"ticks": int(stat[11]) + int(stat[12]), "ns": cpu_ns(pid), "switches": switches}


def memory(pid):
    """Resident and proportional set size in KiB."""
    rollup = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        key, kib = line.split()[:2]
        rollup[key] = int(kib)
    return [rollup["Rss:"], rollup["Pss:"]]
