"""Random expressions: of the whole language (but H and ~, whose values only the program knows), and
of the part that croniter reads alike."""
from language import MACROS, MONTHS, WEEKDAYS, values


def spelled(random, word):
    return random.choice((word, word.upper(), word.capitalize()))


def plain_item(random, low, high):
    kind = random.random()
    begin = random.randint(low, high)
    if kind < 0.55:
        return str(begin)
    end = random.randint(begin, high)
    if kind < 0.75:
        return f"{begin}-{end}"
    if kind < 0.9:
        return f"{begin}-{end}/{random.randint(1, end - begin + 1)}"
    return f"{begin}/{random.randint(1, high - begin + 1)}"


def listed(random, item, most=3):
    return ",".join(item() for _ in range(random.choice((1, 1, 1, 2, most))))


def plain(random, low, high, star, step):
    """A field of numbers: `*` so often, `*/n` so often, else a list."""
    kind = random.random()
    if kind < star:
        return "*"
    if kind < star + step:
        return f"*/{random.randint(1, max(2, (high - low + 1) // 2))}"
    field = listed(random, lambda: plain_item(random, low, high))
    # A star inside a list is no star at its beginning, and the other way round.
    if random.random() < 0.08:
        field = random.choice((f"{field},*/7", f"*/7,{field}"))
    return field


def month(random):
    if random.random() < 0.65:
        return "*"
    if random.random() < 0.5:
        return plain(random, 1, 12, 0, 0.2)

    def named():
        begin = random.randint(0, 11)
        if random.random() < 0.5:
            return spelled(random, MONTHS[begin])
        end = random.randint(begin, 11)
        return f"{spelled(random, MONTHS[begin])}-{spelled(random, MONTHS[end])}"
    return listed(random, named)


def day_of_month(random):
    kind = random.random()
    if kind < 0.35:
        return random.choice(("*", "*", "?"))
    if kind < 0.65:
        return plain(random, 1, 31, 0, 0.25)

    def special():
        return random.choice(("L", "l", "LW", f"L-{random.randint(0, 30)}", "L-3",
                              f"{random.randint(1, 31)}W", "15W", "1W", "31w",
                              str(random.randint(1, 31))))
    return listed(random, special)


def weekday(random):
    kind = random.random()
    if kind < 0.4:
        return random.choice(("*", "*", "?"))
    if kind < 0.6:
        numbers = plain(random, 0, 6, 0, 0.2)
        return random.choice((numbers, numbers, f"{numbers},7", f"{random.randint(0, 6)}-7"))

    def named():
        begin, end = random.randint(0, 6), random.randint(0, 7)
        if end < begin:
            return spelled(random, WEEKDAYS[begin])
        return f"{spelled(random, WEEKDAYS[begin])}-{spelled(random, WEEKDAYS[end % 7])}"

    def special():
        day = random.choice((str(random.randint(0, 7)), spelled(random, WEEKDAYS[
            random.randint(0, 6)])))
        return random.choice((f"{day}L", f"{day}#{random.randint(1, 5)}", "6#3", "6L", day))
    return listed(random, named if kind < 0.75 else special)


def whole_language(random, seconds=None):
    """Any expression; with a seconds field always, never, or now and then."""
    if seconds is None and random.random() < 0.02:
        return spelled(random, random.choice(list(MACROS)))
    fields = [plain(random, 0, 59, 0.2, 0.15), plain(random, 0, 23, 0.35, 0.15),
              day_of_month(random), month(random), weekday(random)]
    if random.random() < 0.3:
        fields[0] = random.choice(("0", "0,30", "0-59/10", "30", "45-59", "0-4,*/30", "*/15,7"))
    if random.random() < 0.5:
        # Most changes of the clock are near these hours; elsewhere little is to be learned.
        fields[1] = random.choice(("0", "1", "2", "3", "1-3", "2,3", "0-2", "*/2", "0/2", "23,0"))
    if random.random() < 0.5:
        # And on few dates is anything to be seen if the days are rare.
        fields[2:] = random.choice((["*", "*", "*"], ["?", "*", "sun"], ["*", "*", "sat,sun"],
                                    ["L", "*", "0L"], ["*/2", "*", "*"], ["1-31", "*", "?"]))
    if seconds or (seconds is None and random.random() < 0.1):
        fields.insert(0, random.choice(("0", "59", "0,30", "*/20", "7-9", "*/45,3")))
    return " ".join(fields)


def rare_days(random):
    """At one or two moments of few days, for spans of years."""
    days = random.choice((
        f"29 2 {random.choice('*?')}",
        f"29 feb {random.randint(0, 6)}#5",
        f"? {random.randint(1, 12)} {random.randint(0, 7)}L",
        f"{random.randint(28, 31)}W * *",
        f"LW {random.randint(1, 12)} ?",
        f"* {random.choice(MONTHS)} {random.randint(0, 7)}#5",
        f"L-{random.randint(25, 30)} 2,3,4 *",
        f"*/{random.randint(9, 15)} * {random.randint(0, 6)}",
        f"13 * {random.choice(WEEKDAYS)}L",
        f"{day_of_month(random)} {month(random)} {weekday(random)}",
    ))
    hour = random.choice(("0", "1", "2", "3", "12", "23", "0,23"))
    return f"{random.randint(0, 59)} {hour} {days}"


def for_croniter(random):
    """An expression that croniter 1.3.5 reads alike, in croniter's spelling and in schedctl's.

    Left out is what the two read differently: croniter has no star rule, takes sun-sat for `*`,
    goes on to 7 in the weekdays' 5/1, asks for both of 5#2 and a day of month, and has the seconds
    last; what it does not know: L-3, W, H and ~; and days of month from the 29th on, with which it
    forgets the first of March.
    """
    fields = [plain(random, 0, 59, 0.15, 0.2), plain(random, 0, 23, 0.3, 0.15), "*",
              plain(random, 1, 12, 0.6, 0.1), "*"]
    theirs = list(fields)
    kind = random.random()
    if kind < 0.5:
        fields[2] = theirs[2] = random.choice(("L", early_days(random)))
    if kind > 0.3:
        fields[4] = theirs[4] = random.choice((days_for_croniter(random), named_range(random)))
    if kind > 0.8:
        day = random.randint(0, 6)
        fields[4], theirs[4] = random.choice(((f"{day}L", f"L{day}"),
                                              (f"{day}#3", f"{day}#3"), (f"{day}#1", f"{day}#1")))
    return " ".join(theirs), " ".join(fields)


def early_days(random):
    while True:
        field = listed(random, lambda: plain_item(random, 1, 28))
        if max(values(field, 1, 31)) <= 28:
            return field


def days_for_croniter(random):
    return ",".join(str(day) for day in random.sample(range(7), random.randint(1, 4)))


def named_range(random):
    begin, end = sorted(random.sample(range(1, 7), 2))
    return f"{WEEKDAYS[begin]}-{WEEKDAYS[end]}"
