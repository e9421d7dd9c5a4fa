"""The one loop that measures edits."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from analysis.edits import Edit, PreparedSubject, edited_model
from analysis.measuring import EditRunner, Slice, Slices, measure
from analysis.records import SweepSpec
from analysis.sweeps import plan_sweep
from analysis.sweeps.executors.local import LocalExecutor
from analysis.tasks import CLASSIFICATION
from pruners.errors import InputError
from tests.helpers.contexts import sample_context


def slices_of(prepared: PreparedSubject, size: int) -> Slices:
    assert prepared.subject.evaluation is not None
    return Slices(prepared.subject.evaluation, size)


def test_models_are_built_once_and_told_apart_from_measuring() -> None:
    prepared = sample_context("vit_tiny")
    spec = SweepSpec(subject=prepared.subject.spec, criteria=("l1",), ratios=(0.5,))
    planned = plan_sweep(prepared, spec)
    items = planned.grid.items
    assert any(not item.names for item in items), "no group needs physical removal"
    executor = LocalExecutor(prepared, spec, items, slices_of(prepared, 20))
    found = []
    for number in range(4):
        measured = executor.measure([(number, items)], lambda: False)
        assert measured is not None
        found.append(measured[0].setup_seconds)
    assert found[0] > 0
    assert set(found[1:]) == {0.0}


def test_sums_are_those_of_a_plain_loop() -> None:
    prepared = sample_context("resnet20")
    masked = {"conv1.weight": prepared.evaluator.state["conv1.weight"] * 0.5}
    forms = {"edit": Edit(masked), "model": edited_model(prepared, Edit(masked))}
    total = {"dense": 0.0, "edit": 0.0, "model": 0.0}
    for found in measure(prepared, forms, slices_of(prepared, 70), CLASSIFICATION):
        total["dense"] += found.baseline["correct"]
        for name in forms:
            total[name] += found.require(name)["correct"]
    assert prepared.subject.evaluation is not None
    expected = dict.fromkeys(total, 0)
    for inputs, labels in prepared.subject.evaluation.batches(200):
        assert labels is not None
        with torch.inference_mode():
            expected["dense"] += int((prepared.model(inputs).argmax(1) == labels).sum())
            right = int((forms["model"](inputs).argmax(1) == labels).sum())  # type: ignore[operator]
        expected["edit"] += right
        expected["model"] += right
    assert total == expected


def test_an_edit_that_fails_leaves_the_others() -> None:
    def broken() -> Edit:
        raise ValueError("no such mask")

    prepared = sample_context("resnet20")
    state = prepared.evaluator.state["fc.weight"]
    edits = {
        "broken": broken,
        "nan": Edit({"fc.weight": torch.full_like(state, math.nan)}),
        "right": Edit(),
    }
    for found in measure(prepared, edits, slices_of(prepared, 100), CLASSIFICATION):
        assert found.sums.keys() == {"right"}
        assert found.failed == {
            "broken": "ValueError: no such mask",
            "nan": "the pruned model's outputs are not finite",
        }
        assert found.require("right")["agree"] == found.baseline.samples
        with pytest.raises(InputError, match="no such mask"):
            found.require("broken")


def test_parts_fit_the_memory_limit_and_the_observer_sees_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared = sample_context("resnet20")
    runner = EditRunner(prepared)
    monkeypatch.setattr(runner, "max_samples", 30)
    seen: list[tuple[int, int]] = []

    def observe(dense: Tensor, outputs: Mapping[str, Tensor], part: Slice) -> None:
        assert part.targets is not None
        assert len(part.targets) == len(part.groups) == len(dense)
        seen.append((len(dense), len(outputs["zero"])))

    edits: dict[str, Edit | nn.Module] = {
        "zero": Edit({"fc.weight": torch.zeros_like(prepared.evaluator.state["fc.weight"])})
    }
    slices = slices_of(prepared, 100)
    whole = list(measure(prepared, edits, slices, CLASSIFICATION))
    parts = list(measure(prepared, edits, slices, CLASSIFICATION, runner=runner, observe=observe))
    assert seen[:4] == [(30, 30), (30, 30), (30, 30), (10, 10)]
    for one, other in zip(whole, parts, strict=True):
        assert one.require("zero")["correct"] == other.require("zero")["correct"]
        assert one.require("zero")["loss"] == pytest.approx(other.require("zero")["loss"])


def test_cancelled_is_ended_without_the_slice_in_flight() -> None:
    prepared = sample_context("resnet20")
    asked: list[int] = []

    def cancel() -> bool:
        asked.append(1)
        return len(asked) > 3

    edits = {"a": Edit(), "b": Edit()}
    loop = measure(prepared, edits, slices_of(prepared, 50), CLASSIFICATION, cancel=cancel)
    assert len(list(loop)) == 1
