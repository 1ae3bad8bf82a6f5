"""The daemon's log under the real logrotate, by etc/schedctl.logrotate as it is."""
import gzip
import re
import unittest

from room import RoomStory

CONF = "/etc/logrotate.d/schedctl"
# So many jobs, each run so often, one after the other; a run writes so many lines,
# which is as many as of one run go into the log.
WRITERS, RUNS, LINES = 6, 60, 1000


class Rotated(RoomStory):
    def setUp(self):
        super().setUp()
        self.need("logrotate", "logrotate")
        self.m.put("etc/schedctl.logrotate", CONF)

    def rotate(self, *options, code=0):
        """As cron and systemd's timer do; the file of states is in /var/lib/logrotate."""
        answer = self.m.sh("logrotate", *options, CONF)
        self.assertEqual(answer.code, code, answer)
        return answer.out + answer.err

    def names(self):
        return sorted(path.name for path in self.m.log.parent.iterdir())

    def everything(self):
        """All lines, oldest file first."""
        files = [p for p in self.m.log.parent.iterdir() if p.name.startswith("info.log.")]
        files.sort(key=lambda p: -int(p.name.split(".")[2]))
        text = ""
        for path in files + [self.m.log]:
            data = path.read_bytes()
            text += (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
        return text.splitlines()


class Load(Rotated):
    def test_no_line_is_lost_while_jobs_write(self):
        # All files are to be there to be counted.
        self.m.put("etc/schedctl.logrotate", CONF,
                   edit=lambda text: re.sub(r"rotate \d+", "rotate 1000", text))
        self.m.start()
        names = [f"writer-{n}" for n in range(WRITERS)]
        for name in names:
            self.m.ok("add", name, "--manual", "--output", "log", "--shell",
                      f"seq -f \"run $SCHEDCTL_RUN_ID line %.0f.\" {LINES}")
        drivers = [self.m.popen("bash", "-c", f"for i in $(seq {RUNS}); do "
                                f"schedctl -q trigger {name} --wait >/dev/null || exit; done")
                   for name in names]
        rotations = 0
        while any(driver.poll() is None for driver in drivers):
            self.rotate("-f")
            rotations += 1
        self.assertEqual([driver.returncode for driver in drivers], [0] * WRITERS)
        self.assertGreater(rotations, 9, "the jobs ended too soon for this to show anything")
        self.m.ok("stop")
        found, order, ends = {}, True, 0
        for line in self.everything():
            ends += " run-succeeded " in line
            written = re.search(r"run (\d+) line (\d+)\.", line)
            if written:
                run, number = int(written[1]), int(written[2])
                order = order and number == found.get(run, 0) + 1
                found[run] = number
        self.assertEqual(ends, WRITERS * RUNS)
        self.assertEqual(list(found.values()), [LINES] * (WRITERS * RUNS))
        self.assertTrue(order, "each line is there once, and after the one before it")
        self.assertTrue(any(name.endswith(".gz") for name in self.names()))


class Once(Rotated):
    def test_the_file_is_moved_and_a_new_one_is_begun(self):
        self.m.start()
        before = self.m.log_text()
        self.assertEqual(self.rotate("-f"), "")
        self.assertEqual(self.names(), ["info.log", "info.log.1"])
        self.assertEqual((self.m.log.parent / "info.log.1").read_text(), before)
        self.m.ok("add", "hello", "--manual", "--", "true")
        self.m.ok("trigger", "hello")
        self.m.wait_state("hello", "succeeded")
        self.m.wait(lambda: "run-succeeded" in self.m.log_text(), "the end in the new file")
        self.assertEqual((self.m.log.parent / "info.log.1").read_text(), before)
        old, new = (self.m.log.parent / "info.log.1").stat(), self.m.log.stat()
        self.assertEqual((new.st_mode, new.st_uid, new.st_gid), (old.st_mode, old.st_uid, old.st_gid))
        self.assertEqual(self.rotate("-f"), "")
        self.assertEqual(self.names(), ["info.log", "info.log.1", "info.log.2.gz"])

    def test_a_file_of_no_age_and_an_empty_one_stay(self):
        self.m.start()
        self.assertEqual(self.rotate(), "")
        self.assertEqual(self.names(), ["info.log"])
        self.rotate("-f")
        self.assertEqual(self.m.log_text(), "")
        self.rotate("-f")
        self.assertEqual(self.names(), ["info.log", "info.log.1"])

    def test_without_a_daemon_it_is_moved_all_the_same(self):
        self.assertEqual(self.rotate("-f"), "")
        pid = self.m.start()
        self.m.kill(pid, "KILL")
        self.m.wait(lambda: self.m("status").code == 1, "the daemon to be dead")
        self.assertEqual(self.rotate("-f"), "")
        self.assertEqual(self.names(), ["info.log", "info.log.1"])
        self.m.start()
        self.m.ok("stop")
        self.assertEqual(self.rotate("-f"), "")
        self.assertEqual(self.names(), ["info.log", "info.log.1", "info.log.2.gz"])

    def test_nothing_is_moved_under_a_configuration_that_cannot_be_read(self):
        self.m.start()
        self.m.config.write_text("stop_timeout = 17 parsecs\n")
        said = self.rotate("-f", code=1)
        self.assertIn("/etc/schedctl/schedctl.toml:1:", said)
        self.assertEqual(self.names(), ["info.log"])
        self.m.write_config()
        self.assertEqual(self.rotate("-f"), "")
        self.assertEqual(self.names(), ["info.log", "info.log.1"])


class OnceAsUser(Once):
    """The same with a daemon that gives root up."""
    user = "schedctl"

    def test_a_log_where_the_daemon_may_make_no_file(self):
        self.m.put("etc/schedctl.logrotate", CONF, edit=lambda text: text.replace(
            "/var/log/schedctl/info.log", "/var/log/schedctl-info.log"))
        self.m.write_config('log_file = "/var/log/schedctl-info.log"')
        self.m.log = self.m.here / "var/log/schedctl-info.log"
        pid = self.m.start()
        self.assertEqual(self.uid(pid), self.user)
        self.assertEqual(self.rotate("-f"), "")
        self.m.ok("add", "hello", "--manual", "--", "true")
        self.m.ok("trigger", "hello")
        self.m.wait(lambda: "run-succeeded" in self.m.log_text(), "the end in the new file")


if __name__ == "__main__":
    unittest.main()
