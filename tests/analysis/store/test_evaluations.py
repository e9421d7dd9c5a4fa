"""Evaluations of a workspace: found again by content, and by nothing else."""

from __future__ import annotations

import dataclasses

import pytest

from analysis.records import Evaluation, Identity, MeasuredModel, Sums
from analysis.records.plan import Plan
from analysis.store.store import Store
from pruners.errors import InputError, UnknownNameError
from tests.analysis.store.test_plans import TestPlans

PLAN = dataclasses.replace(TestPlans.PLAN, repair="lsq")
IDENTITY = Identity(weights="w", data="d", program="p")


def evaluation(accuracy: float) -> Evaluation:
    zero = {"low": 0.0, "high": 1.0, "drop": 0.0, "drop_low": 0.0, "drop_high": 0.0}
    counts = {"params": 9, "nonzero": 9, "macs": 9, "file_bytes": 36}
    model = MeasuredModel(name="dense", sums=Sums(samples=4), accuracy=accuracy, **zero, **counts)
    return Evaluation(samples=4, labelled=True, dense=model, removed=model, repair="lsq")


@pytest.mark.parametrize(
    ("identity", "plan", "calibration", "is_known"),
    [
        ({}, {}, "c", True),
        ({}, {"note": "other", "strategy": "uniform", "run": "r"}, "c", True),
        ({"weights": "v"}, {}, "c", False),
        ({"data": "e"}, {}, "c", False),
        ({"program": "q"}, {}, "c", False),
        ({}, {"repair": "bn"}, "c", False),
        ({}, {"semantics": "weights"}, "c", False),
        ({}, {"entries": ()}, "c", False),
        ({}, {}, "other calibration samples", False),
    ],
)
def test_an_evaluation_is_shown_for_its_content_only(
    store: Store,
    identity: dict[str, str],
    plan: dict[str, object],
    calibration: str,
    is_known: bool,
) -> None:
    """Evaluations lived in one session."""
    store.evaluations.add(PLAN, IDENTITY, evaluation(0.5), calibration="c")
    asked = dataclasses.replace(PLAN, **plan)  # type: ignore[arg-type]
    other = dataclasses.replace(IDENTITY, **identity)
    store.close()
    found = Store(store.workspace).evaluations.get(asked, other, calibration=calibration)
    assert (found is not None) == is_known
    if found is not None:
        assert (found.plan, found.evaluation) == (PLAN, evaluation(0.5))


def test_the_newest_of_a_content_counts_and_all_are_listed(store: Store) -> None:
    for accuracy in (0.5, 0.75):
        store.evaluations.add(PLAN, IDENTITY, evaluation(accuracy), calibration="c")
    raw: Plan = dataclasses.replace(PLAN, repair="none")
    store.evaluations.add(raw, IDENTITY, evaluation(0.25), calibration="c")
    found = store.evaluations.all(IDENTITY)
    assert [item.evaluation.dense.accuracy for item in found] == [0.75, 0.25]
    assert store.evaluations.all(dataclasses.replace(IDENTITY, data="e")) == ()
    last = store.evaluations.last(PLAN)
    assert last is not None
    assert last.evaluation.dense.accuracy == 0.75
    fewer = dataclasses.replace(PLAN, subject=dataclasses.replace(PLAN.subject, samples=7))
    assert store.evaluations.last(fewer) is None


def test_a_plan_is_named_noted_and_kept_so_when_it_is_changed(store: Store) -> None:
    """The only handle of a plan was its id."""
    name = store.plans.save(PLAN, params_left=0.5, macs_left=0.25)
    saved = store.plans.saved_as(name)
    assert (saved.label, saved.note, saved.params_left, saved.macs_left) == (name, "", 0.5, 0.25)
    store.plans.rename(name, "  half \n of it ")
    store.plans.annotate(name, "for the\nphone ")
    assert store.plans.saved_as(name).changed == saved.changed
    store.plans.save(dataclasses.replace(PLAN, repair="none"), plan_id=name)
    (again,) = store.plans.saved()
    assert (again.label, again.note, again.params_left) == ("half of it", "for the\nphone", None)
    assert (again.plan.repair, again.created) == ("none", saved.created)
    for call in (store.plans.rename, store.plans.annotate):
        with pytest.raises(InputError, match="characters; at most"):
            call(name, "x" * 3000)
        with pytest.raises(UnknownNameError, match="unknown plan"):
            call("p-zzzz", "x")
    with pytest.raises(UnknownNameError, match="unknown plan"):
        store.plans.delete("p-zzzz")
