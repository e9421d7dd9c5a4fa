"""A search on disk: kept after each plan, found again by all that it depends on.

So are the points of single layers that it reads, after each slice of samples: searches of other
budgets read the same ones. What its first plans were measured to be is kept after each of them, and
so is what the plans of a trade-off showed on the evaluation data.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

import torch

from analysis.edits import PreparedSubject
from analysis.files import atomic
from analysis.records import Document, Plan, Record, Sums, SweepState
from analysis.recovery import repair_key
from analysis.search.judge import Scored, Scorer
from analysis.search.records import Aim, SearchState, fingerprint
from analysis.search.trades import key_of
from analysis.sweeps import PlannedSweep
from pruners.errors import InputError

Kept = TypeVar("Kept", "SearchState", "KeptPoints", "KeptScores", "KeptSums")

# To be raised when a change of the program changes what a search finds.
VERSION = 1


class Keeper:
    """Keeps the state of one search.

    Args:
        folder: Where; None keeps nothing.
        prepared: The subject on its search data.
        start: Where the search starts.
        aim: What it is asked for.

    Attributes:
        request: What tells the search from others.
        curves: What tells the curves that it reads from others.
    """

    def __init__(
        self, folder: Path | None, prepared: PreparedSubject, start: Plan, aim: Aim
    ) -> None:
        identity, subject = prepared.identity, prepared.subject
        # A search that may go on for longer is the same search: without trials and seconds.
        asked = [aim.recipe.to_dict(), aim.confidence, aim.measure]
        asked += [aim.saving] if aim.saving != 1.0 else []
        content = {
            "version": VERSION,
            "weights": identity.weights,
            "data": identity.data,
            "program": identity.program,
            "calibration": subject.calibration_fingerprint,
            "seed": subject.spec.seed,
            "repair": start.repair,
            "semantics": start.semantics,
            "reduction": start.reduction,
            "criteria": aim.criteria,
        }
        names = [(entry.granularity, entry.name) for entry in start.entries]
        entries = [entry.to_dict() for entry in start.entries]
        self.curves = fingerprint({**content, "entries": names})
        self.request = fingerprint({**content, "entries": entries, "aim": asked})
        self._folder = folder

    def load(self) -> SearchState:
        """Return the search as far as it got; a new one if there is none, or it is damaged."""
        return _loaded(self._folder, SearchState(request=self.request))

    def save(self, state: SearchState) -> None:
        """Write the state; a folder that cannot be written means that it begins anew."""
        _save(self._folder, state)

    def points(self, planned: PlannedSweep) -> PointKeeper:
        """Return what keeps the points of a sweep over single layers."""
        # Points that were kept count if they are of this sweep; all else is in their names.
        request = fingerprint({"curves": self.curves, "repair": planned.spec.repair})
        return PointKeeper(self._folder, planned, request)

    def scores(self, judge: Scorer) -> Scorer:
        """Return what scores first plans, and keeps what it measured."""
        request = fingerprint({"first plans": self.request})
        return ScoreKeeper(self._folder, request, judge)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPoints(Document):
    """Points of single layers, as far as they were measured; what failed is tried again.

    Attributes:
        request: Fingerprint of all that the curves depend on.
        baseline: Sums of the dense model.
        sums: By all that the numbers of a point depend on; see `PlannedPoint.cache_key`.
    """

    schema_version: ClassVar[int] = 1
    request: str
    baseline: Sums = field(default_factory=Sums)
    sums: dict[str, Sums] = field(default_factory=dict)


class PointKeeper:
    """Keeps the points of one sweep over single layers.

    Args:
        folder: Where; None keeps nothing.
        planned: The sweep.
        request: What tells it from others.
    """

    def __init__(self, folder: Path | None, planned: PlannedSweep, request: str) -> None:
        self._folder, self._request = folder, request
        self._names = {item.key: item.cache_key for item in planned.identified}

    def load(self) -> SweepState:
        """Return what the sweep goes on from."""
        found = _loaded(self._folder, KeptPoints(request=self._request))
        known = {key: found.sums[name] for key, name in self._names.items() if name in found.sums}
        return SweepState(found.baseline, known)

    def save(self, state: SweepState) -> None:
        """Write what was measured; a folder that cannot be written means that it begins anew."""
        sums = {self._names[key]: found for key, found in state.sums.items()}
        _save(self._folder, KeptPoints(request=self._request, baseline=state.baseline, sums=sums))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptScore(Record):
    """What a plan was measured to be.

    Attributes:
        cost: Mean distance of its outputs from the dense ones.
        sums: What the task counts.
    """

    cost: float
    sums: Sums


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptScores(Document):
    """First plans of a search, as far as they were measured.

    Attributes:
        request: Fingerprint of all that they depend on.
        scores: By what tells plans of one search apart.
    """

    schema_version: ClassVar[int] = 1
    request: str
    scores: dict[str, KeptScore] = field(default_factory=dict)


class ScoreKeeper:
    """Scores plans, and keeps what it measured.

    Args:
        folder: Where; None keeps nothing.
        request: What tells the plans from those of other searches.
        judge: Measures plans that are not kept.
    """

    def __init__(self, folder: Path | None, request: str, judge: Scorer) -> None:
        self._folder, self._judge = folder, judge
        self._kept = _loaded(folder, KeptScores(request=request))

    def score(self, plan: Plan) -> Scored:
        """Measure a plan, or return what is kept: of all its distances their mean alone."""
        key = key_of(plan)
        if (found := self._kept.scores.get(key)) is not None:
            return Scored(plan, torch.tensor([found.cost], dtype=torch.float64), found.sums)
        scored = self._judge.score(plan)
        self._kept.scores[key] = KeptScore(cost=scored.cost, sums=scored.sums)
        _save(self._folder, self._kept)
        return scored


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSums(Document):
    """A plan of a trade-off, measured on the evaluation data.

    Attributes:
        request: Fingerprint of all that the numbers depend on.
        sums: What the task counts.
    """

    schema_version: ClassVar[int] = 1
    request: str
    sums: Sums = field(default_factory=Sums)


def kept_sums(
    folder: Path | None, prepared: PreparedSubject, plan: Plan, found: Callable[[], Sums]
) -> Sums:
    """Measure a plan on the evaluation data, and keep that; or return what is kept.

    Args:
        folder: Where; None keeps nothing.
        prepared: The subject.
        plan: The plan, with the units that it keeps.
        found: Measures it.
    """
    request = fingerprint(
        {
            "version": VERSION,
            "evaluated": repair_key(prepared, plan),
            "data": prepared.identity.data,
        }
    )
    known = _loaded(folder, KeptSums(request=request))
    if known.sums.samples:
        return known.sums
    sums = found()
    _save(folder, KeptSums(request=request, sums=sums))
    return sums


def _loaded(folder: Path | None, blank: Kept) -> Kept:
    """Return what a folder keeps of a request; ``blank`` where that is nothing, or damaged."""
    if folder is None:
        return blank
    try:
        found = type(blank).from_json((folder / f"{blank.request}.json").read_text())
    except (OSError, InputError, UnicodeDecodeError):
        return blank
    return found if found.request == blank.request else blank


def _save(folder: Path | None, kept: SearchState | KeptPoints | KeptScores | KeptSums) -> None:
    if folder is None:
        return
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(folder / f"{kept.request}.json") as partial:
            partial.write_text(kept.to_json())
