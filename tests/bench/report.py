"""The table of figures, and the machine that they were measured on."""

import datetime
import os
import pathlib
import platform
import tempfile
import time


class Report:
    """Prints each figure as soon as there is one, and keeps all of them for --json."""

    def __init__(self, quick):
        self.lines = []
        self.errors = {}
        self.skipped = []
        self.details = {}
        self.quick = quick
        self.machine = machine() | {"quick": quick}

    def print_machine(self):
        for key, value in self.machine.items():
            print(f"{key:12} {value}")
        print(f"\n{'':9} {'figure':66} {'value':>12}  {'goal':>9}", flush=True)

    def line(self, bench, figure, value, unit, goal=None, least=False, note=None):
        """Goals are told, but judged in the full run only: a quick one has too few figures."""
        judged = goal is not None and not self.quick
        met = None if not judged else value >= goal if least else value <= goal
        self.lines.append({"bench": bench, "figure": figure, "value": value, "unit": unit,
                           "goal": goal, "goal_is": "least" if least else "most", "met": met})
        mark = "" if met is None else "ok" if met else "under" if least else "over"
        wanted = "" if goal is None else f"{'>=' if least else '<='} {goal} {unit}"
        print(f"{bench:9} {figure:66} {number(value):>8} {unit:3}  {wanted:>9}  {mark:5}"
              + (f" ({note})" if note else ""), flush=True)

    def skip(self, bench, what, why):
        self.skipped.append({"bench": bench, "what": what, "why": why})
        print(f"{bench:9} {what}: not measured: {why}", flush=True)

    def fail(self, bench, message):
        self.errors[bench] = message
        print(f"{bench:9} could not be run: {message}", flush=True)

    def document(self):
        return {"machine": self.machine, "figures": self.lines, "errors": self.errors,
                "not_measured": self.skipped, "details": self.details}


def machine():
    directory = pathlib.Path(tempfile.gettempdir()).resolve()
    model = next((line.split(":", 1)[1].strip()
                  for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    return {"machine": platform.node(), "cpu": model, "cores": len(os.sched_getaffinity(0)),
            "kernel": platform.release(), "date": rfc3339(time.time()),
            "load": f"{os.getloadavg()[0]:.2f} when it began",
            "file system": f"{file_system(directory)} at {directory}"}


def file_system(directory):
    """The type of the file system that a path is on: the one with the longest mount point."""
    best = ("", "unknown")
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind = line.split()[:3]
        if directory.is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


class Stolen:
    """How much of the processors' time the host of a virtual machine has given to others, from the
    object's making on. What is measured meanwhile is slower than this machine is."""

    def __init__(self):
        self._before = self._ticks()

    def percent(self):
        ticks = [now - then for now, then in zip(self._ticks(), self._before)]
        return 100 * ticks[7] / max(1, sum(ticks))

    @staticmethod
    def _ticks():
        # Without the guests', which are in user and nice already.
        with open("/proc/stat", encoding="ascii") as stat:
            return [int(number) for number in stat.readline().split()[1:9]]


def percentile(ordered, percent):
    """Nearest rank."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def number(value):
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def spread(values, form):
    """All of them, in the order they were measured; of one there is nothing more to say."""
    return ", ".join(form.format(value) for value in values) if len(values) > 1 else None


def rfc3339(seconds):
    moment = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch_s(text):
    return datetime.datetime.fromisoformat(text).timestamp()
