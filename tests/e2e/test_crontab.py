"""Crontabs in and out: import-crontab, export --crontab, and the crontabs that Debian's packages
bring, whose fires are held against the readings of tests/oracle."""
import datetime as dt
import getpass
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from machine import Story

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "oracle"))
import clock  # noqa: E402
import language  # noqa: E402

DAY = 86400
FIRES = 1000
FROM = int(dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc).timestamp())
# Weeks in which the clocks of Berlin change.
CHANGES = [int(dt.datetime(2027, month, day, tzinfo=dt.timezone.utc).timestamp())
           for month, day in ((3, 25), (10, 28))]
# What brings crontabs; whichever of them can be had is looked at.
PACKAGES = ("cron", "cron-daemon-common", "sysstat", "munin-node", "munin", "mdadm", "anacron",
            "logcheck", "e2fsprogs", "popularity-contest", "certbot", "ntpsec", "php-common",
            "mailman3", "amavisd-new", "spamassassin")
TAB = """\
SHELL=/bin/sh
MAILTO=anna
30 2 * * *\tbackup --full
@hourly  report%a line%another
@reboot warm-up
"""


def user():
    return getpass.getuser() if os.geteuid() else "root"


class Importing(Story):
    def imported(self, text, *words, code=0):
        answer = self.m("import-crontab", "-", "--json", *words, stdin=text)
        self.assertEqual(answer.code, code, answer)
        return answer.json

    def test_a_crontab_from_standard_input_becomes_jobs_once(self):
        dry = self.imported(TAB, "--dry-run")
        self.assertEqual([(j["line"], j["name"], j["did"]) for j in dry["jobs"]],
                         [(3, "backup", "added"), (4, "report", "added"), (5, "warm-up", "added")])
        self.assertEqual(self.m.json("list"), [])
        self.imported(TAB)
        jobs = {j["name"]: j for j in self.m.json("list")}
        self.assertEqual(jobs["backup"]["schedule"], {"cron": "30 2 * * *"})
        self.assertEqual(jobs["backup"]["action"], {"shell": "backup --full"})
        self.assertEqual(jobs["warm-up"]["schedule"], {"on_reboot": True})
        self.assertEqual(jobs["backup"]["tags"], ["crontab.stdin"])
        before = self.m.json("list")
        again = self.imported(TAB)
        self.assertEqual({j["did"] for j in again["jobs"]}, {"unchanged"})
        self.assertEqual(self.m.json("list"), before)

    def test_what_has_changed_is_said_and_what_is_gone_stays(self):
        self.imported(TAB)
        answer = self.m.ok("import-crontab", "-", stdin="30 3 * * * backup --full\n")
        self.assertIn('changed: cron from "30 2 * * *" to "30 3 * * *"', answer.out)
        self.assertIn("1 job changed", answer.out)
        self.assertIn("job report came from a line that is gone; schedctl remove report",
                      answer.err)
        self.assertEqual(self.m.job("backup")["schedule"], {"cron": "30 3 * * *"})
        self.assertIsNotNone(self.m.job("report"))
        self.m.ok("remove", "report", "warm-up")
        self.assertNotIn("gone", self.m.ok("import-crontab", "-",
                                           stdin="30 3 * * * backup --full\n").err)

    def test_lines_that_are_left_out_are_named_and_the_others_imported(self):
        answer = self.m("import-crontab", "-", stdin="@daily a\n0 25 * * * b\nnonsense\n")
        self.assertEqual(answer.code, 1, answer)
        self.assertIn("standard input:2:1: not imported: hour 25 is out of range", answer.err)
        self.assertIn("standard input:3:", answer.err)
        self.assertIn("1 job added, 2 lines not imported", answer.out)
        self.assertEqual([j["name"] for j in self.m.json("list")], ["a"])

    def test_what_is_different_is_said_once(self):
        err = self.m.ok("import-crontab", "-", stdin=TAB).err
        for words in ("mail to anna is not sent", "skipped", "caught up", "the environment is",
                      "or each runs twice", "no daemon"):
            self.assertEqual(err.count(words), 1, err)
        self.assertNotIn("runs twice", self.m.ok("import-crontab", "-", stdin=TAB).err)

    def test_a_file_gives_its_name_where_it_is_one_of_cron_d(self):
        directory = self.m.root / "cron.d"
        directory.mkdir()
        (directory / "shop").write_text(f"@daily {user()} clean\n@daily nobody-else clean\n")
        answer = self.m("import-crontab", directory / "shop", "--system")
        self.assertEqual(answer.code, 1, answer)
        self.assertIn("runs as nobody-else", answer.err)
        self.assertEqual([j["name"] for j in self.m.json("list")], ["shop-clean"])
        (directory / "shop.bak").write_text("")
        self.assertIn("Debian's cron does not read",
                      self.m.ok("import-crontab", directory / "shop.bak", "--system").err)
        self.assertEqual(self.m("import-crontab", directory).code, 2)
        self.assertEqual(self.m("import-crontab", directory / "none").code, 3)
        self.assertEqual(self.m("import-crontab").code, 2)

    def test_garbage_is_explained_and_harmless(self):
        garbage = self.m.root / "garbage"
        garbage.write_bytes(b"\x1b[2J\xff\x00 @daily\n" + bytes(range(256)) * 100)
        answer = self.m("import-crontab", garbage)
        self.assertEqual(answer.code, 1, answer)
        self.assertNotIn("\x1b", answer.out + answer.err)
        self.assertEqual(self.m("import-crontab", "/dev/zero").code, 1)

    def test_imported_lines_run_as_cron_would_run_them(self):
        home = self.m.root / "it's home"
        home.mkdir()
        self.imported(
            f"HOME={home}\nGREETING=\"hello  there\"\n"
            "@daily : env; echo \"$GREETING\"; pwd; date +\\%Y > /dev/null\n"
            "@daily : input; cat; exit 3%it's 100\\% 'quoted' $HOME%%last\n"
            "SHELL=/bin/bash\n@daily : bash; [[ $0 == /bin/bash ]] && cat%in bash\n"
            "SHELL=/bin/sh\n@daily (unclosed\n")
        names = [j["name"] for j in self.m.json("list")]
        self.assertEqual(len(names), 4)
        by_line = {j["line"]: j["name"] for j in self.imported("", "--dry-run")["jobs"]}
        self.assertEqual(by_line, {})
        self.m.start()
        actions = {j["name"]: str(j["action"]) for j in self.m.json("list")}
        name = {word: next(n for n, a in actions.items() if word in a)
                for word in (": env", ": input", ": bash", "(unclosed")}
        runs = {}
        for word, job in name.items():
            self.m("trigger", job, "--wait")
            runs[word] = self.m.runs(job)[0]
        self.assertEqual({word: run["exit_code"] for word, run in runs.items()},
                         {": env": 0, ": input": 3, ": bash": 0, "(unclosed": 2})
        self.assertEqual(self.m.ok("logs", name[": env"]).out, f"hello  there\n{home}\n")
        self.assertEqual(self.m.ok("logs", name[": input"]).out,
                         "it's 100% 'quoted' $HOME\n\nlast\n")
        self.assertEqual(self.m.ok("logs", name[": bash"]).out, "in bash\n")


