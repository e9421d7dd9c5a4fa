"""The grid of a sweep: its points, what they will cost, and which of them are one and the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from analysis.edits import (
    Edit,
    NestedMasks,
    PreparedSubject,
    Target,
    digest,
    edit_for,
    kept_at,
    pruning_edit,
    scores,
    targets,
)
from analysis.records import PointKey, SweepSpec
from pruners.errors import InputError
from pruners.granularity import parse

MAX_REASONS = 3


@dataclass(slots=True, eq=False)
class Item:
    """Points with equal masks: measured once.

    Attributes:
        target: What is pruned.
        masks: Masks of the curve that the points are on.
        kept: Which of them.
        keys: The points.
        names: State names that the edit changes; empty without a change.
    """

    target: Target
    masks: NestedMasks
    kept: int
    keys: list[PointKey]
    names: frozenset[str] = frozenset()

    def edit(self, prepared: PreparedSubject, *, semantics: str = "removal") -> Edit:
        """Return the edit of the points."""
        mask = self.masks.mask(self.kept)
        return pruning_edit(prepared, self.target, mask, semantics=semantics)


@dataclass(slots=True, eq=False)
class Grid:
    """The points of a sweep by what measuring them takes.

    Attributes:
        items: Edits to measure, from coarse to fine in ratio over all layers.
        dense: Points that remove nothing: the dense model's numbers are theirs.
        failed: Points whose criterion does not apply, with the reason.
    """

    items: list[Item]
    dense: list[PointKey]
    failed: dict[PointKey, str]


def points_of(prepared: PreparedSubject, spec: SweepSpec) -> tuple[PointKey, ...]:
    """Return the points of a sweep by layer (execution order), criterion and ratio.

    Raises:
        InputError: The grid is empty or malformed; the message says why.
    """
    # An N:M pattern has one ratio: one point a curve, whatever grid was asked for.
    fixed = parse(spec.granularity).fixed_ratio
    ratios = spec.ratios if fixed is None else (fixed,)
    points = [
        PointKey(
            criterion=criterion,
            granularity=spec.granularity,
            layer=target.layer,
            group=target.group,
            ratio_requested=ratio,
            kept=kept_at(prepared, target, ratio, rounding=spec.rounding),
            total=target.total,
        )
        for target in targets(prepared, spec.granularity, spec.layers)
        if target.prunable
        for criterion in spec.criteria
        for ratio in ratios
    ]
    if not points:
        raise InputError(
            f"nothing can be pruned: no layer that fits {spec.layers!r} is prunable at "
            f"granularity {spec.granularity}{_reasons(prepared, spec)}"
        )
    return tuple(points)


def _reasons(prepared: PreparedSubject, spec: SweepSpec) -> str:
    """Say why targets cannot be pruned, the first few of them."""
    kept = [item for item in targets(prepared, spec.granularity, spec.layers) if not item.prunable]
    named = [f"{item.layer} {item.reason}" for item in kept[:MAX_REASONS]]
    more = f"; and {len(kept) - MAX_REASONS} more" if len(kept) > MAX_REASONS else ""
    return f" ({'; '.join(named)}{more})" if named else ""


def edited_names(prepared: PreparedSubject, target: Target, semantics: str) -> frozenset[str]:
    """Return which tensors pruning a target edits; none where it is removed physically."""
    mask = torch.ones(_mask_shape(prepared, target), dtype=torch.bool)
    mask.reshape(-1)[0] = False
    return frozenset(edit_for(prepared, target, mask, semantics=semantics).tensors)


def _mask_shape(prepared: PreparedSubject, target: Target) -> tuple[int, ...]:
    if target.group is not None:
        return (target.total,)
    return tuple(prepared.layer_shape(target.layer))


def group_points(prepared: PreparedSubject, spec: SweepSpec, points: Sequence[PointKey]) -> Grid:
    """Find out which points have equal masks, so that each mask is measured once."""
    by_target: dict[str, dict[str, list[PointKey]]] = {}
    for key in points:
        by_target.setdefault(key.name, {}).setdefault(key.criterion, []).append(key)
    items: dict[bytes, Item] = {}
    grid = Grid([], [], {})
    for target in targets(prepared, spec.granularity, spec.layers):
        for criterion, keys in by_target.get(target.name, {}).items():
            try:
                masks = _curve_masks(prepared, spec, target, criterion, keys)
            except InputError as error:
                grid.failed.update(dict.fromkeys(keys, str(error)))
                continue
            names = edited_names(prepared, target, spec.semantics)
            for key in keys:
                _add_point(grid, items, key, Item(target, masks, key.kept, [], names))
    requested = sorted({key.ratio_requested for key in points})
    rank = {ratio: at for at, ratio in enumerate(coarse_to_fine(requested))}
    grid.items = sorted(
        items.values(), key=lambda item: min(rank[key.ratio_requested] for key in item.keys)
    )
    return grid


def _curve_masks(
    prepared: PreparedSubject,
    spec: SweepSpec,
    target: Target,
    criterion: str,
    keys: Sequence[PointKey],
) -> NestedMasks:
    values = scores(prepared, target, criterion, reduction=spec.reduction)
    return NestedMasks.of(values, [key.kept for key in keys], granularity=spec.granularity)


def _add_point(grid: Grid, items: dict[bytes, Item], key: PointKey, item: Item) -> None:
    if key.kept == key.total:
        grid.dense.append(key)
        return
    identity = digest(item.target, item.masks.mask(key.kept))
    items.setdefault(identity, item).keys.append(key)


def coarse_to_fine(ratios: Sequence[float]) -> tuple[float, ...]:
    """Order ratios so that each prefix spreads over the whole range: middle, quarters, ...

    >>> coarse_to_fine((0.1, 0.2, 0.3, 0.4, 0.5))
    (0.3, 0.2, 0.5, 0.1, 0.4)
    """
    ordered: list[float] = []
    spans = [(0, len(ratios))]
    while spans:
        first, last = spans.pop(0)
        if first == last:
            continue
        middle = (first + last) // 2
        ordered.append(ratios[middle])
        spans += [(first, middle), (middle + 1, last)]
    return tuple(ordered)
