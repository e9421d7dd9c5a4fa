"""Two single-thread Ray workers against one: a sweep of sample:resnet20.

    python -m benchmarks.ray_sweep [--samples 1000] [--mode adaptive]

Starts local clusters of its own. Times from the first round's end, so that the start of workers
(loading and capturing the model) does not count; both are printed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")

from analysis.edits.prepared import PreparedSubject, prepare
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec
from analysis.subjects.subject import load_subject
from analysis.sweeps import plan_sweep
from analysis.sweeps.sweep import iter_sweep


def timed(prepared: PreparedSubject, spec: SweepSpec, workers: int) -> dict[str, float]:
    """Return seconds of the whole sweep, and what is measured a second after the first round."""
    import ray

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    start = time.perf_counter()
    try:
        updates = iter_sweep(plan_sweep(prepared, dataclasses.replace(spec, executor="ray")))
        marks = [
            (time.perf_counter() - start, sum(item.samples for item in update.sums.values()))
            for update in updates
        ]
    finally:
        ray.shutdown()
    # The slices of an exhaustive round come at once: count from the last one of the first round.
    first = marks[workers - 1 if spec.mode == "exhaustive" else 0]
    return {
        "seconds": marks[-1][0],
        "point_samples_per_second": (marks[-1][1] - first[1]) / (marks[-1][0] - first[0]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=125)
    parser.add_argument("--mode", choices=("exhaustive", "adaptive"), default="exhaustive")
    given = parser.parse_args()
    spec = SweepSpec(
        subject=SubjectSpec(
            model="sample:resnet20",
            data="sample:fashion-mnist",
            samples=given.samples,
            batch_size=given.batch_size,
        ),
        criteria=("l1",),
        ratios=(0.3, 0.6),
        mode=given.mode,
    )
    prepared = prepare(load_subject(spec.subject))
    load = os.getloadavg()[0]
    found = {workers: timed(prepared, spec, workers) for workers in (1, 2)}
    print(f"{'workers':>8}{'whole s':>10}{'point samples/s':>17}")
    for workers, row in found.items():
        print(f"{workers:>8}{row['seconds']:>10.1f}{row['point_samples_per_second']:>17.0f}")
    ratio = found[2]["point_samples_per_second"] / found[1]["point_samples_per_second"]
    whole = found[1]["seconds"] / found[2]["seconds"]
    print(f"two against one: {ratio:.2f}x after the first round, {whole:.2f}x with the start")
    print(json.dumps({"rows": found, "speed_up": ratio, "whole": whole, "load": load}))


if __name__ == "__main__":
    main()
