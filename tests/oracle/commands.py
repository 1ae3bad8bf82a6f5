"""The same through the real binary, which costs a process a question: a sample of expressions by
`schedctl next`, what `schedctl add` refuses and where it points, and jobs whose H stays."""
import datetime
import functools
import json
import os
import pathlib
import re
import subprocess
import tempfile

import driver
import expressions
import language
from clock import Clock
from properties import ZONES, moments_of, options, start_of, utc

MANUAL = pathlib.Path(__file__).resolve().parents[2] / "man/schedctl-schedule.7"
FIRES = 12
LIMIT_S = 120
# Expression, what the message says, and where its caret points, counted from 0.
REFUSED = (
    ("0 0 30 2 *", "never fires", 4),
    ("0 0 31 2,4,6,9,11 ?", "never fires", 4),
    ("0 30 1 31 jun *", "never fires", 7),
    ("0 0 30W feb *", "never fires", 4),
    ("0 0 L-28 2 *", "", None),  # 1 February of leap years does
    ("0 0 L-29 2 *", "never fires", 4),
    ("0 0 31 4 1", "", None),  # any Monday in April does
    ("0 0 */31 2 1#5", "never fires", 4),
    ("60 * * * *", "minute 60 is out of range 0-59", 0),
    ("* 24 * * *", "hour 24 is out of range 0-23", 2),
    ("* * 0 * *", "day of month 0 is out of range 1-31", 4),
    ("* * * 13 *", "month 13 is out of range 1-12", 6),
    ("* * * * 8", "day of week 8 is out of range 0-7", 8),
    ("5,60 * * * *", "minute 60 is out of range 0-59", 2),
    ("*/0 * * * *", "step of 0", 2),
    ("10-20/12 * * * *", "step 12 is larger", 6),
    ("30-10 * * * *", "runs backwards", 3),
    ("0 0 * * fri-mon", "runs backwards", 12),
    ("0 0 * foo *", "expected month 1-12 or jan-dec", 6),
    ("0 0 * * mon-xyz", "expected day of week", 12),
    ("0 0 * * 1#6", "no weekday number 6", 10),
    ("0 0 L-31 * *", "out of range 0-30", 6),
    ("? * * * *", "'?' is for the day of month and day of week", 0),
    ("0 L * * *", "L is for the day fields", 2),
    ("0 0 * * L", "L needs a weekday", 8),
    ("H(10-5) * * * *", "runs backwards", 5),
    ("* * * *", "4 fields", 7),
    ("* * * * * * *", "7 fields", 12),
    ("", "no fields", 0),
    ("@fortnightly", "unknown macro", 0),
    ("@daily 5", "nothing may follow a macro", 7),
    ("5- * * * *", "expected", 2),
    (",5 * * * *", "nothing before this ','", 0),
    ("5, * * * *", "nothing before the end", 2),
    ("5x * * * *", "unexpected 'x'", 1),
)


