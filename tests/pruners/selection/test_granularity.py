"""Granularities against brute force; nothing at the border is dropped."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from pruners.errors import InputError, UnsupportedError
from pruners.granularity import KINDS, parse, presets
from pruners.selection import element_mask, num_kept_fixed, num_units, unit_scores
from pruners.selection.units import nm_mask


def reference_blocks(scores: Tensor, rows: int, columns: int) -> dict[tuple[int, ...], float]:
    """Return the mean of each block of rows x columns at each kernel position by slow loops."""
    outputs, inputs, *kernel = scores.shape
    means = {}
    positions = list(itertools.product(*(range(size) for size in kernel)))
    for o, i in itertools.product(range(0, outputs, rows), range(0, inputs, columns)):
        for number, position in enumerate(positions):
            values = [
                float(scores[(a, b, *position)])
                for a in range(o, min(o + rows, outputs))
                for b in range(i, min(i + columns, inputs))
            ]
            means[(o // rows, i // columns, number)] = sum(values) / len(values)
    return means


@pytest.mark.parametrize("text", ["element", "channel", "head", "block:4x1", "block:2x8", "2:4"])
def test_text_round_trip(text: str) -> None:
    parsed = parse(text)
    assert str(parsed) == text
    assert parsed.kind in KINDS
    assert parsed.description


@pytest.mark.parametrize(
    "text", ["", "chanel", "block:0x4", "block:4", "4:2", "0:4", "4:4", "-1:4"]
)
def test_wrong_text_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="granularity"):
        parse(text)


def test_presets_parse() -> None:
    for text in presets():
        parse(text)


@pytest.mark.parametrize("shape", [(8, 8, 3, 3), (7, 5, 3), (5, 9)])
@pytest.mark.parametrize("size", [(4, 1), (1, 4), (3, 2)])
def test_blocks_equal_slow_means_also_at_the_border(
    shape: tuple[int, ...], size: tuple[int, int]
) -> None:
    scores = torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    block = parse(f"block:{size[0]}x{size[1]}")
    pooled = unit_scores(block, scores)
    expected = reference_blocks(scores, *size)
    assert pooled.numel() == len(expected) == num_units(block, scores.shape)
    for index, value in expected.items():
        assert float(pooled[index]) == pytest.approx(value)


def test_block_mask_covers_whole_blocks() -> None:
    scores = torch.rand(7, 6, 3, 3, generator=torch.Generator().manual_seed(2))
    block = parse("block:4x1")
    units = num_units(block, scores.shape)
    mask = element_mask(block, scores, kept=units - 10)
    pooled = unit_scores(block, scores)
    threshold = pooled.flatten().sort().values[9]
    for o, i, h, w in itertools.product(range(7), range(6), range(3), range(3)):
        assert bool(mask[o, i, h, w]) == bool(pooled[o // 4, i, h * 3 + w] > threshold)


@pytest.mark.parametrize("shape", [(4, 8, 3, 3), (4, 8), (3, 10, 3), (2, 3)])
@pytest.mark.parametrize(("keep", "out_of"), [(2, 4), (1, 4), (1, 2), (3, 4)])
def test_nm_keeps_the_best_n_of_each_m_input_channels(
    shape: tuple[int, ...], keep: int, out_of: int
) -> None:
    scores = torch.randint(0, 5, shape, generator=torch.Generator().manual_seed(3)).float()
    mask = nm_mask(scores, keep=keep, out_of=out_of)
    flat_scores, flat_mask = (item.reshape(shape[0], shape[1], -1) for item in (scores, mask))
    for o, k in itertools.product(range(shape[0]), range(flat_mask.shape[2])):
        for start in range(0, shape[1], out_of):
            run = range(start, min(start + out_of, shape[1]))
            ranked = sorted(run, key=lambda i: (-float(flat_scores[o, i, k]), -i))
            expected = set(ranked[:keep])
            assert {i for i in run if flat_mask[o, i, k]} == expected
    pattern = parse(f"{keep}:{out_of}")
    assert int(mask.sum()) == num_kept_fixed(pattern, scores.shape)


def test_nm_has_one_ratio() -> None:
    pattern = parse("2:4")
    scores = torch.rand(4, 8)
    assert pattern.fixed_ratio == 0.5
    assert element_mask(pattern, scores, kept=16).sum() == 16
    assert element_mask(pattern, scores, kept=32).all()
    with pytest.raises(InputError, match="keeps 16 of 32"):
        element_mask(pattern, scores, kept=20)


def test_groups_are_not_one_weight() -> None:
    with pytest.raises(UnsupportedError, match="groups of layers"):
        num_units(parse("channel"), (4, 4))
