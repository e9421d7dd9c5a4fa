"""Sweeps against the plain loop, and what happens when they are stopped or fail."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from analysis.edits.prepared import prepare
from analysis.engine import KeptBatch
from analysis.records.progress import Progress
from analysis.records.sums import Sums
from analysis.records.sweep import PointKey, SweepSpec, SweepState, SweepUpdate
from analysis.sweeps.grid import coarse_to_fine
from analysis.sweeps.sweep import iter_sweep, plan_sweep
from analysis.sweeps.timing import estimate_cost
from pruners.errors import InputError, UnknownNameError, UnsupportedError
from pruners.preserve import checksum
from tests.helpers.contexts import sample_context, sample_spec
from tests.helpers.plain_loop import Counts, reference_plain_loop

RATIOS = (0.1, 0.5, 0.9)


def spec_of(name: str, **changes: object) -> SweepSpec:
    spec = SweepSpec(subject=sample_spec(name), criteria=("l1", "taylor"), ratios=RATIOS)
    return dataclasses.replace(spec, **changes)


def last(updates: Iterator[SweepUpdate]) -> SweepUpdate:
    return list(updates)[-1]


def counts_of(sums: Sums) -> Counts:
    return Counts(sums.samples, sums["correct"], sums["lost"], sums["gained"])


def without_seconds(sums: dict[PointKey, Sums]) -> dict[PointKey, Sums]:
    return {key: dataclasses.replace(item, seconds=0.0) for key, item in sums.items()}


@pytest.mark.parametrize(
    ("name", "granularity"),
    [
        ("lenet5", "channel"),
        ("lenet5", "element"),
        ("lenet5", "block:4x1"),
        ("resnet20", "channel"),
        ("resnet20", "element"),
        ("mobilenet_small", "channel"),
        ("densenet_small", "channel"),
        ("vit_tiny", "channel"),
        ("vit_tiny", "head"),
    ],
)
def test_counts_equal_the_plain_loop(name: str, granularity: str) -> None:
    prepared = sample_context(name)
    criteria = ("l1", "taylor") if name == "lenet5" else ("l1",)
    ratios = (0.3, 0.8) if name == "lenet5" else (0.6,)
    spec = spec_of(name, granularity=granularity, criteria=criteria, ratios=ratios)
    before = checksum(prepared.model)
    found = last(iter_sweep(plan_sweep(prepared, spec)))
    assert checksum(prepared.model) == before
    assert not found.failed
    assert tuple(sorted(found.sums, key=repr)) == tuple(
        sorted(plan_sweep(prepared, spec).points, key=repr)
    )
    assert prepared.subject.evaluation is not None
    batches = [
        (inputs, labels)
        for inputs, labels in prepared.subject.evaluation.batches(spec.subject.batch_size)
        if labels is not None
    ]
    chosen = list(found.sums)[:: max(1, len(found.sums) // 10)]
    expected = reference_plain_loop(prepared, chosen, batches)
    for key in chosen:
        assert counts_of(found.sums[key]) == expected[key], key


def test_points_come_by_layer_criterion_and_ratio() -> None:
    prepared = sample_context("resnet20")
    points = plan_sweep(prepared, spec_of("resnet20")).points
    layers = list(dict.fromkeys(point.layer for point in points))
    assert [(point.layer, point.criterion, point.ratio_requested) for point in points] == [
        (layer, criterion, ratio)
        for layer in layers
        for criterion in ("l1", "taylor")
        for ratio in RATIOS
    ]
    assert layers[0] == "conv1"
    assert all(
        point.kept == point.total - min(int(point.ratio_requested * point.total + 0.5), point.total)
        for point in points
    )


def test_ratio_zero_is_the_dense_model_bit_for_bit() -> None:
    prepared = sample_context("lenet5")
    found = last(iter_sweep(plan_sweep(prepared, spec_of("lenet5", ratios=(0.0, 0.5)))))
    for key, sums in found.sums.items():
        if key.ratio_requested == 0:
            assert dataclasses.replace(sums, seconds=0) == dataclasses.replace(
                found.baseline, seconds=0
            )
            assert sums["kl"] == 0
            assert sums["agree"] == sums.samples


def test_equal_masks_are_measured_once_and_reported_for_each_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared = sample_context("lenet5")
    spec = spec_of("lenet5", criteria=("l1", "l2"), granularity="element")
    calls: list[object] = []
    evaluate = prepared.evaluator.provisional

    def counted(batch: KeptBatch, edit: dict[str, Tensor]) -> Tensor:
        calls.append(edit)
        return evaluate(batch, edit)

    monkeypatch.setattr(prepared.evaluator, "provisional", counted)
    updates = list(iter_sweep(plan_sweep(prepared, spec)))
    found = updates[-1]
    assert len(found.sums) == 30
    assert len(calls) == 15 * len(updates)
    by_criterion = [
        [dataclasses.replace(v, seconds=0) for k, v in found.sums.items() if k.criterion == name]
        for name in ("l1", "l2")
    ]
    assert by_criterion[0] == by_criterion[1]


def test_every_update_is_usable_and_sharpens() -> None:
    prepared = sample_context("lenet5")
    updates = list(iter_sweep(plan_sweep(prepared, spec_of("lenet5"))))
    assert [update.samples for update in updates] == [12, 64, 128, 192, 200]
    for update in updates:
        assert update.progress == Progress(update.samples, 200, "samples")
        assert len(update.sums) == len(plan_sweep(prepared, spec_of("lenet5")).points)
        assert all(sums.samples == update.samples for sums in update.sums.values())
        assert update.baseline.samples == update.samples
    assert updates[-1].eta_seconds == 0
    assert updates[0].eta_seconds > 0


def test_resuming_gives_the_same_numbers() -> None:
    prepared = sample_context("lenet5")
    spec = spec_of("lenet5", granularity="element")
    whole = last(iter_sweep(plan_sweep(prepared, spec)))
    first = next(iter_sweep(plan_sweep(prepared, spec)))
    resumed = list(iter_sweep(plan_sweep(prepared, spec), resume=first.state))
    assert [update.samples for update in resumed] == [64, 128, 192, 200]
    assert without_seconds(dict(resumed[-1].sums)) == without_seconds(dict(whole.sums))


def test_sums_that_end_inside_of_a_slice_are_measured_again() -> None:
    """They are of another batch size."""
    prepared = sample_context("lenet5")
    planned = plan_sweep(prepared, spec_of("lenet5", criteria=("l1",)))
    first, *_, expected = iter_sweep(planned)
    other = Sums(samples=first.samples - 1, terms={"correct": 0, "loss": 1e6})
    state = dataclasses.replace(first.state, sums={**first.sums, next(iter(first.sums)): other})
    found = last(iter_sweep(planned, resume=state))
    assert without_seconds(dict(found.sums)) == without_seconds(dict(expected.sums))


def test_cancelling_keeps_whole_batches_only() -> None:
    prepared = sample_context("lenet5")
    asked = 0

    def cancel() -> bool:
        nonlocal asked
        asked += 1
        return asked > 40

    updates = list(iter_sweep(plan_sweep(prepared, spec_of("lenet5")), cancel=cancel))
    assert 1 <= len(updates) < 5
    assert all(sums.samples == updates[-1].samples for sums in updates[-1].sums.values())


def test_a_criterion_that_does_not_apply_fails_alone() -> None:
    prepared = sample_context("lenet5")
    spec = spec_of("lenet5", criteria=("l1", "fpgm"), granularity="element")
    found = last(iter_sweep(plan_sweep(prepared, spec)))
    assert {key.criterion for key in found.sums} == {"l1"}
    assert {key.criterion for key in found.failed} == {"fpgm"}
    assert all("fpgm" in reason for reason in found.failed.values())


@pytest.mark.parametrize("kind", ["nan", "raises"])
def test_a_point_that_fails_is_recorded_and_the_rest_goes_on(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = sample_context("lenet5")
    spec = spec_of("lenet5", granularity="element")
    evaluate = prepared.evaluator.provisional

    def broken(batch: KeptBatch, edit: dict[str, Tensor]) -> Tensor:
        if "fc1.weight" not in edit:
            return evaluate(batch, edit)
        if kind == "raises":
            raise RuntimeError("the device is on fire\nand more")
        return evaluate(batch, edit) * torch.nan

    monkeypatch.setattr(prepared.evaluator, "provisional", broken)
    found = last(iter_sweep(plan_sweep(prepared, spec)))
    assert {key.layer for key in found.failed} == {"fc1"}
    expected = "not finite" if kind == "nan" else "RuntimeError: the device is on fire"
    assert all(expected in reason for reason in found.failed.values())
    assert not any("\n" in reason for reason in found.failed.values())
    assert len(found.sums) + len(found.failed) == len(plan_sweep(prepared, spec).points)
    assert not set(found.sums) & set(found.failed)
    monkeypatch.undo()
    again = last(iter_sweep(plan_sweep(prepared, spec), resume=found.state))
    assert set(again.failed) == set(found.failed)


def test_data_that_raises_ends_the_sweep_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = sample_context("lenet5")
    assert prepared.subject.evaluation is not None
    part = prepared.subject.evaluation.part

    def broken(first: int, last: int) -> tuple[Tensor, Tensor | None]:
        if first == 0:
            return part(first, last)
        raise OSError("the disk is gone")

    monkeypatch.setattr(prepared.subject.evaluation, "part", broken)
    updates = iter_sweep(plan_sweep(prepared, spec_of("lenet5", criteria=("l1",))))
    assert next(updates).samples == 12
    with pytest.raises(InputError, match="batch 2 of 5: OSError: the disk is gone"):
        next(updates)


def test_small_memory_gives_the_same_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = sample_context("resnet20")
    spec = spec_of("resnet20", criteria=("l1",), layers="layer3*")
    expected = last(iter_sweep(plan_sweep(prepared, spec)))
    monkeypatch.setattr(prepared.evaluator, "memory_limit", 4 * 2**20)
    assert (prepared.evaluator.max_samples() or 0) < 64
    found = last(iter_sweep(plan_sweep(prepared, spec)))
    assert {key: counts_of(sums) for key, sums in found.sums.items()} == {
        key: counts_of(sums) for key, sums in expected.sums.items()
    }


def test_estimate_counts_points_and_seconds() -> None:
    prepared = sample_context("lenet5")
    spec = spec_of("lenet5")
    points = plan_sweep(prepared, spec).points
    whole = estimate_cost(plan_sweep(prepared, spec))
    assert (whole.points_new, whole.points_cached) == (len(points), 0)
    assert whole.seconds > 0
    part = estimate_cost(plan_sweep(prepared, spec), dict.fromkeys(points[:5]))
    assert (part.points_new, part.points_cached) == (len(points) - 5, 5)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"layers": "nothing*"}, InputError, "no layer fits 'nothing\\*'"),
        ({"criteria": ("l7",)}, UnknownNameError, "unknown criterion 'l7'"),
        ({"criteria": ()}, InputError, "at least one criterion"),
        ({"ratios": (0.5, 0.1)}, InputError, "ratios must rise"),
        ({"ratios": (1.5,)}, InputError, r"ratios must be in \[0, 1\)"),
        ({"granularity": "rows"}, InputError, "unknown granularity"),
        ({"granularity": "head"}, UnsupportedError, "nothing to prune at granularity head"),
    ],
)
def test_bad_sweeps_are_refused_in_one_line(
    changes: dict[str, object], error: type[Exception], message: str
) -> None:
    prepared = sample_context("lenet5")
    with pytest.raises(error, match=message) as caught:
        next(iter_sweep(plan_sweep(prepared, spec_of("lenet5", **changes))))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", range(1, 20))
def test_coarse_to_fine_is_a_reordering_that_starts_in_the_middle(size: int) -> None:
    ratios = tuple(index / 20 for index in range(size))
    ordered = coarse_to_fine(ratios)
    assert sorted(ordered) == list(ratios)
    assert ordered[0] == ratios[size // 2]


class Branching(nn.Module):
    """Cannot be captured: its path depends on the data."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x)
        return logits * 1.0 if bool(logits.detach().sum() > 0) else logits


