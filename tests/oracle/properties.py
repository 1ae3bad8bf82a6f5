"""Batches of random questions whose answers must be those of the walk, and the properties of H and
~, whose values only the program knows."""
import calendar
import datetime
import functools
import pathlib
import subprocess
import tempfile
import zoneinfo

import driver
import expressions
import language
from clock import Clock, DAY

HOUR = 3600
# Some thousand fires of one series show nothing that the first thousand do not.
MOST_FIRES = 3000
# Years in which something happens to the clock of each zone, and far ones, which are in no table
# of changes but follow from the rule at the end of a zone's file.
ZONES = {
    "Europe/Berlin": (2026, 2027, 2045, 2090),
    "America/New_York": (2026, 2045, 2090),
    "Australia/Lord_Howe": (2026, 2045, 2090),  # half an hour
    "Pacific/Apia": (2011, 2012, 2020),  # no 30 December 2011
    "America/Sao_Paulo": (2017, 2018, 2019),  # a gap at midnight
    "Africa/Casablanca": (2026, 2045, 2087),  # by the moon
    "Europe/Dublin": (2027, 2045, 2090),  # winter is the exception
    "Antarctica/Troll": (2026, 2045, 2090),  # two hours
    "Asia/Kathmandu": (1986, 2026, 2090),  # 05:45, and 15 minutes once
    "Pacific/Kiritimati": (1994, 1995, 2026, 2090),  # no 31 December 1994; 14 hours ahead
    "Pacific/Kwajalein": (1969, 1993, 2045),  # a day twice, and one never
    "Africa/Cairo": (2026, 2045),  # Friday, 00:00
    "America/Havana": (2027, 2090),  # a fold over midnight
    "UTC": (2026, 2090),
}
# Zones and years walked by the second, around one change of the clock each.
BY_THE_SECOND = (("Europe/Berlin", 2027), ("Australia/Lord_Howe", 2045), ("Pacific/Apia", 2011),
                 ("Antarctica/Troll", 2026), ("Africa/Monrovia", 1972))  # the last: 44 min 30 s


