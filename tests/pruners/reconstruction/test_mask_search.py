"""Mask search: exact count, never worse than the diagonal, close to the best of all masks."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from pruners.errors import InputError
from pruners.reconstruction.mask_search import search_mask, unit_gate_gradients
from pruners.selection.masks import keep_mask
from tests.helpers.fisher import fisher_loss


def gradients(seed: int, units: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randn(40, 3, generator=generator) @ torch.randn(3, units, generator=generator)
    return factors + 0.3 * torch.randn(40, units, generator=generator)


def reference_loss(values: Tensor, removed: tuple[int, ...]) -> float:
    """1/2 mean over samples of (sum over removed units)^2, one sample at a time."""
    total = 0.0
    for row in values.double().tolist():
        total += sum(row[unit] for unit in removed) ** 2
    return 0.5 * total / len(values)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kept", [1, 3, 5, 7])
def test_search_beats_the_diagonal_and_is_swap_optimal(seed: int, kept: int) -> None:
    values = gradients(seed)
    mask = search_mask(values, kept, rounds=20)
    assert int(mask.sum()) == kept
    diagonal = keep_mask(values.double().square().sum(0), kept)
    removed = tuple((~mask).nonzero()[:, 0].tolist())
    loss = reference_loss(values, removed)
    assert loss == pytest.approx(fisher_loss(values, mask))
    assert loss <= fisher_loss(values, diagonal) + 1e-9
    for out, back in itertools.product(mask.nonzero()[:, 0].tolist(), removed):
        swapped = tuple(set(removed) - {back} | {out})
        assert loss <= reference_loss(values, swapped) + 1e-9


def test_search_is_near_the_best_of_all_masks() -> None:
    ratios = []
    for seed in range(10):
        values = gradients(seed)
        best = min(
            reference_loss(values, removed) for removed in itertools.combinations(range(8), 4)
        )
        ratios.append(fisher_loss(values, search_mask(values, 4)) / best)
    assert sorted(ratios)[5] == pytest.approx(1.0)


def test_ends_and_bad_input() -> None:
    values = gradients(0)
    assert search_mask(values, 8).all()
    assert not search_mask(values, 0).any()
    with pytest.raises(InputError, match="cannot keep 9"):
        search_mask(values, 9)
    with pytest.raises(InputError, match="at least one sample"):
        search_mask(torch.empty(0, 8), 4)


def test_channels_of_a_unit_are_summed_per_sample() -> None:
    found = unit_gate_gradients(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([1, -1, 1]), 2)
    assert found.tolist() == [[0.0, 5.0]]
