"""A Debian that has nothing but its essential packages, and no systemd: for what has to run where
next to nothing is. Made once, like the machines of container.py; what a test does to it is gone with
its last process."""
import os
import shutil
import subprocess
import tempfile
import unittest

import container

MAKE_BARE = r"""
debootstrap --variant=minbase "$1" "$3" "$2"
rm -rf "$3"/var/cache/apt/archives/*.deb "$3"/var/lib/apt/lists/*
"""
# $1: lower directories, $2: a directory for what is written, $3: what to do there, $4...: files that
# it finds in /root.
TRY = r"""
lower=$1 scratch=$2 script=$3
shift 3
mount -t tmpfs tmpfs "$scratch"
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
mount -t overlay -o "lowerdir=$lower,upperdir=$scratch/upper,workdir=$scratch/work" \
    overlay "$scratch/root"
cd "$scratch/root"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs -o mode=0755 tmpfs run
[ $# -eq 0 ] || cp "$@" root/
# A shell of its own stays, and takes orphans away.
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    chroot . sh -euc "cd /root
$script"
"""
ALONE = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--net", "--fork",
         "--mount-proc", "--kill-child", "bash", "-euc", TRY, "try"]


def root_of(packages=()):
    """Directories of which such a Debian, with these packages beside, is made; top first."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("only root can make a root")
    for tool in ("debootstrap", "unshare", "setpriv"):
        if shutil.which(tool, path=container.PATH) is None:
            raise unittest.SkipTest(f"{tool} is missing (package {container.TOOLS[tool]})")
    suite = container.release()
    key = "bare-" + container.key_of(MAKE_BARE, suite)
    base = container.made_once(key, lambda making: container.make(
        MAKE_BARE, suite, container.mirror(), making))
    packages = sorted(packages)
    if not packages:
        return [base]
    layer = "layer-" + container.key_of(key, container.MAKE_LAYER, packages)
    return [container.made_once(layer, lambda making: container.make(
        container.MAKE_LAYER, base, making, *packages)) / "upper", base]


def run(script, packages=(), files=()):
    """What root's shell says and, which has to be 0, ends with."""
    lower = ":".join(map(str, root_of(packages)))
    scratch = tempfile.mkdtemp(prefix="schedctl-bare-")
    try:
        done = subprocess.run([*ALONE, lower, scratch, script, *map(str, files)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace",
                              timeout=container.PATIENCE_S * 2, check=False)
    finally:
        os.rmdir(scratch)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}"
    return done.stdout
