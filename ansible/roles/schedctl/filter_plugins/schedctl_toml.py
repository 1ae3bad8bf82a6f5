"""The filters that settings and jobs are written with: YAML's mappings as TOML's tables."""
import json
import re

DOCUMENTATION = r"""
name: schedctl_toml
short_description: Writes a mapping as TOML
description:
  - Keys come in the order they were given in; the scalars of a table before the tables in it.
  - Dates and times become strings, which is what schedctl wants them to be.
  - A key whose value is null is left out.
options:
  _input:
    description: What to write; a mapping of scalars, lists and mappings.
    type: dict
    required: true
"""

EXAMPLES = r"""
text: "{{ {'job': {'backup': {'every': '1h', 'command': ['backup']}}} | schedctl_toml }}"
# [job.backup]
# every = "1h"
# command = ["backup"]
"""

RETURN = r"""
_value:
  description: The text of a TOML file.
  type: str
"""


def key_text(key):
    key = str(key)
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else text(key)


def text(value):
    # TOML's strings are JSON's, but for surrogate pairs and for DEL.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def value_text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(value_text(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key_text(key)} = {value_text(item)}"
                                for key, item in value.items() if item is not None) + " }"
    return text(value.isoformat() if hasattr(value, "isoformat") else value)


def table_lines(path, table):
    plain = {k: v for k, v in table.items() if v is not None and not isinstance(v, dict)}
    lines = [f"{key_text(key)} = {value_text(value)}" for key, value in plain.items()]
    tables = {k: v for k, v in table.items() if isinstance(v, dict)}
    if path and (lines or not tables):
        lines[:0] = ["", "[" + ".".join(map(key_text, path)) + "]"]
    for key, value in tables.items():
        lines += table_lines([*path, key], value)
    return lines


def schedctl_toml(table):
    if not isinstance(table, dict):
        raise TypeError(f"schedctl_toml writes a mapping, and this is none: {table!r}")
    return "\n".join(table_lines([], table)).lstrip("\n") + "\n"


def schedctl_job_file(jobs):
    """A job file of jobs that may have a state; without those that are to be absent."""
    return schedctl_toml({"job": {
        name: {key: value for key, value in (job or {}).items() if key != "state"}
        for name, job in jobs.items() if (job or {}).get("state") != "absent"}})


class FilterModule:
    def filters(self):
        return {"schedctl_toml": schedctl_toml, "schedctl_job_file": schedctl_job_file}
