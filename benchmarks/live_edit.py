"""Live edits: one ratio of a plan changes, how long until the numbers are there?

Random edits of every group of a sample model, one after another on a warm evaluator, as in the
dashboard. Prints a table and one JSON line.

    python -m benchmarks.live_edit --subject sample:resnet20 --samples 2000
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time

import numpy as np
import torch

from analysis.edits.masks import kept_units, scores
from analysis.edits.prepared import PreparedSubject, prepare
from analysis.edits.target import kept_at, targets
from analysis.evaluation.live import LiveEvaluator
from analysis.records.plan import Plan, PlanEntry
from analysis.records.subject import SubjectSpec
from analysis.subjects.subject import load_subject


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subject", default="sample:resnet20")
    parser.add_argument("--data", default="sample:fashion-mnist")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3, help="edits of each group")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def random_edits(prepared: PreparedSubject, rounds: int, seed: int) -> list[Plan]:
    """Return plans, each of which differs from the one before in one group."""
    chance = random.Random(seed)
    groups = [item for item in targets(prepared, "channel") if item.prunable] * rounds
    chance.shuffle(groups)
    entries: dict[str, PlanEntry] = {}
    plans = []
    for target in groups:
        ratio = chance.choice([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
        kept = kept_at(prepared, target, ratio)
        mask = kept_units(scores(prepared, target, "l1"), kept)
        entries[target.name] = PlanEntry(
            layer=target.layer,
            group=target.group,
            criterion="l1",
            granularity="channel",
            ratio=ratio,
            kept=kept,
            total=target.total,
            indices=tuple(mask.nonzero().flatten().tolist()),
        )
        plans.append(
            Plan(subject=prepared.subject.spec, fingerprint="", entries=(*entries.values(),))
        )
    return plans


def full_forward(prepared: PreparedSubject) -> float:
    """Return the seconds of one eager pass over the evaluation set."""
    assert prepared.subject.evaluation is not None
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        with torch.inference_mode():
            for inputs, _ in prepared.subject.evaluation.batches(250):
                prepared.model(inputs)
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    spec = SubjectSpec(
        model=options.subject, data=options.data, samples=options.samples, device=options.device
    )
    prepared = prepare(load_subject(spec))
    live = LiveEvaluator(prepared)
    start = time.perf_counter()
    list(live.evaluate(Plan(subject=spec, fingerprint="")))
    warm = time.perf_counter() - start
    first: list[float] = []
    full: list[float] = []
    for plan in random_edits(prepared, options.rounds, options.seed):
        results = list(live.evaluate(plan))
        first.append(results[0].seconds)
        full.append(results[-1].seconds)
    eager = full_forward(prepared)
    result = {
        "benchmark": "live_edit",
        "subject": options.subject,
        "samples": options.samples,
        "edits": len(full),
        "first_estimate_median_ms": round(1e3 * statistics.median(first), 1),
        "first_estimate_p90_ms": round(1e3 * np.percentile(first, 90), 1),
        "full_median_ms": round(1e3 * statistics.median(full), 1),
        "full_p90_ms": round(1e3 * np.percentile(full, 90), 1),
        "full_forward_ms": round(1e3 * eager, 1),
        "median_to_full_forward": round(statistics.median(full) / eager, 2),
        "warm_up_ms": round(1e3 * warm, 1),
        "threads": options.threads,
        "device": options.device,
        "torch": torch.__version__,
    }
    for name, value in result.items():
        print(f"{name:26} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
