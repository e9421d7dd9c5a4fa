"""Pruned in 8 bits beside float32 and dense, in ONNX Runtime."""

from __future__ import annotations

import dataclasses
import gzip
from functools import partial
from pathlib import Path

import pytest
import torch

from analysis import plans, runtimes
from analysis.cli.commands.evaluate import print_evaluation
from analysis.evaluation import deploy_plan, evaluate_plan, keep_evaluation
from analysis.records import Evaluation
from analysis.store.store import Store
from tests.helpers.contexts import sample_context
from tests.helpers.plans import at_ratio


def test_three_forms_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Accuracy with the paired interval, bytes, gzipped bytes, latency."""
    pytest.importorskip("onnxruntime")
    prepared = sample_context("lenet5")
    plan = plans.start_plan(prepared, criterion="l1")
    plan = at_ratio(plan, [entry.name for entry in plan.entries], 0.25)
    split = prepared.subject.evaluation
    assert split is not None
    found = deploy_plan(prepared, plan, latency_seconds=0.2)
    # The same numbers from the files, without the loop that measures.
    small = plans.removed_model(prepared, plan)
    content = runtimes.as_onnx(small, prepared.subject.example)
    files = {
        "removed": content,
        "int8": runtimes.quantized_onnx(content, partial(runtimes.calibration_inputs, prepared)),
    }
    inputs, labels = split.part(0, len(split))
    assert labels is not None
    with torch.no_grad():
        dense = prepared.model(inputs).argmax(1) == labels
    answers = {}
    for model in found.models[1:]:
        answers[model.name] = runtimes.run_onnx(files[model.name], inputs).argmax(1)
        right = answers[model.name] == labels
        assert model.sums["correct"] == int(right.sum())
        assert model.sums["lost"] == int((dense & ~right).sum())
        interval = prepared.subject.task.drop_interval(model.sums, 0.95)
        assert (model.drop_low, model.drop_high) == (interval.low, interval.high)
        assert (model.file_bytes, model.gzip_bytes) == (
            len(files[model.name]),
            len(gzip.compress(files[model.name])),
        )
    assert found.same_answers == int((answers["removed"] == answers["int8"]).sum())
    assert found.dense.drop == found.dense.drop_low == found.dense.drop_high == 0
    assert found.int8.file_bytes < 0.5 * found.removed.file_bytes < 0.5 * found.dense.file_bytes
    assert all(model.latency is not None for model in found.models)
    assert found.calibration == 64

    # Kept with the plan's evaluation; what was written before is read, and a later evaluation
    # without 8 bits does not lose them.
    plain = evaluate_plan(prepared, plan, latency_seconds=0)
    assert plain.deployment is None
    old = {name: item for name, item in plain.to_dict().items() if name != "deployment"}
    assert Evaluation.from_dict(old) == plain
    whole = dataclasses.replace(plain, deployment=found)
    assert Evaluation.from_json(whole.to_json()) == whole
    store = Store(tmp_path)
    keep_evaluation(store, prepared, plan, whole)
    assert keep_evaluation(store, prepared, plan, plain).deployment == found
    capsys.readouterr()
    print_evaluation("Plan", whole, prepared.subject.task)
    told = capsys.readouterr()
    same = f"the answers to {found.same_answers} of 200 samples are those of the pruned model"
    assert same in told.err
    assert found.agreement == found.same_answers / 200
    assert "pruned, 8 bits" in told.out + told.err
