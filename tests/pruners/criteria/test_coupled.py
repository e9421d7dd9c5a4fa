"""Scores of coupled channels: normalised by layer, then reduced."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from pruners.criteria.coupled import group_scores
from pruners.errors import UnknownNameError, UnsupportedError
from pruners.groups import Rows


def group(units: int, **layers: list[int]) -> SimpleNamespace:
    """Return what `group_scores` reads of a group: unit numbers per producer."""
    rows = tuple(Rows(name, torch.tensor(index)) for name, index in layers.items())
    return SimpleNamespace(id="g", units=units, rows=rows)


def test_each_layer_is_divided_by_its_mean() -> None:
    scores = {"a": torch.tensor([1.0, 2.0, 3.0]), "b": torch.tensor([300.0, 200.0, 100.0])}
    two = group(3, a=[0, 1, 2], b=[0, 1, 2])
    assert group_scores(two, scores).tolist() == pytest.approx([1.0, 1.0, 1.0])
    assert group_scores(two, scores, reduction="max").tolist() == pytest.approx([1.5, 1.0, 1.5])
    assert group_scores(two, scores, reduction="min").tolist() == pytest.approx([0.5, 1.0, 0.5])
    assert group_scores(two, scores, reduction="sum").tolist() == pytest.approx([2.0, 2.0, 2.0])
    assert group_scores(two, scores, reduction="first").tolist() == pytest.approx([0.5, 1.0, 1.5])


def test_unscaled_scores_are_those_of_the_layers() -> None:
    scores = {"a": torch.tensor([1.0, 2.0, 3.0]), "b": torch.tensor([300.0, 200.0, 100.0])}
    two = group(3, a=[0, 1, 2], b=[0, 1, 2])
    assert group_scores(two, scores, scaled=False).tolist() == [150.5, 101.0, 51.5]
    found = group_scores(two, scores, reduction="sum", scaled=False)
    assert found.tolist() == [301.0, 202.0, 103.0]


def test_rows_that_share_a_unit_are_summed() -> None:
    heads = group(2, qkv=[0, 0, 1, 1])
    found = group_scores(heads, {"qkv": torch.tensor([1.0, 2.0, 3.0, 6.0])})
    assert found.tolist() == pytest.approx([0.5, 1.5])


def test_positions_outside_the_group_do_not_count() -> None:
    part = group(2, a=[-1, 1, -1, 0])
    found = group_scores(part, {"a": torch.tensor([100.0, 3.0, 100.0, 1.0])})
    assert found.tolist() == pytest.approx([0.5, 1.5])


def test_units_of_a_partial_producer_take_the_mean_of_those_that_cover_them() -> None:
    concat = group(4, a=[0, 1, -1, -1], b=[0, 1, 2, 3])
    scores = {"a": torch.tensor([1.0, 3.0, 9.0, 9.0]), "b": torch.tensor([4.0, 4.0, 4.0, 4.0])}
    assert group_scores(concat, scores).tolist() == pytest.approx([0.75, 1.25, 1.0, 1.0])
    first = group_scores(concat, scores, reduction="first")
    assert first.tolist() == pytest.approx([0.5, 1.5, 1.0, 1.0])


def test_negative_scores_keep_their_order() -> None:
    found = group_scores(group(3, a=[0, 1, 2]), {"a": torch.tensor([-5.0, 1.0, 0.5])})
    assert found.argsort().tolist() == [0, 2, 1]


def test_layer_without_scores_is_left_out_and_none_is_an_error() -> None:
    two = group(2, a=[0, 1], b=[0, 1])
    assert group_scores(two, {"b": torch.tensor([1.0, 3.0])}).tolist() == [0.5, 1.5]
    with pytest.raises(UnsupportedError, match="group g"):
        group_scores(two, {})
    with pytest.raises(UnsupportedError, match="cover"):
        group_scores(group(3, a=[0, 1]), {"a": torch.ones(2)})


def test_all_zero_scores_stay_zero() -> None:
    assert group_scores(group(2, a=[0, 1]), {"a": torch.zeros(2)}).tolist() == [0.0, 0.0]


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown reduction 'median'"):
        group_scores(group(1, a=[0]), {"a": torch.ones(1)}, reduction="median")
