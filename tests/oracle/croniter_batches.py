"""The plain part of the language against croniter, in zones whose clock never changes."""
import datetime
import functools

import driver
import expressions
from properties import Skipped, start_of, utc

try:
    import croniter
except ImportError:
    croniter = None

# Zone and offset east of UTC, in seconds.
ZONES = (("UTC", 0), ("Asia/Kathmandu", 20700), ("Pacific/Kiritimati", 50400))
FIRES = 20


def batches(cases):
    return {f"croniter in {zone}": functools.partial(differences, zone, offset, cases)
            for zone, offset in ZONES}


def differences(zone, offset, cases, random):
    if croniter is None:
        raise Skipped("croniter is not installed (make deps)")
    questions, expected = [], []
    for _ in range(cases):
        theirs, ours = expressions.for_croniter(random)
        after = random.randint(start_of(2000), start_of(2045))
        fires = first_fires(theirs, after, offset)
        if not fires and not theirs.endswith(" *"):
            continue  # croniter gives up 30 February even where a weekday may do instead
        questions.append(driver.Question(zone, ours, after, fires[-1] if fires else after + 1))
        expected.append((theirs, fires))
    found = []
    for asked, (theirs, fires), answer in zip(questions, expected, driver.ask(questions)):
        if not fires and "never fires" in answer.error:
            continue
        if not fires or answer.fires != fires:
            found.append(f'"{asked.expression}" (croniter: "{theirs}") after {utc(asked.after)}: '
                         f"{answer.error or in_words(answer.fires, fires)}, croniter says "
                         f"{in_words(fires, answer.fires) if fires else 'never'}")
    return found


def in_words(fires, others):
    """From the first difference on."""
    same = next((n for n, pair in enumerate(zip(fires, others)) if pair[0] != pair[1]),
                min(len(fires), len(others)))
    return f"fire {same + 1} is {utc(fires[same])}" if same < len(fires) else "no more"


def first_fires(expression, after, offset):
    """In UTC seconds, none if there never are any; croniter reads a clock without a zone."""
    epoch = datetime.datetime(1970, 1, 1)
    shown = epoch + datetime.timedelta(seconds=after + offset)
    series = croniter.croniter(expression, shown, ret_type=datetime.datetime)
    try:
        return [int((series.get_next() - epoch).total_seconds()) - offset for _ in range(FIRES)]
    except croniter.CroniterBadDateError:
        return []
