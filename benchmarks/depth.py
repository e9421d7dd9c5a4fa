"""Depth: what leaving out each residual branch and each block costs, and what block influence says.

Prints a table and one JSON line: block influence on the calibration samples, the drop on the
evaluation samples, and the parameters that go, for each branch and block of a subject.

    python -m benchmarks.depth --model sample:vit_tiny --data sample:fashion-mnist --samples 1000
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence

from analysis.edits import CALIBRATION_BATCH, Edit, PreparedSubject, prepare
from analysis.measuring import Slices, measure
from analysis.records import SubjectSpec, Sums
from analysis.subjects import load_subject
from pruners.groups import (
    Branch,
    block_influence,
    chosen_branches,
    depth_edit,
    find_branches,
    remove_branches,
)


def rows(prepared: PreparedSubject) -> Iterator[dict[str, object]]:
    """Yield name, influence, drop and share of the parameters that go, of branches and blocks."""
    model, structure = prepared.model, prepared.require_structure()
    evaluation, calibration = prepared.subject.evaluation, prepared.subject.calibration
    assert evaluation is not None
    assert calibration is not None
    branches = find_branches(model, structure)
    batches = calibration.finite_batches(CALIBRATION_BATCH)
    influence = block_influence(model, structure, branches, batches)
    lost = {name: chosen_branches(branches, [name]) for name in influence}
    edits = {name: Edit(depth_edit(item, prepared.evaluator.state)) for name, item in lost.items()}
    sums = dict.fromkeys(edits, Sums())
    for found in measure(prepared, edits, Slices(evaluation, 64), prepared.subject.task):
        sums = {name: total + found.require(name) for name, total in sums.items()}
    for name, item in lost.items():
        yield {
            "name": name,
            "influence": influence[name],
            "drop": prepared.subject.task.drop(sums[name]),
            "params": 1 - left(prepared, item) / prepared.cost.dense.params,
        }


def left(prepared: PreparedSubject, lost: Sequence[Branch]) -> int:
    """Return the parameters of the model without some branches."""
    smaller = remove_branches(prepared.model, prepared.require_structure(), lost)
    return sum(item.numel() for item in smaller.parameters())


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="sample:vit_tiny")
    parser.add_argument("--data", default="sample:fashion-mnist")
    parser.add_argument("--samples", type=int, default=1000)
    asked = parser.parse_args(arguments)
    spec = SubjectSpec(model=asked.model, data=asked.data, samples=asked.samples)
    found = list(rows(prepare(load_subject(spec))))
    print(f"{'branch or block':40} influence     drop  parameters")
    for row in found:
        print("{name:40} {influence:9.3f} {drop:8.2%} {params:11.1%}".format(**row))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
