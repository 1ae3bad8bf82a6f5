"""The role in ansible/ applied to machines of container.py and room.py, from this one: what Ansible
would do by ssh it does by connection_plugins/machine.py. What the role's module does is tried with
the module itself, on a daemon in a scratch directory."""
import datetime
import functools
import hashlib
import http.server
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import tomllib
import unittest

import container
import machine
import products
import room
from container import ROOT

HERE = ROOT / "ansible"
ROLE = HERE / "roles/schedctl"
MODULE = ROLE / "library/schedctl_jobs.py"
LINES_S = 240
SECRETS = ["https://hooks.example.com/T0/B0/sesame", "open-barley"]
DATE = "2038-01-02T03:04:05Z"
UNTIL_TOLD = "until [ -e /run/go ]; do sleep 0.05; done; echo done"


def need(tool, package):
    if shutil.which(tool, path=container.PATH) is None:
        raise unittest.SkipTest(f"{tool} is missing (package {package})")


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Play:
    """What ansible-playbook said and counted."""

    def __init__(self, done):
        self.code, self.out = done.returncode, done.stdout
        recap = self.out.rpartition("PLAY RECAP")[2]
        self.counts = {key: int(n) for key, n in re.findall(r"(\w+)=(\d+)", recap)}
        self.changed = self.counts.get("changed")

    def __repr__(self):
        return f"exit {self.code}\n{self.out}"


class Applied(unittest.TestCase):
    """Its self.m is a machine, and self.play applies the playbook as it is shipped to it."""

    def controls(self, m, **variables):
        need("ansible-playbook", "ansible-core")
        self.m, self.variables = m, variables
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="schedctl-ansible-"))
        self.addCleanup(shutil.rmtree, self.scratch, ignore_errors=True)
        (self.scratch / "inventory.json").write_text(json.dumps({"schedulers": {"hosts": {
            "machine": {"ansible_connection": "machine", "schedctl_apt_update": False,
                        "ansible_python_interpreter": "/usr/bin/python3"}}}}))

    def play(self, *options, **more):
        variables = self.scratch / "variables.json"
        # A date without quotes, which YAML takes for one.
        variables.write_text(json.dumps({**self.variables, **more}).replace(f'"{DATE}"', DATE))
        env = {"PATH": container.PATH, "HOME": str(self.scratch), "LANG": "C.UTF-8",
               "ANSIBLE_CONNECTION_PLUGINS": str(ROOT / "tests/system/connection_plugins"),
               "ANSIBLE_PIPELINING": "1", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_NOCOWS": "1",
               "ANSIBLE_REMOTE_TEMP": "/run/ansible", "PYTHONDONTWRITEBYTECODE": "1",
               "MACHINE_ENTER": json.dumps(self.m.entering([])), "MACHINE_ROOT": str(self.m.here)}
        done = subprocess.run(
            ["ansible-playbook", "-i", str(self.scratch / "inventory.json"), "site.yml",
             "-e", f"@{variables}", *options], cwd=HERE, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            timeout=LINES_S, check=False)
        played = Play(done)
        for secret in SECRETS:
            self.assertNotIn(secret, played.out)
        return played

    def expect(self, play, changed):
        """It went well, and changed something or nothing."""
        self.assertEqual(play.code, 0, play)
        self.assertEqual(play.changed > 0, changed, play)
        return play

    def expect_settled(self):
        """Neither a second run nor one that only looks finds anything to do."""
        self.assertEqual(self.expect(self.play("--check", "--diff"), False).counts["changed"], 0)
        self.expect(self.play(), False)

    def run_long(self):
        """A run that ends when /run/go is there, once it runs."""
        self.m.ok("trigger", "long")
        return self.m.wait_runs("long", lambda all_: any(r["pid"] for r in all_), "long to run")[-1]


def long_job(**more):
    return {"long": {"manual": True, "shell": UNTIL_TOLD, **more}}


