"""The expected time of a sweep, from made-up costs."""

from __future__ import annotations

import dataclasses

import pytest

from analysis.edits.prepared import PreparedSubject
from analysis.records.sweep import SweepSpec
from analysis.sweeps.grid import Item
from analysis.sweeps.sweep import plan_sweep
from analysis.sweeps.timing import Pace, Work
from tests.helpers.contexts import sample_context, sample_spec


def items_of(prepared: PreparedSubject) -> list[Item]:
    spec = SweepSpec(subject=sample_spec("lenet5"), criteria=("l1",), ratios=(0.5,))
    return plan_sweep(prepared, spec).grid.items


def test_work_counts_the_share_of_a_pass_that_each_point_costs() -> None:
    prepared = sample_context("lenet5")
    items = items_of(prepared)
    work = Work(prepared.evaluator, items)
    shares = [prepared.evaluator.share(item.names) for item in items]
    assert work.of({items[0]: 10.0}) == pytest.approx(10 * shares[0])
    samples = dict.fromkeys(items, 1.0)
    assert work.of(samples, dense=3.0) == pytest.approx(3 + sum(shares))
    removed = dataclasses.replace(items[0], names=frozenset())
    assert Work(prepared.evaluator, [removed]).of({removed: 5.0}) == 5.0


def test_the_first_round_counts_until_there_is_another_one() -> None:
    pace = Pace()
    assert pace.seconds_left(10) == 0
    pace.note(work=2, seconds=8)
    assert pace.seconds_left(10) == 40
    pace.note(work=4, seconds=4)
    assert pace.seconds_left(10) == 10
    pace.note(work=4, seconds=12)
    assert pace.seconds_left(10) == 20
    assert pace.seconds_left(0) == 0
