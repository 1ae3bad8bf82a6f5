"""Puts questions to the program fires (fires.cpp): many at once, one process a batch."""
import dataclasses
import os
import subprocess

LIMIT_S = 600


@dataclasses.dataclass
class Question:
    zone: str
    expression: str
    after: int  # UTC seconds; fires are in (after, through]
    through: int
    gap: str = "shift"
    fold: str = "first"
    seed: int = 0
    weeks: int = 1
    anchor: str = ""

    def line(self):
        return "\t".join(map(str, (self.zone, self.gap, self.fold, self.seed, self.weeks,
                                   self.anchor, self.after * 10**6, self.through * 10**6,
                                   self.expression)))


@dataclasses.dataclass
class Answer:
    fires: list  # UTC seconds
    counted: tuple  # how many, first, last, as they are counted and not walked
    error: str


def ask(questions, zone_directory=None):
    environment = dict(os.environ)
    if zone_directory:
        environment["TZDIR"] = str(zone_directory)
    lines = "".join(question.line() + "\n" for question in questions)
    done = subprocess.run([os.environ["FIRES"]], input=lines, capture_output=True, text=True,
                          env=environment, timeout=LIMIT_S, check=False)
    answers = [read(line) for line in done.stdout.splitlines()]
    if done.returncode != 0 or len(answers) != len(questions):
        raise AssertionError(f"fires ended with {done.returncode} after {len(answers)} of "
                             f"{len(questions)} questions\n{done.stderr[-4000:]}")
    return answers


def read(line):
    if line.startswith("error "):
        return Answer([], (0, 0, 0), line.removeprefix("error "))
    counted, fires = line.split(";")
    return Answer([whole_seconds(us) for us in fires.split()],
                  tuple(map(int, counted.split())), "")


def whole_seconds(us):
    seconds, rest = divmod(int(us), 10**6)
    if rest:
        raise AssertionError(f"a fire of a cron expression within a second: {us} us")
    return seconds
