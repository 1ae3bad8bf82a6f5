#!/usr/bin/python
"""Ansible module: the jobs of a set, made what a job file says."""
import json
import os
import re

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: schedctl_jobs
short_description: Make jobs of schedctl what a job file says
description:
  - Adds, changes, removes, pauses and resumes jobs in the store of schedctl, by C(schedctl apply),
    C(pause) and C(resume). Runs that are under way are left alone, and the daemon need not run.
  - The jobs belong to a set, and no other job is touched, except that any can be paused.
  - What would change is found by C(apply --dry-run) each time, so that check mode, diff and
    I(changed) say what is the case in the store, whoever changed it since.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  content:
    description: The text of a job file (schedctl-jobs(5)). Any error in it, and nothing is changed.
    type: str
    required: true
  set:
    description: The name of the set.
    type: str
    default: ansible
  purge:
    description: Remove the jobs of the set that I(content) does not have.
    type: bool
    default: false
  absent:
    description:
      - Jobs of the set to be removed without I(purge). It is an error if one is not the set's.
    type: list
    elements: str
    default: []
  paused:
    description:
      - Jobs that are to be paused. A job of the set that is not named, and was paused for
        I(reason), is resumed; one that somebody paused for another reason stays paused.
      - A new job is added before it is paused, so it could fire if it is due in that very moment.
    type: list
    elements: str
    default: []
  reason:
    description: What C(schedctl show) says about why a job is paused.
    type: str
    default: paused by Ansible
  adopt:
    description: Take over jobs of the same name that the command line or another set defines.
    type: bool
    default: false
  program:
    description: The program.
    type: str
    default: schedctl
  config:
    description: The settings file, where it is not the machine's.
    type: path
"""

EXAMPLES = r"""
- name: Define two jobs, one of which is paused
  schedctl_jobs:
    set: shop
    content: |
      [job.report]
      cron = "0 6 * * 1-5"
      command = ["/srv/shop/bin/report"]
      [job.clean]
      every = "1h"
      command = ["/srv/shop/bin/clean"]
    paused: [clean]
    absent: [old-report]
"""

RETURN = r"""
added:
  description: Names of jobs that were added, or would be.
  returned: success
  type: list
changed_jobs:
  description: Names, and under changes by key the old and the new value.
  returned: success
  type: list
removed:
  description: Names of jobs that were removed.
  returned: success
  type: list
paused:
  description: Names of jobs that were paused.
  returned: success
  type: list
resumed:
  description: Names of jobs that were resumed.
  returned: success
  type: list
left:
  description: Names of jobs of the set that are in the store but not in I(content), and stay.
  returned: success
  type: list
"""


class Schedctl:
    def __init__(self, module):
        self.module = module
        self.words = [module.get_bin_path(module.params["program"], required=True)]
        if module.params["config"]:
            self.words += ["--config", module.params["config"]]

    def __call__(self, *words):
        """What it prints with --json. Errors end the module with schedctl's own sentences."""
        code, out, err = self.module.run_command([*self.words, "--json", *words])
        try:
            found = json.loads(out or err.strip().splitlines()[-1])
        except (ValueError, IndexError):
            found = {}
        errors = []
        if isinstance(found, dict):
            errors = found.get("errors") or [e for e in [found.get("error")] if e]
        if code != 0 or errors:
            told = [": ".join(filter(None, [e.get("where"), e["message"]])) for e in errors]
            self.module.fail_json(rc=code, msg="; ".join(told) or err or out,
                                  cmd=[*self.words, "--json", *words])
        return found


def apply(schedctl, content, *options):
    """Under a name that makes sense in the places of errors."""
    path = os.path.join(schedctl.module.tmpdir, "content")
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)
    os.chmod(path, 0o600)
    return schedctl("apply", path, "--name", schedctl.module.params["set"], *options)


