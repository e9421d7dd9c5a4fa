"""Masks keep exactly k, ties go in index order, masks are nested."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils import prune

from pruners.errors import InputError, UnknownNameError
from pruners.selection.masks import keep_mask, num_kept, num_removed


def reference_mask(scores: list[float], kept: int) -> list[bool]:
    """Remove the lowest score, one at a time, the first of equals."""
    alive = [True] * len(scores)
    for _ in range(len(scores) - kept):
        candidates = [i for i, is_alive in enumerate(alive) if is_alive]
        alive[min(candidates, key=lambda i: (scores[i], i))] = False
    return alive


@pytest.mark.parametrize("ratio", [0.0, 0.03, 0.1, 0.25, 0.5, 0.7, 0.95, 1.0])
@pytest.mark.parametrize("total", [1, 2, 3, 10, 17])
def test_counts_follow_the_rounding_rule(ratio: float, total: int) -> None:
    removed = num_removed(ratio, total, keep_one=False)
    assert removed == int(ratio * total + 0.5)
    assert num_removed(ratio, total, keep_one=True) == min(removed, total - 1)
    assert num_kept(ratio, total, keep_one=False) == total - removed


@pytest.mark.parametrize("ratio", [-0.1, 1.01, float("nan")])
def test_ratio_outside_0_1_is_refused(ratio: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        num_removed(ratio, 10, keep_one=False)


def test_no_units_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to remove"):
        num_removed(0.5, 0, keep_one=False)


@pytest.mark.parametrize("levels", [1, 3, 100])
def test_mask_equals_one_at_a_time_removal(levels: int) -> None:
    generator = torch.Generator().manual_seed(levels)
    scores = torch.randint(0, levels, (4, 6), generator=generator).float()
    for kept in range(25):
        expected = reference_mask(scores.flatten().tolist(), kept)
        mask = keep_mask(scores, kept)
        assert mask.shape == scores.shape
        assert mask.flatten().tolist() == expected


def test_masks_are_nested() -> None:
    scores = torch.randint(0, 4, (50,), generator=torch.Generator().manual_seed(0))
    larger = keep_mask(scores, 50)
    for kept in range(49, -1, -1):
        smaller = keep_mask(scores, kept)
        assert bool((smaller <= larger).all())
        larger = smaller


def test_impossible_counts_and_nan_are_refused() -> None:
    with pytest.raises(InputError, match="cannot keep 4 of 3"):
        keep_mask(torch.ones(3), 4)
    with pytest.raises(InputError, match="NaN"):
        keep_mask(torch.tensor([1.0, float("nan")]), 1)


def test_l1_mask_equals_torch_prune() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(13, 7)
    mask = keep_mask(layer.weight.detach().abs(), 91 - 40)
    prune.l1_unstructured(layer, "weight", amount=40)
    assert torch.equal(mask, layer.weight_mask.bool())


@pytest.mark.parametrize("total", [1, 7, 16, 100])
def test_roundings_against_a_slow_count(total: int) -> None:
    """Other tools round removed units down."""
    for step in range(101):
        ratio = step / 100
        exact = ratio * total
        below = max(count for count in range(total + 1) if count <= exact)
        nearest = below + (exact - below >= 0.5)
        for keep_one in (False, True):
            most = total - keep_one
            assert num_removed(ratio, total, keep_one=keep_one, rounding="floor") == min(
                below, most
            )
            assert num_removed(ratio, total, keep_one=keep_one) == min(nearest, most)
    with pytest.raises(UnknownNameError, match="half-up"):
        num_removed(0.5, total, keep_one=True, rounding="half-upp")