class Systemd(Applied):
    def setUp(self):
        need("ansible-playbook", "ansible-core")
        self.package = products.package()
        depends = subprocess.run(["dpkg-deb", "-f", self.package, "Depends"], text=True,
                                 stdout=subprocess.PIPE, check=True).stdout
        names = [re.match(r"\s*([a-z0-9.+-]+)", part)[1] for part in depends.split(",")]
        m = container.Machine(packages=["python3", "python3-apt", "supervisor", *names])
        self.addCleanup(m.close)
        self.controls(m, schedctl_package=str(self.package))

    def file(self, path):
        return (self.m.here / path.lstrip("/")).read_text()

    def template(self):
        path = self.scratch / "hello.toml.j2"
        path.write_text('[job.hello]\nevery = "{{ 1 + 1 }}h"\ncommand = ["echo", "hello"]\n')
        return path

    def unit_pid(self, unit="schedctl"):
        return int(self.m.must("systemctl", "show", "--value", "-p", "MainPID", unit))

    def test_a_bare_machine_becomes_a_scheduler_and_stays_one(self):
        self.variables |= {
            "schedctl_settings": {"max_running": 7, "retention": {"max_age": "14d"}},
            "schedctl_environment": "tests", "schedctl_timezone": "Europe/Berlin",
            "schedctl_slack_webhook_url": SECRETS[0], "schedctl_slack_channel": "#tests",
            "schedctl_secrets": {"token": SECRETS[1]},
            "schedctl_job_files": {
                "told": {"jobs": long_job()}, "hello": {"template": str(self.template())},
                "gone": {"content": '[job.gone]\nevery = "1h"\ncommand = ["true"]'}},
            "schedctl_jobs": {
                "hourly": {"every": "1h", "command": ["true"]},
                "sleepy": {"at": DATE, "shell": "echo 'a \"b\"'\ntrue", "state": "paused"}}}

        # It only looks at a machine that has nothing.
        looked = self.expect(self.play("--check", "--diff", "-vvv"), True)
        for would in (self.package.name, "max_running = 7", "[job.long]", "[job.hourly]"):
            self.assertIn(would, looked.out)
        for path in ("usr/bin/schedctl", "etc/schedctl", "var/cache/" + self.package.name):
            self.assertFalse((self.m.here / path).exists(), path)

        self.expect(self.play("--diff", "-vvv"), True)
        status = self.m.json("status")
        self.assertEqual((status["environment"], status["pid"]), ("tests", self.unit_pid()))
        self.assertEqual(status["keeper_pid"], self.unit_pid("schedctl-keeper"))
        self.m.must("systemctl is-enabled schedctl")
        self.assertEqual({j["timezone"] for j in self.m.json("list")}, {"Europe/Berlin"})
        self.assertEqual({j["name"]: j["paused"] for j in self.m.json("list")},
                         {"long": False, "gone": False, "hello": False, "hourly": False,
                          "sleepy": True})
        self.assertEqual(self.m.job("sleepy")["schedule"], {"at": DATE})
        self.assertEqual(self.m.json("show", "sleepy")["action"], {"shell": "echo 'a \"b\"'\ntrue"})
        self.assertEqual(self.m.job("hello")["schedule"], {"every": "2h"})
        self.assertEqual(self.file("/etc/schedctl/slack_url"), SECRETS[0])
        for name in ("slack_url", "token", "schedctl.toml", "jobs.d/told.toml"):
            self.assertEqual(self.m.must("stat", "-c", "%a %U:%G", f"/etc/schedctl/{name}").strip(),
                             "640 root:schedctl", name)
        self.expect_settled()

        # Settings (one of which only counts after a restart) and jobs change while a job runs.
        run, pid = self.run_long(), self.unit_pid()
        keeper = self.unit_pid("schedctl-keeper")
        self.variables["schedctl_settings"] = {"max_running": 8,
                                               "log_file": "/var/log/schedctl/other.log"}
        files = self.variables["schedctl_job_files"]
        files["told"]["jobs"] = {**long_job(tags=["told"]),
                                 "new": {"at": DATE, "command": ["true"]}}
        del files["gone"]
        self.variables["schedctl_jobs"]["hourly"]["state"] = "absent"
        self.variables["schedctl_jobs_purge"] = True
        before = self.file("/etc/schedctl/schedctl.toml"), self.m.json("list")
        looked = self.expect(self.play("--check", "--diff"), True)
        for line in ("-max_running = 7", "+max_running = 8", "+[job.new]"):
            self.assertIn(f"\n{line}\n", looked.out)
        self.assertEqual((self.file("/etc/schedctl/schedctl.toml"), self.m.json("list")), before)
        self.expect(self.play(), True)
        self.assertEqual((self.unit_pid(), self.unit_pid("schedctl-keeper")), (pid, keeper))
        self.assertEqual(self.m.job("long")["tags"], ["told"])
        self.assertEqual({j["name"]: j["paused"] for j in self.m.json("list")},
                         {"long": False, "hello": False, "new": False, "sleepy": True})
        self.assertIn("daemon-restart", self.file("/var/log/schedctl/info.log"))
        self.assertIn("daemon-up", self.file("/var/log/schedctl/other.log"))
        self.assertTrue(self.m.alive(run["pid"]))
        self.m.write("/run/go", "")
        self.m.wait_state("long", "succeeded")
        self.assertEqual([(r["id"], r["pid"], r["attempt"]) for r in self.m.runs("long")],
                         [(run["id"], run["pid"], 1)])

        # A job file with an error, and then settings with one, stay on the controller.
        before = self.file("/etc/schedctl/jobs.d/told.toml"), self.m.json("list")
        broken = self.play(schedctl_job_files={**files, "told": {"jobs": long_job(evry="1h")}})
        self.assertNotEqual(broken.code, 0, broken)
        self.assertIn("'evry' is not a key of a job; did you mean every?", broken.out)
        broken = self.play(schedctl_settings={"max_runing": 8})
        self.assertIn("'max_runing' is not a setting; did you mean max_running?", broken.out)
        self.assertEqual((self.file("/etc/schedctl/jobs.d/told.toml"), self.m.json("list")), before)
        self.expect(self.play(), False)

    def test_supervisord_can_start_what_the_package_would_start_by_systemd(self):
        self.variables |= {"schedctl_supervisor": "supervisord"}
        self.variables["schedctl_jobs"] = long_job()
        self.expect(self.play(), True)
        pid = self.m.json("status")["pid"]
        # (For two seconds it counts as starting.)
        self.m.wait(lambda: re.search(rf"RUNNING +pid {pid},",
                                      self.m.run("supervisorctl status schedctl").out),
                    "supervisord to say that it runs")
        self.assertEqual(self.m.run("systemctl is-enabled schedctl").out.strip(), "masked")
        self.expect(self.play(), False)

        # Nothing but the role makes the daemon the new program, and the job does not notice.
        run = self.run_long()
        self.variables["schedctl_package"] = str(products.package("99.0.0"))
        self.expect(self.play(), True)
        status = self.m.json("status")
        self.assertEqual((status["pid"], status["version"]), (pid, "99.0.0"))
        self.assertTrue(self.m.alive(run["pid"]))

    def test_a_tarball_gets_the_units_and_jobs_can_be_other_users(self):
        del self.variables["schedctl_package"]
        self.variables |= {
            "schedctl_tarball": str(products.tarball()),
            "schedctl_settings": {"allow_users": ["nobody"]},
            "schedctl_jobs": {"who": {"manual": True, "command": ["id", "-un"], "user": "nobody"}}}
        self.expect(self.play(), True)
        self.assertEqual(self.m.json("status")["pid"], self.unit_pid())
        self.assertEqual(self.m("trigger", "who", "--wait").code, 0, self.m("logs", "who"))
        self.assertEqual(self.m.ok("logs", "who").out.strip(), "nobody")
        self.assertIn("schedctl-keeper", self.file("/etc/needrestart/conf.d/schedctl.conf"))
        self.expect(self.play(), False)

        # Not any more; the keeper that runs is left alone, and somebody is told.
        keeper = self.unit_pid("schedctl-keeper")
        del self.variables["schedctl_settings"]
        del self.variables["schedctl_jobs"]
        play = self.expect(self.play("-e", "schedctl_jobs_purge=true"), True)
        self.assertIn("systemctl restart schedctl-keeper", play.out)
        self.assertRegex(play.out, "`schedctl stop` and `schedctl start` to change.*allow_users")
        self.assertEqual(self.unit_pid("schedctl-keeper"), keeper)
        self.assertEqual(self.m.json("list"), [])


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Tarball(Applied):
    """On a machine without systemd."""

    def setUp(self):
        if room.REASON:
            self.skipTest(room.REASON)
        need("ansible-playbook", "ansible-core")
        self.tarball = products.tarball()
        m = room.Room()
        self.addCleanup(m.close)
        m.binary = "/usr/local/bin/schedctl"
        # Nothing of what a room brings along.
        shutil.rmtree(m.here / "etc/schedctl")
        (m.here / "usr/bin/schedctl").unlink()
        # By this Ansible knows what boots a machine that shows it by nothing else.
        (m.here / "usr/sbin/init").unlink(missing_ok=True)
        self.controls(m, schedctl_tarball=str(self.tarball), schedctl_jobs=long_job())

    def becomes_a_scheduler(self, **more):
        self.variables |= more
        self.expect(self.play(), True)
        pid = self.m.json("status")["pid"]
        run = self.run_long()
        self.expect_settled()
        self.variables["schedctl_settings"] = {"max_running": 8}
        self.expect(self.play(), True)
        self.assertEqual(self.m.json("status")["pid"], pid)
        self.assertEqual(self.m.sh("ps", "-o", "user=", "-p", pid).out.strip(), "schedctl")
        self.assertTrue(self.m.alive(run["pid"]))
        return pid

    def test_supervisord_starts_it(self):
        if shutil.which("supervisord", path=container.PATH) is None:
            self.skipTest("supervisord is missing (package supervisor)")
        # The package is there, but a room hides these.
        for path in ("var/log/supervisor", "etc/supervisor/conf.d"):
            (self.m.here / path).mkdir(exist_ok=True)
        pid = self.becomes_a_scheduler(schedctl_supervisor="supervisord")
        self.m.wait(lambda: re.search(rf"RUNNING +pid {pid},",
                                      self.m.sh("supervisorctl", "status", "schedctl").out),
                    "supervisord to say that it runs")

    def served(self):
        """The tarball's URL. (A room has this machine's network.)"""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(
            Silent, directory=self.tarball.parent))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}/{self.tarball.name}"

    def test_the_init_script_starts_what_a_url_gave(self):
        sha = hashlib.sha256(self.tarball.read_bytes()).hexdigest()
        url = self.served()
        wrong = self.play(schedctl_supervisor="sysvinit", schedctl_tarball=url,
                          schedctl_checksum="sha256:" + "0" * 64)
        self.assertRegex(wrong.out, "checksum .*did not match")
        pid = self.becomes_a_scheduler(schedctl_supervisor="sysvinit", schedctl_tarball=url,
                                       schedctl_checksum="sha256:" + sha)
        self.assertEqual(self.m.sh("/etc/init.d/schedctl", "status").code, 0)
        self.assertTrue(list((self.m.here / "etc/rc2.d").glob("S*schedctl")))
        # A settings file of one's own, which is judged before it is put in place.
        template = self.scratch / "settings.j2"
        del self.variables["schedctl_settings"]
        self.variables["schedctl_settings_template"] = str(template)
        template.write_text('daemon_user = "schedctl"\nmax_runing = {{ 3 + 4 }}\n')
        self.assertIn("did you mean max_running", self.play().out)
        template.write_text('daemon_user = "schedctl"\nmax_running = {{ 3 + 4 }}\n')
        self.expect(self.play(), True)
        values = {s["key"]: s["value"] for s in self.m.json("config")}
        self.assertEqual((values["max_running"], self.m.json("status")["pid"]), ("7", pid))


