"""A Debian machine with systemd as its process 1, in a container of systemd-nspawn, for what a room
(room.py) cannot show: units, packages, roles, reboots.

    with container.Machine(packages=["python3"]) as m:      # raises SkipTest where it cannot be
        m.copy("build/schedctl", "/usr/bin/schedctl")       # from here, or an absolute path
        m.run("systemctl start schedctl")                   # a shell line, or words; an Answer
        m.must("systemctl is-active schedctl")              # the same, and it has to exit with 0
        m.ok("list")                                        # schedctl itself, as in tests/e2e
        m.reboot(); m.power_cut()                           # as an operator does; as the mains do
        print(m.journal("schedctl"))

The root is made once by debootstrap, and what a test's packages add to it once by apt-get; both
are kept in $SCHEDCTL_TEST_CACHE, or /var/cache/schedctl-tests (which may be removed at any time),
and no machine writes to them: it has an overlay in memory, so that each begins anew, half a second
after it was asked for. Its network is a loopback of its own, unless network=True: then it is this
machine's.

Nothing is left of a machine, whether a test fails or the tests are killed. All its processes are in
one process namespace, whose first process dies with us, and its mounts in one mount namespace.
"""
import contextlib
import fcntl
import functools
import hashlib
import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from elsewhere import PATH, Elsewhere
from machine import BINARY, PATIENCE_S, Answer

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("SCHEDCTL_TEST_CACHE", "/var/cache/schedctl-tests"))
TOOLS = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container",
         "unshare": "util-linux", "nsenter": "util-linux", "setpriv": "util-linux"}
# What every machine has beside Debian's essential packages.
BASE = ["ca-certificates", "procps", "systemd", "systemd-sysv", "tzdata"]
# Making a root takes a minute, most of it for the mirror.
MAKING_S = 300

# Raised when what is made below changes: an older root does not count then.
RECIPE = 1
# $1: the suite, $2: the mirror, $3: packages, $4: the root to be.
MAKE_ROOT = r"""
debootstrap --variant=minbase --include="$3" "$1" "$4" "$2"
cd "$4"
rm -rf var/cache/apt/archives/*.deb var/lib/apt/lists/*
# Nobody logs in here, and no timer is to load the machine while a test looks.
for unit in getty.target systemd-logind.service apt-daily.timer apt-daily-upgrade.timer \
    dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer; do
    ln -sf /dev/null "etc/systemd/system/$unit"
done
# Else the first boot of each machine made what /usr says anew.
touch etc/.updated var/.updated
: > etc/machine-id
rm etc/hostname
"""
# $1: the root below, $2: what is made, $3...: packages. Their services start at the machine's boot.
MAKE_LAYER = r"""
below=$1 made=$2
shift 2
mkdir -p "$made/upper" "$made/work" "$made/root"
mount -t overlay -o "lowerdir=$below,upperdir=$made/upper,workdir=$made/work" overlay "$made/root"
mount -t proc proc "$made/root/proc"
mount --rbind /dev "$made/root/dev"
cp --remove-destination "$(realpath /etc/resolv.conf)" "$made/root/etc/resolv.conf"
for sources in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    [ ! -e "$sources" ] || { rm -f "$made/root/etc/apt/sources.list"
                             cp "$sources" "$made/root$sources"; }
done
# A proxy, and what else this machine needs to reach its mirror.
apt-config dump | grep '^Acquire::' > "$made/root/etc/apt/apt.conf.d/99acquire" || true
export DEBIAN_FRONTEND=noninteractive
chroot "$made/root" apt-get -qq update
chroot "$made/root" apt-get -qq -y --no-install-recommends install "$@"
chroot "$made/root" apt-get clean
rm "$made/root/etc/apt/apt.conf.d/99acquire"
rm -rf "$made/root/var/lib/apt/lists"/*
touch "$made/root/etc/.updated" "$made/root/var/.updated"
umount -l "$made/root/dev" "$made/root/proc" "$made/root"
rm -rf "$made/work" "$made/root"
"""

