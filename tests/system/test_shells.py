"""Tab, pressed in real shells. What the program answers them is told in tests/e2e."""
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from machine import Machine
from room import RoomStory
from shells import ROOT, SHELLS, Bash, Zsh, missing


class Tab(unittest.TestCase):
    """Each story once in each shell."""

    def setUp(self):
        self.m = Machine()
        self.addCleanup(self.m.close)
        self.line = f"schedctl --config {self.m.config} "
        self.settled = 3

    def shells(self, *which):
        here = [shell for shell in which or SHELLS if not missing(shell)]
        if not here:
            self.skipTest("; ".join(missing(shell) for shell in which or SHELLS))
        for shell in here:
            with tempfile.TemporaryDirectory(prefix="schedctl-shell-") as root:
                opened = shell(pathlib.Path(root))
                try:
                    yield opened
                finally:
                    opened.close()

    def offers(self, shell, line, settled=0):
        """`settled` words of `line` stand before the one that is completed."""
        return shell.offers(self.line + line, self.settled + settled)

    def help(self, *words):
        return self.m.ok("help", *words).out

    def options(self, text):
        found = set()
        for part in re.split(r"\n(?=\S)", text):
            if part.startswith("options"):
                found |= {f"--{name}" for name in re.findall(r"(?m)^  (?:-\w, )?--([a-z-]+)", part)}
        return found

    def commands(self):
        return set(re.findall(r"(?m)^  ([a-z][a-z-]*)\b",
                              re.sub(r"(?s)^.*?\ndaemon\n", "", self.help().split("\noptions")[0])))


class Everywhere(Tab):
    def test_all_shells_are_here(self):
        lacking = [what for shell in SHELLS if (what := missing(shell))]
        if lacking:
            self.skipTest("; ".join(lacking))

    def test_every_command(self):
        for shell in self.shells():
            with self.subTest(shell.name):
                names = self.commands()
                self.assertGreater(len(names), 30)
                self.assertEqual(self.offers(shell, ""), names)
                self.assertEqual(self.offers(shell, "help ", 1), names)

    def test_every_flag_of_every_command(self):
        for shell in self.shells():
            for command in sorted(self.commands()):
                with self.subTest(shell.name, command=command):
                    flags = self.options(self.help(command)) - {"--config"}
                    if command in ("add", "set"):
                        flags.add("--")
                    self.assertEqual(self.offers(shell, f"{command} --", 1), flags)

    def test_verbs_and_values(self):
        for shell in self.shells():
            for line, settled, offered in (
                    ("db ", 1, {"check", "backup", "restore", "migrate", "prune"}),
                    ("alerts ", 1, {"test", "ack"}),
                    ("completion ", 1, {"bash", "zsh", "fish"}),
                    ("add x --overlap ", 3, {"skip", "queue", "replace", "allow"}),
                    ("add x --coalesce ", 3, {"latest", "earliest", "all"}),
                    ("add x --output ", 3, {"file", "discard", "log"}),
                    ("add x --dst-gap ", 3, {"shift", "skip"}),
                    ("runs --cause ", 2, {"schedule", "manual", "backfill", "reboot"}),
                    ("--color ", 1, {"auto", "always", "never"}),
                    ("add x --timezone Europe/Ber", 3, {"Europe/Berlin"}),
                    ("frobnicate ", 1, set()), ("ps ", 1, set())):
                with self.subTest(shell.name, line=line):
                    self.assertEqual(self.offers(shell, line, settled) - {""}, offered)

    def test_names_of_jobs(self):
        for name in ("nightly", "noon", "x.y-z_1"):
            self.m.ok("add", name, "--manual", "--", "true")
        other = self.m.root / "other.db"
        self.m.ok("--store", f"sqlite:{other}", "add", "there", "--manual", "--", "true")
        for shell in self.shells():
            with self.subTest(shell.name):
                for command in ("show", "pause", "trigger", "logs", "why"):
                    self.assertEqual(self.offers(shell, f"{command} ", 1),
                                     {"nightly", "noon", "x.y-z_1"})
                self.assertEqual(self.offers(shell, "show no", 1), {"noon"})
                self.assertEqual(self.offers(shell, f"--store sqlite:{other} show ", 3), {"there"})
                self.assertEqual(self.offers(shell, f"--store=sqlite:{other} show ", 2), {"there"})

    def test_files_directories_and_users(self):
        place = self.m.root / "place"
        (place / "dir").mkdir(parents=True)
        (place / "file.toml").touch()
        for shell in self.shells():
            with self.subTest(shell.name):
                for flag in ("--env-file ", "--env-file="):
                    before = "" if flag.endswith(" ") else flag
                    self.assertEqual(self.offers(shell, f"add x {flag}{place}/f", 3 - bool(before)),
                                     {f"{before}{place}/file.toml"})
                found = self.offers(shell, f"add x --cwd {place}/", 3)
                self.assertEqual({name.rstrip("/") for name in found}, {f"{place}/dir"})
                self.assertEqual(self.offers(shell, f"validate {place}/f", 1),
                                 {f"{place}/file.toml"})
                self.assertEqual(self.offers(shell, "add x --user roo", 3), {"root"})
                self.assertEqual(self.offers(shell, "add x --user root:daem", 3), {"root:daemon"})

    def test_after_the_dashes_stands_any_command(self):
        for shell in self.shells():
            with self.subTest(shell.name):
                self.assertEqual(self.offers(shell, "add x -- shuf", 3), {"shuf"})
                found = self.offers(shell, "add x -- /etc/host", 3)
                found |= self.offers(shell, "add x -- cat /etc/host", 4)
                self.assertIn("/etc/hosts", found)

    def test_of_a_broken_store_come_no_names_and_no_errors(self):
        self.m.ok("add", "one", "--manual", "--", "true")
        database = self.m.state / "schedctl.db"
        database.write_bytes(b"not a database" * 1000)
        for shell in self.shells():
            with self.subTest(shell.name):
                self.assertEqual(self.offers(shell, "show ", 1) - {""}, set())
                self.assertEqual(self.offers(shell, "pau"), {"pause"})
                if hasattr(shell, "said"):
                    self.assertNotIn(b"schedctl: ", shell.said)
                self.m.config.write_text("stop_timeout = 17 parsecs\n")
                self.assertEqual(self.offers(shell, "show ", 1) - {""}, set())
                self.assertEqual(self.offers(shell, "pau"), {"pause"})
                self.m.write_config()


