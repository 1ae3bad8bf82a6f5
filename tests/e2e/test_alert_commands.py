"""The commands around alerts: the list, `test`, `ack`, and what start says where nobody is told."""
import time

from machine import Machine, Story
from slack import HANG, SlackServer, failing

FAILS = ("--every", "1h", "--immediately", "--", "sh", "-c", "exit 3")


class AlertCommands(Story):
    def setUp(self):
        self.slack = SlackServer()
        self.addCleanup(self.slack.end)
        self.m = Machine(self.settings_for(self.slack.url))
        self.addCleanup(self.m.close)

    @staticmethod
    def settings_for(url, more=""):
        return f'environment = "testing"\n{more}\n[alerts.slack]\nwebhook_url = "{url}"\n'

    def fail(self, *names):
        for name in names:
            self.m.ok("add", name, *FAILS)
        self.m.wait(lambda: self.m.json("status")["alerts_open"] == len(names), "the alerts")

    def test_a_notifier_is_tried_and_its_answer_is_shown(self):
        answer = self.m("alerts", "test", "slack")
        self.assertEqual((answer.code, answer.out), (0, "slack answered 200: ok\n"))
        self.assertIn("this is a test", self.slack.requests[0].text)
        self.assertIn("testing", self.slack.requests[0].text)
        self.slack.answers.append(failing(404, "no_service"))
        answer = self.m("alerts", "test", "slack")
        self.assertEqual((answer.code, answer.out), (1, "slack answered 404: no_service\n"))
        self.assertIn("make a new one", answer.err)
        self.slack.answers.append(failing(500, "\x1b[31mevil\nlines"))
        answer = self.m("alerts", "test", "slack")
        self.assertEqual(answer.code, 1)
        self.assertEqual(len(answer.out.splitlines()), 1, answer)
        self.assertNotIn("\x1b", answer.out)
        self.slack.answers.append(failing(403, "invalid_token"))
        tried = self.m("alerts", "test", "slack", "--json")
        self.assertEqual(tried.json, {"notifier": "slack", "sent": False, "status": 403,
                                      "answer": "invalid_token"})
        self.assertEqual(tried.code, 1)

    def test_a_notifier_that_does_not_answer_is_given_up_in_time(self):
        self.slack.answers.append(HANG)
        began = time.monotonic()
        answer = self.m("alerts", "test", "slack")
        self.assertLess(time.monotonic() - began, 40)
        self.assertEqual(answer.code, 1)
        self.assertIn("slack did not answer", answer.out)
        self.slack.close()
        answer = self.m("alerts", "test", "slack")
        self.assertEqual(answer.code, 1)
        self.assertIn("slack did not answer: ", answer.out)
        self.assertNotIn("secret-of-the-webhook", answer.out + answer.err)

    def test_the_heartbeat_can_be_tried_too(self):
        answer = self.m("alerts", "test", "heartbeat")
        self.assertEqual(answer.code, 78)
        self.assertIn("heartbeat_url =", answer.err)
        url = self.slack.url.replace("/services/", "/ping/")
        self.m.write_config(f'heartbeat_url = "{url}"\n')
        self.assertEqual(self.m("alerts", "test", "heartbeat").code, 0)
        self.assertTrue(self.slack.requests[-1].path.startswith("/ping/"))

    def test_a_test_that_works_lets_a_stopped_notifier_go_on(self):
        self.slack.answers.append(failing(404, "no_service"))
        self.m.start()
        self.fail("one")
        self.m.wait(lambda: "notifier-stopped" in self.m.log_text(), "the notifier to be stopped")
        self.assertIn("slack is stopped", self.m("alerts").err)
        self.assertEqual(self.m("check").code, 2)
        answer = self.m.ok("alerts", "test", "slack")
        self.assertIn("goes on", answer.err)
        self.m.wait(lambda: any("one failed" in r.text for r in self.slack.requests[1:]),
                    "what had waited")
        self.assertNotIn("stopped", self.m("alerts").err)

    def test_alerts_are_listed_open_first_and_all_on_request(self):
        self.m.start()
        self.assertEqual(self.m.json("alerts"), [])
        self.assertIn("no open alerts", self.m("alerts").err)
        self.fail("one", "two")
        table = self.m.ok("alerts").out
        self.assertEqual(len(table.splitlines()), 3, table)
        self.assertIn("exit status 3", table)
        self.assertEqual(len(self.m.json("alerts", "-n", "1")), 1)
        self.assertIn("there are more", self.m("alerts", "-n", "1").err)
        one = next(a for a in self.m.json("alerts") if a["job"] == "one")
        self.assertEqual((one["kind"], one["count"], one["ended"]), ("failed", 1, None))
        self.m.ok("alerts", "ack", "one")
        self.assertEqual([a["job"] for a in self.m.json("alerts")], ["two"])
        over = next(a for a in self.m.json("alerts", "--all") if a["job"] == "one")
        self.assertEqual(over["ended_by"], "acked")
        self.assertTrue(over["ended_who"])
        self.assertIn("(schedctl alerts)", self.m.ok("list").out)

    def test_an_acknowledged_alert_is_silent_for_as_long_as_was_asked(self):
        self.m.start()
        self.fail("one", "two")
        self.m.wait(lambda: len(self.slack.requests) == 2, "both to be told")
        self.m.ok("alerts", "ack", "one", "--for", "1h")
        number = next(a["id"] for a in self.m.json("alerts") if a["job"] == "two")
        self.m.ok("alerts", "ack", f"#{number}")
        self.m.wait(lambda: len(self.slack.requests) == 4, "both ends to be told")
        self.assertEqual(self.m.json("alerts"), [])
        self.m.ok("trigger", "one")
        self.m.wait(lambda: self.m.json("status")["alerts_open"] == 1, "it to be back")
        time.sleep(2.5)
        self.assertEqual(len(self.slack.requests), 4)

    def test_acknowledging_works_without_a_daemon_and_is_told_by_the_next(self):
        self.m.start()
        self.fail("one")
        self.m.wait(lambda: self.slack.requests, "it to be told")
        self.m.ok("stop")
        self.m.ok("alerts", "ack", "one")
        self.m.start()
        self.m.wait(lambda: any("acknowledged by" in r.text for r in self.slack.requests),
                    "the end to be told")

    def test_slips_of_the_hand_are_named(self):
        self.m.start()
        self.fail("one")
        for words, code, text in (
                (("alerts", "ack"), 2, "which?"),
                (("alerts", "ack", "nope"), 3, "no job 'nope'"),
                (("alerts", "ack", "#99"), 3, "no alert #99"),
                (("alerts", "ack", "#x"), 2, "not the number of an alert"),
                (("alerts", "ack", "one", "nope"), 3, "no job 'nope'"),
                (("alerts", "test"), 2, "which notifier?"),
                (("alerts", "test", "mail"), 3, "there are slack and heartbeat"),
                (("alerts", "one"), 2, "not one of test and ack"),
                (("alerts", "--for", "1h"), 2, "goes with ack"),
                (("alerts", "ack", "one", "-n", "3"), 2, "goes with the list alone"),
                (("alert",), 2, 'did you mean "alerts"'),
                (("alerts", "-n", "0"), 2, "-n")):
            with self.subTest(words):
                answer = self.m(*words)
                self.assertEqual(answer.code, code, answer)
                self.assertIn(text, answer.err)
        # One bad name, and nothing is acknowledged.
        self.assertEqual(len(self.m.json("alerts")), 1)
        self.m.ok("alerts", "ack", "one")
        self.assertEqual(self.m("alerts", "ack", "one").code, 5)


class Silence(Story):
    def test_start_says_when_nobody_would_be_told(self):
        self.assertIn("nobody will be told", self.m("start").err)
        self.m.ok("stop")
        self.m.write_config('heartbeat_url = "http://127.0.0.1:9/"\n')
        self.assertNotIn("nobody will be told", self.m("start").err)
