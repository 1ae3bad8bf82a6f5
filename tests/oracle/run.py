#!/usr/bin/python3
"""Holds the schedule language against oracles that share no code with it, and ends with
`N passed, N failed`: random expressions against a walk over every minute or second, the plain part
of the language against croniter, and a sample of both through the real binary.

It is run by Debian's own Python, which is the one that sees Debian's croniter.

usage: SCHEDCTL=binary FIRES=program [SEED=n] [CASES=n] tests/oracle/run.py [WORD...]

Each batch is a test; with words, only batches whose name has one of them. A batch depends on SEED
and its own name only, so that one that failed can be tried again alone. SEED is 4606 unless given: a
check of each change must not fail by chance; another one looks elsewhere.
"""
import os
import random
import sys
import time
import traceback

sys.dont_write_bytecode = True  # no __pycache__ in the source tree

import commands
import croniter_batches
import properties

CASES = 150
MOST_SHOWN = 5


def main():
    seed = os.environ.get("SEED") or "4606"
    cases = int(os.environ.get("CASES") or CASES)
    batches = (properties.batches(cases) | croniter_batches.batches(3 * cases)
               | commands.batches(cases))
    words = sys.argv[1:]
    batches = {name: batch for name, batch in batches.items()
               if not words or any(word.lower() in name.lower() for word in words)}
    print(f"SEED={seed} CASES={cases}", flush=True)
    passed = failed = skipped = 0
    for name, batch in batches.items():
        began = time.monotonic()
        try:
            problems = batch(random.Random(f"{seed}/{name}"))
        except properties.Skipped as reason:
            skipped += 1
            print(f"skipped {name}: {reason}")
            continue
        except Exception:
            problems = [traceback.format_exc()]
        passed, failed = passed + (not problems), failed + bool(problems)
        print(f"{'FAILED' if problems else 'ok':6} {name} ({time.monotonic() - began:.1f} s)")
        for problem in problems[:MOST_SHOWN]:
            print(f"    {problem}")
        if len(problems) > MOST_SHOWN:
            print(f"    and {len(problems) - MOST_SHOWN} more")
        sys.stdout.flush()
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
