"""`schedctl next` against an oracle that shares no code with it: Python's zoneinfo and a walk over
every minute (or second) of the clock. The expressions are random but seeded; SEED=n and CASES=n in
the environment look elsewhere and longer."""
import datetime as dt
import os
import random
import re
import zoneinfo

from machine import Story

UTC = dt.timezone.utc
SEED = int(os.environ.get("SEED", "4606"))
CASES = int(os.environ.get("CASES", "160"))
# Zones with the days around which something happens to their clocks.
NIGHTS = [
    ("Europe/Berlin", "2026-03-29"), ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"), ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"), ("Australia/Lord_Howe", "2026-10-04"),
    ("Pacific/Apia", "2011-12-30"), ("Pacific/Apia", "2012-04-01"),
    ("America/Sao_Paulo", "2018-02-18"), ("America/Sao_Paulo", "2018-11-04"),
    ("Europe/Dublin", "2026-03-29"), ("Europe/Dublin", "2026-10-25"),
    ("Antarctica/Troll", "2026-03-29"), ("Antarctica/Troll", "2026-10-25"),
    ("Asia/Kathmandu", "2026-06-01"), ("Asia/Kathmandu", "1986-01-01"),
    ("Pacific/Kiritimati", "2026-06-01"), ("Pacific/Kiritimati", "1994-12-31"),
    ("Africa/Casablanca", "2017-05-21"), ("Africa/Casablanca", "2017-07-02"),
    ("Africa/Casablanca", "2023-03-19"), ("Africa/Casablanca", "2023-04-23"),
    ("America/Nuuk", "2024-03-30"), ("America/Nuuk", "2024-10-26"),
    ("Africa/Cairo", "2024-04-26"), ("Africa/Cairo", "2024-10-31"),
    ("Asia/Pyongyang", "2018-05-04"), ("America/Caracas", "2016-05-01"),
    ("Europe/Berlin", "2044-03-27"), ("America/Havana", "2040-11-04"), ("UTC", "2026-02-28"),
]
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()
LIMITS = {"second": (0, 59), "minute": (0, 59), "hour": (0, 23), "dom": (1, 31), "month": (1, 12),
          "dow": (0, 7)}


# --- the oracle

def number(word, kind):
    names = {"month": MONTHS, "dow": DAYS}.get(kind, [])
    if word.lower() in names:
        return names.index(word.lower()) + (kind == "month")
    return int(word)


def is_special(item, kind):
    shape = {"dom": r"L(-\d+)?|LW|\d+W", "dow": r"\d(L|#\d)"}.get(kind)
    return shape is not None and re.fullmatch(shape, item) is not None


def special_days(item, year, month):
    """The dates of a month that L, L-3, LW, 15W, 5L, 5#2 mean."""
    first = dt.date(year, month, 1)
    days = [first + dt.timedelta(days=n) for n in range(31)]
    days = [d for d in days if d.month == month]
    workdays = [d for d in days if d.isoweekday() <= 5]
    if item == "LW":
        return [workdays[-1]]
    if item.startswith("L"):
        back = int(item[2:] or 0)
        return [days[-1 - back]] if back < len(days) else []
    if item.endswith("W"):
        want = int(item[:-1])
        if want > len(days):
            return []
        return [min(workdays, key=lambda d: abs(d.day - want))]
    weekday = [d for d in days if d.isoweekday() % 7 == int(item[0]) % 7]
    if item.endswith("L"):
        return [weekday[-1]]
    nth = int(item[2:])
    return weekday[nth - 1:nth]


def values(field, kind):
    low, high = LIMITS[kind]
    found = set()
    for item in field.split(","):
        if is_special(item, kind):
            continue
        body, _, step = item.partition("/")
        if body in ("*", "?"):
            first, last = low, 6 if kind == "dow" else high
        elif "-" in body:
            first, last = (number(w, kind) for w in body.split("-"))
        else:
            first = number(body, kind)
            last = max(first, 6 if kind == "dow" else high) if step else first
        found.update(range(first, last + 1, int(step or 1)))  # "7/1" is a Sunday
    return {v % 7 for v in found} if kind == "dow" else found


