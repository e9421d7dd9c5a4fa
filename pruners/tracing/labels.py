"""Labels: integers that name channels, and what is known about which of them go together.

Every position along every dim of a parameter has a label of its own. Running the captured graph
on labels (`pruners.tracing.trace`) unites those that can only be removed together, freezes those
that cannot be removed at all, and marks those that something other than a convolution or linear
layer mixes.

A *plane* is a tensor of labels in the shape of an activation or parameter. It is kept in a compact
form: dims along which the labels do not change are expanded (stride 0). Its *support* are the
other dims.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import torch
from torch import Tensor


def support(plane: Tensor) -> frozenset[int]:
    """Return the dims along which a plane's labels change."""
    return frozenset(
        dim
        for dim, (size, stride) in enumerate(zip(plane.shape, plane.stride(), strict=True))
        if size > 1 and stride != 0
    )


def narrowed(plane: Tensor, *, keep: Iterable[int] | None = None) -> Tensor:
    """Cut all dims but some to their first position.

    Args:
        plane: The plane.
        keep: Dims that stay whole; by default the plane's support.
    """
    whole = support(plane) if keep is None else frozenset(keep)
    for dim in range(plane.dim()):
        if dim not in whole and plane.shape[dim] > 1:
            plane = plane.narrow(dim, 0, 1)
    return plane


def compact(plane: Tensor) -> Tensor:
    """Bring any label tensor to the compact form: constant dims are expanded."""
    shape = plane.shape
    small = narrowed(plane)
    for dim in sorted(support(small), key=lambda item: -small.shape[item]):
        first = small.narrow(dim, 0, 1)
        if bool((small == first).all()):
            small = first
    return small.contiguous().expand(shape)


