"""The Dockerfile, as far as it can be tried without a container engine: the files that its first stage
copies are enough to build the program, the commands of its last one do what they should on a Debian,
and what it then starts is, as process 1, a scheduler. Not tried: the base images, the commands of the
first stage, and docker itself."""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

import container
import products
from products import BUILD, ROOT


def stages():
    """The instructions of each stage, [word, rest], as docker reads them."""
    text = re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text())
    found = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip():
            continue
        word, rest = line.split(None, 1)
        if word == "FROM":
            found.append([])
        found[-1].append((word, " ".join(rest.split()) if word != "RUN" else rest))
    return found


def one(stage, word):
    values = [rest for name, rest in stage if name == word]
    assert len(values) == 1, f"{word}: {values}"
    return values[0]


class Dockerfile(unittest.TestCase):
    def test_what_it_copies_is_enough_to_build_the_program(self):
        build, last = stages()
        folder = pathlib.Path(tempfile.mkdtemp(prefix="schedctl-docker-"))
        self.addCleanup(shutil.rmtree, folder)
        for word, rest in build:
            if word != "COPY":
                continue
            *sources, target = rest.split()
            for source in sources:
                to = folder / target / (source if target.endswith("/") else "")
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, to)
                else:
                    to.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / source, to)
        commands = [rest for word, rest in build if word == "RUN"]
        makes = re.findall(r"\bmake ((?:-j\S+ )?[^&;]*)", " && ".join(commands))
        made = ""
        for words in makes:
            if "--no-install" in words:
                continue
            words = words.replace('-j"$(nproc)"', "")
            # Not what the make that runs this was told.
            env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "BUILD"))}
            done = subprocess.run(["make", "-n", *shlex.split(words)], cwd=folder, env=env,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  check=False)
            self.assertEqual(done.returncode, 0, done.stdout)
            made += done.stdout
        self.assertIn("tests/tools/deps g++", made)
        self.assertNotIn("clang", made)
        program = re.search(r"strip -o (\S+) (\S+)", commands[-1])
        self.assertRegex(made, rf"-o {program[2]} ")
        self.assertIn(f"--from=build {program[1]} ", one(last, "COPY"))
        for source in (ROOT / "src").rglob("*.cpp"):
            for file in re.findall(r'(?m)^ *\.incbin "([^"]+)"', source.read_text()):
                self.assertTrue((folder / file).exists(), f"{source} takes in {file}")
        # All that is compiled here, and nothing that tests need.
        self.assertEqual(set(re.findall(r"-c -o \S+ (src/\S+)", made)),
                         {str(p.relative_to(ROOT)) for p in (ROOT / "src").rglob("*.cpp")})

    def test_what_it_starts_is_a_scheduler(self):
        _, last = stages()
        products.tarball()
        m = container.Machine(packages=["libcurl4"], network=True)
        self.addCleanup(m.close)
        if m.run("apt-get -q update", patience=120).code != 0:
            self.skipTest("no mirror of Debian can be reached")
        user = one(last, "USER")
        for word, rest in last:
            if word == "RUN":
                m.must("sh", "-c", rest, patience=300)
            elif word == "COPY":
                m.copy(BUILD / "release/dist/schedctl", rest.split()[-1], 0o755)
        entry = json.loads(one(last, "ENTRYPOINT"))
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs",
                  "env", "-i", f"PATH={container.PATH}", f"HOME={one(last, 'VOLUME')}"]

        def begin():
            daemon = m.popen("unshare", "--pid", "--fork", "--mount-proc", "--kill-child",
                             *become, *entry)

            def look():
                self.assertIsNone(daemon.poll(), daemon.stdout.read() if daemon.poll() else "")
                found = m.run("pgrep", "-f", "^schedctl: daemon").out.split()
                return int(found[0]) if found and health(int(found[0])).code == 0 else None
            return daemon, m.wait(look, "the container to be healthy")

        def inside(pid, *words):
            return m.run("nsenter", "-t", pid, "-p", "-m", "--", *become, *words)

        def health(pid):
            check = one(last, "HEALTHCHECK").split("CMD ", 1)[1]
            return inside(pid, "sh", "-c", check)

        daemon, pid = begin()
        node = m.wait(lambda: inside(pid, "schedctl", "status", "--json").json["node"], "its node id")
        self.assertEqual(inside(pid, "schedctl", "status", "--json").json["pid"], 1)
        inside(pid, "schedctl", "add", "hello", "--manual", "--shell", "id -un; ls -d /proc/self")
        self.assertEqual(inside(pid, "schedctl", "trigger", "hello", "--wait").code, 0)
        self.assertEqual(inside(pid, "schedctl", "logs", "hello").out, f"{user}\n/proc/self\n")
        m.kill(pid, "TERM")
        said, _ = daemon.communicate(timeout=container.PATIENCE_S)
        self.assertEqual(daemon.returncode, 0, said)
        self.assertIn("run-succeeded job=hello", said)
        # Another container with the same volume is the same node.
        daemon, pid = begin()
        self.assertEqual(m.wait(lambda: inside(pid, "schedctl", "status", "--json").json["node"],
                                "its node id"), node)
        self.assertIn("succeeded", inside(pid, "schedctl", "runs", "hello").out)
        m.kill(pid, "TERM")
        self.assertEqual(daemon.wait(container.PATIENCE_S), 0)


if __name__ == "__main__":
    unittest.main()
