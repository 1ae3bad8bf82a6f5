"""The schedule language, read from the manual's words and not from the program's code: which
readings of a wall clock an expression matches, and which instants a zone's clock makes of them."""
import calendar
import datetime

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
MACROS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0", "@daily": "0 0 * * *", "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
# Four centuries repeat; this many years without a century between them show every month's form.
FORMS_OF_MONTHS = range(2000, 2028)


class Expression:
    """A cron expression without H and ~, and the weeks in which it counts."""

    def __init__(self, text, weeks=1, anchor=None):
        fields = MACROS.get(text.lower(), text).lower().split()
        if len(fields) == 5:
            fields.insert(0, "0")
        second, minute, hour, self.day, month, self.weekday = fields
        self.seconds = sorted(values(second, 0, 59))
        self.minutes = sorted(values(minute, 0, 59))
        self.hours = sorted(values(hour, 0, 23))
        self.months = values(month, 1, 12, MONTHS)
        self.wildcard = minute[0] == "*" or hour[0] == "*"
        stars = [field[0] in "*?" for field in (self.day, self.weekday)]
        self.combine = all if any(stars) else any
        self.weeks = weeks
        self.monday = None if anchor is None else monday_of(datetime.date.fromisoformat(anchor))
        self.days_of = {}

    def minutes_of_day(self):
        return {hour * 3600 + minute * 60 for hour in self.hours for minute in self.minutes}

    def seconds_of_day(self):
        return {minute + second for minute in self.minutes_of_day() for second in self.seconds}

    def fires_a_day(self):
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def matches(self, date):
        """Whether a date, given as its ordinal, is one of the days."""
        if date not in self.days_of:
            self.days_of[date] = self.matches_date(datetime.date.fromordinal(date))
        return self.days_of[date]

    def matches_date(self, date):
        if date.month not in self.months:
            return False
        if self.weeks > 1 and (monday_of(date) - self.monday).days // 7 % self.weeks != 0:
            return False
        return self.combine((day_of_month_matches(self.day, date),
                             day_of_week_matches(self.weekday, date)))

    def possible(self):
        """Whether any date of the calendar is one of the days."""
        return any(self.combine((day_of_month_matches(self.day, date),
                                 day_of_week_matches(self.weekday, date)))
                   for year in FORMS_OF_MONTHS for month in self.months
                   for date in dates_of(year, month))


def monday_of(date):
    return date - datetime.timedelta(days=date.weekday())


def dates_of(year, month):
    return [datetime.date(year, month, day)
            for day in range(1, calendar.monthrange(year, month)[1] + 1)]


def value(text, names):
    if text in names:
        return names.index(text) + (1 if names is MONTHS else 0)
    return int(text)


def values(field, low, high, names=()):
    """The values of a field that has lists, ranges, steps and names only."""
    found = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, dash, last = span.partition("-")
        if first in "*?":
            begin, end = low, high
        else:
            begin = value(first, names)
            end = value(last, names) if dash else high if step else begin
            if names is WEEKDAYS and last == "sun" and begin > 0:
                end = 7
        found |= set(range(begin, end + 1, int(step or 1)))
    return found


def day_of_month_matches(field, date):
    month = dates_of(date.year, date.month)
    return any(date in days_of_item(item, month) for item in field.split(","))


def days_of_item(item, month):
    """The dates of a month that one item of the day of month field means."""
    if item == "lw":
        return [day for day in month if day.weekday() < 5][-1:]
    if item[0] == "l":
        back = int(item[2:] or 0)
        return month[len(month) - 1 - back:][:1] if back < len(month) else []
    if item[-1] == "w":
        wanted = int(item[:-1])
        if wanted > len(month):
            return []
        return [min((day for day in month if day.weekday() < 5),
                    key=lambda day: abs(day.day - wanted))]
    numbers = values(item, 1, 31)
    return [day for day in month if day.day in numbers]


def day_of_week_matches(field, date):
    """Sunday is 0 and 7; date.isoweekday() says 7."""
    for item in field.split(","):
        if "#" in item:
            weekday, _, nth = item.partition("#")
            if is_weekday(date, weekday) and (date.day + 6) // 7 == int(nth):
                return True
        elif item[-1] == "l":
            week_later = date + datetime.timedelta(days=7)
            if is_weekday(date, item[:-1]) and week_later.month != date.month:
                return True
        elif date.isoweekday() % 7 in {number % 7 for number in values(item, 0, 6, WEEKDAYS)}:
            return True
    return False


def is_weekday(date, text):
    return date.isoweekday() % 7 == value(text, WEEKDAYS) % 7


def fires(expression, clock, after, through, gap="shift", fold="first"):
    """The instants in (after, through], in UTC seconds, at which the expression fires.

    A wildcard schedule fires whenever the clock shows a match. A fixed one fires once a match: of
    two showings at the first (or the second, or both), and for those that a gap removed, together,
    at the first instant after it, unless the whole date was removed.
    """
    # Walking by the minute, the seconds of a minute follow it: no clock changes within one.
    by_minute = clock.step == 60
    times = expression.minutes_of_day() if by_minute else expression.seconds_of_day()
    seconds = expression.seconds if by_minute else [0]
    passes = "both" if expression.wildcard else fold
    found = set()
    epoch = datetime.date(1970, 1, 1).toordinal()
    for date in range(epoch + after // 86400 - 1, epoch + through // 86400 + 2):
        if not expression.matches(date):
            continue
        day = clock.day(date)
        shown = {"first": day.first, "second": day.second, "both": day.shown}[passes]
        found.update(instant + second for time, instant in shown if time in times
                     for second in seconds)
        if not expression.wildcard and gap == "shift" and day.exists:
            found.update(instant for time, instant in day.removed if time in times)
    return sorted(instant for instant in found if after < instant <= through)
