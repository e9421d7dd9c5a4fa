"""A result of another program as a run: its points, what they are of, and where they come from."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from analysis.imports.naming import renamed, require_known
from analysis.imports.questions import checked_answers, metric_of
from analysis.imports.raw import RawCurve, RawPoint, RawResult, ResultFormat
from analysis.imports.scores import Scale, doubts, scale_of
from analysis.records import (
    NO_MODEL,
    ImportedPoint,
    ImportSource,
    PointKey,
    SubjectSpec,
    SweepSpec,
)
from analysis.sentences import listed, plural
from pruners.errors import InputError
from pruners.granularity import parse

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """What is imported, and what a person says of it.

    Attributes:
        file: Name of the file.
        content: Its bytes.
        said: Answers by name of the question.
        metric: Which of the file's metrics is read; None takes the first.
        renames: Layers by what the file calls them.
        prepared: The model whose layers they are; None takes the curves alone.
    """

    file: str
    content: bytes
    said: Mapping[str, str] = dataclasses.field(default_factory=dict)
    metric: str | None = None
    renames: Mapping[str, str] = dataclasses.field(default_factory=dict)
    prepared: PreparedSubject | None = None

    def of(self, prepared: PreparedSubject | None) -> ImportRequest:
        """Return the request with a model."""
        return dataclasses.replace(self, prepared=prepared)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRun:
    """A run as it is imported.

    Attributes:
        spec: Subject and grid.
        source: Where its points come from.
        points: Its points.
        name: What it is called.
    """

    spec: SweepSpec
    source: ImportSource
    points: tuple[ImportedPoint, ...]
    name: str

    def save(self, store: Store) -> str:
        """Enter it in a workspace and return its id."""
        return store.imports.save(self.spec, self.source, self.points, name=self.name)


def check_said(request: ImportRequest, chosen: ResultFormat, raw: RawResult) -> None:
    """Check that all is said that a file does not say, before a model is loaded.

    Raises:
        InputError: An answer is missing, contradicts the file, or is none.
    """
    checked_answers(chosen, raw, metric_of(raw, request.metric), request.said)


def imported_run(request: ImportRequest, chosen: ResultFormat, raw: RawResult) -> ImportedRun:
    """Return the run that a file becomes.

    Raises:
        InputError: Something is not said, contradicts the file, or fits no layer of the model.
    """
    metric = metric_of(raw, request.metric)
    answers = checked_answers(chosen, raw, metric, request.said)
    if raw.table is not None:
        return _of_points(request, chosen, raw, quantity=metric)
    scale = scale_of(answers)
    layers = renamed([curve.layer for curve in raw.curves], request.renames)
    notes = list(raw.notes)
    places = _Places(request.prepared, answers["granularity"], chosen)
    notes += places.match(layers)
    points: list[ImportedPoint] = []
    baselines, merged = set(), 0
    for curve in raw.curves:
        if places.is_known(layers[curve.layer]):
            dense, found, equal = _curve_points(
                curve, metric, answers, scale, places, layers[curve.layer]
            )
            baselines.add(dense)
            points += found
            merged += equal
    if merged:
        notes.append(
            f"{plural(merged, 'level')} left out: the same channels stay as at the level before."
        )
    notes += places.notes()
    if not points:
        raise InputError(f"{request.file} has no level at which something is pruned")
    notes += doubts((item.values["accuracy_drop"] for item in points), scale.quantity)
    said = {**request.said, **({"metric": metric} if len(raw.metrics) > 1 else {})}
    return _run(
        request,
        chosen,
        points,
        quantity=scale.quantity,
        baseline=baselines.pop() if len(baselines) == 1 else None,
        said=said,
        notes=notes,
    )


def _curve_points(
    curve: RawCurve,
    metric: str,
    answers: Mapping[str, str],
    scale: Scale,
    places: _Places,
    layer: str,
) -> tuple[float, list[ImportedPoint], int]:
    """Return the dense score of a layer, its points, and how many levels were no new ones."""
    levels = sorted(
        ((_pruned(point.level, answers["share"]), point) for point in curve.points),
        key=lambda pair: pair[0],
    )
    dense = scale.baseline
    if levels[0][0] == 0:
        dense = _score(levels[0][1], metric, scale, curve.layer)
    assert dense is not None
    found: list[ImportedPoint] = []
    equal, last, before = 0, places.units(layer), levels[0][1]
    for share, point in levels:
        if share == 0:
            continue
        kept = places.kept(layer, share)
        # Without a model nobody knows the counts: numbers that are equal to the last bit tell.
        is_known = kept == last if places.has_model else _is_same(point, before)
        before, last = point, kept
        if is_known and (places.has_model or places.is_structured):
            equal += 1
        elif share < 1:
            score = _score(point, metric, scale, curve.layer)
            found.append(places.point(layer, share, answers["criterion"], score, dense))
    return dense, found, equal


def _pruned(level: float, share: str) -> float:
    """Return the pruned share, without the dirt of repeated additions."""
    return round(level if share == "pruned" else 1 - level, 10)


def _is_same(point: RawPoint, before: RawPoint) -> bool:
    """Say whether two points are one measurement: several numbers are equal to the last bit."""
    return point is not before and len(point.values) > 1 and point.values == before.values


def _score(point: RawPoint, metric: str, scale: Scale, layer: str) -> float:
    try:
        return scale.score(point.values[metric])
    except InputError as error:
        raise InputError(f"{layer} at level {point.level:g}: {error}") from None


class _Places:
    """Where curves belong: units and groups of the model's layers, as far as there is a model."""

    def __init__(
        self, prepared: PreparedSubject | None, granularity: str, chosen: ResultFormat
    ) -> None:
        self._prepared, self._asked, self._chosen = prepared, granularity, chosen
        self.granularity = "element" if granularity == "element" else "channel"
        self._known: set[str] | None = None
        self._shared: list[str] = []
        self._unread: list[str] = []

    @property
    def is_structured(self) -> bool:
        """Whether whole channels go."""
        return parse(self.granularity).is_structured

    def match(self, layers: Mapping[str, str]) -> tuple[str, ...]:
        """Find the layers in the model; return what a person should know."""
        if self._prepared is None:
            return ()
        known = self._prepared.layers()
        self._known = set(known)
        return require_known(layers, known, self._prepared.subject.spec.model)

    def is_known(self, layer: str) -> bool:
        """Return whether the model has a layer; without a model every one is taken."""
        return self._known is None or layer in self._known

    @property
    def has_model(self) -> bool:
        """Whether the units of layers are known."""
        return self._prepared is not None

    def units(self, layer: str) -> int:
        """Return how many units a layer has; 0 without a model."""
        if self._prepared is None:
            return 0
        shape = self._prepared.layer_shape(layer)
        return {"channel": shape[0], "input": shape[1], "element": shape.numel()}[self._asked]

    def kept(self, layer: str, share: float) -> int:
        """Return how many of them stay; 0 without a model."""
        units = self.units(layer)
        return units - self._chosen.removed(share, units) if units else 0

    def point(
        self, layer: str, share: float, criterion: str, score: float, dense: float
    ) -> ImportedPoint:
        """Return a point of a layer."""
        kept, total = self.kept(layer, share), self.units(layer)
        named, group = self._group(layer, total)
        params = macs = None
        if group is not None and self._prepared is not None:
            cost = self._prepared.cost.predict({group: kept})
            params, macs = cost.params, cost.macs
        key = PointKey(
            criterion=criterion,
            granularity=self.granularity,
            layer=named,
            group=group,
            ratio_requested=share,
            kept=kept,
            total=total,
        )
        values = {"accuracy": score, "accuracy_drop": dense - score}
        return ImportedPoint(key=key, values=values, params=params, macs=macs)

    def _group(self, layer: str, total: int) -> tuple[str, str | None]:
        """Return by what layer a curve is named, and the group that its channels are in."""
        structure = None if self._prepared is None else self._prepared.structure
        if structure is None or not self.is_structured:
            return layer, None
        for group in structure.groups:
            members = group.consumers if self._asked == "input" else group.producers
            if group.prunable and layer in {item.layer for item in members}:
                if group.units != total:
                    break
                if len({item.layer for item in group.producers}) > 1 and layer not in self._shared:
                    self._shared.append(layer)
                return (group.layer if self._asked == "input" else layer), group.id
        if layer not in self._unread:
            self._unread.append(layer)
        return layer, None

    def notes(self) -> list[str]:
        """Say what plans have to know of the curves."""
        found = []
        if self._shared:
            found.append(
                f"{listed(self._shared)}: measured alone, but the model removes these channels "
                "together with those of other layers, so a plan loses more than the curve says."
            )
        if self._unread:
            found.append(
                f"{listed(self._unread)}: no group of the model has these channels, so no plan "
                "reads the curve."
            )
        return found