def batches(cases):
    return {
        "schedctl next": functools.partial(next_agrees, max(1, cases // 3)),
        "schedctl next --every": every_agrees,
        "schedctl add refuses": refusals,
        "the manual's example": manual_example,
        "jobs keep their H": kept_hashes,
    }


class Schedctl:
    """The binary with a scratch directory for whatever it keeps."""

    def __init__(self, root):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("SCHEDCTL")}
        self.environment = kept | {"HOME": root, "XDG_CONFIG_HOME": f"{root}/config",
                                   "XDG_STATE_HOME": f"{root}/state", "TZ": "UTC"}

    def run(self, *words):
        return subprocess.run(
            [os.environ["SCHEDCTL"], "--own", *words], env=self.environment, capture_output=True,
            text=True, timeout=LIMIT_S, check=False)

    def json(self, *words):
        done = self.run("--json", *words)
        if done.returncode != 0:
            raise AssertionError(f"schedctl {' '.join(words)}: {done.stderr}")
        return json.loads(done.stdout)


def with_schedctl(batch):
    @functools.wraps(batch)
    def wrapped(*arguments):
        with tempfile.TemporaryDirectory(prefix="schedctl-oracle-") as root:
            return batch(Schedctl(root), *arguments)
    return wrapped


def seconds_of(rfc3339):
    return int(datetime.datetime.fromisoformat(rfc3339).timestamp())


@with_schedctl
def next_agrees(schedctl, cases, random):
    found = []
    for number in range(cases):
        zone = list(ZONES)[number % len(ZONES)]
        clock = Clock(zone)
        moment = random.choice(moments_of(clock, random.choice(ZONES[zone])))
        asked = options(random, driver.Question(
            zone, expressions.whole_language(random), moment - random.randint(0, 86400), 0))
        asked.weeks = 1
        fires = schedctl.run("next", "--cron", asked.expression, "--timezone", zone, "--from",
                             utc(asked.after), "-n", str(FIRES), "--dst-gap", asked.gap,
                             "--dst-fold", asked.fold, "--json")
        expression = language.Expression(asked.expression)
        if fires.returncode != 0:
            if "never fires" not in fires.stderr or expression.possible():
                found.append(f'"{asked.expression}": {fires.stderr}')
            continue
        fires = json.loads(fires.stdout)
        instants = [seconds_of(fire["fire_time"]) for fire in fires]
        # A fire at the moment itself is among those from that moment on.
        through = instants[-1] if len(instants) == FIRES else moment + 50 * 366 * 86400
        expected = language.fires(expression, clock, asked.after - 1, through, asked.gap,
                                  asked.fold)
        if instants != expected:
            found.append(f"{asked}: {list(map(utc, instants))}, expected "
                         f"{list(map(utc, expected[:FIRES]))}")
        for fire, instant in zip(fires, instants):
            local = datetime.datetime.fromtimestamp(instant, clock.zone).isoformat()
            if fire["local"] != local:
                found.append(f"{asked}: {fire['fire_time']} is {fire['local']}, not {local}")
    return found


@with_schedctl
def every_agrees(schedctl, random):
    """The grid of --every, by elapsed time, over changes of the clock or not."""
    found = []
    for _ in range(6):
        anchor = random.randint(start_of(2020), start_of(2040))
        period = random.choice((1, 7, 90, 3600, 86400, 7 * 86400, random.randint(1, 10**6)))
        begin = anchor + random.randint(-1000, 1000) * period + random.randint(0, period)
        fires = schedctl.json("next", "--every", f"{period}s", "--anchor", utc(anchor), "--from",
                              utc(begin), "-n", str(FIRES), "--timezone", "Europe/Berlin")
        first = max(anchor, begin + (anchor - begin) % period)
        expected = [first + period * n for n in range(FIRES)]
        if [seconds_of(fire["fire_time"]) for fire in fires] != expected:
            found.append(f"every {period} s from {utc(anchor)}, from {utc(begin)}: {fires[:3]}, "
                         f"expected {list(map(utc, expected[:3]))}")
    return found


@with_schedctl
def refusals(schedctl, _):
    found = []
    for number, (expression, message, column) in enumerate(REFUSED):
        name = f"job-{number}"
        done = schedctl.run("add", name, "--cron", expression, "--", "true")
        if column is None:
            if done.returncode != 0:
                found.append(f'"{expression}" is refused: {done.stderr}')
            continue
        if done.returncode != 2 or message not in done.stderr:
            found.append(f'"{expression}": exit {done.returncode}, expected 2 and "{message}" in '
                         f"{done.stderr!r}")
            continue
        shown, pointed = shown_and_pointed(done.stderr, expression)
        if not shown or pointed != column:
            found.append(f'"{expression}": the caret is at {pointed}, not {column}:\n{done.stderr}')
    kept = {job["name"] for job in schedctl.json("list")}
    allowed = {f"job-{n}" for n, (_, _, column) in enumerate(REFUSED) if column is None}
    if kept != allowed:
        found.append(f"jobs {sorted(kept ^ allowed)}: refused and kept, or the other way round")
    return found


def shown_and_pointed(text, expression):
    """Whether the expression has a line of its own, and where under it the caret is."""
    lines = text.splitlines()
    for above, below in zip(lines, lines[1:]):
        if above.strip() == expression and re.fullmatch(r" *\^", below):
            return True, len(below) - 1 - (len(above) - len(above.lstrip())
                                           if expression else 2)
    return False, None


@with_schedctl
def manual_example(schedctl, _):
    """The table of schedctl-schedule(7) with the fires of two nights in Berlin."""
    text = MANUAL.read_text().split(".Ss Example\n")[1].split("\n.Ss ")[0]
    found, rows, expression = [], 0, ""
    for row in re.findall(r"(?m)^\.It (Li .*|\" \" .*)$", text):
        schedule, *nights = row.split(" Ta ")
        if schedule.startswith("Li "):
            expression, option = schedule.removeprefix("Li "), []
        else:
            *_, name, _, value = schedule.split(" ")
            option = [f"--{name}", value]
        rows += 1
        for date, told in zip(("2027-03-28", "2027-10-31"), nights, strict=True):
            fires = schedctl.json("next", "--cron", expression, *option, "--timezone",
                                  "Europe/Berlin", "--from", date, "-n", "30")
            marks = {"+02:00": "+", "+01:00": "-"}
            shown = [fire["local"][11:16] + marks[fire["local"][-6:]] for fire in fires
                     if f"{date}T02:00" <= fire["local"] < f"{date}T04:00"]
            if (" ".join(shown) or "none") != told:
                found.append(f"{expression} {option} on {date}: told {told}, fires {shown}")
    return found if rows > 5 else ["the table cannot be found"]


@with_schedctl
def kept_hashes(schedctl, _):
    """A job has its H from its creation on, whatever else of it is changed."""
    names = [f"job-{number}" for number in range(8)]
    for name in names:
        schedctl.json("add", name, "--cron", "H H(0-5) * * *", "--", "true")

    def times():
        return {name: [fire["fire_time"] for fire in schedctl.json(
            "next", name, "--from", "2030-01-01T00:00:00Z", "-n", "3")] for name in names}
    before = times()
    schedctl.json("set", names[0], "--timeout", "1m")
    schedctl.json("pause", names[1])
    schedctl.json("resume", names[1])
    schedctl.json("remove", names[-1])
    names.pop()
    found = [f"{name} was due at {before[name]}, and now at {now}"
             for name, now in times().items() if now != before[name]]
    for name in names:
        hours = {datetime.datetime.fromisoformat(time).hour for time in before[name]}
        if len({time[10:] for time in before[name]}) != 1 or not hours <= set(range(6)):
            found.append(f"{name}: {before[name]}")
    if len({before[name][0] for name in names}) < len(names) // 2:
        found.append(f"hardly any two jobs differ: {before}")
    return found
