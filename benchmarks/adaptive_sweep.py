"""Adaptive sweep against the exhaustive one and the plain loop: answers and time.

The adaptive and the exhaustive sweep both run; the plain loop (`benchmarks.exact_sweep`) is timed
on every ninth point and scaled, before, between and after them. Speed-ups are given by the wall
clock and by processor time. Prints a table and one JSON line.

    python -m benchmarks.adaptive_sweep --subject sample:resnet20 --samples 10000
"""

from __future__ import annotations

import argparse
import dataclasses
import json

import torch

from analysis.edits.prepared import PreparedSubject, prepare
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec, SweepUpdate
from analysis.subjects.subject import load_subject
from analysis.sweeps.adaptive import answers
from analysis.sweeps.ratios import parse_ratios
from analysis.sweeps.sweep import iter_sweep, plan_sweep
from benchmarks.exact_sweep import Clock, PlainLoop, masks_of


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subject", default="sample:resnet20")
    parser.add_argument("--data", default="sample:fashion-mnist")
    parser.add_argument("--criteria", default="l1,fpgm,taylor")
    parser.add_argument("--granularity", default="channel")
    parser.add_argument("--ratios", default="0.1:0.9:0.1")
    parser.add_argument("--layers", default="*")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--batch-size", type=int, default=250)
    parser.add_argument("--tolerance", type=float, default=0.01)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def timed(prepared: PreparedSubject, spec: SweepSpec) -> tuple[SweepUpdate, Clock]:
    clock, updates = Clock(), list[SweepUpdate]()
    clock.add(lambda: updates.extend(iter_sweep(plan_sweep(prepared, spec))))
    return updates[-1], clock


def plain_clock(prepared: PreparedSubject, spec: SweepSpec) -> Clock:
    """Time every ninth point of the plain loop on one batch, and scale to all points."""
    points = plan_sweep(prepared, spec).points
    chosen = points[4::9]
    loop = PlainLoop(prepared, masks_of(prepared, chosen), removes=False)
    assert prepared.subject.evaluation is not None
    inputs, labels = next(prepared.subject.evaluation.batches(spec.subject.batch_size))
    assert labels is not None
    loop.batch(inputs, labels)
    scale = len(points) / len(chosen) * len(prepared.subject.evaluation) / len(inputs)
    clock = loop.result.clock
    return Clock(clock.wall * scale, clock.cpu * scale)


def spec_of(options: argparse.Namespace) -> SweepSpec:
    """Return the sweep that the options ask for."""
    return SweepSpec(
        subject=SubjectSpec(
            model=options.subject,
            data=options.data,
            samples=options.samples,
            batch_size=options.batch_size,
        ),
        criteria=tuple(options.criteria.split(",")),
        granularity=options.granularity,
        ratios=parse_ratios(options.ratios),
        layers=options.layers,
        tolerance=options.tolerance,
        precision=options.precision,
    )


def agreement(spec: SweepSpec, adaptive: SweepUpdate, whole: SweepUpdate) -> dict[str, float]:
    """Return how far both sweeps answer alike, and the share of the samples that one needs."""
    expected = answers(whole, tolerance=spec.tolerance)
    found = answers(adaptive, tolerance=spec.tolerance)
    position = {0.0: -1, **{ratio: at for at, ratio in enumerate(spec.ratios)}}
    steps = [abs(position[found[curve]] - position[expected[curve]]) for curve in expected]
    samples = [sum(sums.samples for sums in side.sums.values()) for side in (adaptive, whole)]
    return {
        "curves": len(steps),
        "answers_equal": round(sum(step == 0 for step in steps) / len(steps), 3),
        "answers_within_one_step": round(sum(step <= 1 for step in steps) / len(steps), 3),
        "share_of_samples": round(samples[0] / samples[1], 4),
    }


def speed(clocks: dict[str, Clock]) -> dict[str, float]:
    """Return the seconds of each side, and how much faster the adaptive one is."""
    seconds = {
        f"{side}_{name}_seconds": round(value, 2)
        for side, clock in clocks.items()
        for name, value in dataclasses.asdict(clock).items()
    }
    adaptive = clocks["adaptive"]
    gains = {
        f"speedup_to_{side}_{name}": round(getattr(clocks[side], name) / getattr(adaptive, name), 1)
        for side in ("exhaustive", "plain")
        for name in ("wall", "cpu")
    }
    return seconds | gains


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    spec = spec_of(options)
    prepared = prepare(load_subject(spec.subject))
    prepared.prepare(spec.criteria)
    # Before, between and after the others, so that a machine's mood falls on all sides.
    looks = [plain_clock(prepared, spec)]
    adaptive, adaptive_clock = timed(prepared, dataclasses.replace(spec, mode="adaptive"))
    looks.append(plain_clock(prepared, spec))
    whole, whole_clock = timed(prepared, spec)
    looks.append(plain_clock(prepared, spec))
    plain = Clock(
        *(sum(each) / len(looks) for each in zip(*map(dataclasses.astuple, looks), strict=True))
    )
    result = {
        "benchmark": "adaptive_sweep",
        "subject": options.subject,
        "samples": options.samples,
        "tolerance": options.tolerance,
        **agreement(spec, adaptive, whole),
        **speed({"adaptive": adaptive_clock, "exhaustive": whole_clock, "plain": plain}),
        "precision": options.precision,
        "threads": options.threads,
        "torch": torch.__version__,
    }
    for name, value in result.items():
        print(f"{name:26} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