class Module(unittest.TestCase):
    """library/schedctl_jobs.py as Ansible runs it, with a daemon of its own."""

    def setUp(self):
        need("ansible-playbook", "ansible-core")
        self.m = machine.Machine()
        self.addCleanup(self.m.close)

    def ask(self, jobs, check=False, **more):
        words = {"content": jobs, "program": self.m.binary, "config": str(self.m.config), **more,
                 "_ansible_check_mode": check, "_ansible_diff": True,
                 "_ansible_remote_tmp": str(self.m.root)}
        # Debian's ansible-core is for Debian's Python.
        done = subprocess.run(["/usr/bin/python3", MODULE], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=machine.PATIENCE_S, check=False,
                              input=json.dumps({"ANSIBLE_MODULE_ARGS": words}),
                              env=self.m.environment({"PYTHONDONTWRITEBYTECODE": "1"}))
        return json.loads(done.stdout or done.stderr)

    def says_the_same_twice(self, jobs, **more):
        """What it would do it does, and then there is nothing to do."""
        before = self.m.json("list")
        would = self.ask(jobs, check=True, **more)
        self.assertEqual(self.m.json("list"), before)
        did = self.ask(jobs, **more)
        self.assertFalse(did.get("failed"), did)
        for found in (would, did):
            found.pop("invocation")
        self.assertEqual(would, did)
        again = self.ask(jobs, **more)
        self.assertEqual((again["changed"], again["diff"]), (False, {"before": "", "after": ""}))
        return did

    @staticmethod
    def job(name, every="1h"):
        head = f'[job."{name}"]' if "." in name else f"[job.{name}]"
        return f'{head}\nevery = "{every}"\ncommand = ["true"]\n'

    def names(self):
        return {j["name"]: j["paused"] for j in self.m.json("list")}

    def test_jobs_are_added_changed_and_removed(self):
        did = self.says_the_same_twice(self.job("a") + self.job("b.c"))
        self.assertEqual((did["changed"], did["added"]), (True, ["a", "b.c"]))
        self.assertEqual(did["diff"], {"before": "", "after": self.job("a") + self.job("b.c")})
        did = self.says_the_same_twice(self.job("a", "2h") + self.job("b.c"))
        self.assertEqual(did["diff"], {"before": '[job.a]\nevery = "1h"\n',
                                       "after": '[job.a]\nevery = "2h"\n'})
        did = self.says_the_same_twice(self.job("b.c"))
        self.assertEqual((did["changed"], did["left"]), (False, ["a"]))
        did = self.says_the_same_twice(self.job("b.c"), purge=True)
        self.assertEqual((did["removed"], self.names()), (["a"], {"b.c": False}))
        self.assertIn("[job.a]", did["diff"]["before"])

    def test_one_job_is_removed_and_others_that_are_not_listed_stay(self):
        self.ask(self.job("a") + self.job("b") + self.job("c"))
        stays = self.m.json("show", "b")
        did = self.says_the_same_twice(self.job("a"), absent=["c", "never-was"])
        self.assertEqual((did["removed"], did["left"]), (["c"], ["b"]))
        self.assertEqual(self.m.json("show", "b"), stays)

    def test_no_job_of_somebody_else_is_touched(self):
        self.m.ok("add", "mine", "--every", "1h", "--", "true")
        self.ask(self.job("theirs"), set="other")
        self.says_the_same_twice(self.job("a"), purge=True)
        self.assertEqual(sorted(self.names()), ["a", "mine", "theirs"])
        self.assertIn("it is defined by cli", self.ask("", absent=["mine"])["msg"])
        self.assertIn("mine", self.ask(self.job("mine", "5h"))["msg"])
        self.assertEqual(self.m.job("mine")["schedule"], {"every": "1h"})
        did = self.says_the_same_twice(self.job("a") + self.job("mine", "5h"), adopt=True)
        self.assertEqual(did["changed_jobs"][0]["name"], "mine")

    def test_it_pauses_and_takes_back_its_own_pauses_only(self):
        both = self.job("a") + self.job("b")
        did = self.says_the_same_twice(both, paused=["a"])
        self.assertEqual((did["paused"], self.names()), (["a"], {"a": True, "b": False}))
        self.m.ok("pause", "b", "--reason", "the disk is full")
        did = self.says_the_same_twice(both)
        self.assertEqual((did["resumed"], self.names()), (["a"], {"a": False, "b": True}))
        self.assertEqual(did["diff"], {"before": "# a: paused\n",
                                       "after": "# a: runs by its schedule\n"})
        self.assertEqual(self.ask(both, paused=["nobody"])["msg"],
                         "to be paused, but not there: nobody")

    def test_an_error_in_one_job_changes_none(self):
        self.ask(self.job("a"))
        said = self.ask(self.job("a", "2h") + '[job.b]\nevry = "1h"\n')
        self.assertTrue(said["failed"])
        self.assertRegex(said["msg"], r"content:5:1: 'evry' is not a key of a job; did you mean")
        self.assertEqual(self.m.job("a")["schedule"], {"every": "1h"})

    def test_the_daemon_hears_of_it(self):
        self.m.start()
        self.ask('[job.now]\nevery = "1s"\nimmediately = true\ncommand = ["true"]\n')
        self.m.wait_state("now", "succeeded")


