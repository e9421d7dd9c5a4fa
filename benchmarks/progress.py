"""Progress of exhaustive and adaptive sweeps: the first coarse curves, and the estimated time left.

    python -m benchmarks.progress [--subjects resnet20,mobilenet_small,vit_tiny] [--clock cpu]

After each update of a sweep the estimate of the time left is compared with the time that was left.
With ``--clock cpu`` and one thread, time is that of the process: what other programs take from a
shared machine in the meantime is no error of the estimate.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass

import torch

from analysis.edits.prepared import prepare
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec
from analysis.subjects.subject import load_subject
from analysis.sweeps import plan_sweep
from analysis.sweeps.sweep import iter_sweep


@dataclass(frozen=True)
class Mark:
    """What an update said, and when."""

    seconds: float
    samples: int
    left: float


def spec_of(name: str, mode: str, given: argparse.Namespace) -> SweepSpec:
    return SweepSpec(
        subject=SubjectSpec(
            model=f"sample:{name}",
            data="sample:fashion-mnist",
            samples=given.samples,
            batch_size=given.batch_size,
        ),
        criteria=tuple(given.criteria.split(",")),
        mode=mode,
        layers=given.layers,
    )


def marks_of(spec: SweepSpec) -> list[Mark]:
    """Return the updates of a sweep, from the moment that the subject is loaded."""
    prepared = prepare(load_subject(spec.subject))
    start = time.perf_counter()
    return [
        Mark(time.perf_counter() - start, update.baseline.samples, update.eta_seconds)
        for update in iter_sweep(plan_sweep(prepared, spec))
    ]


def row_of(name: str, mode: str, marks: list[Mark]) -> dict[str, object]:
    total = marks[-1].seconds
    errors = [
        (mark.left - (total - mark.seconds)) / (total - mark.seconds)
        for mark in marks
        # Of the last tenth an error in percent says nothing.
        if total - mark.seconds > 0.1 * total
    ]
    return {
        "subject": name,
        "mode": mode,
        "seconds": round(total, 1),
        "updates": len(marks),
        "first_curves": round(marks[0].seconds / total, 3),
        "first_samples": marks[0].samples,
        "error_first": round(errors[0], 3) if errors else None,
        "error_median": round(statistics.median(map(abs, errors)), 3) if errors else None,
        "error_largest": round(max(errors, key=abs), 3) if errors else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", default="resnet20,mobilenet_small,vit_tiny")
    parser.add_argument("--modes", default="exhaustive,adaptive")
    parser.add_argument("--criteria", default="l1")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=250)
    parser.add_argument("--layers", default="*")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.clock == "cpu":
        time.perf_counter = time.process_time
    rows = [
        row_of(name, mode, marks_of(spec_of(name, mode, given)))
        for name in given.subjects.split(",")
        for mode in given.modes.split(",")
    ]
    print("".join(f"{column:>17}" for column in rows[0]))
    for row in rows:
        print("".join(f"{value!s:>17}" for value in row.values()))
    print(json.dumps({"benchmark": "progress", "clock": given.clock, "rows": rows}))


if __name__ == "__main__":
    main()
