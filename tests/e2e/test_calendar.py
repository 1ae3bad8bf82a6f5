"""Calendars, seen from outside: windows that open, holidays in a file, reloads that redefine them,
jobs that name one nobody has defined."""
import datetime
import pathlib
import time
import unittest

from machine import Story

UTC = datetime.timezone.utc


def clock(moment):
    return moment.strftime("%H:%M:%S")


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


class Windows(Story):
    def start_with_a_window(self, **length):
        """Starts a daemon that knows the calendar soon; gives back when its window opens, which is
        later than a few commands take here."""
        begun = time.monotonic()
        self.m.start()
        later = datetime.timedelta(seconds=4 + 4 * (time.monotonic() - begun))
        opens = (datetime.datetime.now(UTC) + later).replace(microsecond=0)
        closes = opens + datetime.timedelta(**length)
        self.m.write_config(f'[calendars.soon]\nweekly = ["{clock(opens)}-{clock(closes)}"]')
        self.m.ok("reload")
        return opens

    def test_a_window_that_opens_lets_a_job_run_and_leaves_one_row_for_what_was_before(self):
        opens = self.start_with_a_window(hours=1)
        asked = datetime.datetime.now(UTC)
        self.m.ok("add", "a", "--every", "1s", "--only", "soon", "--", "/bin/true")
        added = datetime.datetime.now(UTC)
        self.assertGreaterEqual(moment(self.m.job("a")["next_fire"]), opens)
        self.assertEqual(self.m.runs("a"), [])
        self.m.wait(lambda: len(self.m.runs("a", "--state", "succeeded")) > 1, "the window is open")
        runs = self.m.runs("a")
        first = runs[0]
        self.assertEqual((first["state"], first["reason"]), ("skipped", "excluded"), runs)
        self.assertLess(moment(first["last_fire_time"] or first["fire_time"]), opens)
        # As many as there were seconds, give or take the one in which it was added.
        self.assertGreaterEqual(first["count"], (opens - added).total_seconds() - 2)
        self.assertLessEqual(first["count"], (opens - asked).total_seconds() + 2)
        for run in runs[1:]:
            self.assertGreaterEqual(moment(run["fire_time"]), opens)
        self.assertEqual(len([r for r in runs if r["reason"] == "excluded"]), 1, runs)
        self.assertIn("run-skipped job=a run=#1 reason=excluded", self.m.log_text())

    def test_moved_fires_run_once_when_the_window_opens(self):
        # Closed but for two seconds; hourly fires lie outside of them, or meet the first.
        opens = self.start_with_a_window(seconds=2)
        anchor = (opens - datetime.timedelta(minutes=30)).isoformat()
        self.m.ok("add", "a", "--every", "1h", "--anchor", anchor, "--only", "soon",
                  "--on-excluded", "next", "--", "/bin/true")
        (fire,) = self.m.json("next", "a", "-n", "1")
        self.assertEqual(moment(fire["fire_time"]), opens)
        self.assertIn("soon: moved from ", fire["note"])
        run = self.m.wait_state("a", "succeeded")
        self.assertEqual(moment(run["fire_time"]), opens)
        self.assertEqual(len(self.m.runs("a")), 1)