class Toml(unittest.TestCase):
    """What the filter writes, read by a reader of TOML that is not ours."""
    write = staticmethod(load(ROLE / "filter_plugins/schedctl_toml.py").schedctl_toml)

    def test_what_is_written_is_read_as_it_was(self):
        for table in (
                {}, {"a": 1, "b": True, "c": 1.5, "d": "x", "e": ["p", "q"], "f": []},
                {"s": "\" \\ \t \n \x7f \x01 \u00e4 \U0001f600 ''' \"\"\""},
                {"t": {"u": {"v": 1}, "w": 2}, "after": 3, "empty": {}},
                {"job": {"a.b": {"every": "1h", "env": {"A B": "1"}}, "c": {"retry": {"n": 3}}}},
                {"list": [{"a": 1, "b": [1, 2]}, {"c d": "e"}]}):
            self.assertEqual(tomllib.loads(self.write(table)), table)

    def test_null_is_not_written_and_dates_are_strings(self):
        table = {"a": None, "b": [{"c": None, "d": 1}], "at": datetime.datetime(2030, 1, 2, 3, 4)}
        self.assertEqual(tomllib.loads(self.write(table)),
                         {"b": [{"d": 1}], "at": "2030-01-02T03:04:00"})

    def test_only_a_mapping_is_written(self):
        for wrong in ("text", ["list"], None):
            self.assertRaises(TypeError, self.write, wrong)