class Exporting(Story):
    def test_what_cron_can_express_comes_back_the_same(self):
        self.m.ok("import-crontab", "-", stdin=TAB + "PATH=/bin\nSHELL=/bin/bash\n"
                  "CRON_TZ=America/New_York\nRANDOM_DELAY=5\n*/7 1-5 * * mon-fri tick \\% %x\n")
        self.m.ok("add", "words", "--cron", "5/20 0 ? * fri-sun", "--", "/bin/echo", "a b", "100%")
        text = self.m.ok("export", "--crontab").out
        tags = [j["name"] for j in self.m.json("list")]
        self.m.ok("remove", *tags)
        again = self.m("import-crontab", "-", "--json", stdin=text)
        self.assertEqual(again.code, 0, f"{text}{again}")
        found = {(str(j["schedule"]), j["timezone"]) for j in again.json["jobs"]}
        zone = again.json["jobs"][0]["timezone"]
        # Where that is the host's by another name, CRON_TZ need not say it.
        utc = zone if zone in ("Etc/UTC", "Etc/UCT", "UCT", "Zulu") else "UTC"
        self.assertEqual(found, {
            ("{'cron': '30 2 * * *'}", zone), ("{'cron': '@hourly'}", zone),
            ("{'on_reboot': True}", zone), ("{'cron': '*/7 1-5 * * mon-fri'}", "America/New_York"),
            ("{'cron': '5-59/20 0 * * 5-7'}", utc)}, text)
        self.assertEqual(text.count("CRON_TZ=UTC"), 0 if utc == zone else 1, text)

    def test_what_cron_cannot_do_is_a_comment_with_the_reason(self):
        self.m.ok("add", "grid", "--every", "90s", "--", "/bin/true")
        self.m.ok("add", "fine", "--cron", "*/10 * * * * *", "--", "/bin/true")
        self.m.ok("add", "limited", "--cron", "@daily", "--timeout", "2h", "--", "/bin/true")
        self.m.ok("add", "held", "--cron", "@daily", "--paused", "--", "/bin/true")
        text = self.m.ok("export", "--crontab").out
        self.assertTrue(all(line.startswith("#") or not line for line in text.splitlines()), text)
        for words in (r"# grid( \(UTC\))?: every 1m30s counts elapsed time",
                      r"# held( \(UTC\))?: it is paused\n#@daily /bin/true",
                      r"# fine( \(UTC\))?: cron has no seconds",
                      r"# limited( \(UTC\))?: cron has no timeout \(2h\)\n#@daily /bin/true"):
            self.assertRegex(text, words)
        only = self.m.ok("export", "--crontab", "grid").out
        self.assertNotIn("limited", only)


