"""What 8 bits cost beside pruning, in ONNX Runtime: ``python -m benchmarks.int8``.

Of each bundled model, dense and with a share of all channels removed by ``l1`` and repaired by
``lsq``: the task's score in float32 and in 8 bits on the same samples, equal answers, bytes,
latency. The loss is in points, of perplexity in percent.
"""

from __future__ import annotations

import argparse

import sample_models
from analysis import tasks
from analysis.edits import prepare
from analysis.evaluation import deploy_plan
from analysis.plans import set_ratio, start_plan
from analysis.records import Deployment, SubjectSpec
from analysis.recovery import recover_plan
from analysis.subjects import load_subject

COLUMNS = (
    *("model", "removed", "float32", "8 bits", "loss pp", "same answers"),
    *("KB", "KB in 8 bits", "gzipped KB", "ms", "ms in 8 bits"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--ratio", type=float, default=0.25)
    parser.add_argument("--calibration-samples", type=int, default=512)
    parser.add_argument("--models", nargs="*", default=list(sample_models.names()))
    given = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|")
    for name in given.models:
        for ratio in (0.0, given.ratio):
            found = measured(name, ratio, given.samples, given.calibration_samples)
            print(row(name, ratio, found), flush=True)


def measured(name: str, ratio: float, samples: int, calibration: int) -> Deployment:
    data = sample_models.card(name).data
    spec = SubjectSpec(
        model=f"sample:{name}",
        data=f"sample:{data}",
        task=sample_models.DATA_SETS[data].task,
        samples=samples,
        calibration_samples=calibration,
    )
    prepared = prepare(load_subject(spec))
    plan = start_plan(prepared, criterion="l1")
    for entry in plan.entries:
        plan = set_ratio(plan, entry.name, ratio)
    recovery = recover_plan(prepared, plan, method="lsq") if ratio else None
    return deploy_plan(prepared, plan, recovery=recovery, latency_seconds=3.0, latency_batch=32)


def row(name: str, ratio: float, found: Deployment) -> str:
    exact, int8 = found.removed, found.int8
    words = tasks.scoring_of(sample_models.DATA_SETS[sample_models.card(name).data].task).words
    loss = (exact.accuracy - int8.accuracy) / (abs(exact.accuracy) if words.is_relative else 1)
    times = [
        "-" if item.latency is None else f"{1000 * min(item.latency.repeats):.1f}"
        for item in (exact, int8)
    ]
    cells = (
        name,
        f"{ratio:.0%}",
        words.score(exact.accuracy),
        words.score(int8.accuracy),
        f"{loss * words.drop_scale:+.2f}",
        f"{found.same_answers} of {exact.sums.samples}",
        *(f"{size / 1000:.0f}" for size in (exact.file_bytes, int8.file_bytes, int8.gzip_bytes)),
        *times,
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