class Oracle:
    def __init__(self, expression, zone):
        fields = expression.split()
        self.step = dt.timedelta(seconds=1 if len(fields) == 6 else 60)
        if len(fields) == 5:
            fields = ["0"] + fields
        self.zone = zoneinfo.ZoneInfo(zone)
        (self.seconds, self.minutes, self.hours, self.doms, self.months, self.dows) = (
            values(f, k) for f, k in zip(fields, LIMITS))
        self.special = {kind: [i for i in fields[at].split(",") if is_special(i, kind)]
                        for at, kind in ((3, "dom"), (5, "dow"))}
        self.both_days = fields[3][0] in "*?" or fields[5][0] in "*?"
        self.wildcard = fields[1][0] == "*" or fields[2][0] == "*"

    def on(self, day):
        dom = day.day in self.doms or self.is_special(day, "dom")
        dow = day.isoweekday() % 7 in self.dows or self.is_special(day, "dow")
        return day.month in self.months and (dom and dow if self.both_days else dom or dow)

    def is_special(self, day, kind):
        return any(day in special_days(i, day.year, day.month) for i in self.special[kind])

    def matches(self, t):
        return (t.second in self.seconds and t.minute in self.minutes and t.hour in self.hours
                and self.on(t.date()))

    def utc(self, reading, fold):
        return reading.replace(tzinfo=self.zone, fold=fold).astimezone(UTC)

    def local(self, instant):
        return instant.astimezone(self.zone).replace(tzinfo=None)

    def exists(self, reading):
        return self.local(self.utc(reading, 0)) == reading

    def end_of_gap(self, reading):
        """The first instant after the clock jumped over `reading`."""
        t, end = self.utc(reading, 1), self.utc(reading, 0)
        before = t.astimezone(self.zone).utcoffset()
        while t <= end and t.astimezone(self.zone).utcoffset() == before:
            t += self.step
        return t

    def date_exists(self, day):
        noons = (dt.datetime.combine(day, dt.time(h, 59)) for h in range(24))
        return any(self.exists(t) for t in noons)

    def fires(self, start, end, gap, fold):
        return sorted(t for t in set(self.all(start, end, gap, fold)) if start <= t < end)

    def all(self, start, end, gap, fold):
        if self.wildcard:  # elapsed time: whatever instant reads like it
            t = start
            while t < end:
                if self.matches(self.local(t)):
                    yield t
                t += self.step
            return
        reading = self.local(start) - dt.timedelta(days=2)
        reading = dt.datetime.combine(reading.date(), dt.time())
        last = self.local(end) + dt.timedelta(days=1)
        while reading < last:
            if not self.on(reading.date()):
                reading += dt.timedelta(days=1)
                continue
            for t in self.readings_of(reading):
                yield from self.fires_at(t, gap, fold)
            reading += dt.timedelta(days=1)

    def readings_of(self, midnight):
        t = midnight
        while t.date() == midnight.date():
            if t.hour not in self.hours:
                t += dt.timedelta(hours=1)
            elif t.minute not in self.minutes:
                t += dt.timedelta(minutes=1)
            else:
                if t.second in self.seconds:
                    yield t
                t += self.step

    def fires_at(self, reading, gap, fold):
        if not self.exists(reading):
            if gap == "shift" and self.date_exists(reading.date()):
                yield self.end_of_gap(reading)
            return
        first, second = self.utc(reading, 0), self.utc(reading, 1)
        yield from {"first": [first], "second": [second], "both": [first, second]}[fold]


# --- random expressions

def random_item(rng, kind, low, high):
    names = {"month": MONTHS, "dow": DAYS}.get(kind)
    def word(v):
        if names and rng.random() < 0.4 and v <= (12 if kind == "month" else 6):
            name = names[v - (kind == "month")]
            return rng.choice([name, name.upper(), name.capitalize()])
        return str(v)
    a, b = sorted((rng.randint(low, high), rng.randint(low, high)))
    shape = rng.random()
    if shape < 0.45:
        return word(a)
    if shape < 0.7:
        return f"{word(a)}-{word(b)}"
    if shape < 0.8:
        return f"{word(a)}-{word(b)}/{rng.randint(1, max(1, b - a))}"
    if shape < 0.9:
        return f"*/{rng.randint(1, max(1, high - low))}"
    return f"{word(a)}/{rng.randint(1, max(1, high - a))}"


def random_special(rng, kind):
    n = rng.randint(1, 31)
    if kind == "dom":
        return rng.choice(["L", f"L-{n % 28 + 1}", "LW", f"{n}W", f"{n}W"])
    return f"{n % 8}" + rng.choice(["L", f"#{n % 5 + 1}"])