class Changes(Story):
    settings = '[calendars.quiet]\nweekly = ["mon-sun"]'

    def test_a_reload_that_redefines_a_calendar_counts_at_once(self):
        self.m.start()
        self.m.ok("add", "a", "--every", "1s", "--exclude", "quiet", "--", "/bin/true")
        self.assertIsNone(self.m.job("a")["next_fire"])
        # That is what its calendar says, and no trouble.
        self.assertNotIn("does not fire", self.m("doctor").out)
        time_added = datetime.datetime.now(UTC)
        self.m.wait(lambda: datetime.datetime.now(UTC) - time_added
                    > datetime.timedelta(seconds=2), "two fires to be excluded")
        self.m.write_config('[calendars.quiet]\ndates = ["2001-01-01"]')
        self.m.ok("reload")
        self.m.wait_state("a", "succeeded")
        first, *rest = self.m.runs("a")
        self.assertEqual((first["state"], first["reason"]), ("skipped", "excluded"))
        self.assertFalse([r for r in rest if r["state"] == "missed"], rest)
        self.assertIn('why="calendars were redefined: quiet changed" changed=1 of=1',
                      self.m.log_text())

    def test_a_reload_with_a_wrong_calendar_changes_nothing_and_says_where(self):
        self.m.start()
        self.m.ok("add", "a", "--every", "1s", "--exclude", "quiet", "--", "/bin/true")
        self.m.write_config('[calendars.quiet]\nweekly = [\n  "mon-sun",\n  "sonntag",\n]')
        answer = self.m("reload")
        self.assertEqual(answer.code, 78)
        self.assertIn(f"{self.m.config}:9:3: 'sonntag' is no weekly window: 'sonntag' is no day",
                      answer.err)
        self.m.write_config('[calendars.quiet]\nweekly = ["mon"]\ntimezone = "Europe/Berln"')
        answer = self.m("reload")
        self.assertEqual(answer.code, 78)
        self.assertIn("did you mean Europe/Berlin?", answer.err)
        self.m.write_config(self.settings)
        self.assertIsNone(self.m.job("a")["next_fire"])
        self.assertEqual(self.m.runs("a"), [])

    def test_a_job_whose_calendar_is_gone_stops_and_says_so_until_it_is_back(self):
        self.m.write_config('[calendars.never]\ndates = ["2001-01-01"]')
        self.m.start()
        self.m.ok("add", "a", "--every", "1s", "--exclude", "never", "--", "/bin/true")
        self.m.wait_state("a", "succeeded")
        self.m.write_config()
        answer = self.m.ok("reload")
        self.assertIn("set aside, for a calendar of theirs is not defined any more: a", repr(answer))
        self.m.wait(lambda: self.m.job("a")["next_fire"] is None, "the job is set aside")
        self.m.wait_lines(1, "there is no calendar 'never'")
        found = self.m("doctor")
        self.assertEqual(found.code, 1)
        self.assertIn("job a: there is no calendar 'never'", found.out)
        self.assertIn("set a --unset exclude", found.out)
        (alert,) = self.m.json("alerts")
        self.assertIn("there is no calendar 'never'", alert["detail"])
        self.m.write_config('[calendars.never]\ndates = ["2001-01-01"]')
        self.m.ok("reload")
        last = self.m.runs("a")[-1]["id"]
        self.m.wait(lambda: any(r["id"] > last for r in self.m.runs("a", "--state", "succeeded")),
                    "it runs again")
        self.assertEqual(self.m.json("alerts"), [])

    def test_a_daemon_that_starts_with_other_calendars_tells_next_fires_anew(self):
        self.m.start()
        self.m.ok("add", "a", "--every", "1s", "--exclude", "quiet", "--", "/bin/true")
        self.m.wait(lambda: self.m.column("select 1 from event where kind = 'calendars'"),
                    "the calendars are noted")
        self.m.stop()
        self.m.write_config('[calendars.quiet]\ndates = ["2001-01-01"]')
        self.m.start()
        self.m.wait_state("a", "succeeded")
        self.assertIn("calendars were redefined since a daemon was here", self.m.log_text())


