"""Real shells, in which somebody types a line of schedctl's and presses Tab. Each has the scripts
of completions/ where `make install` puts them, and finds them by itself."""
import os
import pathlib
import pty
import select
import shutil
import subprocess
import time

from machine import BINARY, PATIENCE_S

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLACES = {"schedctl.bash": "bash-completion/completions/schedctl",
          "_schedctl": "zsh/vendor-completions/_schedctl",
          "schedctl.fish": "fish/vendor_completions.d/schedctl.fish"}
PROMPT = b"your line> "
# To the beginning of the line, in front of which comes a command that writes its words down.
SHOW = "\x01show "
BASH_RC = r"""
. /usr/share/bash-completion/bash_completion
show() { printf '%s\0' "$@" > "$SHOWN.new"; mv "$SHOWN.new" "$SHOWN"; }
bind 'set show-all-if-ambiguous on'
bind 'set enable-bracketed-paste off'
bind 'set completion-query-items 0'
bind 'set page-completions off'
bind '"\C-xa": insert-completions'
PS1='your line> '
"""
ZSH_RC = r"""
show() { printf '%s\0' "$@" > "$SHOWN.new"; mv "$SHOWN.new" "$SHOWN"; }
fpath=($SCRIPTS $fpath)
autoload -Uz compinit
compinit -D -u
unset zle_bracketed_paste
unsetopt beep
LISTMAX=-1
every() { _main_complete; compstate[insert]=all; compstate[list]=; }
zle -C every complete-word every
bindkey '^Xa' every
bindkey '^I' complete-word
PS1='your line> '
"""


def install(root):
    """share/ as `make install` makes it, and bin/ with the program; what a shell needs in its
    environment to find them."""
    for name, place in PLACES.items():
        target = root / "share" / place
        target.parent.mkdir(parents=True)
        shutil.copy(ROOT / "completions" / name, target)
    (root / "bin").mkdir()
    (root / "bin/schedctl").symlink_to(BINARY)
    (root / "home").mkdir()
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith(("SCHEDCTL", "XDG_", "BASH_", "ZDOTDIR"))}
    return kept | {"PATH": f"{root}/bin:/usr/local/bin:/usr/bin:/bin", "HOME": str(root / "home"),
                   "XDG_DATA_DIRS": f"{root}/share:/usr/share", "TERM": "dumb",
                   "XDG_CONFIG_HOME": str(root / "home/.config"), "LC_ALL": "C.UTF-8",
                   "XDG_DATA_HOME": str(root / "home/.share"), "SHOWN": str(root / "shown")}


class Typed:
    """An interactive shell at a terminal of its own, where keys wait until it reads them."""

    def __init__(self, root):
        self.root = root
        self.shown = root / "shown"
        self.said = b""
        env = install(root)
        argv = self.prepare(root, env)
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, env)
        self.until(lambda: PROMPT in self.said, "a prompt")

    def prepare(self, root, env):
        """Writes what the shell reads first; the command that starts it."""
        raise NotImplementedError

    def until(self, fact, what):
        deadline = time.monotonic() + PATIENCE_S
        while not fact():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited for {what}; the shell said\n"
                                     + self.said.decode(errors="replace"))
            if select.select([self.terminal], [], [], 0.02)[0]:
                try:
                    self.said += os.read(self.terminal, 65536)
                except OSError:
                    raise AssertionError(f"the shell ended: {self.said}") from None

    def words_of(self, line, key):
        """The words of the command line after `line` and a key."""
        self.said = b""
        os.write(self.terminal, (line + key + SHOW + "\n").encode())
        self.until(lambda: self.shown.exists() and PROMPT in self.said, f"the words of {line!r}")
        words = self.shown.read_text().split("\0")[:-1]
        self.shown.unlink()
        return words

    def tab(self, line):
        return self.words_of(line, "\t")

    def offers(self, line, settled):
        """All that Tab would offer for the last word; `settled` words stand before it."""
        return set(self.words_of(line, "\x18a")[settled:])

    def close(self):
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


class Bash(Typed):
    name, tools = "bash", ("bash", "/usr/share/bash-completion/bash_completion")

    def prepare(self, root, env):
        rc = root / "rc"
        rc.write_text(BASH_RC)
        return ["bash", "--noprofile", "--rcfile", str(rc), "-i"]


class Zsh(Typed):
    name, tools = "zsh", ("zsh",)

    def prepare(self, root, env):
        (root / "zdot").mkdir()
        (root / "zdot/.zshrc").write_text(ZSH_RC)
        env |= {"ZDOTDIR": str(root / "zdot"),
                "SCRIPTS": str(root / "share/zsh/vendor-completions")}
        return ["zsh", "-o", "no_global_rcs", "-i"]


class Fish:
    """Tells by itself what it would offer."""
    name, tools = "fish", ("fish",)

    def __init__(self, root):
        self.env = install(root)

    def offers(self, line, _settled=0):
        asked = subprocess.run(["fish", "-c", "complete -C $argv[1]", line], env=self.env,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False)
        if asked.returncode != 0 or asked.stderr:
            raise AssertionError(f"fish: {asked.stderr}")
        return {found.split("\t")[0] for found in asked.stdout.splitlines()}

    def close(self):
        pass


SHELLS = (Bash, Zsh, Fish)


def missing(shell):
    """What of a shell this machine lacks; empty: nothing."""
    for tool in shell.tools:
        if not (os.path.exists(tool) if tool.startswith("/") else shutil.which(tool)):
            return f"{tool} is not installed"
    return ""
