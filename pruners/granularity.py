"""What one pruning decision removes: an element, a channel, a head, a block, N:M, a branch.

Element-like granularities work on a weight ``(O, I/G, K...)``, output channels first.

* ``element``: one weight.
* ``block:NxM``: N neighbouring output channels x M neighbouring input channels at one kernel
  position (the orientation of Intel Neural Compressor: ``4x1`` is 4 output rows x 1 input column).
  A block's score is the mean of its weights' scores. Where N or M does not divide the layer, the
  last block is smaller; nothing is left out.
* ``n:m``, such as ``2:4``: of each M neighbouring **input channels** (at one output channel and
  one kernel position) the N highest scores are **kept**. A last short run of fewer than M keeps at
  most N. Its ratio is fixed: 1 - N/M.
* ``channel``, ``head``: units of a group; see `pruners.groups.groups` and
  `pruners.criteria.coupled`.
* ``branch``, ``layer``: groups of one unit, kept or gone; see `pruners.groups.branches`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from pruners.errors import InputError
from pruners.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class GranularityKind:
    """A registered kind of granularity.

    Attributes:
        name: Name, as criteria list what they score.
        label: Name on pages.
        form: How it is written, as ``block:NxM``.
        help: The same in words, with ``{rows}`` and ``{columns}`` for its numbers.
        numbers: What N and M of the form are; empty where it has none.
        pattern: Regular expression of the form; its groups are N and M.
        is_structured: Whether units belong to groups and can be removed physically.
        is_whole: Whether a group is one unit, which may go.
        fault: Says why N and M make no such granularity; empty if they do.
        presets: What pages offer of this kind.
    """

    name: str
    label: str
    form: str
    help: str
    numbers: str = ""
    pattern: str
    is_structured: bool = False
    is_whole: bool = False
    fault: Callable[[int, int], str] = lambda rows, columns: ""
    presets: tuple[str, ...]


KINDS = Registry(
    "granularity",
    (
        GranularityKind(
            name="channel",
            label="Channels",
            form="channel",
            help="output channels and all that is coupled to them",
            pattern="channel",
            is_structured=True,
            presets=("channel",),
        ),
        GranularityKind(
            name="element",
            label="Elements",
            form="element",
            help="single weights",
            pattern="element",
            presets=("element",),
        ),
        GranularityKind(
            name="head",
            label="Heads",
            form="head",
            help="whole attention heads",
            pattern="head",
            is_structured=True,
            presets=("head",),
        ),
        GranularityKind(
            name="block",
            label="Blocks",
            form="block:NxM",
            help="blocks of {rows} output x {columns} input channels at one kernel position",
            numbers="N output x M input channels",
            pattern=r"block:(\d{1,9})x(\d{1,9})",
            fault=lambda rows, columns: (
                "" if rows and columns else "a block has at least one row and one column"
            ),
            presets=("block:4x1", "block:1x4"),
        ),
        GranularityKind(
            name="n:m",
            label="N:M",
            form="N:M",
            help="{rows} kept of every {columns} neighbouring input channels",
            numbers="N kept of each M neighbouring input channels, such as 2:4",
            pattern=r"(\d{1,9}):(\d{1,9})",
            fault=lambda kept, out_of: (
                "" if 1 <= kept < out_of else "N of N:M is kept, so 1 <= N < M is needed"
            ),
            presets=("2:4",),
        ),
        GranularityKind(
            name="branch",
            label="Branches",
            form="branch",
            help="whole residual branches, such as an attention or an MLP: kept or gone",
            pattern="branch",
            is_structured=True,
            is_whole=True,
            presets=("branch",),
        ),
        GranularityKind(
            name="layer",
            label="Layers",
            form="layer",
            help="whole layers of a transformer or residual network, all branches of one: kept or "
            "gone",
            pattern="layer",
            is_structured=True,
            is_whole=True,
            presets=("layer",),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Granularity:
    """A parsed granularity.

    Attributes:
        kind: Name of one of `KINDS`.
        rows: Output channels of a block; N kept for ``n:m``; 1 otherwise.
        columns: Input channels of a block; M for ``n:m``; 1 otherwise.
    """

    kind: str
    rows: int = 1
    columns: int = 1

    def __str__(self) -> str:
        form = KINDS.get(self.kind).form
        return form.replace("N", str(self.rows)).replace("M", str(self.columns))

    @property
    def level(self) -> str:
        """The level that criteria are asked for: ``element`` or ``channel``."""
        return "channel" if self.is_structured else "element"

    @property
    def is_structured(self) -> bool:
        """Whether units belong to groups and can be removed physically."""
        return KINDS.get(self.kind).is_structured

    @property
    def keep_one(self) -> bool:
        """Whether one unit always stays."""
        return self.is_structured and not self.is_whole

    @property
    def is_whole(self) -> bool:
        """Whether a group is one unit, which may go."""
        return KINDS.get(self.kind).is_whole

    @property
    def fixed_ratio(self) -> float | None:
        """The only ratio that an N:M pattern or a whole has; None where the ratio is free."""
        if self.is_whole:
            return 1.0
        return 1 - self.rows / self.columns if self.kind == "n:m" else None

    @property
    def description(self) -> str:
        """The granularity in plain words."""
        return KINDS.get(self.kind).help.format(rows=self.rows, columns=self.columns)


def parse(text: str) -> Granularity:
    """Parse one of `forms`, such as ``channel``, ``block:4x1`` or ``2:4`` (N kept of M).

    Raises:
        InputError: Anything else, or numbers that make no pattern.
    """
    for kind in KINDS:
        if match := re.fullmatch(kind.pattern, text):
            found = Granularity(kind.name, *map(int, match.groups()))
            if fault := kind.fault(found.rows, found.columns):
                raise InputError(f"granularity {text!r}: {fault}")
            return found
    raise InputError(f"unknown granularity {text!r}; known: {forms()}")


def forms() -> str:
    """Return how granularities are written, with what the numbers are."""
    return ", ".join(
        f"{kind.form} ({kind.numbers})" if kind.numbers else kind.form for kind in KINDS
    )


def presets() -> tuple[str, ...]:
    """Return the granularities that pages offer."""
    return tuple(text for kind in KINDS for text in kind.presets)


# --- from a ratio to a number of units ----------------------------------------------------

HALF_UP = "half-up"


@dataclass(frozen=True, slots=True)
class Rounding:
    """A registered rounding.

    Attributes:
        name: Name on the command line and in runs.
        label: Name on pages.
        help: What it does, in plain words.
        fn: Maps ``ratio * units`` to how many units are removed.
    """

    name: str
    label: str
    help: str
    fn: Callable[[float], int]


ROUNDINGS = Registry(
    "rounding",
    (
        Rounding(
            HALF_UP,
            "Half up",
            "to the nearest number of removed units, halves up (default)",
            lambda removed: math.floor(removed + 0.5),
        ),
        Rounding(
            "floor", "Down", "removed units rounded down, as NNI and Distiller do", math.floor
        ),
    ),
)