class Words(Story):
    settings = '[calendars.holidays]\ndates = ["12-25"]'

    def test_a_calendar_that_nobody_defined_is_refused_with_a_hint(self):
        answer = self.m("add", "a", "--every", "1h", "--exclude", "hollidays", "--", "/bin/true")
        self.assertEqual(answer.code, 2)
        self.assertIn("--exclude", answer.err)
        self.assertIn("there is no calendar 'hollidays'; did you mean holidays?", answer.err)
        answer = self.m("next", "--cron", "0 9 * * *", "--only", "office")
        self.assertEqual(answer.code, 2)
        self.assertIn("[calendars.office]", answer.err)
        (self.m.jobs_dir / "j.toml").write_text(
            '[job.b]\nevery = "1h"\ncommand = ["/bin/true"]\nonly = ["office"]\n')
        answer = self.m("validate", self.m.jobs_dir)
        self.assertEqual(answer.code, 78)
        self.assertIn(f"{self.m.jobs_dir}/j.toml:4:1: job b: there is no calendar", answer.err)

    def test_apply_and_set_refuse_it_too_and_change_nothing(self):
        jobs = self.m.root / "jobs"
        jobs.mkdir()
        (jobs / "good.toml").write_text('[job.good]\nmanual = true\ncommand = ["/bin/true"]\n')
        (jobs / "bad.toml").write_text(
            '[job.bad]\ncron = "0 9 * * *"\nexclude = ["holydays"]\ncommand = ["/bin/true"]\n')
        for words in (["apply", "--dry-run", jobs], ["apply", jobs]):
            answer = self.m(*words)
            self.assertEqual(answer.code, 78)
            self.assertIn(f"{jobs}/bad.toml:3:1: job bad: there is no calendar 'holydays'; "
                          "did you mean holidays?", answer.err)
            self.assertIn("nothing was applied", answer.err)
        (jobs / "bad.toml").write_text(
            '[job.bad]\ncron = "0 9 * * *"\nexclude = ["holidays"]\ncommand = ["/bin/true"]\n')
        answer = self.m.json("apply", jobs)
        self.assertEqual(sorted(answer["added"]), ["bad", "good"])
        self.m.ok("add", "mine", "--every", "1h", "--", "/bin/true")
        before = self.m.json("show", "mine")
        answer = self.m("set", "mine", "--only", "office")
        self.assertEqual(answer.code, 2)
        self.assertIn("--only: there is no calendar 'office'", answer.err)
        self.assertEqual(self.m.json("show", "mine"), before)

    def test_a_job_whose_calendars_leave_nothing_is_said_to_run_never(self):
        answer = self.m.ok("add", "a", "--cron", "0 9 24 12 *", "--only", "holidays", "--",
                           "/bin/true")
        self.assertIn("never, as things are: its calendars leave nothing of it", answer.out)
        answer = self.m.ok("set", "a", "--cron", "0 9 25 12 *")
        self.assertNotIn("never", answer.out)

    def test_next_tries_calendars_and_says_what_they_move(self):
        words = ["next", "--cron", "30 2 * * *", "--exclude", "holidays", "--from", "2026-12-24",
                 "-n", "3"]
        self.assertEqual([f["fire_time"] for f in self.m.json(*words)],
                         ["2026-12-24T02:30:00Z", "2026-12-26T02:30:00Z", "2026-12-27T02:30:00Z"])
        moved = self.m.json(*words, "--on-excluded", "next")
        self.assertEqual([f["fire_time"] for f in moved],
                         ["2026-12-24T02:30:00Z", "2026-12-26T00:00:00Z", "2026-12-26T02:30:00Z"])
        self.assertEqual(moved[1]["note"], "holidays: moved from 2026-12-25 02:30")
        self.assertIsNone(moved[2]["note"])
        self.m.ok("add", "a", "--manual", "--", "/bin/true")
        answer = self.m("next", "a", "--only", "holidays")
        self.assertEqual(answer.code, 2)
        self.assertIn("only goes with --every, --cron or --at", answer.err)

    def test_config_shows_calendars_and_dates_come_from_a_file(self):
        holidays = self.m.root / "holidays.txt"
        holidays.write_text("# Germany\n2026-10-03\n12-25..12-26  # Christmas\n")
        self.m.write_config(f'[calendars.holidays]\nfile = "{holidays}"')
        shown = {s["key"]: s for s in self.m.json("config")}
        self.assertEqual(shown["calendars.holidays.file"]["value"], f"{holidays} (2 lines)")
        self.assertEqual(shown["calendars.holidays.file"]["origin"], f"{self.m.config}:7:1")
        self.assertIsNone(shown["calendars.holidays.file"]["variable"])
        self.assertIn("calendars.holidays.file", self.m.ok("config").out)
        fires = self.m.json("next", "--cron", "0 9 * * *", "--only", "holidays", "--from",
                            "2026-10-01", "-n", "2")
        self.assertEqual([f["fire_time"][:10] for f in fires], ["2026-10-03", "2026-12-25"])
        holidays.write_text("2026-10-03\n3rd of October\n")
        answer = self.m("list")
        self.assertEqual(answer.code, 78)
        self.assertIn(f"{holidays}:2:1: '3rd of October' is no date of a calendar", answer.err)

    def test_the_calendars_of_the_example_are_calendars(self):
        example = pathlib.Path(__file__).parents[2] / "etc" / "schedctl.toml.example"
        lines = [line[4:] for line in example.read_text().splitlines() if line.startswith("#   ")]
        self.m.write_config("\n".join(line for line in lines if not line.startswith("file")))
        shown = {s["key"]: s["value"] for s in self.m.json("config")}
        self.assertIn("12-24..12-26", shown["calendars.holidays.dates"])
        self.assertIn("fri 09:00-12:00,13:00-15:00", shown["calendars.business-hours.weekly"])


if __name__ == "__main__":
    unittest.main()