class Utc:
    """clock.Clock for a zone without changes, in which walking shows nothing new."""
    step = 60

    @staticmethod
    def day(date):
        begin = (date - dt.date(1970, 1, 1).toordinal()) * DAY
        return clock.Day([(second, begin + second) for second in range(0, DAY, 60)], [])


def epoch(text):
    return int(dt.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


class Packages(Story):
    def crontabs(self, directory):
        """The crontabs of the packages, by their paths in them; a skip if none can be had."""
        trouble = ""
        for package in PACKAGES:
            try:
                done = subprocess.run(
                    ["apt-get", "-q", "-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=20",
                     "download", package], cwd=directory, capture_output=True, text=True,
                    timeout=120, check=False)
                trouble = trouble or done.stderr if done.returncode else trouble
            except (OSError, subprocess.TimeoutExpired) as error:
                raise unittest.SkipTest(f"packages cannot be downloaded: {error}") from error
            if not list(directory.glob("*.deb")) and trouble:
                raise unittest.SkipTest(f"packages cannot be downloaded: {trouble.strip()[-200:]}")
        for package in directory.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, directory / "root"], check=True)
        root = directory / "root" / "etc"
        files = [root / "crontab", *sorted((root / "cron.d").glob("*"))]
        return [file for file in files if file.is_file() and file.name != ".placeholder"]

    def test_the_crontabs_of_debian_packages_fire_as_the_oracle_says(self):
        if os.geteuid() != 0:
            self.skipTest("only root can import the lines of root")
        with tempfile.TemporaryDirectory() as scratch:
            files = self.crontabs(pathlib.Path(scratch))
            expressions = set()
            for file in files:
                expressions |= self.read(file)
        self.assertGreater(len(expressions), 5, f"hardly any crontabs in {files}")
        berlin = clock.Clock("Europe/Berlin")
        for expression in sorted(expressions):
            self.agree(expression, "UTC", Utc, FROM, FIRES)
            for change in CHANGES:
                self.agree(expression, "Europe/Berlin", berlin, change, None)

    def read(self, file):
        """The expressions of a crontab, of which each line must be accounted for."""
        answer = self.m("import-crontab", file, "--system", "--dry-run", "--json",
                        env={"TZ": "UTC"})
        found = answer.json
        self.assertEqual(answer.code, 1 if found["left_out"] else 0, f"{file} {answer}")
        for line in found["left_out"]:
            self.assertIn("runs as ", line["message"], f"{file}")
        text = file.read_text(errors="replace").splitlines()
        runs = [number for number, line in enumerate(text, 1)
                if line.strip() and line.strip()[0] in "0123456789*@-"]
        told = [j["line"] for j in found["jobs"]] + [j["line"] for j in found["left_out"]]
        self.assertEqual(sorted(told), runs, f"{file} {answer}")
        # Lines of other users have schedules, too.
        others = [" ".join(text[line["line"] - 1].split()[:5]) for line in found["left_out"]]
        mine = [j["schedule"]["cron"] for j in found["jobs"] if "cron" in j["schedule"]]
        return {expression for expression in mine + others if not expression.startswith("@")}

    def agree(self, expression, zone, of_zone, after, count):
        told = [epoch(fire["fire_time"]) for fire in self.m.json(
            "next", "--cron", expression, "--timezone", zone, "-n", count or 10000,
            "--from", dt.datetime.fromtimestamp(after, dt.timezone.utc).isoformat())]
        if count is None:
            through = after + 7 * DAY
            told = [fire for fire in told if fire <= through]
        else:
            through = told[-1]
            self.assertEqual(len(told), count, expression)
        expected = language.fires(language.Expression(expression), of_zone, after, through)
        # A fire at the moment that is asked from is one of the next.
        told = [fire for fire in told if fire > after]
        self.assertEqual(told, expected, f"{expression} in {zone}")


if __name__ == "__main__":
    unittest.main()