class Labels:
    """All labels of one model and the relations that were found among them."""

    def __init__(self) -> None:
        self.count = 0
        self._starts: list[int] = []
        self._owners: list[tuple[str, int]] = []
        self._ranges: dict[tuple[str, int], Tensor] = {}
        self._pairs: list[Tensor] = []
        self.frozen: list[tuple[Tensor, str]] = []
        self.frozen_along: list[tuple[Tensor, frozenset[int], str]] = []
        self.whole: list[tuple[Tensor, str]] = []
        self.mixed: list[tuple[Tensor, frozenset[int], str]] = []
        self.partial: list[tuple[Tensor, Tensor]] = []
        self.heads: list[Tensor] = []

    def of(self, name: str, dim: int, size: int) -> Tensor:
        """Return the labels ``(size,)`` of one dim of a parameter, new ones at the first call."""
        key = (name, dim)
        if key not in self._ranges:
            self._ranges[key] = torch.arange(self.count, self.count + size)
            self._starts.append(self.count)
            self._owners.append(key)
            self.count += size
        return self._ranges[key]

    def fixed(self, reason: str) -> Tensor:
        """Return a new label ``()`` that can never be removed."""
        label = self.free(1)[0]
        self.freeze(label, reason)
        return label

    def free(self, size: int) -> Tensor:
        """Return new labels ``(size,)`` that no parameter has."""
        return self.of(f"#{self.count}", 0, size)

    def owners_of(self, labels: Tensor) -> list[tuple[str, int]]:
        """Return the parameter names and dims that some labels belong to."""
        starts = torch.tensor(self._starts)
        places = torch.unique(torch.bucketize(labels.reshape(-1), starts, right=True)) - 1
        return [self._owners[place] for place in places.tolist()]

    def is_of_copies(self, plane: Tensor) -> bool:
        """Return whether a plane only counts how often the code repeats something."""
        return all(name.startswith("#") for name, _ in self.owners_of(narrowed(plane)))

    def owners(self) -> Iterable[tuple[str, int, Tensor]]:
        """Yield name, dim and labels ``(size,)`` of all labelled dims of parameters."""
        for (name, dim), labels in self._ranges.items():
            if not name.startswith("#"):
                yield name, dim, labels

    def unite(self, first: Tensor, second: Tensor) -> None:
        """Note that labels at the same (broadcast) positions go together."""
        shape = torch.broadcast_shapes(first.shape, second.shape)  # type: ignore[no-untyped-call]
        first, second = first.expand(shape), second.expand(shape)
        keep = support(first) | support(second)
        pair = torch.stack(
            [narrowed(first, keep=keep).reshape(-1), narrowed(second, keep=keep).reshape(-1)]
        )
        pair = pair[:, pair[0] != pair[1]]
        if pair.shape[1]:
            self._pairs.append(pair)

    def unite_along(self, plane: Tensor, dims: Iterable[int]) -> None:
        """Note that all labels along some dims go together."""
        for dim in dims:
            if plane.shape[dim] > 1:
                self.unite(plane, plane.narrow(dim, 0, 1))

    def freeze(self, plane: Tensor, reason: str) -> None:
        """Note that labels cannot be removed, and why."""
        self.frozen.append((narrowed(plane).reshape(-1), reason))

    def is_frozen(self, plane: Tensor) -> bool:
        """Return whether it is known by now that none of some labels can be removed."""
        stay = [labels for labels, _ in self.frozen]
        return bool(stay) and bool(torch.isin(narrowed(plane), torch.cat(stay)).all())

    def freeze_along(self, plane: Tensor, dims: Iterable[int], reason: str) -> None:
        """Note that labels cannot be removed if units turn out to change along some dims."""
        self.frozen_along.append((narrowed(plane), support(plane) & frozenset(dims), reason))

    def freeze_whole(self, plane: Tensor, reason: str) -> None:
        """Note that labels cannot be removed if all turn out to be one unit."""
        self.whole.append((narrowed(plane), reason))

    def mix(self, plane: Tensor, dims: Iterable[int], reason: str) -> None:
        """Note that something else than a convolution or linear layer mixes labels along dims."""
        self.mixed.append((narrowed(plane), support(plane) & frozenset(dims), reason))

    def unite_later(self, plane: Tensor, part: Tensor) -> None:
        """Note that a plane meets one that changes along some of its dims only.

        Whether they go together depends on the dim along which the plane can be removed, which is
        known when the whole graph has been seen: a norm over the channels of each head does not
        tie the heads. Where they do not go together, the part cannot be removed.
        """
        self.partial.append((plane, part))

    def mark_heads(self, plane: Tensor) -> None:
        """Note that labels are channels of attention heads."""
        self.heads.append(narrowed(plane).reshape(-1))

    def components(self) -> Tensor:
        """Return for each label the smallest label that it goes together with, ``(count,)``.

        Connected components by hooking to the smaller root and pointer jumping.
        """
        root = torch.arange(self.count)
        if not self._pairs:
            return root
        first, second = torch.unique(torch.cat(self._pairs, 1), dim=1)
        while True:
            roots = torch.stack([root[first], root[second]])
            if torch.equal(roots[0], roots[1]):
                return root
            low = roots.amin(0)
            for side in roots:
                root = root.scatter_reduce(0, side, low, "amin")
            while not torch.equal(jumped := root[root], root):
                root = jumped


def joined(labels: Labels, planes: Sequence[Tensor]) -> Tensor:
    """Unite planes of one shape that describe the same channels, and return one of them."""
    widest = max(planes, key=lambda plane: len(support(plane)))
    for other in planes:
        if support(other) < support(widest):
            labels.unite_later(widest, other)
        elif other is not widest:
            labels.unite(widest, other)
    return widest


def without_staying(labels: Labels, planes: Sequence[Tensor]) -> list[Tensor]:
    """Leave out planes that stay as a whole and share a dim with one that may not.

    What is read at a position of both goes when the other goes.
    """
    if not any(support(one) & support(other) for one, other in combinations(planes, 2)):
        return list(planes)
    free = [plane for plane in planes if not labels.is_frozen(plane)]
    return [
        plane
        for plane in planes
        if any(plane is item for item in free)
        or not any(support(item) & support(plane) for item in free)
    ]
