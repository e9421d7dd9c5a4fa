"""Peak memory of a sweep: a torchvision model with random weights on random images.

Prints a table and one JSON line.

    python -m benchmarks.peak_memory --model torchvision:resnet50 --samples 32
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import torch

from analysis.edits.prepared import prepare
from analysis.memory import DEFAULT_MEMORY_LIMIT
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec
from analysis.subjects.subject import load_subject
from analysis.sweeps import plan_sweep
from analysis.sweeps.sweep import iter_sweep
from benchmarks.images import random_images


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="torchvision:resnet50")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--layers", default="*")
    parser.add_argument("--criteria", default="l1,fpgm,taylor")
    parser.add_argument("--calibration-samples", type=int, default=128)
    parser.add_argument("--memory-limit", type=int, default=DEFAULT_MEMORY_LIMIT)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def peak_mib() -> int:
    """Return the largest resident size of the process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        spec = SweepSpec(
            subject=SubjectSpec(
                model=options.model,
                data=random_images(
                    Path(folder),
                    samples=options.samples,
                    calibration=options.calibration_samples,
                    size=options.size,
                    classes=options.classes,
                ),
                samples=options.samples,
                calibration_samples=options.calibration_samples,
                batch_size=options.batch_size,
                memory_limit=options.memory_limit,
            ),
            criteria=tuple(options.criteria.split(",")),
            ratios=(0.5,),
            layers=options.layers,
        )
        prepared = prepare(load_subject(spec.subject))
        start = time.perf_counter()
        prepared.prepare(spec.criteria)
        calibration_peak = peak_mib()
        *_, update = iter_sweep(plan_sweep(prepared, spec))
        seconds = time.perf_counter() - start
    result = {
        "benchmark": "peak_memory",
        "model": options.model,
        "samples": update.samples,
        "batch_size": options.batch_size,
        "points": len(update.sums),
        "failed": len(update.failed),
        "memory_limit_mib": options.memory_limit // 2**20,
        "samples_at_a_time": prepared.evaluator.max_samples(),
        "criteria": options.criteria,
        "calibration_samples": options.calibration_samples,
        "peak_after_calibration_mib": calibration_peak,
        "peak_mib": peak_mib(),
        "seconds": round(seconds, 1),
        "threads": options.threads,
    }
    for name, value in result.items():
        print(f"{name:26} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
