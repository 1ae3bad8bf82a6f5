"""The same jobs at one instant, for schedctl, Debian's cron and APScheduler.

All of them start the program that appends a time stamp, and all are judged by those stamps alone:
from the instant until the last one, how late each was, and how many there are. schedctl writes a
durable row before each start and another after each end, APScheduler with SQLite removes a row,
and the other two write down nothing.

As a program of its own this file is the APScheduler that is measured.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

from daemons import PATIENCE_S, BenchError, Daemon
from report import percentile, rfc3339

GRACE_S = 1  # APScheduler's own default: what starts later than that is dropped
# What cron reads and writes, for this one process only: the machine's own files stay as they are,
# and its own cron, if there is one, hears nothing of it.
PRIVATE_CRON = """
set -e
mount -t tmpfs none /run
if [ -e /etc/crontab ]; then mount --bind /dev/null /etc/crontab; fi
if [ -d /etc/cron.d ]; then mount -t tmpfs none /etc/cron.d; fi
mount -t tmpfs none /var/spool
mkdir -p -m 0700 /var/spool/cron/crontabs
cp "$1" /var/spool/cron/crontabs/root
chmod 0600 /var/spool/cron/crontabs/root
exec "$2" -f
"""


def rivals(scratch, report, options):
    jobs, repeats = (100, 1) if options.quick else (1000, 3)
    field = {"schedctl": schedctl}
    cron = shutil.which("cron", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
    if options.quick:
        report.skip("rivals", "cron", "it fires once a minute, and a quick run has no minute")
    elif why := why_not_cron(cron):
        report.skip("rivals", "cron", why)
    else:
        field["cron"] = lambda *args: debian_cron(cron, *args)
    for name, store in (("APScheduler in memory", None), ("APScheduler with SQLite", "SQLite")):
        python = python_with_apscheduler(store)
        if python is None:
            packages = "python3-apscheduler" + (", python3-sqlalchemy" if store else "")
            report.skip("rivals", name, f"not installed ({packages})")
            continue
        # Not held to its grace, so that it can be seen how long it takes; and then as it comes.
        for grace in (None,) if options.quick else (None, GRACE_S):
            field[name if grace is None else f"{name}, as it comes"] = (
                lambda *args, python=python, store=store, grace=grace:
                apscheduler(python, store, grace, *args))
    rounds = {name: [] for name in field}
    for number in range(repeats):
        for name, measure in field.items():
            directory = scratch.path / f"{name.replace(' ', '-').replace(',', '')}-{number}"
            directory.mkdir()
            rounds[name].append(measure(scratch, directory, jobs))
    tell(report, rounds, jobs)
    report.details["rivals"] = rounds


def tell(report, rounds, jobs):
    middle = {name: sorted(results, key=lambda one: one["last_s"])[len(results) // 2]
              for name, results in rounds.items()}
    whole = [one["last_s"] * 1e3 for name, one in middle.items()
             if name != "schedctl" and one["ran"] == jobs]
    for name, one in middle.items():
        least = min(result["ran"] for result in rounds[name])
        ran = f"{least} ran" if least == jobs else f"ONLY {least} of {jobs} ran"
        report.line("rivals", f"{name}: instant to last start of {jobs}",
                    one["last_s"] * 1e3, "ms",
                    goal=round(min(whole)) if name == "schedctl" and whole else None,
                    note=f"{ran}; {one['rate']:.0f}/s; lateness p50 {one['p50_ms']:.0f} ms, "
                         f"p99 {one['p99_ms']:.0f} ms")


def result_of(name, stamps, due, jobs):
    """From the stamps once there are all, or once none has come for long enough."""
    deadline = max(due, time.time()) + PATIENCE_S
    seen, since = -1, time.time()
    while seen < 20 * jobs and time.time() < deadline:
        size = stamps.stat().st_size if stamps.exists() else 0
        if size != seen:
            seen, since = size, time.time()
        # A scheduler that drops what is late has dropped it when nothing has moved for so long.
        if time.time() > max(due, since) + 10:
            break
        time.sleep(0.002)
    late_s = sorted(int(line) / 1e9 - due for line in stamps.read_text().split()) if seen else []
    if not late_s:
        raise BenchError(f"{name} has started nothing")
    if len(late_s) > jobs or late_s[0] < 0:
        raise BenchError(f"{name} has left {len(late_s)} stamps of {jobs} jobs, the first "
                         f"{late_s[0]:.3f} s after its time")
    return {"ran": len(late_s), "last_s": late_s[-1], "rate": len(late_s) / late_s[-1],
            "p50_ms": percentile(late_s, 50) * 1e3, "p99_ms": percentile(late_s, 99) * 1e3}


def schedctl(scratch, directory, jobs):
    for lead_s in (3, 10, 30):
        daemon = Daemon(scratch, f"{directory.name}/{lead_s}")
        due = int(time.time()) + lead_s
        daemon.write_job_file([{"name": f"burst-{n:04}", "at": rfc3339(due),
                                "command": scratch.stamp(daemon.stamps)} for n in range(jobs)])
        with daemon:
            if time.time() < due - 1:
                return result_of("schedctl", daemon.stamps, due, jobs)
    raise BenchError(f"the daemon needs over {lead_s} s to load {jobs} jobs")


def why_not_cron(program):
    if program is None:
        return "not installed (cron)"
    if os.geteuid() != 0:
        return "a mount namespace of its own takes root"
    tried = subprocess.run(["unshare", "-m", "--propagation", "private", "true"],
                           capture_output=True, text=True, check=False)
    return tried.stderr.strip()


def debian_cron(program, scratch, directory, jobs):
    stamps = directory / "stamps"
    # It reads its tables at its start, and again at each minute whose files have changed.
    due = (int(time.time()) // 60 + 1) * 60
    due += 60 if due - time.time() < 5 else 0
    moment = time.gmtime(due)
    line = (f"{moment.tm_min} {moment.tm_hour} {moment.tm_mday} {moment.tm_mon} * "
            + " ".join(scratch.stamp(stamps)) + "\n")
    table = directory / "crontab"
    table.write_text(line * jobs)
    process = subprocess.Popen(
        ["unshare", "-m", "--propagation", "private",
         "sh", "-c", PRIVATE_CRON, "cron", str(table), program],
        env={"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=(directory / "stderr").open("w"), cwd="/")
    try:
        while time.time() < due:
            if process.poll() is not None:
                raise BenchError("cron ended: " + (directory / "stderr").read_text().strip())
            time.sleep(0.1)
        return result_of("cron", stamps, due, jobs)
    finally:
        end(process)


def python_with_apscheduler(store):
    """Debian's packages are for Debian's Python, which need not be the one that runs this."""
    modules = "apscheduler.schedulers.background" + (
        ", apscheduler.jobstores.sqlalchemy" if store else "")
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            if subprocess.run([python, "-c", f"import {modules}"], capture_output=True,
                              check=False).returncode == 0:
                return python
        except OSError:
            pass
    return None


def apscheduler(python, store, grace_s, scratch, directory, jobs):
    for lead_s in (5, 20, 60):
        home = directory / str(lead_s)
        home.mkdir()
        stamps, ready = home / "stamps", home / "ready"
        due = int(time.time()) + lead_s
        task = {"due": due, "jobs": jobs, "command": scratch.stamp(stamps), "ready": str(ready),
                "grace_s": grace_s, "store": f"sqlite:///{home}/jobs.sqlite" if store else None}
        process = subprocess.Popen([python, "-B", __file__, json.dumps(task)],
                                   stdin=subprocess.DEVNULL, stderr=(home / "stderr").open("w"))
        try:
            while not ready.exists() and time.time() < due:
                if process.poll() is not None:
                    raise BenchError("APScheduler ended: "
                                     + (home / "stderr").read_text().strip()[-500:])
                time.sleep(0.02)
            if ready.exists() and time.time() < due - 1:
                return result_of("APScheduler", stamps, due, jobs)
        finally:
            end(process)
    raise BenchError(f"APScheduler needs over {lead_s} s to take {jobs} jobs")


def end(process):
    process.kill()
    process.wait()


def start_program(command):
    """One job of APScheduler's, on a thread of its pool; has to be importable for its store."""
    subprocess.call(command)


def serve_apscheduler(task):
    import datetime
    from apscheduler.schedulers.background import BackgroundScheduler
    stores = {}
    if task["store"]:
        from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
        stores["default"] = SQLAlchemyJobStore(url=task["store"])
    # Its default is a pool of ten threads; schedctl's keeper gets by with one.
    scheduler = BackgroundScheduler(jobstores=stores, timezone="UTC")
    scheduler.start()
    due = datetime.datetime.fromtimestamp(task["due"], datetime.timezone.utc)
    for n in range(task["jobs"]):
        scheduler.add_job("rivals:start_program", "date", id=f"burst-{n:04}", run_date=due,
                          args=[task["command"]], misfire_grace_time=task["grace_s"])
    pathlib.Path(task["ready"]).touch()
    time.sleep(task["due"] - time.time() + 2 * PATIENCE_S)


if __name__ == "__main__":
    serve_apscheduler(json.loads(sys.argv[1]))
