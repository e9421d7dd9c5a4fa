"""Compare all criteria on the sample models: curves, tolerated ratios, time.

For each sample and criterion one sweep at channel granularity, each group pruned alone. Printed:

* ``auc``: accuracy drop averaged over ratios and groups, in pp (smaller is better), with the
  average of the points' 95 % intervals: wider than an interval of the average would be;
* ``ratio``: largest ratio within the tolerance, averaged over groups, and the range that the
  intervals allow; ``*`` marks criteria whose range overlaps that of the best: tied;
* ``seconds``: collecting statistics and scoring, without the sweep.

Run ``python benchmarks/criteria.py --models resnet20 --samples 1000``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict, deque

import torch

import sample_models
from analysis.context import SubjectContext, open_context
from analysis.edits import scores, targets
from analysis.intervals import paired_drop
from analysis.records import PointKey, SubjectSpec, Sums, SweepSpec
from analysis.subject import load_subject
from analysis.sweep import iter_sweep
from pruners import criteria
from pruners.errors import InputError

RATIOS = tuple(round(0.1 * step, 1) for step in range(1, 10))


def timed_scores(context: SubjectContext, name: str, granularity: str) -> float:
    """Return seconds to collect what one criterion needs and to score every target."""
    fresh = open_context(context.subject)
    start = time.perf_counter()
    fresh.prepare([name])
    for target in targets(fresh, granularity):
        if target.prunable:
            try:
                scores(fresh, target, name)
            except InputError:
                continue
    return time.perf_counter() - start


def crossing(curve: list[tuple[float, float]], tolerance: float) -> float:
    """Return the largest ratio before the first drop beyond the tolerance."""
    best = 0.0
    for ratio, drop in sorted(curve):
        if drop > tolerance:
            break
        best = ratio
    return best


def summary(sums: dict[PointKey, Sums], name: str, tolerance: float) -> dict[str, float | int]:
    """Return the averages over groups of one criterion."""
    curves: dict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
    for key, value in sums.items():
        if key.criterion == name:
            drop, interval = paired_drop(value.lost, value.gained, value.samples)
            curves[str(key.group)].append((key.ratio_achieved, drop, interval.low, interval.high))
    result: dict[str, float | int] = {"groups": len(curves)}
    for place, label in ((1, ""), (2, "_low"), (3, "_high")):
        drops = [point[place] for curve in curves.values() for point in curve]
        found = [
            crossing([(p[0], p[place]) for p in curve], tolerance) for curve in curves.values()
        ]
        result["auc" + label] = 100 * sum(drops) / max(len(drops), 1)
        # A high drop gives a low ratio.
        result["ratio" + {"": "", "_low": "_high", "_high": "_low"}[label]] = sum(found) / max(
            len(found), 1
        )
    return result


def measure(model: str, options: argparse.Namespace) -> list[dict[str, object]]:
    """Sweep one sample with all criteria."""
    names = options.criteria.split(",") if options.criteria else list(criteria.names())
    subject_spec = SubjectSpec(
        model=f"sample:{model}", data="sample:fashion-mnist", samples=options.samples
    )
    context = open_context(load_subject(subject_spec))
    spec = SweepSpec(
        subject=subject_spec,
        criteria=tuple(names),
        granularity=options.granularity,
        ratios=RATIOS,
    )
    start = time.perf_counter()
    last = deque(iter_sweep(context, spec), maxlen=1)[0]
    seconds = time.perf_counter() - start
    rows: list[dict[str, object]] = []
    for name in names:
        row = summary(dict(last.sums), name, options.tolerance)
        cost = timed_scores(context, name, options.granularity)
        failed = sum(key.criterion == name for key in last.failed)
        rows.append({"model": model, "criterion": name, **row, "failed": failed, "seconds": cost})
    print(f"\n{model}: {len(last.sums)} points, {last.samples} images, {seconds:.1f} s")
    return rows


def show(rows: list[dict[str, object]]) -> None:
    """Print the table of one sample, the best criterion first."""
    best = max((float(row["ratio_low"]) for row in rows), default=0.0)
    print(f"{'criterion':16} {'groups':>6} {'auc pp':>7} {'95 %':>15} {'ratio':>7} {'range':>13} s")
    for row in sorted(rows, key=lambda item: (item["groups"] == 0, float(item["auc"]))):
        if not row["groups"]:
            print(f"{row['criterion']:16} {0:6} applies to no group")
            continue
        tied = "*" if float(row["ratio_high"]) >= best else " "
        print(
            f"{row['criterion']:16} {row['groups']:6} {row['auc']:7.2f} "
            f"{row['auc_low']:7.2f}..{row['auc_high']:6.2f} {row['ratio']:6.2f}{tied} "
            f"{row['ratio_low']:5.2f}..{row['ratio_high']:5.2f}  {row['seconds']:.2f}"
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(sample_models.names()))
    parser.add_argument("--criteria", default="")
    parser.add_argument("--granularity", default="channel")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--tolerance", type=float, default=0.01)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    everything = []
    for model in options.models.split(","):
        rows = measure(model, options)
        show(rows)
        everything += rows
    print(json.dumps({"benchmark": "criteria", "samples": options.samples, "rows": everything}))


if __name__ == "__main__":
    main()