def section(content, name):
    """What a job file says about one job, for people to read."""
    parts = re.split(r"^(?=\[+\s*job\s*\.)", content, flags=re.M)
    head = re.compile(r"\[+\s*job\s*\.\s*[\"']?" + re.escape(name) + r"[\"']?\s*[\].]")
    return "".join(p for p in parts if head.match(p)).strip() or f"[job.{name}]"


def diff_of(schedctl, plan, content, pause, resume):
    before, after = [], []
    if plan["removed"]:
        before.append(schedctl("export", *plan["removed"])["toml"].strip())
    for name in plan["added"]:
        after.append(section(content, name))
    for job in plan["changed_jobs"]:
        for side, lines in enumerate((before, after)):
            lines.append(f"[job.{job['name']}]")
            lines += [f"{key} = {json.dumps(values[side], ensure_ascii=False)}"
                      for key, values in job["changes"].items() if values[side] is not None]
    for names, was in ((pause, "runs by its schedule"), (resume, "paused")):
        now = "paused" if names is pause else "runs by its schedule"
        before += [f"# {name}: {was}" for name in names]
        after += [f"# {name}: {now}" for name in names]
    return {"before": "".join(f"{line}\n" for line in before),
            "after": "".join(f"{line}\n" for line in after)}


def main():
    module = AnsibleModule(
        argument_spec={
            "content": {"type": "str", "required": True},
            "set": {"type": "str", "default": "ansible"},
            "purge": {"type": "bool", "default": False},
            "absent": {"type": "list", "elements": "str", "default": []},
            "paused": {"type": "list", "elements": "str", "default": []},
            "reason": {"type": "str", "default": "paused by Ansible"},
            "adopt": {"type": "bool", "default": False},
            "program": {"type": "str", "default": "schedctl"},
            "config": {"type": "path"},
        }, supports_check_mode=True)
    asked = module.params
    schedctl = Schedctl(module)
    there = {job["name"]: job for job in schedctl("list")}
    owner = f"apply:{asked['set']}"
    for name in asked["absent"]:
        if name in there and there[name]["managed_by"] != owner:
            module.fail_json(msg=f"job {name} is to be absent, but it is not of this set: it is "
                                 f"defined by {there[name]['managed_by']}")

    options = ["--adopt"] if asked["adopt"] else []
    content = asked["content"]
    plan = apply(schedctl, content, "--dry-run", *options)
    keep = [] if asked["purge"] else [n for n in plan["left"] if n not in asked["absent"]]
    if len(keep) < len(plan["left"]):
        # apply removes all or none: those that stay are said to be as they are.
        options.append("--prune")
        if keep:
            content += "\n" + schedctl("export", *keep)["toml"]
        plan = apply(schedctl, content, "--dry-run", *options)

    gone = set(plan["removed"])
    names = ({n for n in there if there[n]["managed_by"] == owner} | set(plan["added"])
             | {job["name"] for job in plan["changed_jobs"]}) - gone - set(keep)
    unknown = [n for n in asked["paused"] if n in gone or n not in names and n not in there]
    if unknown:
        module.fail_json(msg=f"to be paused, but not there: {', '.join(unknown)}")
    pause = [n for n in asked["paused"] if not there.get(n, {}).get("paused")]
    resume = [n for n in sorted(names - set(asked["paused"])) if there.get(n, {}).get("paused")
              and schedctl("show", n)["paused_reason"] == asked["reason"]]

    result = {"changed": bool(plan["changed"] or pause or resume), "added": plan["added"],
              "changed_jobs": plan["changed_jobs"], "removed": plan["removed"], "left": keep,
              "paused": pause, "resumed": resume,
              "diff": diff_of(schedctl, plan, content, pause, resume)}
    if not module.check_mode:
        if plan["changed"]:
            apply(schedctl, content, *options)
        if pause:
            schedctl("pause", *pause, "--reason", asked["reason"])
        if resume:
            schedctl("resume", *resume)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