def test_a_model_that_cannot_be_captured_gives_the_same_results() -> None:
    captured = sample_context("lenet5")
    subject = dataclasses.replace(captured.subject, model=Branching(captured.model).eval())
    prepared = prepare(subject)
    assert prepared.graph is None
    assert "torch.export cannot capture Branching" in prepared.evaluator.fallback_reason
    spec = spec_of("lenet5", granularity="element")
    expected, found = (
        last(iter_sweep(plan_sweep(captured, spec))),
        last(iter_sweep(plan_sweep(prepared, spec))),
    )
    assert [
        (key.layer.removeprefix("model."), key.criterion, key.kept, counts_of(sums))
        for key, sums in sorted(found.sums.items(), key=repr)
    ] == [
        (key.layer, key.criterion, key.kept, counts_of(sums))
        for key, sums in sorted(expected.sums.items(), key=repr)
    ]
    with pytest.raises(UnsupportedError, match="granularity element works without it"):
        plan_sweep(prepared, spec_of("lenet5"))


def test_state_is_what_resuming_needs() -> None:
    assert SweepState().sums == {}
    cancel: Callable[[], bool] = lambda: True  # noqa: E731
    assert (
        list(iter_sweep(plan_sweep(sample_context("lenet5"), spec_of("lenet5")), cancel=cancel))
        == []
    )


def test_nothing_to_prune_says_why() -> None:
    """Reasons stood in `inspect` only."""
    prepared = sample_context("lenet5")
    with pytest.raises(InputError, match=r"nothing can be pruned.*\(fc3 is the network's output\)"):
        plan_sweep(prepared, spec_of("lenet5", layers="fc3"))