class Inserted(Tab):
    """What stands on the line after Tab is what the command is going to get."""

    def test_the_only_word_that_fits(self):
        self.m.ok("add", "nightly", "--manual", "--", "true")
        begin = self.line.split()
        for shell in self.shells(Bash, Zsh):
            for line, words in (("pau", "pause"), ("show ni", "show nightly"),
                                ("add x --overlap=sk", "add x --overlap=skip"),
                                ("add x --over", "add x --overlap"),
                                ("add x --cron @hou", "add x --cron @hourly"),
                                ("add x --user root:daem", "add x --user root:daemon"),
                                ("--set stop_time", "--set stop_timeout="),
                                ("--set=on_sigterm=le", "--set=on_sigterm=leave"),
                                ("runs --state failed,lo", "runs --state failed,lost"),
                                ("--store sql", "--store sqlite:"),
                                ("--store sqlite:/etc/hostna", "--store sqlite:/etc/hostname"),
                                ("add x -- /usr/bin/shuf", "add x -- /usr/bin/shuf")):
                with self.subTest(shell.name, line=line):
                    self.assertEqual(shell.tab(self.line + line), begin + words.split())

    def test_the_number_of_a_run_is_quoted(self):
        self.m.start()
        self.m.ok("add", "long", "--manual", "--shell", "exec sleep 1000")
        self.m.ok("trigger", "long")
        self.m.wait_state("long", "running")
        for shell in self.shells():
            with self.subTest(shell.name):
                for command in ("cancel", "signal", "logs"):
                    self.assertEqual(self.offers(shell, f"{command} ", 1), {"long", "#1"})
                if hasattr(shell, "tab"):
                    for typed in ("cancel \\#", "cancel '#", "cancel \"#"):
                        self.assertEqual(shell.tab(self.line + typed)[3:], ["cancel", "#1"])

    def test_a_file_with_a_blank_in_its_name(self):
        (self.m.root / "a b.toml").touch()
        for shell in self.shells(Bash, Zsh):
            with self.subTest(shell.name):
                self.assertEqual(shell.tab(f"{self.line}apply {self.m.root}/a")[3:],
                                 ["apply", f"{self.m.root}/a b.toml"])


class DaemonUser(RoomStory):
    """Root presses Tab where the store is daemon_user's."""
    user = "schedctl-tab"

    def owners(self):
        return {str(path): path.lstat().st_uid for path in self.m.state.glob("schedctl.db*")}

    def test_root_sees_the_names_and_leaves_nothing_of_its_own(self):
        self.m.start()
        self.m.ok("add", "nightly", "--manual", "--", "true")
        for state in ("beside a daemon", "at rest"):
            with self.subTest(state):
                before = self.owners()
                self.assertNotIn(0, before.values())
                answer = self.m("__complete", "bash", "show", "")
                self.assertEqual((answer.code, answer.out, answer.err), (0, "nightly\n", ""))
                self.assertEqual(self.owners(), before)
            self.m("stop")

    def test_others_see_no_names_and_hear_nothing(self):
        self.m.start()
        self.m.ok("add", "nightly", "--manual", "--", "true")
        as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "schedctl",
                     "__complete", "bash"]
        answer = self.m.sh(*as_nobody, "show", "")
        self.assertEqual((answer.code, answer.out, answer.err), (0, "", ""))
        self.assertEqual(self.m.sh(*as_nobody, "pau").out, "pause\n")


class Files(unittest.TestCase):
    def test_the_script_of_bash_is_clean(self):
        if shutil.which("shellcheck") is None:
            self.skipTest("shellcheck is not installed")
        done = subprocess.run(["shellcheck", str(ROOT / "completions/schedctl.bash")],
                              stdout=subprocess.PIPE, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_other_shells_find_no_mistake_in_theirs(self):
        for words in (["zsh", "-n", ROOT / "completions/_schedctl"],
                      ["fish", "--no-execute", ROOT / "completions/schedctl.fish"]):
            if shutil.which(words[0]) is None:
                self.skipTest(f"{words[0]} is not installed")
            done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, check=False)
            self.assertEqual((done.returncode, done.stdout), (0, ""))
