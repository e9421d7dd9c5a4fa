"""Depth: what leaving out each residual branch and each layer costs, and what block influence says.

Prints a table and one JSON line: block influence on the calibration samples, the drop on the
evaluation samples, and the parameters that go, for each branch and layer of a subject.

    python -m benchmarks.depth --model sample:vit_tiny --data sample:fashion-mnist --samples 1000
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence

import torch

from analysis.edits import PreparedSubject, Target, edit_for, prepare, scores, targets
from analysis.measuring import Slices, measure
from analysis.records import SubjectSpec, Sums
from analysis.subjects import load_subject


def rows(prepared: PreparedSubject) -> Iterator[dict[str, object]]:
    """Yield name, influence, drop and share of the parameters that go, of branches and layers."""
    evaluation, task = prepared.subject.evaluation, prepared.subject.task
    assert evaluation is not None
    found = [item for kind in ("branch", "layer") for item in targets(prepared, kind)]
    by_name: dict[str, Target] = {item.name: item for item in found if item.prunable}
    gone = torch.zeros(1, dtype=torch.bool)
    edits = {name: edit_for(prepared, item, gone) for name, item in by_name.items()}
    sums = dict.fromkeys(edits, Sums())
    for part in measure(prepared, edits, Slices(evaluation, 64), task):
        sums = {name: total + part.require(name) for name, total in sums.items()}
    for name, item in by_name.items():
        yield {
            "name": name,
            "influence": float(scores(prepared, item, "block_influence")),
            "drop": task.drop(sums[name]),
            "params": 1 - prepared.cost.predict({name: 0}).params / prepared.cost.dense.params,
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="sample:vit_tiny")
    parser.add_argument("--data", default="sample:fashion-mnist")
    parser.add_argument("--samples", type=int, default=1000)
    asked = parser.parse_args(arguments)
    spec = SubjectSpec(model=asked.model, data=asked.data, samples=asked.samples)
    found = list(rows(prepare(load_subject(spec))))
    print(f"{'branch or layer':40} influence     drop  parameters")
    for row in found:
        print("{name:40} {influence:9.3f} {drop:8.2%} {params:11.1%}".format(**row))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
