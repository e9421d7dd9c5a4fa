"""What a file of another program says, before anybody has said what it means."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pruners.errors import InputError

# Of results and plans as text; a state dict with masks has the weights in it.
MAX_BYTES = 32 * 2**20
MAX_WEIGHTS = 512 * 2**20
MAX_POINTS = 200_000


@dataclass(frozen=True, slots=True)
class RawPoint:
    """One measurement.

    Attributes:
        level: As the file has it: a share that is pruned, or kept.
        values: Numbers by metric; finite.
    """

    level: float
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RawCurve:
    """The measurements of one layer, in the order of the file.

    Attributes:
        layer: As the file calls it.
        points: Its measurements.
    """

    layer: str
    points: tuple[RawPoint, ...]


@dataclass(frozen=True, slots=True)
class RawResult:
    """What a file holds.

    Attributes:
        curves: A curve a layer.
        metrics: What can be read of each point, with what the program that wrote it says of that
            metric: answers by name of the question, see `analysis.imports.questions`.
        known: Answers that hold for all metrics.
        notes: What a person should know, a sentence each.
        table: Of our own points, their rows: nothing is to be asked. None in other files.
    """

    curves: tuple[RawCurve, ...]
    metrics: Mapping[str, Mapping[str, str]]
    known: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    table: Any = None

    def has_baseline_at(self, share: str) -> bool:
        """Return whether every layer has a point at which nothing is pruned.

        Args:
            share: What a level is: ``pruned`` or ``kept``.
        """
        nothing = 1.0 if share == "kept" else 0.0
        return all(any(point.level == nothing for point in curve.points) for curve in self.curves)


@dataclass(frozen=True, slots=True)
class ResultFormat:
    """A registered format of results.

    Attributes:
        name: Short name, used in commands and kept with the run.
        label: Name for people.
        help: What writes it, one sentence.
        suffixes: How its files end.
        recognises: Says of a file's content whether it is of this form.
        read: Reads the content.
        removed: How many of so many units the program removed at a pruned share: (share, units).
    """

    name: str
    label: str
    help: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    read: Callable[[bytes], RawResult]
    removed: Callable[[float, int], int] = lambda share, units: int(share * units)


def number(value: object, where: str) -> float:
    """Return a finite number.

    Raises:
        InputError: It is none.
    """
    try:
        found = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if isinstance(value, bool) or not math.isfinite(found):
        shown = repr(value[:40]) if isinstance(value, str) else type(value).__name__
        raise InputError(f"{where}: expected a finite number, found {shown}")
    return found


def level_of(value: object, where: str) -> float:
    """Return a level between 0 and 1.

    Raises:
        InputError: It is none.
    """
    found = number(value, where)
    if not 0 <= found <= 1:
        raise InputError(f"{where}: a level is a share between 0 and 1, found {found:g}")
    return found


def gathered(
    rows: Iterable[tuple[str, float, Mapping[str, float]]], what: str
) -> tuple[RawCurve, ...]:
    """Return curves from rows of layer, level and values; layers keep their order.

    Raises:
        InputError: There are none or too many, or a level of a layer stands twice.
    """
    rows = list(rows)
    if not rows:
        raise InputError(f"{what} holds no measurement")
    if len(rows) > MAX_POINTS:
        raise InputError(f"{what} holds more than {MAX_POINTS:,} measurements")
    by_layer: dict[str, dict[float, RawPoint]] = {}
    for layer, level, values in rows:
        if not layer:
            raise InputError(f"{what}: a row without the name of a layer")
        known = by_layer.setdefault(layer, {})
        if level in known:
            raise InputError(f"{what}: layer {layer} stands twice at level {level:g}")
        known[level] = RawPoint(level, values)
    return tuple(RawCurve(layer, tuple(points.values())) for layer, points in by_layer.items())
