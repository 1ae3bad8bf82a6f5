"""A virtual machine for what must not be done to this one: setting the clock, suspending. It boots a
Debian kernel into an initramfs of its own (the binary, a shell, a few tools, their libraries) and is
driven over a serial line. Nothing is installed here; `why_not()` says what is missing. KVM is used
where it works, emulation (about as slow as a Raspberry Pi) elsewhere."""
import gzip
import os
import pathlib
import re
import select
import shutil
import subprocess
import tempfile
import time

from machine import BINARY

TOOLS = ["sh", "cat", "chmod", "date", "env", "ln", "ls", "mkdir", "mount", "mv", "sleep", "sort",
         "stty", "true", "uniq", "wc", "rtcwake"]
MEMORY = "1536"
# A kernel says its first word within a second of being started; nested KVM may hang instead.
FIRST_WORD_S = 10
# Emulated, with sanitizers, on a busy machine.
PATIENCE_S = 180
END = "\x1e"

INIT = """#!/bin/sh
export PATH=/usr/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /tmp /run
chmod 1777 /tmp
exec </dev/ttyS1 >/dev/ttyS1 2>&1
stty -echo -onlcr
echo 'ready'
while read -r line; do
    (eval "$line")
    printf '\\036%s\\n' $?
done
"""


def kernel():
    """A kernel image that this user may read, the newest first."""
    named = os.environ.get("GUEST_KERNEL")
    found = [pathlib.Path(named)] if named else []
    for place, pattern in (("build/guest", "vmlinuz-*-cloud-amd64"),
                           ("/boot", "vmlinuz-*-cloud-amd64")):
        found += sorted(pathlib.Path(place).glob(pattern), reverse=True)
    return next((path for path in found if os.access(path, os.R_OK)), None)


def why_not():
    """What is missing for a guest; empty if nothing is."""
    if os.uname().machine != "x86_64":
        return "guests are for x86_64"
    missing = [tool for tool in ("qemu-system-x86_64", "cpio") if not shutil.which(tool)]
    if kernel() is None:
        missing.append("a kernel image")
    return f"no {', no '.join(missing)} here (make test-guest fetches them)" if missing else ""


def libraries(program):
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(/\S+) \(0x", listed)


def make_initramfs(directory):
    """Packs the guest's root; gives back the file."""
    root = directory / "root"
    for name in ("usr/bin", "proc", "sys", "dev", "etc", "root", "tmp", "usr/share/zoneinfo/Europe"):
        (root / name).mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    stripped = root / "usr/bin/schedctl"
    subprocess.run(["strip", "-o", stripped, BINARY], check=True)
    programs = [BINARY]
    for tool in TOOLS:
        path = shutil.which(tool)
        shutil.copy(path, root / "usr/bin" / tool)
        programs.append(path)
    needed = {library for program in programs for library in libraries(program)}
    # Loaded at run time, with the first request.
    needed.update(map(str, pathlib.Path("/usr/lib/x86_64-linux-gnu").glob("libcurl.so.4")))
    for library in needed:
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    shutil.copy("/usr/share/zoneinfo/Europe/Berlin", root / "usr/share/zoneinfo/Europe/Berlin")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    names = "\n".join(str(p.relative_to(root)) for p in sorted(root.rglob("*")))
    packed = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=names.encode(),
                            capture_output=True, cwd=root, check=True).stdout
    shutil.rmtree(root)
    image = directory / "initramfs"
    image.write_bytes(gzip.compress(packed, 1))
    return image


class Guest:
    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="schedctl-guest-"))
        self.kernel_log = self.root / "kernel.log"
        self.qemu = None
        self.buffer = ""
        try:
            self.image = make_initramfs(self.root)
            accelerators = ["kvm"] if os.access("/dev/kvm", os.R_OK | os.W_OK) else []
            for accelerator in [*accelerators, "tcg"]:
                if self.boot(accelerator):
                    return
            raise AssertionError("the guest does not boot:\n" + self.kernel_words())
        except BaseException:
            self.close()
            raise

    def boot(self, accelerator):
        self.kernel_log.write_text("")
        model = "host,-arch-capabilities" if accelerator == "kvm" else "max"
        self.qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", accelerator, "-cpu", model, "-m", MEMORY,
             "-nodefaults", "-display", "none", "-no-reboot", "-rtc", "base=2026-03-01T12:00:00",
             "-kernel", str(kernel()), "-initrd", str(self.image),
             "-append", "console=ttyS0 panic=-1 quiet loglevel=4 rdinit=/init",
             "-serial", f"file:{self.kernel_log}", "-serial", "stdio"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.set_blocking(self.qemu.stdout.fileno(), False)
        patience = FIRST_WORD_S if accelerator == "kvm" else PATIENCE_S
        if self.read_until("ready\n", patience) is not None:
            return True
        self.end()
        return False

    def kernel_words(self):
        return self.kernel_log.read_text(errors="replace")[-3000:]

    def read_until(self, mark, patience):
        deadline = time.monotonic() + patience
        while mark not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            if not select.select([self.qemu.stdout], [], [], min(left, 1))[0]:
                if self.qemu.poll() is not None:
                    return None
                continue
            chunk = os.read(self.qemu.stdout.fileno(), 65536)
            if not chunk:
                return None
            self.buffer += chunk.decode(errors="replace").replace("\r", "")
        words, self.buffer = self.buffer.split(mark, 1)
        return words

    def __call__(self, command):
        """Runs one line of shell in the guest; gives back its exit code and what it wrote."""
        assert len(command) < 4000 and "\n" not in command, command
        self.qemu.stdin.write(command.encode() + b"\n")
        self.qemu.stdin.flush()
        words = self.read_until(END, PATIENCE_S)
        code = self.read_until("\n", PATIENCE_S) if words is not None else None
        if code is None:
            raise AssertionError(f"the guest does not answer to: {command}\n{self.buffer}\n"
                                 + self.kernel_words())
        return int(code), words

    def ok(self, command):
        code, words = self(command)
        assert code == 0, f"{command}: exit {code}\n{words}"
        return words

    def wait(self, fact, what):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            value = fact()
            if value:
                return value
            assert time.monotonic() < deadline, f"waited {PATIENCE_S} s for {what}"
            time.sleep(0.1)

    def end(self):
        if self.qemu and self.qemu.poll() is None:
            self.qemu.kill()
        if self.qemu:
            self.qemu.communicate()

    def close(self):
        self.end()
        shutil.rmtree(self.root, ignore_errors=True)
