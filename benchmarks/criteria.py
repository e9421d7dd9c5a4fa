"""Compare all criteria on the sample models: curves, tolerated ratios, time.

For each sample and criterion one sweep, each group pruned alone. Printed, as means over the groups
that the criterion scores:

* ``drop``: area under the curve of accuracy lost, divided by the width of its ratios: a mean drop
  in pp (smaller is better); the interval is that of the curves of the points' 95 % interval ends,
  wider than an interval of the mean would be;
* ``ratio``: largest ratio before the first drop beyond the tolerance, and the range that the
  intervals allow;
* ``best``, ``tied``, ``worse``: in how many groups the criterion surely tolerates more than every
  other, is surely beaten by none, is surely beaten by another;
* ``seconds``: processor time of collecting statistics and scoring, without the sweep.

Run ``python benchmarks/criteria.py --models resnet20 --samples 1000``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import deque

import pandas as pd
import torch

import sample_models
from analysis.comparison.criteria import mean_drop, summary
from analysis.curves.points import points_table
from analysis.curves.reading import curve_arrays, is_known
from analysis.curves.tolerance import tolerated
from analysis.edits.masks import scores
from analysis.edits.prepared import PreparedSubject, prepare
from analysis.edits.target import targets
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec, SweepUpdate
from analysis.subjects.subject import load_subject
from analysis.sweeps import plan_sweep
from analysis.sweeps.ratios import parse_ratios
from analysis.sweeps.sweep import iter_sweep
from pruners import criteria
from pruners.errors import InputError

DROPS = ("accuracy_drop", "drop_low", "drop_high")


def timed_scores(prepared: PreparedSubject, name: str, granularity: str) -> float:
    """Return processor seconds to collect what one criterion needs and to score every target."""
    fresh = prepare(prepared.subject)
    start = time.process_time()
    fresh.prepare([name])
    for target in targets(fresh, granularity):
        if target.prunable:
            try:
                scores(fresh, target, name)
            except InputError:
                continue
    return time.process_time() - start


def table_of(update: SweepUpdate) -> pd.DataFrame:
    """Return the points table of a finished sweep."""
    unknown = {"params": None, "macs": None}
    measured = [
        {**key.to_dict(), **unknown, "sums": sums, "status": "measured"}
        for key, sums in update.sums.items()
    ]
    return points_table("benchmark", measured, baselines={update.samples: update.baseline})


def averages(points: pd.DataFrame, tolerance: float) -> dict[str, dict[str, float]]:
    """Return the means over groups of each criterion, with the ends of their intervals."""
    areas = pd.DataFrame(
        [
            {
                "criterion": criterion,
                **{name: mean_drop(curve["ratio_achieved"], curve[name]) for name in DROPS},
            }
            for (criterion, _, _), curve in curve_arrays(
                points[is_known(points)], ["ratio_achieved", *DROPS]
            )
        ]
    )
    ratios = tolerated(points, tolerance=tolerance)
    joined = pd.concat(
        [
            100 * areas.groupby("criterion").mean(),
            ratios.groupby("criterion")[["tolerated", "low", "high"]].mean(),
            summary(points, tolerance=tolerance).set_index("criterion")[
                ["layers", "best", "tied", "worse"]
            ],
        ],
        axis=1,
    )
    return {str(name): row for name, row in joined.to_dict("index").items()}


def measure(model: str, options: argparse.Namespace) -> list[dict[str, object]]:
    """Sweep one sample with all criteria; return a row for each that scores some group."""
    names = (
        options.criteria.split(",") if options.criteria else criteria.scoring(options.granularity)
    )
    subject_spec = SubjectSpec(
        model=f"sample:{model}", data="sample:fashion-mnist", samples=options.samples
    )
    prepared = prepare(load_subject(subject_spec))
    spec = SweepSpec(
        subject=subject_spec,
        criteria=tuple(names),
        granularity=options.granularity,
        ratios=parse_ratios(options.ratios),
    )
    start = time.perf_counter()
    last = deque(iter_sweep(plan_sweep(prepared, spec)), maxlen=1)[0]
    seconds = time.perf_counter() - start
    rows: list[dict[str, object]] = [
        {
            "model": model,
            "criterion": name,
            **row,
            "seconds": timed_scores(prepared, name, options.granularity),
        }
        for name, row in averages(table_of(last), options.tolerance).items()
    ]
    print(f"\n{model}: {len(last.sums)} points, {last.samples} images, {seconds:.1f} s")
    for name in sorted(set(names) - {str(row["criterion"]) for row in rows}):
        print(f"{name}: scores none of its groups")
    return rows


def show(rows: list[dict[str, object]]) -> None:
    """Print the table of one sample, the smallest mean drop first."""
    print(
        f"{'criterion':16} {'groups':>6} {'drop pp':>7} {'interval':>15} {'ratio':>5} "
        f"{'range':>12} {'best':>4} {'tied':>4} {'worse':>5} seconds"
    )
    for row in sorted(rows, key=lambda item: float(str(item["accuracy_drop"]))):
        print(
            f"{row['criterion']:16} {row['layers']:6} {row['accuracy_drop']:7.2f} "
            f"{row['drop_low']:7.2f}..{row['drop_high']:6.2f} {row['tolerated']:5.2f} "
            f"{row['low']:5.2f}..{row['high']:5.2f} {row['best']:4} {row['tied']:4} "
            f"{row['worse']:5} {row['seconds']:.2f}",
            flush=True,
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(sample_models.names(data="fashion-mnist")))
    parser.add_argument("--criteria", default="")
    parser.add_argument("--granularity", default="channel")
    parser.add_argument("--ratios", default="0.1:0.9:0.1")
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
