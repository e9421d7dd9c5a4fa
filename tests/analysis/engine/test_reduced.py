"""Edits in bfloat16 against the same edits in float32."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from analysis.edits.prepared import PreparedSubject
from analysis.engine.evaluator import Evaluator
from analysis.engine.precisions import PRECISIONS
from analysis.engine.precisions.reduced import ReducedEvaluator
from analysis.records.sweep import SweepSpec
from analysis.sweeps.grid import Grid
from analysis.sweeps.sweep import iter_sweep, plan_sweep
from analysis.tasks import CLASSIFICATION
from pruners.capture import capture
from pruners.errors import UnknownNameError, UnsupportedError
from tests.helpers.contexts import sample_context, sample_spec

NAMES = ("lenet5", "vgg_small", "resnet20", "mobilenet_small", "densenet_small", "vit_tiny")


def grid_of(prepared: PreparedSubject) -> Grid:
    spec = SweepSpec(subject=prepared.subject.spec, criteria=("l1",), ratios=(0.3, 0.7))
    return plan_sweep(prepared, spec).grid


def first_batch(prepared: PreparedSubject, size: int) -> Tensor:
    assert prepared.subject.evaluation is not None
    return next(prepared.subject.evaluation.batches(size))[0]


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_float32(name: str) -> None:
    prepared = sample_context(name)
    reduced = prepared.evaluator_at("bf16")
    assert isinstance(reduced, ReducedEvaluator)
    inputs = first_batch(prepared, 100)
    batch, other = prepared.evaluator.dense(inputs), reduced.dense(inputs)
    assert torch.equal(other.outputs, batch.outputs)
    flips = answers = different = 0
    for item in grid_of(prepared).items:
        edit = item.edit(prepared)
        if edit.kept:
            continue
        exact = prepared.evaluator.evaluate(batch, edit.tensors)
        found = reduced.evaluate(other, edit.tensors)
        assert found.dtype == torch.float32
        torch.testing.assert_close(
            found / exact.abs().max(), exact / exact.abs().max(), rtol=0, atol=0.1
        )
        flips += int((found.argmax(1) != exact.argmax(1)).sum())
        answers += len(exact)
        different += int((found != exact).sum())
    # At most what float rounding is allowed to flip; and the values really are reduced.
    assert flips <= answers / 2000
    assert different > 0


def test_close_answers_are_done_again_exactly() -> None:
    prepared = sample_context("resnet20")
    reduced = prepared.evaluator_at("bf16")
    inputs = first_batch(prepared, 200)
    batch, other = prepared.evaluator.dense(inputs), reduced.dense(inputs)
    for item in grid_of(prepared).items:
        edit = item.edit(prepared).tensors
        exact, found = prepared.evaluator.evaluate(batch, edit), reduced.evaluate(other, edit)
        top = exact.topk(2, dim=1).values
        error = (found - exact).abs().amax(1)
        # Rounding in another order of sums is all that is left where answers are close.
        close = top[:, 0] - top[:, 1] < error.max()
        assert float(error[close].max() if close.any() else 0.0) < 1e-3


def test_a_sweep_in_bf16_gives_the_counts_of_float32() -> None:
    prepared = sample_context("lenet5")
    spec = SweepSpec(subject=sample_spec("lenet5"), criteria=("l1", "fpgm"), ratios=(0.2, 0.5, 0.8))
    *_, exact = iter_sweep(plan_sweep(prepared, spec))
    *_, found = iter_sweep(plan_sweep(prepared, dataclasses.replace(spec, precision="bf16")))
    assert found.baseline["correct"] == exact.baseline["correct"]
    assert found.sums.keys() == exact.sums.keys()
    flips = sum(abs(found.sums[key]["correct"] - exact.sums[key]["correct"]) for key in exact.sums)
    assert flips <= sum(sums.samples for sums in exact.sums.values()) / 2000
    for key, sums in exact.sums.items():
        assert found.sums[key]["loss"] == pytest.approx(sums["loss"], rel=0.02)


def test_a_batch_that_comes_back_keeps_its_margin() -> None:
    prepared = sample_context("resnet20")
    reduced = prepared.evaluator_at("bf16")
    inputs = first_batch(prepared, 100)
    edit = grid_of(prepared).items[3].edit(prepared).tensors
    first = reduced.dense(inputs[:50])
    expected = reduced.evaluate(first, edit)
    assert first.margin > 0
    reduced.evaluate(reduced.dense(inputs[50:]), edit)
    assert torch.equal(reduced.evaluate(first, edit), expected)


class Cancelling(nn.Module):
    """Takes the difference of close numbers, of which bfloat16 leaves nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer((x + 1000.0) - 1000.0)


def test_a_model_that_bf16_breaks_is_refused_with_the_reason() -> None:
    torch.manual_seed(0)
    model, example = Cancelling().eval().requires_grad_(False), torch.randn(2, 6)
    graph = capture(model, example)
    exact = Evaluator(model, graph, example=example)
    with pytest.raises(UnsupportedError, match=r"bf16.*own outputs.*float32"):
        ReducedEvaluator(exact, graph, example, gaps=CLASSIFICATION.gaps)
    whole = Evaluator(model, None, fallback_reason="a data-dependent branch")
    with pytest.raises(UnsupportedError, match="data-dependent branch"):
        ReducedEvaluator(whole, None, example, gaps=CLASSIFICATION.gaps)


def test_unknown_precisions_are_named() -> None:
    with pytest.raises(UnknownNameError, match="known: bf16, float32"):
        PRECISIONS.get("int8")
