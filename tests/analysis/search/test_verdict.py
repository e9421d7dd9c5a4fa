"""Plans filled up to a predicted drop: measured, and mended where the prediction was wrong."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from analysis.allocation import Allocation, asked_drop
from analysis.edits.prepared import PreparedSubject, prepare
from analysis.plans import pruned_entries, removed_model, set_ratio, start_plan
from analysis.records.plan import Recipe
from analysis.records.subject import SubjectSpec
from analysis.search import judge as judging
from analysis.search.data import Effort, search_data
from analysis.search.records import Aim
from analysis.search.verdict import fill_measured
from analysis.subjects.subject import load_subject
from pruners.errors import InputError


@pytest.fixture(scope="module")
def prepared() -> PreparedSubject:
    spec = SubjectSpec(
        model="sample:lenet5", data="sample:fashion-mnist", samples=300, calibration_samples=64
    )
    return prepare(load_subject(spec))


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "analysis.search.verdict.search_data", lambda it: search_data(it, samples=400)
    )
    monkeypatch.setattr(judging, "effort_of", lambda _: Effort(slice_samples=200))


class Optimist:
    """Fills plans whose ratio for all is ``factor`` times the drop that is asked for."""

    def __init__(self, prepared: PreparedSubject, factor: float, least: float = 0.0) -> None:
        self.start = start_plan(prepared, criterion="l1", layers="conv*,fc1")
        self.prepared, self.factor, self.least = prepared, factor, least

    def __call__(self, recipe: Recipe) -> Allocation:
        drop = asked_drop(recipe)
        assert drop is not None
        ratio = max(self.least, min(self.factor * drop, 0.9))
        plan = self.start
        for entry in plan.entries:
            plan = set_ratio(plan, entry.name, ratio)
        return Allocation(plan=dataclasses.replace(plan, recipe=recipe))

    def measure(self, drop: float) -> float:
        """Return what the model without the units loses, sample by sample."""
        found = self(Recipe(budgets=(f"drop={drop}",))).plan
        data = search_data(self.prepared.subject, samples=400)
        ((inputs, labels),) = data.split.batches(400)
        models = self.prepared.subject.model, removed_model(self.prepared, found)
        with torch.no_grad():
            right = [int((model(inputs).argmax(1) == labels).sum()) for model in models]
        return (right[0] - right[1]) / 400


def aim(drop: float, confidence: float = 0.9) -> Aim:
    return Aim(recipe=Recipe(budgets=(f"drop={drop}",)), confidence=confidence)


def test_a_drop_is_measured_and_the_plan_made_to_hold_it(prepared: PreparedSubject) -> None:
    """``--budget drop=0.02`` lost 14.2 and 50.3 pp, without a word."""
    fill = Optimist(prepared, factor=15)
    found = fill_measured(prepared, fill.start, aim(0.05), fill)
    assert found is not None
    assert found.first is not None

    # What was predicted to lose 5 pp loses far more, and is not what comes out.
    assert found.first.drop == pytest.approx(fill.measure(0.05), abs=1e-9)
    assert found.first.drop > 0.1
    assert not found.first.holds
    assert found.verdict.drop == pytest.approx(fill.measure(found.limit), abs=1e-9)
    assert found.verdict.holds
    assert found.verdict.drop <= found.verdict.bound <= 0.05
    assert pruned_entries(found.found.plan)
    # Of the levels that are told apart the largest one; the plan says what was asked for.
    assert fill.measure(found.limit + 0.05 / 2**6) > 0.02
    assert found.found.plan.recipe == Recipe(budgets=("drop=0.05",))


def test_a_plan_that_holds_is_left_as_it_was_filled(prepared: PreparedSubject) -> None:
    fill = Optimist(prepared, factor=0.7)
    found = fill_measured(prepared, fill.start, aim(0.1), fill)
    assert found is not None
    assert (found.limit, found.verdict) == (0.1, found.first)
    assert found.verdict.holds
    assert found.samples == 400


def test_what_so_few_samples_cannot_prove_is_said(prepared: PreparedSubject) -> None:
    """Of 400 samples without a change up to 1.7 pp may be lost, at 99.9 % confidence."""
    fill = Optimist(prepared, factor=15)
    found = fill_measured(prepared, fill.start, aim(0.005, confidence=0.999), fill)
    assert found is not None
    assert not found.verdict.holds
    assert pruned_entries(found.found.plan)
    assert found.verdict.drop == pytest.approx(fill.measure(found.limit), abs=1e-9)
    assert found.verdict.drop <= 0.005 < found.verdict.bound


def test_no_plan_within_the_drop_is_refused(prepared: PreparedSubject) -> None:
    """As where a size asks for more than the drop allows."""
    fill = Optimist(prepared, factor=15, least=0.8)
    with pytest.raises(InputError, match=r"no plan .* lose at most 1.00 pp; the nearest loses"):
        fill_measured(prepared, fill.start, aim(0.01), fill)
    out_of_reach = Allocation(plan=fill.start, feasible=False)
    assert fill_measured(prepared, fill.start, aim(0.01), lambda _: out_of_reach) is None
