"""Turn what the structure trace found into units: labels that are removed together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from pruners.tracing.labels import Labels, narrowed, support
from pruners.tracing.trace import Trace


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """The units of a model.

    Attributes:
        root: For each label the label that stands for its unit, ``(labels,)``.
        frozen: Unit -> why it cannot be removed.
        mixed: Unit -> what mixes it with others, so that zeroing columns is not removal.
        heads: Units that are attention heads.
    """

    root: Tensor
    frozen: dict[int, str]
    mixed: dict[int, str]
    heads: frozenset[int]


def find_units(trace: Trace) -> Units:
    """Find the units of a traced model."""
    labels = trace.labels
    root = _settled(trace)
    frozen: dict[int, str] = {}
    for plane, reason in labels.frozen:
        for unit in set(root[plane].reshape(-1).tolist()):
            frozen.setdefault(unit, reason)
    frozen = {**_varying_along(root, labels.frozen_along), **frozen}
    for plane, reason in labels.whole:
        units = root[plane]
        if not varying(units):
            frozen.setdefault(int(units.reshape(-1)[0]), reason)
    mixed = _varying_along(root, labels.mixed)
    heads: set[int] = set()
    for plane in labels.heads:
        heads.update(set(root[plane].reshape(-1).tolist()))
    return Units(root, frozen, mixed, frozenset(heads))


def _varying_along(
    root: Tensor, notes: Iterable[tuple[Tensor, frozenset[int], str]]
) -> dict[int, str]:
    """Return the units of planes where they change along the noted dims, and the reason."""
    found: dict[int, str] = {}
    for plane, dims, reason in notes:
        units = root[plane]
        if dims & set(varying(units)):
            for unit in set(units.reshape(-1).tolist()):
                found.setdefault(unit, reason)
    return found


def varying(units: Tensor) -> list[int]:
    """Return the dims along which a tensor is not constant."""
    return [
        dim
        for dim, size in enumerate(units.shape)
        if size > 1 and not bool((units == units.narrow(dim, 0, 1)).all())
    ]


def _settled(trace: Trace) -> Tensor:
    """Decide what depends on the dim along which channels can be removed, until nothing changes."""
    labels = trace.labels
    root = labels.components()
    pending = labels.partial
    splits = trace.splits
    while True:
        united, pending = _unite_partial(labels, pending, root)
        if not united:
            united, splits = _tie_split(labels, splits, root)
        if not united and pending:
            plane, part = pending.pop(0)
            if set(varying(root[narrowed(plane)])) & support(part):
                labels.unite(plane, part)
                united = True
        if not united and not pending:
            return root
        if united:
            root = labels.components()


def _unite_partial(
    labels: Labels, pending: list[tuple[Tensor, Tensor]], root: Tensor
) -> tuple[bool, list[tuple[Tensor, Tensor]]]:
    """Decide meetings of planes that change along different dims, where that is possible.

    Channels that are removed along one dim go together with what changes along that dim. A norm
    over the channels of each head, for example, does not tie the heads.
    """
    left, united = [], False
    for plane, part in pending:
        dims = varying(root[narrowed(plane)])
        if len(dims) > 1:
            left.append((plane, part))
        elif dims and dims[0] in support(part):
            labels.unite(plane, part)
            united = True
        else:
            labels.freeze(part, "meets channels that can only be removed along another dim")
    return united, left


def _tie_split(labels: Labels, splits: list[Tensor], root: Tensor) -> tuple[bool, list[Tensor]]:
    """Make what stays of a plane with several channel dims a block of its dims.

    Where channels are viewed as (2, C/2), as a channel shuffle does, any choice of channels would
    not fit that view. The largest dim stays free, the positions along the others are tied.

    Returns:
        Whether a plane was tied, and the planes that remain to be looked at.
    """
    for position, plane in enumerate(splits):
        small = narrowed(plane)
        dims = varying(root[small])
        if len(dims) > 1:
            free = max(dims, key=lambda dim: small.shape[dim])
            labels.unite_along(small, [dim for dim in dims if dim != free])
            return True, splits[position:]
    return False, []


def units_of(labels: Labels, units: Units) -> list[tuple[str, int, Tensor]]:
    """Return name, dim and units ``(size,)`` of all labelled dims of parameters."""
    return [(name, dim, units.root[line]) for name, dim, line in labels.owners()]
