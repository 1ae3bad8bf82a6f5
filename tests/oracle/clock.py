"""What the clocks of a zone showed, found by walking: second by second or minute by minute along
UTC, each instant converted by zoneinfo, and nothing concluded beyond what was seen."""
import datetime
import zoneinfo

DAY = 86400
# Dates whose readings are remembered; a date by the minute takes a quarter of a megabyte.
MOST_DATES = 250
# No clock is further than this many whole days from UTC.
REACH_DAYS = 1


def ordinal_of(instant):
    """The date, as a number, that UTC shows at an instant in seconds."""
    return datetime.date(1970, 1, 1).toordinal() + instant // DAY


class Day:
    """One date of the wall clock: its readings, in seconds since midnight, with the instants (UTC
    seconds) at which they were shown."""

    def __init__(self, readings, removed):
        self.shown = readings  # (second of day, instant), in order of time
        self.removed = removed  # (second of day, the first instant after the gap)
        self.first, self.second = readings, readings
        if len({second for second, _ in readings}) < len(readings):
            early, late = {}, {}
            for second, instant in readings:
                early.setdefault(second, instant)
                late[second] = instant
            self.first, self.second = list(early.items()), list(late.items())

    @property
    def exists(self):
        return bool(self.shown)


class Clock:
    """A zone's clock; step is 60 or 1, and must divide all changes of the clock in the span."""

    def __init__(self, zone, step=60, file=None):
        self.name, self.step = zone, step
        if file:
            with open(file, "rb") as data:
                self.zone = zoneinfo.ZoneInfo.from_file(data, zone)
        else:
            self.zone = zoneinfo.ZoneInfo(zone)
        self.days, self.walked = {}, {}

    def reading(self, instant):
        shown = datetime.datetime.fromtimestamp(instant, self.zone)
        return shown.toordinal(), shown.hour * 3600 + shown.minute * 60 + shown.second

    def offset(self, instant):
        """East of UTC, in seconds."""
        date, second = self.reading(instant)
        return (date - ordinal_of(instant)) * DAY + second - instant % DAY

    def day(self, date):
        """The Day of a date, given as its ordinal."""
        if date not in self.days:
            if len(self.days) >= MOST_DATES:
                self.days, self.walked = {}, {}
            readings, removed = [], []
            for utc_date in range(date - REACH_DAYS, date + REACH_DAYS + 1):
                shown, gone = self.utc_day(utc_date)
                readings += shown.get(date, [])
                removed += gone.get(date, [])
            self.days[date] = Day(readings, removed)
        return self.days[date]

    def utc_day(self, utc_date):
        """What was shown and removed while UTC had this date, by date of the wall clock."""
        if utc_date in self.walked:
            return self.walked[utc_date]
        begin = (utc_date - datetime.date(1970, 1, 1).toordinal()) * DAY
        shown, removed = {}, {}
        date, second = self.reading(begin - self.step)
        expected = date * DAY + second + self.step
        for instant in range(begin, begin + DAY, self.step):
            date, second = self.reading(instant)
            shown.setdefault(date, []).append((second, instant))
            # A clock that jumped forward left out these readings.
            for missing in range(expected, date * DAY + second, self.step):
                removed.setdefault(missing // DAY, []).append((missing % DAY, instant))
            expected = date * DAY + second + self.step
        self.walked[utc_date] = shown, removed
        return self.walked[utc_date]

    def changes(self, begin, end):
        """The instants in [begin, end) at which the offset changed, found day by day."""
        found = []
        for instant in range(begin, end, DAY):
            if self.offset(instant) == self.offset(instant + DAY):
                continue
            found += [moment for moment in range(instant + self.step, instant + DAY + 1, self.step)
                      if self.offset(moment - self.step) != self.offset(moment)]
        return found
