"""The registry of criteria: one decorated pure function each, with what a user must know of it.

CLI choices, page options, the table in docs/criteria.md and the conformance tests are generated
from the entries. A new criterion is one function in one file and one import in `criteria`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from pruners.errors import InputError, PruneScopeError, UnsupportedError, one_line
from pruners.float32 import strict
from pruners.layers import TYPE_NAMES
from pruners.normalizers import NORMALIZERS
from pruners.registry import Registry
from pruners.statistics import LayerData
from pruners.user_code import no_exit

Level = Literal["element", "channel", "branch", "layer"]
Cost = Literal["weights", "forward", "backward", "second order"]

ELEMENT = frozenset({"element", "block", "n:m"})
CHANNEL = frozenset({"channel", "head"})
# Scored by what their layers' channels or elements score, or as they are.
DEPTH = frozenset({"branch", "layer"})
ALL = ELEMENT | CHANNEL | DEPTH
ALL_TYPES = frozenset(TYPE_NAMES)
CONV_AND_LINEAR = ALL_TYPES - {"MultiheadAttention"}
# What a criterion may ask for without any data; "seed" is the run's seed.
DATA_FREE = frozenset({"seed", "bn_scale"})
COSTS = ("weights", "forward", "backward", "second order")


class ScoreFunction(Protocol):
    """Maps a layer to importance scores; higher means more important."""

    def __call__(self, data: LayerData, *, level: Level) -> Tensor:
        """Return ``(O,)`` at level channel, the weight's shape at level element.

        A criterion of branches and layers returns ``(1,)``; its weight is empty.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """A registered criterion.

    Attributes:
        name: Name on the command line, in tables and exports.
        label: Name on pages.
        citation: Authors, title, year, identifier and equation number.
        formula: The score in one line of plain text.
        help: What it does and when to use it, in plain words.
        needs: The statistics that it reads, as named in `pruners.statistics.calibration`, and
            ``seed``.
        granularities: Kinds of granularity it can score; who scores channels or elements scores
            branches and layers by their sum.
        layer_types: Classes of layers it can score.
        cost: What the statistics cost: ``weights`` (nothing to collect), ``forward``,
            ``backward`` or ``second order``.
        fn: The score function.
        caution: When not to trust it; empty if there is nothing to say.
        normalizer: How global ranking compares its scores across layers if nobody says otherwise,
            one of `pruners.normalizers.NORMALIZERS`.
        version: Digest of the user's file it comes from; empty for the built-in ones. What is
            cached by a criterion's name must depend on it.
    """

    name: str
    label: str
    citation: str
    formula: str
    help: str
    needs: frozenset[str]
    granularities: frozenset[str]
    layer_types: frozenset[str]
    cost: Cost
    fn: ScoreFunction
    caution: str = ""
    normalizer: str = "mean"
    version: str = ""

    @property
    def level(self) -> Level | None:
        """At which level it scores layers; None if only branches and layers as a whole."""
        if "channel" in self.granularities:
            return "channel"
        return "element" if "element" in self.granularities else None

    @property
    def needs_data(self) -> bool:
        """Whether the criterion reads statistics of calibration data."""
        return bool(self.needs - DATA_FREE)

    def supports(self, granularity_kind: str, layer_type: str) -> str:
        """Return why the criterion cannot score such a layer; empty if it can."""
        if granularity_kind not in self.granularities:
            known = ", ".join(sorted(self.granularities))
            return f"criterion {self.name} does not score {granularity_kind}s (it scores: {known})"
        if layer_type not in self.layer_types:
            known = ", ".join(sorted(self.layer_types))
            return f"criterion {self.name} does not apply to {layer_type} layers (only {known})"
        return ""


# The cheap ones first, else in order of registration.
CRITERIA: Registry[Criterion] = Registry("criterion", order=lambda entry: COSTS.index(entry.cost))


