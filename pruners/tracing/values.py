"""What the structure trace knows of each value of the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from pruners.tracing.labels import Labels, compact, joined, support


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor of the graph, seen as the channels that it carries.

    Attributes:
        shape: Its shape, with the batch size of the example.
        planes: Labels in that shape, one plane for each independent set of channels (tokens and
            channels of a mixer, for example).
        uniform: Dims along which the value repeats itself, because it was expanded.
        reason: Why dims that no plane covers cannot be pruned.
        weight: Whether it is computed from parameters alone.
        direct: Whether it is one parameter, moved or cut at most.
        constant: The tensor itself where it is a constant of the code.
    """

    shape: tuple[int, ...]
    planes: tuple[Tensor, ...] = ()
    uniform: frozenset[int] = frozenset()
    reason: str = ""
    weight: bool = False
    direct: bool = False
    constant: Tensor | None = None

    @property
    def varying(self) -> frozenset[int]:
        """Dims along which the value may differ."""
        return frozenset(
            dim for dim, size in enumerate(self.shape) if size > 1 and dim not in self.uniform
        )

    def along(self, dim: int) -> list[Tensor]:
        """Return the planes whose labels change along a dim."""
        return [plane for plane in self.planes if dim % len(self.shape) in support(plane)]

    def moved(self, change: Callable[[Tensor], Tensor], shape: Sequence[int]) -> Value:
        """Return the value after a shape operator, applied to its labels as to data."""
        planes = (compact(change(plane)) for plane in self.planes)
        return replace(
            self,
            shape=tuple(shape),
            planes=tuple(plane for plane in planes if support(plane)),
            uniform=frozenset(),
            constant=None,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Operand:
    """One side of an elementwise meeting, already in the shape of the result."""

    planes: tuple[Tensor, ...]
    varying: frozenset[int]
    reason: str


def broadcast(value: Value, shape: Sequence[int]) -> Operand:
    """Return a value as an operand of an elementwise operator with a result of ``shape``."""
    shift = len(shape) - len(value.shape)
    planes = tuple(plane.expand(tuple(shape)) for plane in value.planes)
    return Operand(planes, frozenset(dim + shift for dim in value.varying), value.reason)


def meet(labels: Labels, operands: Sequence[Operand], where: str) -> tuple[Tensor, ...]:
    """Unite the planes of operands that meet elementwise.

    Planes that change along a common dim describe the same channels. Where a plane meets values
    that differ along its dims but have no labels there, channels along these cannot be removed.

    Args:
        labels: The labels.
        operands: What meets.
        where: Operator and module, for the reason.

    Returns:
        The planes of the result.
    """
    merged: list[Tensor] = []
    for plane in (plane for operand in operands for plane in operand.planes):
        related = [item for item in merged if support(item) & support(plane)]
        merged = [item for item in merged if not any(item is other for other in related)]
        merged.append(joined(labels, [*related, plane]))
    for operand in operands:
        for plane in merged:
            touched = support(plane)
            covered = any(support(own) & touched for own in operand.planes)
            if touched & operand.varying and not covered:
                reason = f"meets {operand.reason or 'a constant'} in {where}"
                if touched <= operand.varying:
                    labels.freeze(plane, reason)
                else:
                    labels.freeze_along(plane, operand.varying, reason)
    return tuple(merged)