def random_field(rng, kind, star, low=None, high=None):
    if rng.random() < star:
        return "?" if kind in ("dom", "dow") and rng.random() < 0.2 else "*"
    low = LIMITS[kind][0] if low is None else low
    high = LIMITS[kind][1] if high is None else high
    items = [random_item(rng, kind, low, high) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    if kind in ("dom", "dow") and rng.random() < 0.25:
        items[rng.randrange(len(items))] = random_special(rng, kind)
    return ",".join(items)


def random_expression(rng, with_seconds):
    # Clocks change at night: most hours are drawn from there.
    low, high = rng.choice(((0, 4), (0, 4), (22, 23), (0, 23)))
    fields = [random_field(rng, "second", 0.2)] if with_seconds else []
    fields += [random_field(rng, "minute", 0.15), random_field(rng, "hour", 0.2, low, high),
               random_field(rng, "dom", 0.6), random_field(rng, "month", 0.7),
               random_field(rng, "dow", 0.6)]
    return " ".join(fields)


def nights_of(oracle, year):
    """The readings of the clock at which it is changed in that year, and one ordinary one."""
    t = dt.datetime(year, 1, 1, tzinfo=UTC)
    found = [dt.datetime(year, 5, 5, 12)]
    while t.year == year:
        later = t + dt.timedelta(hours=1)
        if later.astimezone(oracle.zone).utcoffset() != t.astimezone(oracle.zone).utcoffset():
            found.append(oracle.local(t) + dt.timedelta(hours=1))
        t = later
    return found


def iso(t):
    return t.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class NextAgainstAnOracle(Story):
    def ask(self, *words):
        answer = self.m("next", "--json", *words)
        self.assertEqual(answer.code, 0, (words, answer))
        return answer.json

    def compare(self, expression, zone, start, end, gap, fold):
        oracle = Oracle(expression, zone)
        expected = oracle.fires(start, end, gap, fold)[:400]
        words = ["--cron", expression, "--timezone", zone, "--from", iso(start), "-n", "400",
                 "--dst-gap", gap, "--dst-fold", fold]
        answer = self.m("next", "--json", *words)
        if answer.code == 2 and "never" in answer.err:
            self.assertEqual(expected, [], (words, answer))
            return
        self.assertEqual(answer.code, 0, (words, answer))
        fires = [f for f in answer.json if f["fire_time"] < iso(end)]
        self.assertEqual([f["fire_time"] for f in fires], [iso(t) for t in expected],
                         f"SEED={SEED}: {words}")
        self.assertEqual([f["local"] for f in fires],
                         [t.astimezone(oracle.zone).isoformat() for t in expected])

    def test_cron_around_the_nights_in_which_clocks_change(self):
        rng = random.Random(SEED)
        for n in range(CASES):
            zone, day = NIGHTS[n % len(NIGHTS)]
            with_seconds = rng.random() < 0.25
            midnight = dt.datetime.fromisoformat(day).replace(tzinfo=zoneinfo.ZoneInfo(zone))
            midnight = midnight.astimezone(UTC)
            if with_seconds:
                start = midnight + dt.timedelta(seconds=rng.randint(-3600, 7200))
                end = start + dt.timedelta(hours=3)
            else:
                start = midnight - dt.timedelta(minutes=rng.randint(0, 2000))
                end = start + dt.timedelta(days=3)
            self.compare(random_expression(rng, with_seconds), zone, start, end,
                         rng.choice(("shift", "shift", "skip")),
                         rng.choice(("first", "first", "second", "both")))

    def test_cron_over_a_year(self):
        rng = random.Random(SEED + 1)
        for n in range(CASES // 4):
            zone, day = NIGHTS[rng.randrange(len(NIGHTS))]
            hours = ",".join(str(rng.randint(0, 23)) for _ in range(rng.choice((1, 2))))
            expression = " ".join(
                [str(rng.randint(0, 59)), hours, random_field(rng, "dom", 0.3),
                 random_field(rng, "month", 0.5), random_field(rng, "dow", 0.4)])
            start = dt.datetime.fromisoformat(day).replace(tzinfo=UTC) - dt.timedelta(days=n * 9)
            self.compare(expression, zone, start, start + dt.timedelta(days=366), "shift", "first")

    def test_at_reads_the_clock_as_fixed_schedules_do(self):
        # --at must lie ahead, so this looks far ahead, where the zones' rules go on.
        rng = random.Random(SEED + 2)
        for zone in sorted({zone for zone, _ in NIGHTS}):
            oracle = Oracle("0 0 * * *", zone)
            for night in nights_of(oracle, 2060):
                reading = night + dt.timedelta(minutes=rng.randint(-30, 150))
                words = ("--at", reading.strftime("%Y-%m-%d %H:%M"), "--timezone", zone)
                for gap, fold in (("shift", "first"), ("skip", "second")):
                    expected = sorted(map(iso, set(oracle.fires_at(reading, gap, fold))))
                    answer = self.m("next", "--json", *words, "--dst-gap", gap, "--dst-fold", fold)
                    if not expected:
                        self.assertEqual(answer.code, 2, (words, answer))
                        continue
                    self.assertEqual(answer.code, 0, (words, answer))
                    self.assertEqual([f["fire_time"] for f in answer.json], expected, words)

    def test_every_keeps_its_grid_of_elapsed_time(self):
        rng = random.Random(SEED + 3)
        for zone, day in NIGHTS:
            anchor = dt.datetime.fromisoformat(day).replace(tzinfo=UTC)
            anchor += dt.timedelta(seconds=rng.randint(-90000, 90000))
            amount, unit = rng.choice(((90, "s"), (7, "m"), (5, "h"), (1, "d"), (1, "w")))
            period = amount * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[unit]
            start = anchor + dt.timedelta(seconds=rng.randint(-200000, 200000))
            steps = max(0, -((anchor - start) // dt.timedelta(seconds=period)))
            expected = [anchor + dt.timedelta(seconds=period * (steps + i)) for i in range(30)]
            fires = self.ask("--every", f"{amount}{unit}", "--anchor", iso(anchor), "--from",
                             iso(start), "-n", "30", "--timezone", zone)
            self.assertEqual([f["fire_time"] for f in fires], [iso(t) for t in expected],
                             (zone, anchor, start, period))
