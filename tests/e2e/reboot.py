"""Another boot of the machine, as far as a process can tell: the boot id of its own view."""
import os
import shutil
import subprocess
import uuid

BOOT_ID = "/proc/sys/kernel/random/boot_id"


def in_new_boot(machine, *words, env=None):
    """Runs a command of schedctl where the boot id is a new one; what it leaves running stays
    there. Gives back the finished process."""
    fake = machine.root / f"boot-{uuid.uuid4()}"
    fake.write_text(f"{uuid.uuid4()}\n")
    return in_boot(machine, fake, *words, env=env)


def in_boot(machine, fake, *words, env=None):
    from machine import BINARY, PATIENCE_S
    script = f'mount --bind "$1" {BOOT_ID} && shift && exec "$@"'
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", str(fake), BINARY, "--config",
         str(machine.config), *words], env=machine.environment(env), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S * 2,
        check=False)


def why_not():
    """Why there can be no other boot here; empty: there can."""
    if os.geteuid() != 0:
        return "only root can make a mount namespace of its own"
    if shutil.which("unshare") is None:
        return "unshare is missing"
    done = subprocess.run(["unshare", "-m", "mount", "--bind", "/etc/hostname", BOOT_ID],
                          stderr=subprocess.PIPE, text=True, check=False)
    return "" if done.returncode == 0 else f"mounts are not allowed here: {done.stderr.strip()}"
