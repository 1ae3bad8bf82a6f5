"""The system's time zone data is replaced under a daemon. Each story has zone data of its own ($TZDIR),
made by zic, so that the rules are what the story says; the zone Test/Zone is not known elsewhere."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from machine import Story

# Far from any change: the offset decides when 12:00 is.
RULES = """# version {release}
Zone Test/Zone {offset} - XXX
Zone Test/Other 5:00 - YYY
Zone UTC 0 - UTC
"""


class ZoneData:
    def __init__(self, scratch):
        self.root = scratch / "zoneinfo"

    def make(self, target, offset, release):
        target.mkdir(parents=True)
        source = target / "tzdata.zi"
        source.write_text(RULES.format(offset=offset, release=release))
        subprocess.run(["zic", "-d", str(target), str(source)], check=True)

    def replace_files(self, offset, release):
        """As packages do: each file is written beside the old one and renamed over it."""
        fresh = pathlib.Path(tempfile.mkdtemp(dir=self.root.parent)) / "fresh"
        self.make(fresh, offset, release)
        for path in [p for p in fresh.rglob("*") if p.is_file()]:
            os.replace(path, self.root / path.relative_to(fresh))


@unittest.skipUnless(shutil.which("zic"), "no zic here (package libc-bin)")
class ReplacedZoneData(Story):
    def setUp(self):
        super().setUp()
        self.data = ZoneData(self.m.root)
        self.data.make(self.data.root, "1:00", "2031a")
        old = self.m.environment
        self.m.environment = lambda extra=None: old({"TZDIR": str(self.data.root), **(extra or {})})

    def add(self, name, *words):
        self.m.ok("add", name, *words, "--", "true")

    def add_daily(self, name, zone="Test/Zone"):
        self.add(name, "--cron", "0 12 * * *", "--timezone", zone)

    def hour_utc(self, name):
        """Of the stored next fire: what the daemon sleeps for, not what the command line computes."""
        micros = self.m.column(f"SELECT next_fire FROM job WHERE name = '{name}'")[0]
        return micros // 3_600_000_000 % 24

    def changes(self):
        return self.m.column("SELECT detail FROM event WHERE kind = 'zone-change' ORDER BY id")

    def wait_hour(self, name, hour):
        self.m.wait(lambda: self.hour_utc(name) == hour, f"{name} to fire at {hour}:00 UTC")

    def test_files_that_are_replaced_under_a_running_daemon(self):
        self.m.start()
        self.add_daily("noon")
        self.add_daily("other", "Test/Other")
        self.add("often", "--every", "1h")
        often = self.m.job("often")["next_fire"]
        self.assertEqual(self.hour_utc("noon"), 11)
        self.data.replace_files("3:00", "2031b")
        self.wait_hour("noon", 9)
        self.m.wait(lambda: "why=\"the time zone data was replaced, 2031a by 2031b\"" in
                    self.m.log_text(), "the log line of the change")
        self.m.wait_lines(1, "next-fire-changed job=noon was=")
        self.assertNotIn("next-fire-changed job=other", self.m.log_text())
        self.assertEqual(self.hour_utc("other"), 7)
        self.assertEqual(self.m.job("often")["next_fire"], often)
        self.assertIn("the time zone data was replaced, 2031a by 2031b; 1 of 2 next fires changed",
                      self.changes())
        # Again: what was read once can be read afresh any number of times.
        self.data.replace_files("4:00", "2031c")
        self.wait_hour("noon", 8)
        self.data.replace_files("1:00", "2031a")
        self.wait_hour("noon", 11)

    def test_a_directory_that_is_exchanged_as_a_whole(self):
        real = self.m.root / "data-1"
        self.data.root.rename(real)
        self.data.root.symlink_to(real)
        self.m.start()
        self.add_daily("noon")
        self.data.make(self.m.root / "data-2", "3:00", "2031b")
        turned = self.m.root / "turned"
        turned.symlink_to(self.m.root / "data-2")
        os.replace(turned, self.data.root)
        self.wait_hour("noon", 9)
        # What the link points at now is watched as well.
        self.data.replace_files("4:00", "2031c")
        self.wait_hour("noon", 8)

    def test_data_that_was_replaced_while_no_daemon_ran(self):
        self.m.start()
        self.add_daily("noon")
        self.m.wait(lambda: self.m.column("SELECT id FROM event WHERE kind = 'zone-data'"),
                    "the zone data to be noted")
        self.m.stop()
        self.data.replace_files("3:00", "2031b")
        self.m.start()
        self.wait_hour("noon", 9)
        self.assertEqual(self.changes(), [
            "the time zone data was replaced, 2031a by 2031b; 1 of 1 next fires changed"])

    def test_a_restart_with_the_same_data_changes_nothing(self):
        self.m.start()
        self.add_daily("noon")
        self.m.ok("restart")
        # Two starts later the daemon has looked: its jobs run.
        self.m.ok("add", "now", "--every", "1s", "--", "true")
        self.m.wait_state("now", "succeeded")
        self.m.ok("reload")
        self.assertEqual(self.changes(), [])
        self.assertEqual(len(self.m.column("SELECT id FROM event WHERE kind = 'zone-data'")), 1)

    def test_a_zone_that_vanishes_keeps_its_last_rules(self):
        self.m.start()
        self.add_daily("noon")
        self.add_daily("other", "Test/Other")
        self.m.ok("reload")
        (self.data.root / "Test/Zone").unlink()
        self.m.wait(self.changes, "the change to be noticed")
        self.assertEqual(self.hour_utc("noon"), 11)
        self.assertIn("0 of 2 next fires changed", self.changes()[0])

    def test_the_zone_of_the_host_moves_no_job_that_exists(self):
        """A job's zone is settled when it is added; $TZ stands for the host's zone here."""
        self.m.config.write_text(self.m.config.read_text().replace('timezone = "UTC"\n', ""))
        self.m.ok("start", env={"TZ": "Test/Zone"})
        self.m.ok("add", "noon", "--cron", "0 12 * * *", "--", "true", env={"TZ": "Test/Zone"})
        self.assertEqual(self.m.job("noon")["timezone"], "Test/Zone")
        self.m.ok("stop", "--now")
        self.m.ok("start", env={"TZ": "Test/Other"})
        self.m.ok("reload", env={"TZ": "Test/Other"})
        self.assertEqual(self.hour_utc("noon"), 11)
        self.assertEqual(self.m.job("noon")["timezone"], "Test/Zone")
        self.assertEqual(self.changes(), [])


@unittest.skipUnless(shutil.which("zic") and os.geteuid() == 0,
                     "needs zic and root, for a mount namespace")
class ReplacedSystemData(Story):
    def test_the_database_of_the_system_itself(self):
        """/usr/share/zoneinfo is replaced by a bind mount, in a mount namespace of the daemon's."""
        data = self.m.root / "zoneinfo"
        shutil.copytree("/usr/share/zoneinfo", data, symlinks=True)
        script = ("mount --bind \"$1\" /usr/share/zoneinfo && shift && exec \"$@\"")
        unshared = ["unshare", "-m", "sh", "-c", script, "sh", str(data)]
        if subprocess.run([*unshared, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("no mount namespaces here")
        from machine import BINARY
        done = subprocess.run([*unshared, BINARY, "--config", str(self.m.config), "start"],
                              capture_output=True, text=True, env=self.m.environment(),
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.m.ok("add", "noon", "--cron", "0 12 1 1 *", "--timezone", "Asia/Tokyo", "--", "true")

        def hour():
            micros = self.m.column("SELECT next_fire FROM job WHERE name = 'noon'")[0]
            return micros // 3_600_000_000 % 24
        self.assertEqual(hour(), 3)
        # What stands for Tokyo now is seven hours east of Greenwich.
        fresh = self.m.root / "fresh"
        shutil.copy(data / "Asia/Bangkok", fresh)
        os.replace(fresh, data / "Asia/Tokyo")
        self.m.wait(lambda: hour() == 5, "the next fire to follow the new rules")
