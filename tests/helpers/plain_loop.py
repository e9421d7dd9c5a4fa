"""The plain loop that every other tool runs: prune, run the whole model, count, restore."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from analysis.edits.masks import scores
from analysis.edits.prepared import PreparedSubject
from analysis.edits.target import targets
from analysis.records.sweep import PointKey
from pruners.groups.removal import remove
from pruners.layers import find_layer, native_weight, to_native

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Counts:
    """Right answers of the pruned model, and where they differ from the dense model's."""

    samples: int
    correct: int
    lost: int
    gained: int


def reference_plain_loop(
    prepared: PreparedSubject, points: Iterable[PointKey], batches: Sequence[Batch]
) -> dict[PointKey, Counts]:
    """Measure points one after another by full eager forward passes."""
    dense = [_answers(prepared.model, inputs) for inputs, _ in batches]
    return {key: _measure(prepared, key, batches, dense) for key in points}


def _measure(
    prepared: PreparedSubject, key: PointKey, batches: Sequence[Batch], dense: Sequence[Tensor]
) -> Counts:
    samples = correct = lost = gained = 0
    with pruned(prepared, key) as model:
        for (inputs, labels), was in zip(batches, dense, strict=True):
            now = _answers(model, inputs)
            samples += len(labels)
            correct += int((now == labels).sum())
            lost += int(((was == labels) & (now != labels)).sum())
            gained += int(((was != labels) & (now == labels)).sum())
    return Counts(samples, correct, lost, gained)


@torch.no_grad()
def _answers(model: nn.Module, inputs: Tensor) -> Tensor:
    return model(inputs).argmax(1)


@contextmanager
def pruned(prepared: PreparedSubject, key: PointKey) -> Iterator[nn.Module]:
    """Yield the pruned model: masked in place and restored, or physically smaller."""
    target = next(
        item
        for item in targets(prepared, key.granularity)
        if (item.layer, item.group) == (key.layer, key.group)
    )
    values = scores(prepared, target, key.criterion)
    blocks = re.fullmatch(r"block:(\d+)x(\d+)", key.granularity)
    if blocks is None:
        keep = _highest(values, key.kept)
    else:
        keep = _highest_blocks(values, key.kept, rows=int(blocks[1]), columns=int(blocks[2]))
    if key.group is not None:
        kept = {key.group: keep.nonzero().flatten().tolist()}
        yield remove(prepared.model, prepared.require_structure(), kept).eval()
        return
    module = find_layer(prepared.model, key.layer)
    weight = native_weight(module)
    saved = weight.detach().clone()
    weight.data.mul_(to_native(keep, module))
    yield prepared.model
    weight.data.copy_(saved)


def _highest_blocks(values: Tensor, kept: int, *, rows: int, columns: int) -> Tensor:
    """Keep the blocks with the highest mean scores; the last of a side may be smaller."""
    keep = torch.zeros((*values.shape[:2], values[0, 0].numel()), dtype=torch.bool)
    flat = values.reshape(keep.shape)
    places = [
        (slice(first, first + rows), slice(second, second + columns), at)
        for first in range(0, flat.shape[0], rows)
        for second in range(0, flat.shape[1], columns)
        for at in range(flat.shape[2])
    ]
    means = torch.stack([flat[place].sum() / flat[place].numel() for place in places])
    for place, stays in zip(places, _highest(means, kept).tolist(), strict=True):
        keep[place] = stays
    return keep.reshape(values.shape)


def _highest(values: Tensor, kept: int) -> Tensor:
    """Keep the highest scores; of equal ones the later index stays."""
    ranked = sorted(enumerate(values.flatten().tolist()), key=lambda item: (item[1], item[0]))
    keep = torch.zeros(values.numel(), dtype=torch.bool)
    for index, _ in ranked[len(ranked) - kept :]:
        keep[index] = True
    return keep.reshape(values.shape)