def criterion(
    name: str,
    *,
    label: str,
    citation: str,
    formula: str,
    help: str,
    needs: Iterable[str] = (),
    granularities: Iterable[str] = ALL,
    layer_types: Iterable[str] = ALL_TYPES,
    cost: Cost = "weights",
    caution: str = "",
    normalizer: str = "mean",
) -> Callable[[ScoreFunction], ScoreFunction]:
    """Register the decorated function as criterion ``name``; see `Criterion` for the fields.

    Raises:
        InputError: The name is taken or malformed, or a field is empty or unknown.
    """
    entry_needs, kinds, types = frozenset(needs), frozenset(granularities), frozenset(layer_types)
    kinds |= DEPTH if kinds & (ELEMENT | CHANNEL) else set()
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InputError(f"criterion {name!r}: a name is lower case letters, digits, underscores")
    if not (label and citation and formula and help):
        raise InputError(f"criterion {name!r} needs a label, a citation, a formula and a help text")
    for found, allowed, what in (
        (kinds, ALL, "granularity"),
        (types, ALL_TYPES, "layer type"),
        ({cost}, frozenset(COSTS), "cost"),
        ({normalizer}, frozenset(NORMALIZERS.names()), "normalizer"),
    ):
        if not found or not found <= allowed:
            raise InputError(
                f"criterion {name!r}: {what} {sorted(found - allowed)} unknown; "
                f"known: {', '.join(sorted(allowed))}"
            )

    def register(fn: ScoreFunction) -> ScoreFunction:
        CRITERIA.register(
            Criterion(
                name=name,
                label=label,
                citation=citation,
                formula=formula,
                help=help,
                needs=entry_needs,
                granularities=kinds,
                layer_types=types,
                cost=cost,
                fn=fn,
                caution=caution,
                normalizer=normalizer,
            )
        )
        return fn

    return register


def label_of(name: str) -> str:
    """Return what charts call a criterion: its label without what stands in brackets.

    Its name where nobody registered it.
    """
    return CRITERIA.get(name).label.split(" (")[0] if name in CRITERIA else name


def scoring(granularity_kind: str) -> tuple[str, ...]:
    """Return the names of the criteria that score a kind of granularity."""
    return tuple(entry.name for entry in CRITERIA if granularity_kind in entry.granularities)


def _users(entry: Criterion, data: LayerData, level: Level) -> Tensor:
    """Return the scores of a criterion in a user's file, which may raise anything."""
    try:
        with no_exit():
            result = entry.fn(data, level=level)
    except (PruneScopeError, torch.linalg.LinAlgError):  # type: ignore[attr-defined]
        raise
    except Exception as error:
        raise InputError(
            f"layer {data.name}: criterion {entry.name} raised {one_line(error)}"
        ) from error
    if not isinstance(result, Tensor):
        raise InputError(
            f"layer {data.name}: criterion {entry.name} returned a {type(result).__name__}, not a "
            "tensor of scores"
        )
    return result


@strict
def scores(name: str, data: LayerData, *, level: Level) -> Tensor:
    """Score one layer, with checks of what goes in and what comes out.

    Args:
        name: Name of the criterion.
        data: The layer.
        level: ``element`` or ``channel``; of criteria of branches ``branch`` or ``layer``.

    Returns:
        Finite scores in float32 or wider: the weight's shape, or ``(O,)``; higher is kept.

    Raises:
        UnknownNameError: No such criterion.
        UnsupportedError: The criterion does not apply to the layer, or a statistic is missing.
        InputError: The function returned a wrong shape or a score that is not finite, or needs
            the inverse of a matrix that has none.
    """
    entry = CRITERIA.get(name)
    reason = entry.supports(level, data.type)
    for need in sorted(entry.needs - {"seed"} - set(data.statistics)):
        why = data.reasons.get(need, "it was not collected")
        reason = reason or f"criterion {name} needs {need}: {why}"
    if reason:
        raise UnsupportedError(f"layer {data.name}: {reason}")
    try:
        result = _users(entry, data, level) if entry.version else entry.fn(data, level=level)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        raise InputError(
            f"layer {data.name}: criterion {name} inverts a matrix of its calibration statistics, "
            "which has no inverse but for rounding; calibrate on more samples"
        ) from None
    expected = data.weight.shape if level == "element" else data.weight.shape[:1]
    if result.shape != expected:
        raise InputError(
            f"layer {data.name}: criterion {name} returned scores of shape "
            f"{tuple(result.shape)}, expected {tuple(expected)}"
        )
    if not bool(torch.isfinite(result).all()):
        raise InputError(f"layer {data.name}: criterion {name} returned scores that are not finite")
    # A copy: some scores are a statistic itself, which the caller must not change.
    return result.clone()
