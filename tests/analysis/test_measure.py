"""Measuring points of a batch: what is set up once is told apart."""

from __future__ import annotations

from analysis.records.sweep import SweepSpec
from analysis.sweeps.grid import group_points, plan_sweep
from analysis.sweeps.measuring import PointMeasurer
from tests.helpers.contexts import sample_context


def test_models_are_built_once_and_told_apart_from_measuring() -> None:
    prepared = sample_context("vit_tiny")
    spec = SweepSpec(subject=prepared.subject.spec, criteria=("l1",), ratios=(0.5,))
    items = group_points(prepared, spec, plan_sweep(prepared, spec)).items
    assert any(not item.names for item in items), "no group needs physical removal"
    measurer = PointMeasurer(prepared, spec, items)
    assert prepared.subject.evaluation is not None
    found = []
    for inputs, labels in prepared.subject.evaluation.batches(20):
        measured = measurer.measure(inputs, labels, items, cancel=lambda: False)
        assert measured is not None
        found.append(measured.setup_seconds)
    assert found[0] > 0
    assert set(found[1:]) == {0.0}
