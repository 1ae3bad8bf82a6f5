"""Many jobs due at one instant, against what the machine can start at all."""

import os
import pathlib
import statistics
import time

from daemons import BenchError, Daemon, Rows, cpu_ns, give_up_after, memory
from report import Stolen, rfc3339, spread

BALLAST_MIB = 1024
# A look takes some 0.1 ms of processor time from what is measured.
LOOK_EVERY_S = 0.005
# A round in which others had more of the processors than this is run again, so often at most.
MOST_STOLEN_PERCENT = 1
MOST_TRIES = 4


def burst(scratch, report, options):
    """The clock runs from that instant until the last run can be read as succeeded by another
    process, which in SQLite's WAL with synchronous=FULL is after its commit was synced.

    The kinds take turns, so that a mood of the machine meets all of them.
    """
    jobs, repeats = (200, 1) if options.quick else (2000, 5)
    kinds = [Kind("a time stamp", None, 0.7), Kind("sh -c", ["/bin/sh", "-c", "exit 0"], 0.8),
             Kind("/bin/true", ["/bin/true"], 0.9)]
    if available_mib() > 3 * BALLAST_MIB:
        kinds.append(Kind("a time stamp, daemon of 1 GB", None, 0.7, BALLAST_MIB))
    else:
        report.skip("burst", "with a daemon of 1 GB", f"{available_mib():.0f} MiB are available")
    for number in range(repeats):
        for kind in kinds:
            name = f"burst-{kinds.index(kind)}-{number}"
            kind.rounds.append(quiet_round(scratch, kind, jobs, name, options.quick))
    tell_first(report, kinds[0], jobs)
    for kind in kinds[1:]:
        tell_other(report, kind)
    report.details["burst"] = {kind.name: kind.rounds for kind in kinds}


class Kind:
    """What is started, and by how large a daemon."""

    def __init__(self, name, command, goal, ballast_mib=0):
        self.name = name
        self.command = command  # None: the program that appends a time stamp
        self.goal = goal        # of the machine's limit with the same program
        self.ballast_mib = ballast_mib
        self.rounds = []

    def all(self, key):
        return [one[key] for one in self.rounds]

    def limits(self):
        return [limit for one in self.rounds for limit in (one["bare_before"], one["bare_after"])]


def tell_first(report, kind, jobs):
    typical = sorted(kind.rounds, key=lambda one: one["ratio"])[len(kind.rounds) // 2]
    rates, ratios, bare = kind.all("rate"), kind.all("ratio"), kind.limits()
    report.line("burst", f"{jobs} jobs at once: runs started and recorded a second",
                statistics.median(rates), "/s", note=spread(rates, "{:.0f}"))
    report.line("burst", "the machine's limit: bare vfork+exec+wait, eight in flight",
                statistics.median(bare), "/s", note=spread(bare, "{:.0f}"))
    report.line("burst", "ratio of the two", statistics.median(ratios), "", goal=kind.goal,
                least=True, note=spread(ratios, "{:.2f}"))
    report.line("burst", "first start after the instant", typical["first_start_s"] * 1e3, "ms")
    report.line("burst", "last start after the instant", typical["last_start_s"] * 1e3, "ms")
    report.line("burst", "all recorded after the instant", typical["elapsed_s"] * 1e3, "ms")
    report.line("burst", "CPU of the daemon a run", typical["daemon_cpu_us"], "us")
    report.line("burst", "CPU of the keeper a run", typical["keeper_cpu_us"], "us")


def tell_other(report, kind):
    ratios = kind.all("ratio")
    rates = (f"{statistics.median(kind.all('rate')):.0f}/s of "
             f"{statistics.median(kind.limits()):.0f}/s")
    each = spread(ratios, "{:.2f}")
    size = f"{max(kind.all('daemon_mib')):.0f} MiB; " if kind.ballast_mib else ""
    report.line("burst", f"the same with {kind.name}: ratio", statistics.median(ratios), "",
                goal=kind.goal, least=True, note=size + rates + (f"; {each}" if each else ""))


def quiet_round(scratch, kind, jobs, name, quick):
    """Of a few tries the one in which the machine was most its own."""
    tries = []
    for number in range(1 if quick else MOST_TRIES):
        stolen = Stolen()
        one = burst_once(scratch, kind, jobs, f"{name}-{number}",
                         (2, 6, 30) if quick else (4, 10, 30))
        tries.append(one | {"stolen_percent": stolen.percent()})
        if tries[-1]["stolen_percent"] <= MOST_STOLEN_PERCENT:
            break
    return min(tries, key=lambda one: one["stolen_percent"])


def burst_once(scratch, kind, jobs, name, leads):
    environment = {"LD_PRELOAD": str(scratch.programs / "ballast.so"),
                   "BALLAST_MIB": str(kind.ballast_mib)} if kind.ballast_mib else None
    for lead_s in leads:
        daemon = Daemon(scratch, f"{name}-{lead_s}", environment=environment)
        command = kind.command or scratch.stamp(daemon.stamps)
        bare = kind.command or scratch.stamp(daemon.home / "bare-stamps")
        due = int(time.time()) + lead_s
        daemon.write_job_file([{"name": f"burst-{n:04}", "at": rfc3339(due), "command": command}
                               for n in range(jobs)])
        before = scratch.bare(bare, jobs)[0]
        with daemon:
            if time.time() > due - 1:
                continue  # loading took longer than thought: once more, with more time for it
            daemon_mib = memory(daemon.pids()[0])[0] / 1024
            result = watch_burst(daemon, jobs, due)
            result |= check_burst(daemon, jobs, 0 if kind.command else jobs)
        after = scratch.bare(bare, jobs)[0]
        if daemon_mib < kind.ballast_mib:
            raise BenchError(f"the daemon was to have {kind.ballast_mib} MiB of ballast, and has "
                             f"{daemon_mib:.0f} MiB of memory in all")
        return result | {"bare_before": before, "bare_after": after, "daemon_mib": daemon_mib,
                         "ratio": result["rate"] / statistics.mean((before, after))}
    raise BenchError(f"the daemon needs over {lead_s} s to load {jobs} jobs")


def watch_burst(daemon, jobs, due):
    rows = Rows(daemon)
    rows.are_over(jobs)
    cpu = [cpu_ns(pid) for pid in daemon.pids()]
    time.sleep(max(0.0, due - 0.1 - time.time()))
    while not rows.are_over(jobs):
        give_up_after(due, f"not all runs of {jobs} jobs were recorded as ended", daemon)
        time.sleep(LOOK_EVERY_S)
    elapsed = time.time() - due
    used = [cpu_ns(pid) - start for pid, start in zip(daemon.pids(), cpu)]
    rows.close()
    return {"jobs": jobs, "elapsed_s": elapsed, "rate": jobs / elapsed,
            "daemon_cpu_us": used[0] / jobs / 1e3, "keeper_cpu_us": used[1] / jobs / 1e3}


def check_burst(daemon, jobs, stamps):
    runs = daemon.ask("runs", "-n", str(2 * jobs))
    good = {run["job"] for run in runs if run["state"] == "succeeded"}
    if len(runs) != jobs or len(good) != jobs:
        raise BenchError(f"{jobs} jobs left {len(runs)} rows, of {len(good)} jobs that succeeded")
    found = len(daemon.stamps.read_text().split()) if stamps else 0
    if found != stamps:
        raise BenchError(f"{stamps} jobs left {found} stamps")
    delays = [run["delay_s"] for run in runs]
    if min(delays) < 0:
        raise BenchError("a run started before its time")
    return {"first_start_s": min(delays), "last_start_s": max(delays)}


def available_mib():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20