# $1: a directory for what is written, $2: lower directories, $3: a name, $4: of control groups,
# $5...: options of nspawn. It boots the machine for each line that it reads, and says how it ended.
HOLD = r"""
scratch=$1 lower=$2 name=$3 groups=$4
shift 4
# Or two machines would be in one control group, and systemd would end the other one's services.
for tree in $groups; do
    mkdir "$tree/$name"
    echo 0 > "$tree/$name/cgroup.procs"
done
mount -t tmpfs -o mode=0755 tmpfs "$scratch"
mkdir -p "$scratch/upper" "$scratch/work" "$scratch/root" /run/systemd/nspawn
mount -t tmpfs -o mode=0755 tmpfs /run/systemd/nspawn
mount -t overlay -o "lowerdir=$lower,upperdir=$scratch/upper,workdir=$scratch/work" \
    overlay "$scratch/root"
# What a Debian server of today has, whatever this machine has.
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
cd /
echo ready
while read -r; do
    code=0
    systemd-nspawn -q -D "$scratch/root" --hostname="$name" --register=no --console=pipe "$@" -b \
        < /dev/null >> "$scratch/console" 2>&1 || code=$?
    echo "$code"
done
"""
ALONE = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--mount-proc",
         "--kill-child", "bash", "-euc"]


class Unavailable(unittest.SkipTest):
    """There can be no machine here, for the reason it gives."""


def made_once(key, make):
    """The directory `key` in the cache; `make` fills one that is renamed to it, if it is not there.
    One of all that want it makes it."""
    path = CACHE / key
    if path.exists():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return path
        if key in _reasons:  # somebody else of us has tried meanwhile
            raise Unavailable(_reasons[key])
        making = CACHE / f"{key}.making"
        shutil.rmtree(making, ignore_errors=True)  # of somebody who was killed
        making.mkdir()
        try:
            make(making)
            making.rename(path)
        except Unavailable as error:
            _reasons[key] = str(error)
            raise
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return path


def make(script, *words):
    try:
        done = subprocess.run([*ALONE, script, "make", *map(str, words)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=MAKING_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"no root was made within {MAKING_S} s") from error
    if done.returncode != 0:
        last = " / ".join(done.stdout.strip().splitlines()[-3:])
        raise Unavailable(f"no root could be made for it: {last}")


def key_of(*parts):
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def release():
    text = pathlib.Path("/etc/os-release").read_text()
    found = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text, re.M))
    if found.get("ID") != "debian" or not found.get("VERSION_CODENAME"):
        raise Unavailable("this machine is no Debian, whose release the binary was built for")
    return found["VERSION_CODENAME"]


def mirror():
    for path in ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"):
        with contextlib.suppress(OSError):
            text = pathlib.Path(path).read_text()
            found = re.search(r"^(?:URIs:|deb(?: \[.*?\])?)\s+(http\S+)", text, re.M)
            if found:
                return found[1]
    raise Unavailable("the sources of apt name no mirror of Debian")


def lower_directories(packages):
    """What lies under a machine's own files, top first."""
    suite = release()
    base_key = "root-" + key_of(RECIPE, MAKE_ROOT, suite, BASE)
    base = made_once(base_key, lambda making: make(
        MAKE_ROOT, suite, mirror(), ",".join(BASE), making))
    packages = sorted(set(packages) - set(BASE))
    if not packages:
        return [base]
    layer = made_once("layer-" + key_of(base_key, MAKE_LAYER, packages), lambda making: make(
        MAKE_LAYER, base, making, *packages))
    return [layer / "upper", base]


@functools.lru_cache
def library_packages(program=BINARY):
    """The packages that have the shared libraries of a program of this machine, and of what
    schedctl loads when it first needs it."""
    said = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    packages = ["libcurl4"]
    for path in re.findall(r"=> (/\S+)", said):
        # The file may be known by its name in /lib or by that in /usr/lib.
        real = os.path.realpath(path)
        names = [path, real, "/usr" + path, real.removeprefix("/usr")]
        found = subprocess.run(["dpkg", "-S", *names], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, check=False).stdout
        if not found:
            raise Unavailable(f"{path} is of no package, so it cannot be put into a machine")
        packages.append(found.split(":")[0])
    return tuple(sorted(set(packages)))


