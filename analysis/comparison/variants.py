"""Variants of one sweep: runs that differ in one setting of the method, and how far they are apart.

A sweep after a repair has the raw one as its variant, and a sweep under one semantics that under
the other. Everything else that decides the numbers is the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis import records
from analysis.curves import is_known
from analysis.records import RunRow, SubjectSpec, SweepSpec
from analysis.repairs import NO_REPAIR, REPAIRS, check_repair, sweep_repairs
from analysis.sentences import percent, plural
from analysis.tasks import Words, scoring_of
from pruners.criteria import label_of
from pruners.errors import UnsupportedError
from pruners.granularity import parse
from pruners.registry import Entry
from pruners.semantics import SEMANTICS

# What an imported run and others differ in, and how many of them are offered.
SOURCE = "source"
MAX_BESIDE = 6


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of `SweepSpec` whose values make variants of a sweep.

    Attributes:
        question: What a control asks.
        entries: Returns the values.
        called: Returns what the variant with a value is called.
    """

    question: str
    entries: Callable[[], Iterable[Entry]]
    called: Callable[[Entry], str]

    @property
    def labels(self) -> dict[str, str]:
        """Name of each variant by value."""
        return {entry.name: self.called(entry) for entry in self.entries()}

    @property
    def help(self) -> dict[str, str]:
        """What each one is."""
        return {entry.name: entry.help for entry in self.entries()}


SETTINGS: Mapping[str, Setting] = {
    "repair": Setting(
        "Repair of each point",
        lambda: map(REPAIRS.get, sweep_repairs()),
        lambda entry: entry.label if entry.name == NO_REPAIR else f"After {entry.name}",
    ),
    "semantics": Setting("A pruned channel is", lambda: SEMANTICS, lambda entry: entry.label),
}


@dataclass(frozen=True, slots=True)
class Variant:
    """A run that differs from another one in a single setting.

    Attributes:
        field: Which, a key of `SETTINGS`; or `SOURCE`, where one of both was imported.
        run: The run.
    """

    field: str
    run: RunRow

    @property
    def name(self) -> str:
        """What the variant is called in a sentence or a legend."""
        return present_name(self.run, self.field)


def label(spec: SweepSpec, field: str) -> str:
    """Return what a sweep is called among its variants: ``raw``, ``after lsq``, ``removal``."""
    return SETTINGS[field].labels[getattr(spec, field)].lower()


def present_name(run: RunRow, field: str) -> str:
    """Return what a run is called beside a variant that differs in this."""
    if field != SOURCE:
        return label(run.spec, field)
    return f"run {run.run_id}" if run.source is None else run.source.file


def beside(run: RunRow, runs: Iterable[RunRow]) -> list[Variant]:
    """Return runs to draw beside a run where one of both was imported, the newest first.

    They have a criterion and the granularity in common, their drops are of one unit, and if both
    have a model it is the same. Whether they share layers is seen in their points.

    Args:
        run: A run.
        runs: Where to look.
    """
    found: dict[str, Variant] = {}
    for other in sorted(runs, key=lambda row: -row.created):
        is_import = run.source is not None or other.source is not None
        if is_import and other.run_id != run.run_id and _is_comparable(run, other):
            variant = Variant(SOURCE, other)
            found.setdefault(variant.name, variant)
    return list(found.values())[:MAX_BESIDE]


def _is_comparable(run: RunRow, other: RunRow) -> bool:
    mine, its = (scoring_of(row.quantity).words for row in (run, other))
    if (mine.drop_unit, mine.drop_label) != (its.drop_unit, its.drop_label):
        return False
    if run.has_model and other.has_model and run.spec.subject.model != other.spec.subject.model:
        return False
    return run.spec.granularity == other.spec.granularity and bool(
        set(run.spec.criteria) & set(other.spec.criteria)
    )


def with_value(spec: SweepSpec, field: str, value: str) -> SweepSpec:
    """Return the sweep with another value of a setting."""
    change: dict[str, Any] = {field: value}
    return dataclasses.replace(spec, **change)


def choices(spec: SweepSpec, field: str) -> list[str]:
    """Return the values of a setting that are possible with the rest of the sweep."""
    return [name for name in SETTINGS[field].labels if _is_possible(with_value(spec, field, name))]


def _is_possible(spec: SweepSpec) -> bool:
    removes = SEMANTICS.get(spec.semantics).removes
    if not removes and not parse(spec.granularity).is_structured:
        return False
    try:
        check_repair(spec.repair, removes=removes)
    except UnsupportedError:
        return False
    return True


def siblings(run: RunRow, runs: Iterable[RunRow]) -> list[Variant]:
    """Return the run's variants, the repairs first; of equal ones a finished and new one.

    Args:
        run: A run.
        runs: Where to look.
    """
    best: dict[tuple[str, str], RunRow] = {}
    for row in sorted(runs, key=lambda row: (row.state == records.DONE, row.created)):
        is_import = run.source is not None or row.source is not None
        if is_import or _is_of_other_content(run, row):
            continue
        for field in SETTINGS:
            value = getattr(row.spec, field)
            same = with_value(run.spec, field, value)
            if value != getattr(run.spec, field) and _numbers(row.spec) == _numbers(same):
                best[field, value] = row
    return [
        Variant(field, best[field, value])
        for field, setting in SETTINGS.items()
        for value in setting.labels
        if (field, value) in best
    ]


