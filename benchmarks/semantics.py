"""How far apart are the two semantics of a pruned channel? Mean and largest difference.

Each group of each sample is pruned alone at the nine ratios, once as ``removal`` and once as
``weights`` (weight and bias masked, batch norm left alone, as NNI and Distiller do). Printed are
the mean and largest absolute difference in accuracy between the two, the mean signed difference
(removal minus weights), and the rank correlation (Spearman) of the groups' mean drops.

Run ``python benchmarks/semantics.py --samples 1000``.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict, deque

import torch

import sample_models
from analysis.edits.prepared import prepare
from analysis.records.subject import SubjectSpec
from analysis.records.sums import Sums
from analysis.records.sweep import PointKey, SweepSpec
from analysis.subjects.subject import load_subject
from analysis.sweeps import plan_sweep
from analysis.sweeps.sweep import iter_sweep

RATIOS = tuple(round(0.1 * step, 1) for step in range(1, 10))


def sweep(model: str, semantics: str, options: argparse.Namespace) -> dict[PointKey, Sums]:
    """Return the sums of all points of one sample under one of the semantics."""
    subject_spec = SubjectSpec(
        model=f"sample:{model}", data="sample:fashion-mnist", samples=options.samples
    )
    prepared = prepare(load_subject(subject_spec))
    spec = SweepSpec(
        subject=subject_spec,
        criteria=tuple(options.criteria.split(",")),
        ratios=RATIOS,
        semantics=semantics,
    )
    return dict(deque(iter_sweep(plan_sweep(prepared, spec)), maxlen=1)[0].sums)


def ranks(values: list[float]) -> torch.Tensor:
    """Return ranks with ties averaged."""
    tensor = torch.tensor(values, dtype=torch.float64)
    below = (tensor[:, None] > tensor[None]).sum(1)
    equal = (tensor[:, None] == tensor[None]).sum(1)
    return below + (equal + 1) / 2


def compare(removal: dict[PointKey, Sums], weights: dict[PointKey, Sums]) -> dict[str, object]:
    """Return the differences over all common points, in pp of accuracy."""
    differences: dict[PointKey, float] = {}
    drops: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for key in removal.keys() & weights.keys():
        first, second = removal[key], weights[key]
        differences[key] = 100 * (first["correct"] - second["correct"]) / first.samples
        drops[str(key.group)]["removal"].append(-first["correct"])
        drops[str(key.group)]["weights"].append(-second["correct"])
    sizes = [abs(value) for value in differences.values()]
    worst = max(differences, key=lambda key: abs(differences[key]))
    means = {
        kind: [sum(group[kind]) / len(group[kind]) for group in drops.values()]
        for kind in ("removal", "weights")
    }
    correlation = float(
        torch.corrcoef(torch.stack([ranks(means["removal"]), ranks(means["weights"])]))[0, 1]
    )
    return {
        "points": len(sizes),
        "mean": sum(sizes) / len(sizes),
        "largest": max(sizes),
        "signed": sum(differences.values()) / len(sizes),
        "where": f"{worst.group} {worst.criterion} {worst.ratio_requested}",
        "rank_correlation": correlation,
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(sample_models.names(data="fashion-mnist")))
    parser.add_argument("--criteria", default="l1")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    print(f"{'model':16} {'points':>6} {'mean':>6} {'largest':>8} {'signed':>7} {'ranks':>6} where")
    for model in options.models.split(","):
        row = compare(sweep(model, "removal", options), sweep(model, "weights", options))
        print(
            f"{model:16} {row['points']:6} {row['mean']:6.2f} {row['largest']:8.2f} "
            f"{row['signed']:+7.2f} {row['rank_correlation']:6.2f} {row['where']}"
        )
        rows.append({"model": model, **row})
    print(json.dumps({"benchmark": "semantics", "samples": options.samples, "rows": rows}))


if __name__ == "__main__":
    main()
