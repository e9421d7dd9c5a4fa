"""Adaptive sweeps against exhaustive ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from torch import Tensor

from analysis.engine import KeptBatch
from analysis.records.sums import Sums
from analysis.records.sweep import PointKey, SweepSpec, SweepUpdate
from analysis.sweeps.adaptive import answers
from analysis.sweeps.sweep import iter_sweep, plan_sweep
from pruners.errors import UnknownNameError
from tests.helpers.contexts import sample_context, sample_spec

GRID = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SAMPLES = 1200


def spec_of(**changes: object) -> SweepSpec:
    spec = SweepSpec(
        subject=sample_spec("lenet5", samples=SAMPLES, batch_size=250),
        criteria=("l1", "taylor"),
        granularity="element",
        ratios=GRID,
        mode="adaptive",
        tolerance=0.02,
    )
    return dataclasses.replace(spec, **changes)


def last(updates: Iterator[SweepUpdate]) -> SweepUpdate:
    return list(updates)[-1]


def run(**changes: object) -> SweepUpdate:
    prepared = sample_context("lenet5", samples=SAMPLES, batch_size=250)
    return last(iter_sweep(plan_sweep(prepared, spec_of(**changes))))


@pytest.mark.parametrize("granularity", ["element", "channel"])
def test_the_answers_are_those_of_the_exhaustive_sweep(granularity: str) -> None:
    found = run(granularity=granularity)
    whole = run(granularity=granularity, mode="exhaustive")
    expected = answers(whole, tolerance=0.02)
    given = answers(found, tolerance=0.02)
    assert given.keys() == expected.keys()
    steps = [abs(given[curve] - expected[curve]) / 0.1 for curve in expected]
    assert sum(step <= 1.001 for step in steps) >= 0.95 * len(steps)
    samples = sum(sums.samples for sums in found.sums.values())
    assert samples < 0.5 * sum(sums.samples for sums in whole.sums.values())


def test_every_point_is_measured_inferred_with_a_reason_or_failed() -> None:
    found = run(criteria=("l1", "fpgm"))
    points = plan_sweep(sample_context("lenet5", samples=SAMPLES, batch_size=250), spec_of()).points
    assert {key.criterion for key in found.failed} == {"fpgm"}
    for key in points:
        if key.criterion != "l1":
            continue
        sums = found.sums.get(key)
        if key not in found.inferred:
            assert sums is not None
            assert sums.samples == SAMPLES
        elif sums is None:
            assert found.inferred[key].startswith("implied: ratio")
        else:
            assert found.inferred[key].startswith(f"decided after {sums.samples} of {SAMPLES}")
    assert (found.progress.is_complete, found.samples, found.eta_seconds) == (True, SAMPLES, 0)


def test_what_is_implied_lies_beyond_a_decided_point() -> None:
    found = run()
    for curve in {(key.layer, key.criterion) for key in found.inferred}:
        states = [
            found.inferred.get(key, "measured")
            for key in sorted({*found.sums, *found.inferred}, key=lambda item: item.ratio_requested)
            if (key.layer, key.criterion) == curve
        ]
        words = "".join(
            "<" if "is tolerated" in state else ">" if "already exceeds" in state else "o"
            for state in states
        )
        assert words.rfind("<") < (words.find(">") + 1 or 10)
        assert "<" not in words or "o" in words[words.rfind("<") :]
        assert ">" not in words or "o" in words[: words.find(">")]


def test_samples_before_the_end_never_count_as_the_whole_set() -> None:
    prepared = sample_context("lenet5", samples=SAMPLES, batch_size=250)
    updates = list(iter_sweep(plan_sweep(prepared, spec_of())))
    assert all(
        update.samples < SAMPLES for update in updates[:-1] if not update.progress.is_complete
    )
    baselines = {update.baseline.samples for update in updates}
    used = {sums.samples for sums in updates[-1].sums.values()}
    assert used <= baselines


def test_resuming_asks_no_decided_point_again() -> None:
    prepared = sample_context("lenet5", samples=SAMPLES, batch_size=250)
    updates = list(iter_sweep(plan_sweep(prepared, spec_of())))
    again = list(iter_sweep(plan_sweep(prepared, spec_of()), resume=updates[-1].state))
    assert len(again) == 1
    for position in (0, len(updates) // 2, -1):
        resumed = last(iter_sweep(plan_sweep(prepared, spec_of()), resume=updates[position].state))
        assert without_seconds(resumed) == without_seconds(updates[-1])
        assert resumed.inferred == updates[-1].inferred


def without_seconds(update: SweepUpdate) -> dict[PointKey, Sums]:
    return {key: dataclasses.replace(sums, seconds=0) for key, sums in update.sums.items()}


def test_cancel_ends_without_a_final_update() -> None:
    prepared = sample_context("lenet5", samples=SAMPLES, batch_size=250)
    assert list(iter_sweep(plan_sweep(prepared, spec_of()), cancel=lambda: True)) == []


def test_a_point_that_fails_leaves_its_curve_to_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared = sample_context("lenet5", samples=SAMPLES, batch_size=250)
    evaluate = prepared.evaluator.provisional

    def broken(batch: KeptBatch, edit: dict[str, Tensor]) -> Tensor:
        logits = evaluate(batch, edit)
        name, tensor = next(iter(edit.items()))
        share = float((tensor == 0).float().mean())
        return logits * float("nan") if name == "fc1.weight" and 0.45 < share < 0.55 else logits

    monkeypatch.setattr(prepared.evaluator, "provisional", broken)
    found = last(iter_sweep(plan_sweep(prepared, spec_of())))
    assert {(key.layer, key.ratio_requested) for key in found.failed} == {("fc1", 0.5)}
    assert found.progress.is_complete
    assert not set(found.failed) & set(found.inferred)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown mode 'guess'"):
        run(mode="guess")


def test_without_room_for_dense_values_the_numbers_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = run()
    prepared = sample_context("lenet5", samples=SAMPLES, batch_size=250)
    monkeypatch.setattr(prepared.evaluator, "memory_limit", 2**20)
    found = run()
    assert without_seconds(found).keys() == without_seconds(expected).keys()
    for key, sums in found.sums.items():
        assert (sums.samples, sums["correct"]) == (
            expected.sums[key].samples,
            expected.sums[key]["correct"],
        )
