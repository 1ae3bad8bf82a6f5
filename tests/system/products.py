"""What `make deb` and `make dist` make of this tree, made once for all tests that want it."""
import functools
import os
import pathlib
import shutil
import subprocess
import threading
import unittest

from machine import BINARY

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(BINARY).parent
# A link or two, and debhelper.
MAKING_S = 300
_one_at_a_time = threading.Lock()


def once(make):
    """Tests run at the same time, but two of them never make the same."""
    cached = functools.lru_cache(make)

    @functools.wraps(make)
    def only_once(*words):
        with _one_at_a_time:
            return cached(*words)
    return only_once


def made_by(*words):
    """The file whose name `make ...` ends with."""
    done = subprocess.run(["make", "--no-print-directory", f"BUILD={BUILD}", *words], cwd=ROOT,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=MAKING_S, check=False)
    assert done.returncode == 0, f"make {' '.join(words)}: {done.stdout[-4000:]}"
    return pathlib.Path(done.stdout.splitlines()[-1])


@once
def package(version=""):
    """The .deb; of another version, if one is named. DEB is that of the tree, where it is given."""
    if not version and os.environ.get("DEB"):
        return pathlib.Path(os.environ["DEB"])
    if shutil.which("dpkg-buildpackage") is None:
        raise unittest.SkipTest("dpkg-buildpackage is missing (package dpkg-dev)")
    return made_by("deb", *([f"DEB_VERSION={version}"] if version else []))


@once
def tarball():
    return made_by("dist")
