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


@pytest.mark.parametrize("name", ["resnet20", "vit_tiny"])
def test_some_samples_take_the_values_that_are_kept(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Places at the ends of tiles, one alone, and twice as many as a tile holds."""
    prepared = sample_context(name)
    evaluator = prepared.evaluator
    assert evaluator.tile_samples is not None
    size = evaluator.tile_samples
    torch.manual_seed(0)
    inputs = torch.randn(2 * size + 3, *prepared.subject.example.shape[1:])
    batch = evaluator.dense(inputs)
    assert len(batch.known) == 3
    ends = len(batch.known[0][-1])
    monkeypatch.setattr(evaluator, "outputs", lambda *_: pytest.fail("run in full"))
    for item in grid_of(prepared).items[::7]:
        edit = item.edit(prepared).tensors
        expected = evaluator.evaluate(batch, edit)
        for places in ([2 * size], [0, ends - 1, ends, 2 * size + 2], list(range(2 * size))):
            samples = torch.tensor(places)
            found = evaluator.chosen(batch, samples, edit)
            torch.testing.assert_close(found, expected[samples], rtol=1e-4, atol=1e-4)
    assert torch.equal(evaluator.chosen(batch, torch.tensor([1]), {}), batch.outputs[1:2])
    # As it was moved to the last edit.
    moved = evaluator.moved(evaluator.dense(inputs[:9]), edit)
    samples = torch.tensor([0, 8])
    found = evaluator.chosen(moved, samples, {})
    torch.testing.assert_close(found, batch.outputs[samples], rtol=1e-4, atol=1e-4)


class SequenceFirst(nn.Module):
    """Has values whose rows are no samples, as many of them as there are samples."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.table = nn.Parameter(torch.randn(6, 4))

    def forward(self, x: Tensor) -> Tensor:
        turned = (self.first(x) + self.table).relu().transpose(0, 1)
        return self.second(turned * self.table.exp()[:, None]).mean(0)


def test_what_has_no_row_a_sample_is_run_in_full() -> None:
    torch.manual_seed(0)
    model, inputs = SequenceFirst().eval().requires_grad_(False), torch.randn(6, 6, 4)
    evaluator = Evaluator(model, capture(model, inputs[:2]), example=inputs[:2])
    batch, samples = evaluator.dense(inputs), torch.tensor([1, 4])
    for name in ("first.weight", "second.weight"):
        edit = {name: torch.randn(4, 4)}
        expected = torch.func.functional_call(model, edit, (inputs,))[samples]
        torch.testing.assert_close(evaluator.chosen(batch, samples, edit), expected)


def test_values_that_were_not_kept_are_no_hindrance() -> None:
    prepared = sample_context("resnet20")
    inputs, samples = first_batch(prepared, 20), torch.tensor([3, 19])
    batch = prepared.evaluator.dense(inputs, edits=())
    for item in grid_of(prepared).items[::9]:
        edit = item.edit(prepared).tensors
        expected = prepared.evaluator.forward(inputs[samples], edit)
        found = prepared.evaluator.chosen(batch, samples, edit)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_values_of_both_precisions_count_for_the_memory() -> None:
    prepared = sample_context("resnet20")
    reduced = prepared.evaluator_at("bf16")
    inputs = first_batch(prepared, 8)
    full, both = prepared.evaluator.dense(inputs), reduced.dense(inputs)
    assert both.exact is not None
    assert full.nbytes < both.nbytes
    names = list(reduced.state)
    most, alone = reduced.max_samples(names), prepared.evaluator.max_samples(names)
    assert most is not None
    assert alone is not None
    assert 0.6 * alone < most < 0.72 * alone


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
