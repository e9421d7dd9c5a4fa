"""oBERT against dense inverses and brute force on a few weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import pytest
import torch
from torch import Tensor

from pruners.criteria import FISHER_DAMP, LayerData, scores
from pruners.errors import InputError
from pruners.granularity import parse
from pruners.reconstruction.fisher import FisherSum, fisher_saliency, fisher_update
from pruners.selection import from_units, in_units, unit_scores
from pruners.statistics import in_blocks

DAMP = 1e-3


def gradients(count: int = 40, shape: tuple[int, ...] = (3, 4)) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, *shape, dtype=torch.float64, generator=generator)


def fisher_matrices(found: Iterable[Tensor], *, block: int, damp: float) -> Tensor:
    total = FisherSum(block=block)
    for gradient in found:
        total.add(gradient)
    return total.damped(damp)


def dense(grads: Tensor, damp: float = DAMP) -> np.ndarray:
    rows = grads.flatten(1).numpy()
    return rows.T @ rows / len(rows) + damp * np.eye(rows.shape[1])


def weight() -> Tensor:
    return torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def test_twelve_weights_in_one_block_against_the_dense_inverse() -> None:
    """w^2 / (2 [F^-1]_ww) and -w F^-1[:, w] / [F^-1]_ww by numpy."""
    grads, w = gradients(), weight().reshape(-1, 1)
    fisher = fisher_matrices((g.reshape(-1, 1) for g in grads), block=50, damp=DAMP)
    inverse = np.linalg.inv(dense(grads))
    flat = w.numpy().ravel()
    expected = flat**2 / (2 * np.diag(inverse))
    found = fisher_saliency(w, fisher)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)
    lowest = int(expected.argmin())
    keep = torch.arange(12) != lowest
    moved = flat - flat[lowest] * inverse[:, lowest] / inverse[lowest, lowest]
    new = fisher_update(w, fisher, keep)
    np.testing.assert_allclose(new.numpy().ravel(), moved, atol=1e-9)
    assert float(new[lowest]) == 0
    # The cost that was foretold is the quadratic form of the whole change.
    change = moved - flat
    assert 0.5 * change @ dense(grads) @ change == pytest.approx(expected[lowest])


def test_several_weights_go_to_the_minimum_of_the_quadratic_form() -> None:
    grads, w = gradients(), weight().reshape(-1, 1)
    fisher = fisher_matrices((g.reshape(-1, 1) for g in grads), block=50, damp=DAMP)
    keep = torch.tensor([True, False, True, True, False, False, *[True] * 6])
    new = fisher_update(w, fisher, keep).numpy().ravel()
    inverse, flat, gone = np.linalg.inv(dense(grads)), w.numpy().ravel(), (~keep).numpy()
    joint = flat - inverse[:, gone] @ np.linalg.solve(inverse[np.ix_(gone, gone)], flat[gone])
    np.testing.assert_allclose(new, joint, atol=1e-9)
    assert np.all(new[gone] == 0)


def test_blocks_are_independent_and_the_last_one_is_shorter() -> None:
    grads, w = gradients(), weight().reshape(-1, 1)
    fisher = fisher_matrices((g.reshape(-1, 1) for g in grads), block=5, damp=DAMP)
    assert fisher.shape == (3, 5, 5)
    whole = dense(grads)
    parts = [slice(0, 5), slice(5, 10), slice(10, 12)]
    inverse = np.concatenate([np.diag(np.linalg.inv(whole[part, part])) for part in parts])
    np.testing.assert_allclose(
        fisher_saliency(w, fisher).numpy(), w.numpy().ravel() ** 2 / (2 * inverse), rtol=1e-9
    )


@pytest.mark.parametrize("text", ["block:1x4", "block:2x2", "block:3x1"])
def test_blocks_of_weights_go_together(text: str) -> None:
    """The 4-block of the paper: all weights of a unit at once, ragged units too."""
    granularity, grads, w = parse(text), gradients(), weight()
    rows = in_units(granularity, w)
    fisher = fisher_matrices((in_units(granularity, g) for g in grads), block=50, damp=DAMP)
    unit_of = torch.arange(len(rows))[:, None].expand_as(rows)
    owner = from_units(granularity, unit_of, w.shape).numpy().ravel()
    inverse, flat = np.linalg.inv(dense(grads)), w.numpy().ravel()
    for unit, score in enumerate(fisher_saliency(rows, fisher).tolist()):
        gone = owner == unit
        own = inverse[np.ix_(gone, gone)]
        assert score == pytest.approx(0.5 * flat[gone] @ np.linalg.solve(own, flat[gone]))
    keep = torch.arange(len(rows)) != 0
    new = from_units(granularity, fisher_update(rows, fisher, keep), w.shape).numpy().ravel()
    gone = owner == 0
    joint = flat - inverse[:, gone] @ np.linalg.solve(inverse[np.ix_(gone, gone)], flat[gone])
    np.testing.assert_allclose(new, joint, atol=1e-9)


def test_the_removed_pair_that_costs_least_is_found_by_no_other_choice() -> None:
    grads, w = gradients(shape=(2, 3)), weight()[:2, :3].reshape(-1, 1)
    fisher = fisher_matrices((g.reshape(-1, 1) for g in grads), block=50, damp=DAMP)

    def cost(pair: tuple[int, ...]) -> float:
        keep = torch.tensor([unit not in pair for unit in range(6)])
        change = fisher_update(w, fisher, keep) - w
        return float(0.5 * change.T @ fisher[0] @ change)

    for pair in itertools.combinations(range(6), 2):
        singles = fisher_saliency(w, fisher)[list(pair)]
        assert cost(pair) >= float(singles.max()) - 1e-12


def test_same_scores_as_the_criterion_obs_where_blocks_are_filters() -> None:
    grads, w = gradients().float(), weight().float()
    blocks = torch.stack([in_blocks(g, 4) for g in grads])
    matrices = torch.einsum("mobi,mobj->obij", blocks, blocks) / len(grads)
    data = LayerData(name="a", weight=w, type="Linear", statistics={"fisher_blocks": matrices})
    fisher = fisher_matrices((g.reshape(-1, 1) for g in grads), block=4, damp=FISHER_DAMP)
    torch.testing.assert_close(
        fisher_saliency(w.reshape(-1, 1), fisher).reshape(w.shape).float(),
        scores("obs", data, level="element").float(),
    )


def test_fewer_gradients_than_weights_and_little_damping() -> None:
    """In float32 the sum is not positive definite: its rounding is larger than the damping."""
    grads = 5 * torch.randn(10, 48, 1, generator=torch.Generator().manual_seed(4))
    fisher = fisher_matrices(grads, block=48, damp=1e-7)
    w = torch.randn(48, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    inverse = np.linalg.inv(dense(grads.double(), 1e-7))
    expected = w.numpy().ravel() ** 2 / (2 * np.diag(inverse))
    np.testing.assert_allclose(fisher_saliency(w, fisher).numpy(), expected, rtol=1e-4)


def test_what_is_kept_whole_stays_and_no_gradients_are_refused() -> None:
    w = weight().float()
    fisher = fisher_matrices([torch.zeros(12, 1)], block=50, damp=DAMP)
    everything = torch.ones(12, dtype=torch.bool)
    assert torch.equal(fisher_update(w.reshape(-1, 1), fisher, everything), w.reshape(-1, 1))
    with pytest.raises(InputError, match="at least one gradient"):
        fisher_matrices([], block=50, damp=DAMP)


@pytest.mark.parametrize("text", ["element", "2:4", "block:4x1", "block:1x4", "block:3x2"])
def test_units_of_a_weight_and_back(text: str) -> None:
    granularity = parse(text)
    tensor = torch.arange(5 * 7 * 6, dtype=torch.float64).reshape(5, 7, 3, 2)
    rows = in_units(granularity, tensor)
    assert torch.equal(from_units(granularity, rows, tensor.shape), tensor)
    ones = in_units(granularity, torch.ones_like(tensor))
    torch.testing.assert_close(
        rows.sum(1) / ones.sum(1), unit_scores(granularity, tensor).reshape(-1)
    )
