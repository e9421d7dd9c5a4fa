"""Kept counts are rounded to multiples; what was asked for stays visible."""

from __future__ import annotations

import pytest

from analysis.plans.entries import achieved
from analysis.plans.rounding import channels_per_unit, rounded
from analysis.records.plan import Plan, PlanEntry
from analysis.records.subject import SubjectSpec
from pruners.errors import InputError, UnsupportedError
from tests.pruners.groups.test_groups import traced


def entry(layer: str, kept: int, total: int, **changes: object) -> PlanEntry:
    fields = {
        "layer": layer,
        "group": layer,
        "criterion": "l1",
        "granularity": "channel",
        "ratio": 0.4,
        "kept": kept,
        "total": total,
    }
    return PlanEntry(**{**fields, **changes})


def plan_of(*entries: PlanEntry) -> Plan:
    return Plan(subject=SubjectSpec(model="sample:x"), fingerprint="", entries=entries)


@pytest.mark.parametrize(("kept", "expected"), [(1, 8), (8, 8), (9, 16), (15, 16), (16, 16)])
def test_counts_are_rounded_up_and_requests_stay(kept: int, expected: int) -> None:
    structure = traced("resnet20")[2]
    first = rounded(plan_of(entry("conv1", kept, 16)), structure, multiple=8).entries[0]
    assert (first.kept, first.ratio) == (expected, 0.4)
    assert achieved(first) == (16 - expected) / 16


def test_a_multiple_of_what_one_unit_is() -> None:
    """Three groups tie three channels: four units of three are twelve channels."""
    structure = traced("grouped")[2]
    assert channels_per_unit(structure.group("grouped")) == 3
    first = rounded(plan_of(entry("grouped", 1, 8)), structure, multiple=6).entries[0]
    assert first.kept == 2


def test_total_bounds_and_exceptions() -> None:
    structure = traced("densenet_small")[2]
    plan = plan_of(
        entry("stages.0.0.conv2", 9, 12),
        entry("stem", 5, 24, locked=True),
        entry("stages.0.0.conv1", 48, 48),
    )
    assert [item.kept for item in rounded(plan, structure, multiple=8).entries] == [12, 5, 48]


def test_changed_counts_lose_their_indices() -> None:
    structure = traced("resnet20")[2]
    plan = plan_of(entry("conv1", 3, 16, indices=(0, 1, 2)))
    assert rounded(plan, structure, multiple=4).entries[0].indices is None
    assert rounded(plan, structure, multiple=3).entries[0].indices == (0, 1, 2)


def test_plans_without_channels_are_refused() -> None:
    heads = plan_of(entry("blocks.0.query", 2, 4, granularity="head"))
    with pytest.raises(UnsupportedError, match="this plan has granularity head"):
        rounded(heads, traced("attention")[2], multiple=8)
    weights = plan_of(entry("conv1", 40, 144, granularity="element", group=None))
    with pytest.raises(UnsupportedError, match="this plan has granularity element"):
        rounded(weights, None, multiple=8)
    assert rounded(weights, None, multiple=1) == weights


def test_bad_multiple_is_an_error() -> None:
    with pytest.raises(InputError, match="at least 1, found 0"):
        rounded(plan_of(), traced("resnet20")[2], multiple=0)
