#!/usr/bin/env python3
"""Runs the end-to-end stories (all, or those of the named files: `run.py daemon running`) against
the binary in $SCHEDCTL, several at a time, and ends with `N passed, N failed`."""
import concurrent.futures
import io
import os
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
# The stories mostly wait; more of them at once than there are processors shortens the whole.
LANES = int(os.environ.get("LANES", "4"))


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def run_one(test):
    result = unittest.TestResult()
    test.run(result)
    problems = [text for _, text in result.failures + result.errors]
    return test.id(), problems, [reason for _, reason in result.skipped]


def main(folder=HERE):
    names = [f"test_{name}" for name in sys.argv[1:]] or sorted(
        p.stem for p in folder.glob("test_*.py"))
    tests = list(flatten(unittest.defaultTestLoader.loadTestsFromNames(names)))
    passed = failed = skipped = 0
    out = io.StringIO()
    with concurrent.futures.ThreadPoolExecutor(max_workers=LANES) as pool:
        for name, problems, skips in pool.map(run_one, tests):
            if problems:
                failed += 1
                print(f"FAILED {name}\n" + "\n".join(problems), file=out)
            elif skips:
                skipped += 1
                print(f"skipped {name}: {skips[0]}", file=out)
            else:
                passed += 1
    print(out.getvalue(), end="")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