class Shipped(unittest.TestCase):
    def ansible(self, *words):
        need(words[0], "ansible-lint" if words[0] == "ansible-lint" else "ansible-core")
        home = tempfile.mkdtemp(prefix="schedctl-ansible-")
        self.addCleanup(shutil.rmtree, home, ignore_errors=True)
        # The linter leaves a cache where it works.
        shutil.copytree(HERE, f"{home}/ansible", ignore=shutil.ignore_patterns(".cache"))
        done = subprocess.run(words, cwd=f"{home}/ansible", text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
                              timeout=LINES_S, env={"PATH": container.PATH, "HOME": home,
                                                    "LANG": "C.UTF-8", "ANSIBLE_NOCOLOR": "1"})
        return done.returncode, done.stdout

    def test_the_linter_finds_nothing(self):
        code, said = self.ansible("ansible-lint", "--nocolor", "--offline", "--strict", "--profile",
                                  "production")
        self.assertEqual(code, 0, said)
        self.assertRegex(said, r"0 failure\(s\), 0 warning\(s\) on [1-9]\d")

    def test_both_inventories_fit_the_playbook(self):
        for place in ("staging", "production"):
            code, said = self.ansible("ansible-playbook", "-i", f"inventory/{place}", "site.yml",
                                      "--syntax-check")
            self.assertEqual(code, 0, said)
            code, said = self.ansible("ansible-inventory", "-i", f"inventory/{place}", "--list")
            hosts = json.loads(said)["_meta"]["hostvars"]
            self.assertTrue(hosts)
            for name, told in hosts.items():
                self.assertTrue(name.endswith(f".{place}.example.com"), name)
                self.assertEqual(told["schedctl_environment"], place)

    def test_every_variable_has_a_default_and_a_specification(self):
        names = set(re.findall(r"^(schedctl_\w+):", (ROLE / "defaults/main.yml").read_text(), re.M))
        specified = (ROLE / "meta/argument_specs.yml").read_text()
        self.assertEqual(set(re.findall(r"^      (schedctl_\w+):", specified, re.M)), names)
        readme = (ROLE / "README.md").read_text()
        for name in names:
            self.assertIn(f"`{name}`", readme)
