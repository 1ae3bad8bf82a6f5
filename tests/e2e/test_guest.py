"""What `date -s` and suspend do, with a real kernel: in a virtual machine, never here."""
import json
import unittest

import guest

CONFIG = ("state_dir = \\\"/root/state\\\"\\nruntime_dir = \\\"/root/run\\\"\\n"
          "log_file = \\\"/root/info.log\\\"\\ntimezone = \\\"Europe/Berlin\\\"\\n")
# The guest is slow where it is emulated; a timer that nothing wakes would sleep for hours.
AT_ONCE_S = 20


@unittest.skipIf(guest.why_not(), guest.why_not())
class Clock(unittest.TestCase):
    def setUp(self):
        self.g = guest.Guest()
        self.addCleanup(self.g.close)
        self.g.ok(f'printf "{CONFIG}" > /root/schedctl.toml; chmod 600 /root/schedctl.toml')
        self.sc("start")

    def sc(self, words):
        return self.g.ok(f"schedctl --config /root/schedctl.toml {words}")

    def json(self, words):
        return json.loads(self.sc(words + " --json"))

    def add(self, name, words):
        """A job that writes each fire time that it is started for into a file."""
        self.sc(f"add {name} {words} --shell 'echo $SCHEDCTL_FIRE_TIME >> /root/{name}'")

    def fires(self, name):
        return self.g(f"cat /root/{name}")[1].split()

    def uptime(self):
        return float(self.g.ok("cat /proc/uptime").split()[0])

    def lines(self, event):
        return [line for line in self.g.ok("cat /root/info.log").splitlines()
                if f" {event} " in line]

    def step(self, words):
        """Sets the clock by what `date -d` makes of the words, and waits until that is noticed."""
        before = len(self.lines("clock-jump"))
        began = self.uptime()
        self.g.ok(f"date -s \"$(date -d '{words}' '+%F %T')\"")
        self.g.wait(lambda: len(self.lines("clock-jump")) > before, f"the step {words} in the log")
        self.assertLess(self.uptime() - began, AT_ONCE_S, "it was not noticed at once")
        self.assertEqual(len(self.lines("clock-jump")), before + 1)
        return self.lines("clock-jump")[-1]

    def alert(self):
        return [a for a in self.json("alerts") if a["kind"] == "clock-jump"]

    def goes_on(self, name):
        before = len(self.fires(name))
        self.g.wait(lambda: len(self.fires(name)) >= before + 2, f"{name} to go on")

    def nothing_twice(self, *names):
        for name in names:
            fires = self.fires(name)
            self.assertEqual(len(fires), len(set(fires)), f"{name}: {sorted(fires)}")

    def test_steps_forward_and_back(self):
        self.add("often", "--every 1s")
        self.goes_on("often")
        for words, by in (("+1 hour", "1h"), ("+1 day", "1d"), ("+365 days", "52w1d")):
            line = self.step(words)
            self.assertIn("direction=forward", line)
            self.goes_on("often")
        # Far more fires than the machine could have started, in a handful of rows.
        rows = self.json("runs often -n 1000")
        self.assertGreater(sum(row["count"] for row in rows), 366 * 86400)
        self.assertLess(len(rows), 500)
        # The year was a mistake: nothing of it happened but a few seconds, and jobs go on.
        self.step("-365 days")
        self.assertEqual(self.alert(), [])
        self.goes_on("often")
        # What ran in the seconds before the steps ran; from before the job's time on it runs again.
        self.step("-1 day")
        self.goes_on("often")
        self.nothing_twice("often")

    def test_back_by_an_hour_is_silence_with_an_alert_until_then(self):
        self.add("often", "--every 1s")
        self.goes_on("often")
        line = self.step("-1 hour")
        self.assertIn("direction=back", line)
        self.assertIn("silent_jobs=1", line)
        quiet = len(self.fires("often"))
        self.assertEqual(len(self.alert()), 1)
        self.assertIn("often until 2026-03-01T", self.alert()[0]["detail"])
        self.assertIn("clock-jump", self.sc("alerts"))
        self.g.ok("sleep 3")
        self.assertEqual(len(self.fires("often")), quiet)
        self.step("+1 hour")
        self.goes_on("often")
        self.g.wait(lambda: not self.alert(), "the alert to end")
        # Once more, by a second.
        self.g.ok("date -s \"$(date -d '-2 seconds' '+%F %T')\"")
        self.goes_on("often")
        self.assertEqual(self.alert(), [])
        self.nothing_twice("often")

    def test_a_daemon_that_sleeps_for_long_wakes_for_each_step(self):
        self.add("noon", "--cron '0 12 * * *'")
        for words in ("+1 hour", "+1 day", "-1 hour", "-1 day", "+365 days", "-365 days"):
            self.step(words)
        self.nothing_twice("noon")

    def test_a_machine_that_sleeps(self):
        self.add("often", "--every 1s")
        self.goes_on("often")
        code, words = self.g("rtcwake -u -d rtc0 -m mem -s 20")
        if code != 0:
            self.skipTest("this guest cannot suspend: " + words.strip())
        line = self.g.wait(lambda: self.lines("suspend"), "the sleep in the log")[0]
        self.assertIn("slept=", line)
        self.goes_on("often")
        self.nothing_twice("often")
        self.assertEqual(self.lines("clock-jump"), [])