def _of_points(
    request: ImportRequest, chosen: ResultFormat, raw: RawResult, *, quantity: str
) -> ImportedRun:
    """Return a run of our own points, as they are."""
    points: list[ImportedPoint] = list(raw.table)
    for name in {item.key.granularity for item in points}:
        parse(name)
    if len({item.key.granularity for item in points}) > 1:
        raise InputError(f"{request.file} holds points of several granularities; import one")
    layers = list(dict.fromkeys(item.key.layer for item in points))
    found = renamed(layers, {name: request.renames.get(name, name) for name in layers})
    notes: tuple[str, ...] = ()
    if request.prepared is not None:
        known = request.prepared.layers()
        notes = require_known(found, known, request.prepared.subject.spec.model)
        points = [item for item in points if found[item.key.layer] in set(known)]
    points = [
        dataclasses.replace(item, key=dataclasses.replace(item.key, layer=found[item.key.layer]))
        for item in points
    ]
    return _run(request, chosen, points, quantity=quantity, baseline=None, said={}, notes=notes)


def _run(
    request: ImportRequest,
    chosen: ResultFormat,
    points: list[ImportedPoint],
    *,
    quantity: str,
    baseline: float | None,
    said: Mapping[str, str],
    notes: list[str] | tuple[str, ...],
) -> ImportedRun:
    name = PurePath(request.file).name
    prepared = request.prepared
    subject = (
        SubjectSpec(model=f"{NO_MODEL}{PurePath(name).stem}")
        if prepared is None
        else prepared.subject.spec
    )
    ratios = sorted({item.key.ratio_requested for item in points} - {1.0})
    if not ratios:
        raise InputError(f"{request.file} has no level at which something is pruned and some stays")
    source = ImportSource(
        file=name,
        digest=hashlib.sha256(request.content).hexdigest(),
        format=chosen.name,
        quantity=quantity,
        baseline=baseline,
        said=dict(said),
        notes=tuple(notes),
        weights="" if prepared is None else prepared.identity.weights,
        program="" if prepared is None else prepared.identity.program,
    )
    spec = SweepSpec(
        subject=subject,
        criteria=tuple(dict.fromkeys(item.key.criterion for item in points)),
        granularity=points[0].key.granularity,
        ratios=tuple(ratios),
        probe=0,
    )
    return ImportedRun(spec=spec, source=source, points=tuple(points), name=name)
