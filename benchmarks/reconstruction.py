"""What repairs without training gain: accuracy of whole plans at ratios 0.3, 0.5 and 0.7.

All prunable groups (or layers) of a sample are pruned at one ratio by one criterion. Printed are
the accuracy dense, masked and after each repair, the mean ratio of the layers' output errors after
and before, and the seconds the repair took.

Run ``python benchmarks/reconstruction.py --samples 2000``.
"""

from __future__ import annotations

import argparse
import json

import torch

import sample_models
from analysis.edits.prepared import PreparedSubject, prepare
from analysis.edits.target import kept_at, targets
from analysis.records.plan import Plan, PlanEntry
from analysis.records.subject import SubjectSpec
from analysis.recovery.outcome import report
from analysis.recovery.plan_repair import recover_plan
from analysis.repairs import plan_repairs
from analysis.subjects.subject import load_subject
from pruners.errors import InputError


def uniform(
    prepared: PreparedSubject, spec: SubjectSpec, ratio: float, options: argparse.Namespace
) -> Plan:
    """Return a plan with one ratio for every prunable target."""
    entries = [
        PlanEntry(
            layer=target.layer,
            group=target.group,
            criterion=options.criterion,
            granularity=options.granularity,
            ratio=ratio,
            kept=kept_at(prepared, target, ratio),
            total=target.total,
        )
        for target in targets(prepared, options.granularity)
        if target.prunable
    ]
    return Plan(subject=spec, fingerprint=prepared.subject.fingerprint, entries=tuple(entries))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(sample_models.names(data="fashion-mnist")))
    parser.add_argument("--methods", default=",".join(plan_repairs()))
    parser.add_argument("--criterion", default="l1")
    parser.add_argument("--granularity", default="channel")
    parser.add_argument("--ratios", default="0.3,0.5,0.7")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--calibration-samples", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    print(f"{'model':16} ratio {'method':7} {'dense':>6} {'masked':>7} {'after':>6} error  seconds")
    for model in options.models.split(","):
        spec = SubjectSpec(
            model=f"sample:{model}",
            data="sample:fashion-mnist",
            samples=options.samples,
            calibration_samples=options.calibration_samples,
        )
        prepared = prepare(load_subject(spec))
        for ratio in (float(item) for item in options.ratios.split(",")):
            plan = uniform(prepared, spec, ratio, options)
            for method in options.methods.split(","):
                try:
                    recovery = recover_plan(prepared, plan, method=method)
                except InputError as error:
                    print(f"{model:16} {ratio:5.1f} {method:7} {error}")
                    continue
                result = report(prepared, plan, recovery)
                parts = [item.after / item.before for item in result.layers if item.before > 0]
                error = sum(parts) / len(parts) if parts else None
                print(
                    f"{model:16} {ratio:5.1f} {method:7} {100 * result.dense.accuracy:6.2f} "
                    f"{100 * result.pruned.accuracy:7.2f} {100 * result.recovered.accuracy:6.2f} "
                    f"{'' if error is None else f'{error:.2f}':5}  {result.seconds:.1f}"
                )
                rows.append(
                    {
                        "model": model,
                        "ratio": ratio,
                        "method": method,
                        "dense": result.dense.accuracy,
                        "masked": result.pruned.accuracy,
                        "after": result.recovered.accuracy,
                        "error_ratio": error,
                        "seconds": result.seconds,
                    }
                )
    print(json.dumps({"benchmark": "reconstruction", "samples": options.samples, "rows": rows}))


if __name__ == "__main__":
    main()