def batches(cases):
    """name -> what to call with a random generator; what comes back is a list of differences."""
    found = {}
    for zone, years in ZONES.items():
        found[zone] = functools.partial(by_the_minute, zone, years, cases)
    found["any zone, any year"] = functools.partial(anywhere, cases)
    for zone, year in BY_THE_SECOND:
        found[f"{zone} by the second"] = functools.partial(by_the_second, zone, year, cases // 4)
    for form in ("slim", "fat"):
        found[f"{form} zone files"] = functools.partial(of_zone_files, form, cases)
    found["H and ~"] = hashes
    return found


def start_of(year):
    return calendar.timegm((year, 1, 1, 0, 0, 0))


def by_the_minute(zone, years, cases, random):
    clock = Clock(zone)
    moments = [moment for year in years for moment in moments_of(clock, year)]
    return differences(random, clock, [question(random, clock, moments) for _ in range(cases)])


def moments_of(clock, year):
    """The changes of a year's clock; its turn, if there are none."""
    return clock.changes(start_of(year), start_of(year + 1)) or [start_of(year)]


def anywhere(cases, random):
    """A few questions each to zones that nobody thought of."""
    names = sorted(name for name in zoneinfo.available_timezones()
                   if "/" in name and not name.startswith(("Etc/", "SystemV/")))
    found = []
    for _ in range(max(1, cases // 10)):
        clock = Clock(random.choice(names))
        moments = moments_of(clock, random.randint(1975, 2100))
        found += differences(random, clock, [question(random, clock, moments) for _ in range(10)])
    return found


def by_the_second(zone, year, cases, random):
    clock = Clock(zone, step=1)
    moment = moments_of(clock, year)[0]
    asked = []
    for _ in range(cases):
        after = moment - random.randint(-HOUR, 6 * HOUR)
        expression = expressions.whole_language(random, seconds=True)
        asked.append(options(random, driver.Question(
            zone, expression, after, after + random.randint(HOUR, 9 * HOUR))))
    return differences(random, clock, asked)


def of_zone_files(form, cases, random):
    """Zone files with a table of changes up to 2037, and without one."""
    source = next((path for root in zoneinfo.TZPATH
                   if (path := pathlib.Path(root) / "tzdata.zi").exists()), None)
    if not source:
        raise Skipped("there is no tzdata.zi to compile")
    found = []
    with tempfile.TemporaryDirectory(prefix="schedctl-oracle-") as root:
        subprocess.run(["/usr/sbin/zic", "-b", form, "-d", root, str(source)], check=True,
                       capture_output=True)
        for zone in ("Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "America/Nuuk"):
            clock = Clock(zone, file=pathlib.Path(root) / zone)
            moments = [moment for year in (2026, 2037, 2038, 2090)
                       for moment in moments_of(clock, year)]
            asked = [question(random, clock, moments) for _ in range(cases // 4)]
            found += differences(random, clock, asked, zone_directory=root)
    return found


class Skipped(Exception):
    """Why a batch cannot be tried here."""


def question(random, clock, moments):
    kind, moment = random.random(), random.choice(moments)
    if kind < 0.65:
        # Over a change of the clock.
        expression = expressions.whole_language(random)
        after = moment - random.randint(0, 3 * DAY)
        through = moment + random.randint(1, 3 * DAY)
    elif kind < 0.8:
        # From within a gap, a fold or what is around them.
        expression = expressions.whole_language(random)
        after = moment + random.randint(-4 * HOUR, 4 * HOUR)
        through = after + random.randint(1, DAY)
    elif kind < 0.9:
        expression = expressions.whole_language(random)
        after = moment - random.randint(0, 30 * DAY)
        through = moment + random.randint(0, 30 * DAY)
    else:
        expression = expressions.rare_days(random)
        after = moment - random.randint(0, 2000 * DAY)
        through = after + random.randint(1, 12 * 365) * DAY
    asked = options(random, driver.Question(clock.name, expression, after, through))
    return shortened(asked, moment)


def options(random, asked):
    asked.gap = random.choice(("shift", "shift", "shift", "skip"))
    asked.fold = random.choice(("first", "first", "second", "both"))
    if random.random() < 0.12:
        asked.weeks = random.randint(2, 6)
        asked.anchor = str(datetime.date(2000, 1, 1) + datetime.timedelta(
            random.randint(-5000, 20000)))
    return asked


def shortened(asked, moment):
    """With a span that does not yield too many fires."""
    a_day = language.Expression(asked.expression, asked.weeks, asked.anchor or None).fires_a_day()
    while (asked.through - asked.after) * a_day > MOST_FIRES * DAY:
        if asked.through - moment > moment - asked.after:
            asked.through -= (asked.through - asked.after) // 2
        else:
            asked.after += (asked.through - asked.after) // 2
    return asked


def differences(random, clock, questions, zone_directory=None):
    """Each question that the program answers otherwise than the walk, in words."""
    answers = driver.ask(questions, zone_directory)
    found = []
    for asked, answer in zip(questions, answers):
        if not disagrees(asked, answer, clock):
            continue
        smaller = smallest(asked, clock, zone_directory) if len(found) < 3 else asked
        found.append(explained(smaller, driver.ask([smaller], zone_directory)[0], clock))
    return found


def expected_fires(asked, clock):
    return language.fires(expression_of(asked), clock, asked.after, asked.through, asked.gap,
                          asked.fold)


def expression_of(asked):
    return language.Expression(asked.expression, asked.weeks, asked.anchor or None)


def disagrees(asked, answer, clock):
    if answer.error:
        return "never fires" not in answer.error or expression_of(asked).possible()
    return answer.fires != expected_fires(asked, clock) or answer.counted != counted(answer.fires)


def counted(fires):
    return (len(fires), fires[0] * 10**6, fires[-1] * 10**6) if fires else (0, 0, 0)


def smallest(asked, clock, zone_directory):
    """The same disagreement with as little around it as can be found by leaving out."""
    progress = True
    while progress:
        progress = False
        for candidate in simpler(asked):
            answer = driver.ask([candidate], zone_directory)[0]
            if not answer.error and disagrees(candidate, answer, clock):
                asked, progress = candidate, True
                break
    return asked


def simpler(asked):
    def variant(**changes):
        return driver.Question(**{**vars(asked), **changes})
    if asked.weeks > 1:
        yield variant(weeks=1, anchor="")
    if asked.gap != "shift":
        yield variant(gap="shift")
    if asked.fold != "first":
        yield variant(fold="first")
    fields = asked.expression.split()
    for place, field in enumerate(fields):
        items = field.split(",")
        for item in items if len(items) > 1 else ["*"] if field != "*" else []:
            yield variant(expression=" ".join(fields[:place] + [item] + fields[place + 1:]))
    middle = (asked.after + asked.through) // 2
    if asked.through - asked.after > HOUR:
        yield variant(through=middle)
        yield variant(after=middle)


def explained(asked, answer, clock):
    said = f'"{asked.expression}" in {asked.zone}, gap {asked.gap}, fold {asked.fold}'
    if asked.weeks > 1:
        said += f", every {asked.weeks} weeks from {asked.anchor}"
    said += f", after {utc(asked.after)} through {utc(asked.through)}"
    if answer.error:
        return f"{said}: refused ({answer.error})"
    expected = expected_fires(asked, clock)
    missing = sorted(set(expected) - set(answer.fires))
    surplus = sorted(set(answer.fires) - set(expected))
    for word, fires in (("missing", missing), ("not expected", surplus)):
        if fires:
            said += f"; {word}: {', '.join(map(utc, fires[:3]))}" + (
                f" and {len(fires) - 3} more" if len(fires) > 3 else "")
    if answer.counted != counted(answer.fires):
        said += f"; next_after gives {counted(answer.fires)}, count {answer.counted}"
    return said


def utc(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime(
        "%Y-%m-%dT%H:%M:%SZ")


def hashes(random):
    """What is promised of H and ~: one value or offset a job, in its range, spread over jobs."""
    seeds = [random.getrandbits(64) for _ in range(600)]
    begin = start_of(2026)
    # expression; which part of a reading varies; the values it may have; readings of one job a day
    promises = (
        ("H * * * *", "minute", range(60), 24), ("~ * * * *", "minute", range(60), 24),
        ("H(0-29) * * * *", "minute", range(30), 24),
        ("10~20 * * * *", "minute", range(10, 21), 24),
        ("H/15 * * * *", "first minute", range(15), 96),
        ("H(0-29)/10 * * * *", "first minute", range(10), 72),
        ("~/20 * * * *", "first minute", range(20), 72),
        ("0 H * * *", "hour", range(24), 1), ("0 H(0-7) * * *", "hour", range(8), 1),
        ("0 22~ * * *", "hour", range(22, 24), 1), ("0 ~3 * * *", "hour", range(4), 1),
        ("0 0 H * *", "day", range(1, 29), None), ("0 0 1 H *", "month", range(1, 13), None),
        ("0 0 * * H", "weekday", range(7), None), ("H * * * * *", "second", range(60), 1440),
        ("0 0 25~ * *", "day", range(25, 32), None),
    )
    found = []
    for expression, part, allowed, a_day in promises:
        span = DAY if a_day else 400 * DAY
        asked = [driver.Question("UTC", expression, begin - 1, begin + span - 1, seed=seed)
                 for seed in seeds]
        answers = driver.ask(asked + asked)
        chosen = [values_of(answer.fires, part) for answer in answers]
        if chosen[:len(seeds)] != chosen[len(seeds):]:
            found.append(f'"{expression}": the same job got other values the second time')
        if any(len(values) != 1 for values in chosen) and part != "day":
            found.append(f'"{expression}": a job with several values of the {part}')
        if a_day and any(len(answer.fires) != a_day for answer in answers):
            found.append(f'"{expression}": not {a_day} fires a day')
        every = sorted(value for values in chosen[:len(seeds)] for value in values)
        if set(every) != set(allowed):
            found.append(f'"{expression}": {len(seeds)} jobs have {sorted(set(every))}, '
                         f"not {allowed}")
        crowd = max(every.count(value) for value in set(every))
        if crowd > 30 + 3 * len(seeds) // len(allowed):
            found.append(f'"{expression}": {crowd} of {len(seeds)} jobs have the same value')
    return found + correlations(seeds, begin)


def correlations(seeds, begin):
    """The fields of one expression have values of their own."""
    asked = [driver.Question("UTC", "H H * * *", begin - 1, begin + DAY - 1, seed=seed)
             for seed in seeds]
    pairs = {fire % DAY for answer in driver.ask(asked) for fire in answer.fires}
    return [] if len(pairs) > 400 else [f'"H H * * *": 600 jobs share {len(pairs)} times of day']


def values_of(fires, part):
    shown = [datetime.datetime.fromtimestamp(fire, datetime.timezone.utc) for fire in fires]
    if part == "first minute":
        return {min((time.minute for time in shown), default=-1)}
    if part == "weekday":
        return {time.isoweekday() % 7 for time in shown}
    return {getattr(time, part) for time in shown}
