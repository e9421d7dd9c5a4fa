"""Ratios that are given by hand: one for all layers, or one for each that is named."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.files import read_given
from pruners.errors import InputError, PlanError, UnknownNameError, first_line

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.records import Plan, PlanEntry

WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Ratios:
    """What was asked for.

    Attributes:
        common: The ratio of all layers; None where none is given.
        named: Globs over layer names and group ids with their ratios, 0..1; of several that fit
            a layer, the last counts.
    """

    common: float | None = None
    named: tuple[tuple[str, float], ...] = ()


def parse_ratios(written: Sequence[str]) -> Ratios:
    """Read ratios: ``0.5`` for all layers, ``GLOB=0.5``, or JSON files of globs and ratios.

    >>> parse_ratios(["0.25", "conv1=0.5,layer1.*=0.3"])
    Ratios(common=0.25, named=(('conv1', 0.5), ('layer1.*', 0.3)))

    Raises:
        InputError: A part is none of them, or there are two ratios for all layers.
    """
    common: list[float] = []
    named: list[tuple[str, float]] = []
    for part in (part.strip() for text in written for part in text.split(",")):
        glob, is_named, number = part.rpartition("=")
        if is_named:
            named.append((glob.strip(), _ratio(number, part)))
        elif part.endswith(".json"):
            named += _of_file(Path(part))
        else:
            common.append(_ratio(part, part))
    if len(common) > 1:
        raise InputError(
            f"--ratio is given for all layers as {common[0]:g} and as {common[1]:g}; name layers "
            "for others, such as --ratio 'layer1.*=0.3'"
        )
    return Ratios(common[0] if common else None, tuple(named))


def _of_file(path: Path) -> Iterable[tuple[str, float]]:
    try:
        found = json.loads(read_given(path))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"--ratio: {path} cannot be read: {first_line(error)}") from None
    if not isinstance(found, dict):
        raise InputError(
            f'--ratio: {path} holds no object of ratios by layer, such as {{"layer1.*": 0.3}}'
        )
    return [(glob, _ratio(value, f"{glob} in {path}")) for glob, value in found.items()]


def _ratio(value: Any, where: str) -> float:
    try:
        ratio = float(value)
    except (TypeError, ValueError):
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise InputError(
            f"--ratio {where!r}: a ratio is a number between 0 and 1, alone for all layers, or "
            "behind GLOB= for those that fit"
        )
    return ratio


def asked_ratios(
    prepared: PreparedSubject, plan: Plan, named: Sequence[tuple[str, float]]
) -> dict[str, float]:
    """Return the ratios that entries of a plan are asked for.

    Args:
        prepared: The subject.
        plan: Lists an entry for each prunable target.
        named: As in `Ratios.named`.

    Raises:
        UnknownNameError: A glob fits nothing that can be pruned.
        PlanError: Layers of one group are asked for different ratios by their names.
    """
    asked: dict[str, tuple[str, float]] = {}
    for glob, ratio in named:
        for name in _fitting(prepared, plan, glob):
            other, before = asked.get(name, (glob, ratio))
            if before != ratio and other != glob and not WILD & {*other, *glob}:
                raise PlanError(
                    f"{other} (ratio {before:g}) and {glob} (ratio {ratio:g}) belong to one group, "
                    f"{name}: their channels are removed together, so ask for one ratio"
                )
            asked[name] = (glob, ratio)
    return {name: ratio for name, (_, ratio) in asked.items()}


def _fitting(prepared: PreparedSubject, plan: Plan, glob: str) -> list[str]:
    """Return the names of the entries that a glob fits, or of the group that a layer belongs to."""
    found = [entry.name for entry in plan.entries if _fits(entry, glob)]
    if not found and prepared.structure is not None:
        layers = [item.name for item in prepared.structure.layers]
        fitting = [name for name in layers if fnmatch.fnmatchcase(name, glob)]
        groups = {group.id for name in fitting for group in prepared.structure.of_layer(name)}
        found = [entry.name for entry in plan.entries if entry.group in groups]
    if not found:
        raise UnknownNameError("layer of --ratio", glob, [entry.layer for entry in plan.entries])
    return found


def _fits(entry: PlanEntry, glob: str) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for name in (entry.layer, entry.name))
