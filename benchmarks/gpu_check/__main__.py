"""Does it work on a GPU, is it right, and is it fast? One table; exits 1 where an aim is missed.

Each number of the engine stands beside the plain eager loop on the same card, in turns: one full
forward pass of the model for each edit, nothing waited for but the counts at the end, at a batch of
250 and at its own best batch size.

    python -m benchmarks.gpu_check
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.card import card_name
from benchmarks.gpu_check.paths import check_devices, check_live, check_paths
from benchmarks.gpu_check.report import Report
from benchmarks.gpu_check.speed import CASES, Case, compare, opened
from pruners.errors import PruneScopeError

OPEN_AIM = 3.0


def check_speed(case: Case, device: str, report: Report) -> None:
    """Time opening, sweeps and live edits of a subject."""
    with report.guarded(f"{case.name} opens"), tempfile.TemporaryDirectory() as folder:
        prepared, seconds = opened(case, Path(folder), device)
        again = opened(case, Path(folder), device)[1] if case.is_small else seconds
        report.add(
            f"{case.name} opens",
            f"{seconds:.2f} s, again {again:.2f} s",
            passed=again < OPEN_AIM or not case.is_small,
            aim=f"< {OPEN_AIM:g} s",
        )
        compare(case, prepared, report)
        if case is CASES[0]:
            check_live(prepared, report)


CHECKS: dict[str, Callable[[str, Report], None]] = {
    **{case.name: functools.partial(check_speed, case) for case in CASES},
    "paths": check_paths,
    "cpu": check_devices,
}


def main() -> int:
    """Run the checks; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", default="", help=f"checks joined by commas: {', '.join(CHECKS)}")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    try:
        torch.empty(1, device=options.device)
    except Exception as error:
        print(f"no device {options.device} here: {str(error).splitlines()[0]}")
        return 1
    threads = torch.get_num_threads()
    print(f"{card_name(options.device)}, torch {torch.__version__}, {threads} threads")
    report = Report()
    for name in filter(None, (options.only or ",".join(CHECKS)).split(",")):
        CHECKS[name](options.device, report)
    if options.json is not None:
        options.json.write_text(json.dumps(report.rows, indent=1))
    count = len(report.rows)
    print(f"{count - len(report.missed)} of {count} checks hold, {report.seconds:.0f} s")
    return 1 if report.missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PruneScopeError as error:
        print(error)
        sys.exit(1)
