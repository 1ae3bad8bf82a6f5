"""Very many runs at once: what each of them costs while it does nothing, and whom it holds up."""

import os
import pathlib
import resource
import time

from burst import available_mib
from daemons import BenchError, Daemon, Rows, give_up_after, memory
from report import percentile, rfc3339

KIB_OF_A_NAP = 160      # what the kernel keeps of a small static process, roughly
SPARE_PROCESSES = 1000  # for everything else on the machine
SPARE_FILES = 400       # a keeper's own, and the output files that wait for a run


def crowd(scratch, report, options):
    """One slot less than there can be: the last one is for the job that fires each second."""
    runs = 500 if options.quick else 9_999
    seconds = 4 if options.quick else 60
    what = f"{runs} runs at once"
    if why := why_not(runs):
        return report.skip("crowd", what, why)
    for lead_s in (4, 12, 40) if options.quick else (15, 60):
        found = crowd_once(scratch, runs, seconds, lead_s)
        if found:
            break
    else:
        raise BenchError(f"{lead_s} s were not enough to register {runs} jobs and to start")
    tell(report, what, found, runs, seconds)
    report.details["crowd"] = found


def crowd_once(scratch, runs, seconds, lead_s):
    """Nothing: what comes before the instant took longer than that."""
    daemon = Daemon(scratch, f"crowd-{lead_s}", {"max_running": runs + 1})
    due = int(time.time()) + lead_s
    nap = [str(scratch.programs / "nap"), str(seconds + 240)]
    daemon.register_jobs(runs, lambda _: ("--at", rfc3339(due), "--", *nap))
    if time.time() > due - 1:
        return None
    with daemon:
        daemon.cli("add", "tick", "--every", "1s", "--", *scratch.stamp(daemon.stamps))
        if time.time() > due - 0.5:
            return None
        time.sleep(max(0, due - 0.5 - time.time()))
        found = watch_crowd(daemon, runs, due, seconds)
        begin = time.time()
        daemon.cli("stop", "--now")
        found["stop_s"] = time.time() - begin
    return found


def watch_crowd(daemon, runs, due, seconds):
    rows = Rows(daemon)
    before = [memory(pid) for pid in daemon.pids()]
    started = "state = 'running' AND started_at IS NOT NULL AND job_name <> 'tick'"
    while (count := rows.count(started)) < runs:
        give_up_after(due, f"of {runs} runs only {count} live", daemon)
        time.sleep(0.02)
    all_s = time.time() - due
    time.sleep(1)  # What came in while they were started has been worked off.
    during = [memory(pid) for pid in daemon.pids()]
    begin = time.time()
    answers = []
    while time.time() < begin + seconds:
        asked = time.perf_counter()
        daemon.health()
        answers.append((time.perf_counter() - asked) * 1e3)
        time.sleep(0.02)
    ticks = [(fire / 1e6, (start - fire) / 1e3) for fire, start in rows.ask(
        "SELECT fire_time, started_at FROM run WHERE job_name = 'tick' "
        "AND started_at IS NOT NULL ORDER BY fire_time")]
    living = rows.count(started)
    rows.close()
    if living < runs:
        raise BenchError(f"of {runs} runs only {living} lived until the end")
    late = sorted(late for fire, late in ticks if begin <= fire)
    if len(late) < seconds / 2:
        raise BenchError(f"a job that fires each second ran {len(late)} times in {seconds} s")
    return {"all_s": all_s, "before_kib": before, "during_kib": during,
            "answers_ms": sorted(answers), "late_ms": late,
            "late_meanwhile_ms": [late for fire, late in ticks if due <= fire < begin]}


def tell(report, what, found, runs, seconds):
    def growth(kind):
        return [(after[kind] - before[kind]) / runs
                for before, after in zip(found["before_kib"], found["during_kib"])]
    rss, pss = growth(0), growth(1)
    report.line("crowd", f"{what}: all of them started after the instant", found["all_s"] * 1e3,
                "ms", note=f"{runs / found['all_s']:.0f}/s")
    report.line("crowd", "memory of daemon and keeper a run that lives (Pss)", sum(pss), "KiB",
                goal=4, note=f"{pss[0]:.2f} + {pss[1]:.2f}; resident {sum(rss):.2f}")
    report.line("crowd", "a question to the runner, which answers between beats, p99",
                percentile(found["answers_ms"], 99), "ms", goal=5,
                note=f"of {len(found['answers_ms'])}")
    report.line("crowd", f"one more job, each second for {seconds} s: lateness, p99",
                percentile(found["late_ms"], 99), "ms", goal=10,
                note=f"p50 {percentile(found['late_ms'], 50):.2f} ms")
    if found["late_meanwhile_ms"]:
        report.line("crowd", "the same while the others were being started, max",
                    max(found["late_meanwhile_ms"]), "ms")
    report.line("crowd", "stop --now of all of them", found["stop_s"], "s")


def why_not(runs):
    """Which limit of this machine stands in the way; empty: none."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = runs + SPARE_FILES
    if files[1] != resource.RLIM_INFINITY and files[1] < wanted:
        if os.geteuid() != 0:
            return f"the hard limit of open files is {files[1]}, and the keeper needs {wanted}"
        resource.setrlimit(resource.RLIMIT_NOFILE, (files[0], wanted))
    living = int(pathlib.Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if os.geteuid() != 0 and processes != resource.RLIM_INFINITY and processes < runs + 50:
        return f"the limit of processes is {processes} (ulimit -u)"
    for name in ("pid_max", "threads-max"):
        limit = int(pathlib.Path(f"/proc/sys/kernel/{name}").read_text())
        if limit < living + runs + SPARE_PROCESSES:
            return f"kernel.{name} is {limit}, and {living} processes and threads live already"
    for limit, path in pids_limits():
        if limit < runs + SPARE_PROCESSES:
            return f"{path} is {limit}"
    if available_mib() * 1024 < runs * KIB_OF_A_NAP * 1.5:
        return f"{available_mib():.0f} MiB of memory are available"
    return ""


def pids_limits():
    """Those of this process's control groups, of either version."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "pids"):
            continue
        group = pathlib.Path("/sys/fs/cgroup") / controllers / path.lstrip("/")
        for file in (parent / "pids.max" for parent in (group, *group.parents)):
            if file.exists() and (text := file.read_text().strip()) != "max":
                yield int(text), file
