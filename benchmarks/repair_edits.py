"""What an edit of a plan costs its repair: from scratch, and of the layers from the edit on.

The plan removes 40 % of the channels of every group; 60 % of one group are removed then. Printed
are processor seconds, and whether both give the same weights to the bit.

Run ``python benchmarks/repair_edits.py --model sample:resnet20``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from analysis.edits import prepare
from analysis.plans import set_ratio, start_plan
from analysis.records import Plan, SubjectSpec
from analysis.recovery import Recovery, Repairer, recover_plan
from analysis.subjects import load_subject


def main() -> None:
    """Print a row for the first, the middle and the last group."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="sample:resnet20")
    parser.add_argument("--data", default="sample:fashion-mnist")
    parser.add_argument("--method", default="lsq", choices=("lsq", "obs"))
    parser.add_argument("--calibration-samples", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    spec = SubjectSpec(
        model=asked.model, data=asked.data, calibration_samples=asked.calibration_samples
    )
    prepared = prepare(load_subject(spec))
    plan = start_plan(prepared, criterion="l1")
    names = [entry.name for entry in plan.entries]
    for name in names:
        plan = set_ratio(plan, name, 0.4)
    repairer = Repairer(prepared, asked.method)
    repairer.repair(plan)
    print(f"{'edited group':24} {'from scratch':>12} {'from there on':>13}  same")
    for name in (names[0], names[len(names) // 2], names[-1]):
        edited = set_ratio(plan, name, 0.6)
        whole, scratch = _timed(
            lambda plan: recover_plan(prepared, plan, method=asked.method), edited
        )
        part, again = _timed(repairer.repair, edited)
        print(f"{name:24} {whole:11.2f}s {part:12.2f}s  {_is_same(scratch, again)}", flush=True)


def _timed(repair: Callable[[Plan], Recovery], plan: Plan) -> tuple[float, Recovery]:
    start = time.process_time()
    found = repair(plan)
    return time.process_time() - start, found


def _is_same(one: Recovery, other: Recovery) -> bool:
    names = one.edit.tensors.keys()
    return names == other.edit.tensors.keys() and all(
        torch.equal(one.edit.tensors[name], other.edit.tensors[name]) for name in names
    )


if __name__ == "__main__":
    main()
