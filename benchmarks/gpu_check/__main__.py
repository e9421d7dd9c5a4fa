"""Does it work on a GPU, is it right, and is it fast? One table; exits 1 where an aim is missed.

Each number of the engine stands beside the plain eager loop on the same card, in turns: one full
forward pass of the model for each edit, nothing waited for but the counts at the end, at a batch of
250 and at its own best batch size.

    python -m benchmarks.gpu_check
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.gpu_check.paths import check_devices, check_live, check_paths
from benchmarks.gpu_check.report import Report
from benchmarks.gpu_check.speed import CASES, compare, opened
from pruners.errors import PruneScopeError

OPEN_AIM = 3.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument(
        "--only", default="", help="checks joined by commas: speed, cpu, live, paths"
    )
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    only = set(filter(None, options.only.split(",")))
    try:
        torch.empty(1, device=options.device)
    except Exception as error:
        print(f"no device {options.device} here: {str(error).splitlines()[0]}")
        return 1
    report = Report()
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device
    print(f"{name}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            if only and "speed" not in only:
                break
            with report.guarded(f"{case.name} opens"):
                prepared, seconds = opened(case, Path(folder), options.device)
                again = opened(case, Path(folder), options.device)[1] if case.is_small else seconds
                report.add(
                    f"{case.name} opens",
                    f"{seconds:.2f} s, again {again:.2f} s",
                    passed=again < OPEN_AIM or not case.is_small,
                    aim=f"< {OPEN_AIM:g} s",
                )
                compare(case, prepared, report)
                if case.name == "resnet20":
                    check_live(prepared, report)
    if not only or "paths" in only:
        with report.guarded("paths"):
            check_paths(options.device, report)
    if not only or "cpu" in only:
        check_devices(options.device, report)
    if options.json is not None:
        options.json.write_text(json.dumps(report.rows, indent=1))
    print(f"{len(report.rows) - len(report.missed)} of {len(report.rows)} checks hold")
    return 1 if report.missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PruneScopeError as error:
        print(error)
        sys.exit(1)
