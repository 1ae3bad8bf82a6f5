"""Ansible's way into a machine of container.py or room.py: what it would do by ssh, it does by nsenter.
$MACHINE_ENTER has the words of `entering`, and $MACHINE_ROOT the machine's files as seen from here."""
import json
import os
import shlex
import shutil

from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = """
name: machine
short_description: Into a machine of the system tests
description: Into a machine of the system tests.
"""


class Connection(Local):
    transport = "machine"

    def exec_command(self, cmd, in_data=None, sudoable=True):
        words = [*json.loads(os.environ["MACHINE_ENTER"]), "/bin/sh", "-c", cmd]
        return super().exec_command(shlex.join(words), in_data=in_data, sudoable=sudoable)

    # (The paths of the machine are links for the kernel alone: they must not be resolved.)
    def put_file(self, in_path, out_path):
        shutil.copyfile(in_path, os.environ["MACHINE_ROOT"] + out_path)

    def fetch_file(self, in_path, out_path):
        shutil.copyfile(os.environ["MACHINE_ROOT"] + in_path, out_path)
