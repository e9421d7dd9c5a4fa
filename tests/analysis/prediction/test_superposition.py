"""Changes put together, against a loop over samples and layers in plain Python."""

from __future__ import annotations

import math

import pytest
import torch

from analysis.prediction import coherence, together


def slowly(
    dense: list[list[float]], changes: list[list[list[float]]], gain: float
) -> list[list[float]]:
    """Return what the formula says, number by number."""

    def centred(row: list[float]) -> list[float]:
        return [value - sum(row) / len(row) for value in row]

    outputs = [centred(row) for row in dense]
    layers = [[centred(row) for row in change] for change in changes]
    size = sum(value * value for row in outputs for value in row)
    shares = []
    for layer in layers:
        product = sum(
            one * other
            for row, its in zip(outputs, layer, strict=True)
            for one, other in zip(row, its, strict=True)
        )
        shares.append(min(max(-product / size, -0.5), 1.0))
    found = []
    for sample, row in enumerate(outputs):
        values = []
        for at, value in enumerate(row):
            total = math.prod(1 - share for share in shares) * value
            for number, layer in enumerate(layers):
                others = [1 - share for other, share in enumerate(shares) if other != number]
                rest = layer[sample][at] + shares[number] * value
                total += gain * math.prod(others) * rest
            values.append(total)
        found.append(values)
    return found


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_it_is_the_formula(layers: int) -> None:
    generator = torch.Generator().manual_seed(layers)
    dense = torch.randn(7, 4, generator=generator, dtype=torch.float64)
    changes = torch.randn(layers, 7, 4, generator=generator, dtype=torch.float64) - dense / 3
    # One that takes more than everything, and one that makes outputs twice as large.
    changes[0] -= 2 * dense
    changes[-1] += 3 * dense * (layers > 1)
    for gain, found in zip((1.0, 1.7), together(dense, list(changes), (1.0, 1.7)), strict=True):
        expected = torch.tensor(slowly(dense.tolist(), changes.tolist(), gain), dtype=torch.float64)
        torch.testing.assert_close(found, expected)


def test_one_layer_alone_is_what_it_was() -> None:
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(9, 5, generator=generator)
    change = torch.randn(9, 5, generator=generator) - 0.4 * dense
    (found,) = together(dense, [change], (1.0,))
    whole = dense + change
    torch.testing.assert_close(found, whole - whole.mean(1, keepdim=True))


def test_small_changes_add_up() -> None:
    """Superposed logits, to the first order."""
    generator = torch.Generator().manual_seed(1)
    dense = torch.randn(9, 5, generator=generator, dtype=torch.float64)
    changes = torch.randn(4, 9, 5, generator=generator, dtype=torch.float64)
    for size in (1e-3, 1e-5):
        (found,) = together(dense, list(size * changes), (1.0,))
        whole = dense + size * changes.sum(0)
        assert (found - (whole - whole.mean(1, keepdim=True))).abs().max() < 30 * size**2


def test_layers_that_each_take_half_leave_a_quarter() -> None:
    dense = torch.tensor([[3.0, -1.0, -2.0]])
    (found,) = together(dense, [-dense / 2, -dense / 2], (1.0,))
    torch.testing.assert_close(found, dense / 4)


def test_coherence_tells_how_far_changes_move_outputs_the_same_way() -> None:
    dense = torch.tensor([[1.0, -1.0, 0.0], [2.0, 0.0, -2.0]])
    # Both are at right angles to the outputs, and to each other.
    one = torch.tensor([[1.0, 1.0, -2.0], [0.0, 0.0, 0.0]])
    other = torch.tensor([[0.0, 0.0, 0.0], [1.0, -2.0, 1.0]])
    nothing = torch.zeros(2, 3)
    assert coherence(dense, [one, other]) == pytest.approx(1)
    assert coherence(dense, [one, one, one]) == pytest.approx(3)
    assert coherence(dense, [one, -one]) == pytest.approx(0)
    # |one + 2 other + one|^2 = 4 * 6 + 4 * 6, of 6 + 4 * 6 + 6.
    assert coherence(dense, [one, 2 * other, one]) == pytest.approx(48 / 36)
    # Neither what all classes gain nor what makes outputs smaller moves anything.
    assert coherence(dense, [one + 3, other - dense / 2]) == pytest.approx(1)
    assert coherence(dense, [nothing, nothing]) == coherence(dense, []) == 1
    assert coherence(dense, [one, nothing]) == pytest.approx(1)
