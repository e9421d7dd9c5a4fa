"""Iterative one-shot pruning: remove a part, score what is left anew, remove the next part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from pruners.criteria.registry import CRITERIA, scores
from pruners.errors import InputError, UnsupportedError
from pruners.granularity import Granularity
from pruners.layers import find_layer, native_weight, output_first_weight, to_native
from pruners.preserve import preserved
from pruners.selection import expand, keep_mask, num_kept, unit_scores
from pruners.statistics import Batch, Statistics, collect, layer_data


def prune_layers_in_rounds(
    model: nn.Module,
    batches: Sequence[Batch],
    *,
    criterion: str,
    ratios: Mapping[str, Sequence[float]],
    granularity: Granularity,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Tensor]:
    """Prune several layers together in rounds, with statistics of the pruned model in each.

    Args:
        model: The dense model in eval mode; left as found.
        batches: Calibration batches; used once a round if the criterion needs data.
        criterion: Name of the criterion.
        ratios: Layer name -> ratio after each round, rising, all of one length
            (`pruners.schedules.round_ratios`).
        granularity: ``element`` or ``block:NxM``.
        seed: Seed of drawn labels and random criteria.
        progress: Called with rounds done and their number.

    Returns:
        Masks by layer name in the modules' own layout, True = keep.

    Raises:
        UnsupportedError: The granularity works on groups or has one ratio only.
        InputError: Ratios fall or differ in length.
    """
    if granularity.kind not in ("element", "block"):
        raise UnsupportedError(f"pruning in rounds takes elements and blocks, not {granularity}")
    rounds = _num_rounds(ratios)
    units = _dense_units(model, granularity, list(ratios))
    for number in range(rounds):
        edit = _masked_weights(model, granularity, units)
        data = _round_scores(model, batches, criterion, list(ratios), edit, seed)
        for layer, found in data.items():
            pooled = unit_scores(granularity, found)
            kept = num_kept(ratios[layer][number], pooled.numel(), keep_one=False)
            units[layer] = keep_mask(pooled.masked_fill(~units[layer], -torch.inf), kept)
        if progress is not None:
            progress(number + 1, rounds)
    return {
        layer: to_native(_spread(model, granularity, layer, mask), find_layer(model, layer))
        for layer, mask in units.items()
    }


def _num_rounds(ratios: Mapping[str, Sequence[float]]) -> int:
    lengths = {len(values) for values in ratios.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError("each layer needs the same number of rounds, at least one")
    for layer, values in ratios.items():
        if list(values) != sorted(values):
            raise InputError(f"layer {layer}: ratios of rounds must rise, found {list(values)}")
    return lengths.pop()


def _dense_units(
    model: nn.Module, granularity: Granularity, layers: Sequence[str]
) -> dict[str, Tensor]:
    units = {}
    for layer in layers:
        weight = output_first_weight(find_layer(model, layer), name=layer)
        pooled = unit_scores(granularity, weight.float())
        units[layer] = torch.ones_like(pooled, dtype=torch.bool)
    return units


def _spread(model: nn.Module, granularity: Granularity, layer: str, mask: Tensor) -> Tensor:
    shape = output_first_weight(find_layer(model, layer), name=layer).shape
    return expand(granularity, mask, shape)


def _masked_weights(
    model: nn.Module, granularity: Granularity, units: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    edit = {}
    for layer, mask in units.items():
        module = find_layer(model, layer)
        spread = to_native(_spread(model, granularity, layer, mask), module)
        edit[layer] = native_weight(module, name=layer).detach() * spread
    return edit


def _round_scores(
    model: nn.Module,
    batches: Sequence[Batch],
    criterion: str,
    layers: Sequence[str],
    edit: Mapping[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    entry = CRITERIA.get(criterion)
    with preserved(model):
        for layer, value in edit.items():
            native_weight(find_layer(model, layer), name=layer).data.copy_(value)
        statistics: Statistics | None = None
        if entry.needs_data:
            statistics = collect(model, batches, layers=layers, needs=entry.needs, seed=seed)
        return {
            layer: scores(
                criterion,
                layer_data(model, layer, statistics=statistics, seed=seed),
                level="element",
            )
            for layer in layers
        }
