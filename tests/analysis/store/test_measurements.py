"""Plans that were measured, with what they changed of the outputs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.records import Change, Identity, Plan, PlanEntry, SubjectSpec, Sums
from analysis.store.store import Store

IDENTITY = Identity(weights="w", data="d", program="p")
SUMS = Sums(samples=5, terms={"correct": 4})
CHANGE = Change("0" * 16, np.arange(12, dtype=np.float16).reshape(3, 4))


def plan(kept: int) -> Plan:
    entry = PlanEntry(
        layer="a", group="a", criterion="l1", granularity="channel", ratio=0.5, kept=kept, total=8
    )
    return Plan(subject=SubjectSpec(model="m", data="e"), fingerprint="w", entries=(entry,))


def test_changes_come_back_with_their_plan(store: Store) -> None:
    store.measurements.add(plan(4), IDENTITY, SUMS, change=CHANGE)
    store.measurements.add(plan(3), IDENTITY, SUMS)
    first, second = store.measurements.all(IDENTITY)
    assert (first.plan.entries[0].kept, second.plan.entries[0].kept) == (4, 3)
    assert second.change is None
    for item in (first, store.measurements.get(plan(4), IDENTITY)):
        assert item is not None
        assert item.change is not None
        assert item.change.columns == CHANGE.columns
        np.testing.assert_array_equal(item.change.outputs, CHANGE.outputs)
    other = dataclasses.replace(IDENTITY, data="other")
    assert store.measurements.all(other) == ()


def test_a_plan_that_was_known_by_its_drop_gets_its_outputs(store: Store) -> None:
    """Such as one of a workspace of before."""
    store.measurements.add(plan(4), IDENTITY, SUMS)
    before = store.measurements.stamp(IDENTITY)
    store.measurements.add(plan(4), IDENTITY, SUMS, change=CHANGE)
    (found,) = store.measurements.all(IDENTITY)
    assert found.change is not None
    assert store.measurements.stamp(IDENTITY) != before


@pytest.mark.parametrize("column", ["outputs = 'x'", "outputs = x'00'", "count = 7"])
def test_a_damaged_change_is_none(column: str, store: Store) -> None:
    store.measurements.add(plan(4), IDENTITY, SUMS, change=CHANGE)
    with store.database.write() as db:
        db.execute(f"UPDATE plan_changes SET {column}")
    (found,) = store.measurements.all(IDENTITY)
    assert found.change is None
    assert found.sums == SUMS