def control_groups():
    """The trees that a machine has a group of its own in."""
    trees = []
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options = line.split()[:4]
        if kind == "cgroup2" or kind == "cgroup" and "name=systemd" in options.split(","):
            trees.append(pathlib.Path(place))
    return trees


def remove_group(group):
    """Whether nothing is left of a control group."""
    for path, _, _ in sorted(os.walk(group), reverse=True):
        with contextlib.suppress(OSError):
            os.rmdir(path)
    return not group.exists()


def sweep(trees):
    """Empty directories and control groups are all that the machines of a killed process leave."""
    for path in pathlib.Path(tempfile.gettempdir()).glob("schedctl-machine-*-*"):
        if not alive(path.name.split("-")[2]):
            with contextlib.suppress(OSError):
                path.rmdir()
    for group in (g for tree in trees for g in tree.glob("schedctl-test-*-*")):
        if not alive(group.name.split("-")[2]):
            remove_group(group)


def alive(pid):
    return pathlib.Path(f"/proc/{pid}").exists()


_has_booted = threading.Event()
_numbers = itertools.count(1)
_reasons = {}  # why a directory cannot be made, or no machine of these packages be had


@contextlib.contextmanager
def found_out_once(packages):
    """Raises Unavailable at once where it was raised before."""
    key = tuple(sorted(packages))
    if key in _reasons:
        raise Unavailable(_reasons[key])
    try:
        yield
    except Unavailable as error:
        _reasons[key] = str(error)
        raise


