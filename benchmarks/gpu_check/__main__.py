"""Does it work on a GPU, is it right, and is it fast? One table; exits 1 where an aim is missed.

Each number of the engine stands beside the plain eager loop on the same card, in turns: one full
forward pass of the model for each edit, nothing waited for but the counts at the end, at a batch of
250 and at its own best batch size. Turns are repeated while there is time; a check that finds none
left is a missed one. Without a device there is one line, and the exit code is 2.

    python -m benchmarks.gpu_check
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from benchmarks.card import card_name
from benchmarks.gpu_check.opening import check_opening
from benchmarks.gpu_check.paths import check_paths
from benchmarks.gpu_check.report import Report
from benchmarks.gpu_check.speed import CASES, Case, compare, opened
from benchmarks.gpu_check.tables import check_tables
from benchmarks.gpu_check.waits import check_live, check_waits
from pruners.errors import PruneScopeError

MISSED, NO_DEVICE = 1, 2
Check = Callable[[str, Report], None]


def check_speed(case: Case, device: str, report: Report) -> None:
    """Time sweeps of a subject; of the first one live edits, and count what waits, too."""
    with report.guarded(case.name), tempfile.TemporaryDirectory() as folder:
        prepared = opened(case, Path(folder), device)
        compare(case, prepared, report)
        if case is CASES[0]:
            check_live(prepared, report)
            check_waits(prepared, report)


# In the order of what matters, for time may run out.
CHECKS: dict[str, Check] = {
    **{case.name: functools.partial(check_speed, case) for case in CASES},
    "opening": check_opening,
    "tables": check_tables,
    "paths": check_paths,
}


def run_checks(checks: Mapping[str, Check], device: str, report: Report) -> None:
    """Run checks one after another while there is time."""
    for name, check in checks.items():
        if report.has_time(0):
            check(device, report)
        else:
            report.add(name, "not run: the time is used up", passed=False)


def parsed(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=Report.limit, help="for all of it")
    parser.add_argument("--only", default="", help=f"checks joined by commas: {', '.join(CHECKS)}")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args(words)
    options.only = [name for name in options.only.split(",") if name] or [*CHECKS]
    if unknown := [name for name in options.only if name not in CHECKS]:
        parser.error(f"unknown check {unknown[0]!r}; known: {', '.join(CHECKS)}")
    return options


def main(words: Sequence[str] | None = None) -> int:
    """Run the checks; return the exit code."""
    options = parsed(words)
    try:
        torch.empty(1, device=options.device)
    except Exception as error:
        print(f"no device {options.device} here: {str(error).splitlines()[0]}")
        return NO_DEVICE
    threads = torch.get_num_threads()
    print(f"{card_name(options.device)}, torch {torch.__version__}, {threads} threads")
    report = Report(limit=options.seconds)
    report.head()
    run_checks({name: CHECKS[name] for name in options.only}, options.device, report)
    if options.json is not None:
        options.json.write_text(json.dumps(report.rows, indent=1))
    count = len(report.rows)
    print(f"{count - len(report.missed)} of {count} checks hold, {report.seconds:.0f} s")
    return MISSED if report.missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PruneScopeError as error:
        print(error)
        sys.exit(MISSED)
