"""A schedctl in namespaces of its own, seen from outside: what a room (room.py) and a container
(container.py) have in common. They say how words are run inside, and where its files are."""
import subprocess

import machine

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Elsewhere(machine.Machine):
    """Has `here`, its root directory as seen from outside, and `foreground`."""

    def entering(self, words):
        """The words that run these inside."""
        raise NotImplementedError

    def environment(self, extra=None):
        return {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **(extra or {})}

    def popen(self, *words, **kw):
        child = subprocess.Popen(self.entering(words), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 env=self.environment(), **kw)
        self.foreground.append(child)
        return child

    def alive(self, pid):
        """Of a process by its number inside."""
        try:
            text = (self.here / f"proc/{pid}/stat").read_text()
        except OSError:
            return False
        return text.rsplit(")", 1)[1].split()[0] != "Z"

    def wait_gone(self, pid):
        self.wait(lambda: not self.alive(pid), f"process {pid} to be gone")