class Machine(Elsewhere):
    """See above. What is inherited runs /usr/bin/schedctl in the machine, as root, with the
    configuration of the whole machine."""

    def __init__(self, packages=(), network=False, options=()):
        with found_out_once(packages):
            self.power_on(packages, network, options)

    def power_on(self, packages, network, options):
        if os.geteuid() != 0:
            raise Unavailable("only root can boot a machine in a container")
        for tool, package in TOOLS.items():
            if shutil.which(tool, path=PATH) is None:
                raise Unavailable(f"{tool} is missing (package {package})")
        lower = ":".join(map(str, lower_directories(packages)))
        self.foreground = []
        self.root = pathlib.Path(tempfile.mkdtemp(prefix=f"schedctl-machine-{os.getpid()}-"))
        self.name = f"schedctl-test-{os.getpid()}-{next(_numbers)}"
        self.trees = control_groups()
        sweep(self.trees)
        words = [*([] if network else ["--private-network"]), *options]
        # Where systemd rules the control groups, it makes one for the machine.
        if not pathlib.Path("/run/systemd/system").is_dir():
            words.append("--keep-unit")
        self.holder = subprocess.Popen(
            [*ALONE, HOLD, "machine", str(self.root), lower, self.name,
             " ".join(map(str, self.trees)), *words], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            if self.holder.stdout.readline() != "ready\n":
                raise RuntimeError(self.holder.stderr.read().strip())
            self.outside = pathlib.Path(f"/proc/{self.holder.pid}/root{self.root}")
            self.boot()
        except BaseException as error:
            console = self.console()
            self.close()
            # One that did boot here before fails for another reason than this machine.
            if isinstance(error, (RuntimeError, AssertionError)) and not _has_booted.is_set():
                raise Unavailable(
                    f"no machine could be booted: {error} {console[-500:]}") from error
            raise
        _has_booted.set()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    # --- from power on to power off ---------------------------------------------------------------

    def boot(self):
        self.leader = None
        self.holder.stdin.write("boot\n")
        self.holder.stdin.flush()
        self.leader = self.wait(self.find_leader, "the machine to boot")
        # A unit that failed is for the test to see.
        self.wait(lambda: self.run("systemctl is-system-running --wait").out.strip()
                  in ("running", "degraded"), "the machine to be up")
        self.state, self.run_dir = self.here / "var/lib/schedctl", self.here / "run/schedctl"
        self.config = self.here / "etc/schedctl/schedctl.toml"
        self.jobs_dir = self.here / "etc/schedctl/jobs.d"
        self.log = self.here / "var/log/schedctl/info.log"

    def find_leader(self):
        """systemd in the machine: the first of a process namespace within the holder's."""
        if self.holder.poll() is not None:
            raise RuntimeError("the machine has gone")
        for pid in descendants(self.holder.pid):
            with contextlib.suppress(OSError):
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                spaces = re.search(r"^NSpid:\s+(.*)$", status, re.M)[1].split()
                if len(spaces) == 3 and spaces[2] == "1" and "Name:\tsystemd\n" in status:
                    return pid
        return None

    def ended(self):
        """Waits for the machine to have gone down; what nspawn ended with."""
        return self.holder.stdout.readline().strip()

    def reboot(self):
        self.run("systemctl reboot")
        self.ended()
        self.boot()

    def power_cut(self):
        os.kill(self.leader, signal.SIGKILL)
        self.ended()
        self.boot()

    def close(self):
        """Not as an operator would; at once."""
        for tree in self.trees:
            with contextlib.suppress(OSError):
                (tree / self.name / "cgroup.kill").write_text("1")
        self.holder.kill()
        self.holder.communicate()
        for child in self.foreground:
            child.communicate()
        deadline = time.monotonic() + PATIENCE_S
        while not all([remove_group(tree / self.name) for tree in self.trees]):
            if time.monotonic() > deadline:
                raise AssertionError(f"processes of {self.name} do not end")
            time.sleep(0.01)
        shutil.rmtree(self.root, ignore_errors=True)

    # --- what is in it ----------------------------------------------------------------------------

    @property
    def here(self):
        """The machine's files, as it sees them itself."""
        return pathlib.Path(f"/proc/{self.leader}/root")

    def copy(self, source, path, mode=None, edit=None):
        """A file or directory of ours (of the repository, unless it is absolute) to a place in the
        machine; `edit` changes a file's text on the way."""
        source, target = ROOT / source, self.here / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)
        elif edit:
            target.write_text(edit(source.read_text()))
            target.chmod(source.stat().st_mode & 0o777)
        else:
            shutil.copy(source, target)
        if mode is not None:
            target.chmod(mode)
        return target

    def write(self, path, text, mode=0o644):
        target = self.here / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
        return target

    def entering(self, words):
        return ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "--",
                *map(str, words)]

    def run(self, *words, patience=PATIENCE_S * 2, env=None, stdin=""):
        """One word is a line for the shell."""
        if len(words) == 1:
            words = ("sh", "-c", words[0])
        done = subprocess.run(self.entering(words), input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace",
                              env=self.environment(env), timeout=patience, check=False)
        return Answer(done)

    def must(self, *words, **kw):
        """Its output, once it has ended with 0."""
        answer = self.run(*words, **kw)
        if answer.code != 0:
            asked = shlex.join(map(str, words))
            raise AssertionError(f"{asked}: {answer}\n{self.journal()[-4000:]}")
        return answer.out

    def __call__(self, *words, env=None, stdin=None, cwd=None):
        return self.run("schedctl", *words, env=env, stdin=stdin or "")

    def kill(self, pid, name):
        self.must("kill", "-s", name, str(pid))

    def wait(self, fact, what):
        try:
            return super().wait(fact, what)
        except AssertionError as error:
            seen = self.journal() if self.leader else self.console()
            raise AssertionError(f"{error}\n--- journal\n{seen[-6000:]}") from error

    def log_text(self):
        return self.log.read_text(errors="replace") if self.leader and self.log.exists() else ""

    def journal(self, unit=""):
        """Of this boot."""
        return self.run("journalctl", "-q", "--no-pager", "-o", "short-monotonic", "-b",
                        *(["-u", unit] if unit else [])).out

    def console(self):
        """What the machine said while it booted and went down, every time."""
        with contextlib.suppress(OSError, AttributeError):
            return (self.outside / "console").read_text(errors="replace")
        return ""


def descendants(pid):
    found = []
    with contextlib.suppress(OSError):
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [int(child), *descendants(child)]
    return found