def _is_of_other_content(run: RunRow, other: RunRow) -> bool:
    """Say whether the addresses led to other weights or samples; not known before loading."""
    return bool(other.fingerprint) and not run.is_of(other.identity)


def _numbers(spec: SweepSpec) -> SweepSpec:
    """Return the sweep without what only says where and in which parts it is computed."""
    usual = SubjectSpec(model="")
    subject = dataclasses.replace(
        spec.subject,
        batch_size=usual.batch_size,
        device=usual.device,
        memory_limit=usual.memory_limit,
    )
    return dataclasses.replace(spec, subject=subject, executor="local", ray_address="auto")


_POINT = ["criterion", "granularity", "layer", "group", "kept", "samples"]
_SHARED = ["total", "ratio_requested", "ratio_achieved"]
_VALUES = ["accuracy", "accuracy_drop", "drop_low", "drop_high"]


def side_by_side(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Join two points tables at the points that both measured on equally many samples.

    Args:
        first: Points of one run.
        second: Points of a variant.

    Returns:
        One row a point, in the order of ``first``: criterion, granularity, layer, group, kept,
        samples, total, ratios; ``accuracy, accuracy_drop, drop_low, drop_high`` of the first run
        and, with the suffix ``_beside``, of the second; ``gain``, the first accuracy minus the
        second. All are fractions.
    """
    ours = first[is_known(first)].drop_duplicates(_POINT)[[*_POINT, *_SHARED, *_VALUES]]
    theirs = second[is_known(second)].drop_duplicates(_POINT)[[*_POINT, *_VALUES]]
    both = ours.merge(theirs, on=_POINT, suffixes=("", "_beside"))
    return both.assign(gain=both["accuracy"] - both["accuracy_beside"])


@dataclass(frozen=True, slots=True)
class Extreme:
    """The largest or smallest gain and where it is; gain and achieved ratio are fractions."""

    gain: float
    layer: str
    criterion: str
    ratio: float

    def said(self, words: Words) -> str:
        """Return it in words."""
        size = words.amount(self.gain)
        where = f"{self.layer} by {label_of(self.criterion)}"
        return f"{size} ({where} at {percent(self.ratio, digits=1)})"


@dataclass(frozen=True, slots=True)
class Gap:
    """Differences in accuracy over the points of `side_by_side`, as fractions.

    Attributes:
        points: Number of these points.
        mean: Mean gain of the first run over the second.
        apart: Mean absolute difference.
        most: Largest gain.
        least: Smallest one.
        worse: Number of points at which the first run is less accurate.
    """

    points: int
    mean: float
    apart: float
    most: Extreme
    least: Extreme
    worse: int


def gap(both: pd.DataFrame) -> Gap | None:
    """Sum up what `side_by_side` returned; None without points."""
    if both.empty:
        return None
    gain = both["gain"]
    return Gap(
        points=len(both),
        mean=float(gain.mean()),
        apart=float(gain.abs().mean()),
        most=_extreme(both, int(gain.argmax())),
        least=_extreme(both, int(gain.argmin())),
        worse=int((gain < 0).sum()),
    )


def _extreme(both: pd.DataFrame, place: int) -> Extreme:
    row = both.iloc[place]
    return Extreme(
        gain=float(row["gain"]),
        layer=str(row["layer"]),
        criterion=str(row["criterion"]),
        ratio=float(row["ratio_achieved"]),
    )


def gap_sentence(
    spec: SweepSpec, points: pd.DataFrame, other: Variant, others: pd.DataFrame
) -> str:
    """Say how far a run and its variant are apart; empty without common points.

    Args:
        spec: The run's sweep.
        points: Its points.
        other: The variant.
        others: Its points.
    """
    field = other.field
    names = list(SETTINGS[field].labels)
    mine, its = getattr(spec, field), getattr(other.run.spec, field)
    # The repaired run is compared with the raw one, whichever of them is open.
    if field == "repair" and names.index(mine) < names.index(its):
        first, second = other.name, label(spec, field)
        found = gap(side_by_side(others, points))
    else:
        first, second = label(spec, field), other.name
        found = gap(side_by_side(points, others))
    if found is None:
        return ""
    words = scoring_of(spec.subject.task).words
    if field == "repair":
        return _gain_sentence(first, second, found, words)
    largest = max(found.most, found.least, key=lambda end: abs(end.gain))
    return (
        f"{first.capitalize()} and {second} differ by {words.amount(found.apart)} of "
        f"{words.label} on average over {plural(found.points, 'point')}, at most by "
        f"{largest.said(words)}."
    )


def _gain_sentence(repaired: str, raw: str, found: Gap, words: Words) -> str:
    above, below = ("above", "below") if words.scale > 0 else ("below", "above")
    side = above if found.mean >= 0 else below
    # A drop that is relative is a share of the dense score, and so is the gap of two.
    of_dense = "" if words.drop_factor is None else " of the dense one"
    text = (
        f"{repaired.capitalize()}, {words.label} is {words.amount(found.mean)}{of_dense} {side} "
        f"{raw} on average over {plural(found.points, 'point')}"
    )
    if found.most.gain > 0:
        text += f", at most {found.most.said(words)}"
    if found.worse:
        least = found.least.said(words)
        text += f"; at {plural(found.worse, 'point')} it is {below}, by at most {least}"
    return f"{text}."
