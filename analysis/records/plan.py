"""A plan and its entries."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from analysis.records.codec import (
    Count,
    PositiveCount,
    Share,
    pack_places,
    shown,
    unpack_places,
)
from analysis.records.record import NO_REPAIR, Document, GroupOrLayer, Record, Recovered
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import Granularity
from pruners.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEntry(GroupOrLayer, Record):
    """What a plan does to one group (channel, head) or layer (element, block, n:m).

    Attributes:
        layer: Module name of the layer, or of the group's first producer.
        group: The group's id; None where the granularity has no groups.
        ratio: Requested ratio, 0..1.
        kept: Number of units that stay, of ``total``.
        indices: The kept units in rising order, single weights as places in the flat weight
            ``(O, I/G, K...)``. None where they follow from criterion and kept count, as those of
            blocks and N:M always do; single weights are listed if a file of masks chose them. As
            JSON those are base64 of one bit a weight, the first the most significant.
        locked: Auto-fill leaves the entry alone.

    Raises:
        InputError: More are kept than there are.
    """

    layer: str
    group: str | None
    criterion: str
    granularity: Granularity
    ratio: Share
    kept: Count
    total: PositiveCount
    indices: tuple[Count, ...] | None = None
    locked: bool = False

    def __post_init__(self) -> None:
        if self.kept > self.total:
            raise InputError(f"{self.layer} keeps {self.kept} of {self.total}")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; listed single weights are bits."""
        data = Record.to_dict(self)
        if self.granularity == "element" and self.indices and self._are_places():
            data["indices"] = pack_places(self.indices, self.total)
        return data

    def _are_places(self) -> bool:
        """Return whether bits say the same as the list: rising, and none beyond the units."""
        places = self.indices or ()
        rising = all(first < second for first, second in itertools.pairwise(places))
        return rising and places[-1] < self.total

    @classmethod
    def fields_of(cls, data: Mapping[str, Any], where: str) -> Mapping[str, Any]:
        """Return the values by field from what `to_dict` wrote, or from lists of indices.

        Raises:
            InputError: The bits are none, or not one a unit.
        """
        packed, total = data.get("indices"), data.get("total")
        if not isinstance(packed, str) or type(total) is not int:
            return data
        try:
            return {**data, "indices": unpack_places(packed, total)}
        except ValueError as error:
            raise InputError(
                f"{where}.indices: expected a list, or base64 of a bit a unit, found "
                f"{shown(packed)} ({error})"
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(Record):
    """What a strategy was asked for: on the same subject and points it fills the same plan again.

    Attributes:
        criteria: ``fixed`` (each entry's own) or ``best``.
        ratio: Fraction removed, 0..1; None where something else was given.
        tolerance: Accepted drop of each layer alone, as a fraction.
        budgets: As in ``macs=0.5``; all of them hold.
        cost: What was added up over layers: ``drop``, ``loss`` or ``kl``, or a task's own.
        monotone: Whether rising curves were fitted through the points.
        cautious: Whether curves were read at the upper ends of their intervals.
        normalizer: How global ranking made layers comparable; None for other strategies.
        round_to: Kept channels were rounded up to a multiple of this.
        min_kept: What each entry keeps at least: below 1 a share of its units, else a number.
        equal: Whether groups of equal shape and role keep equally many units.
        rounds: The units were chosen in this many rounds.
        runtime: What ran the models whose time was measured, one of `analysis.interop.RUNTIMES`.
    """

    criteria: str = "fixed"
    ratio: Share | None = None
    tolerance: float | None = None
    budgets: tuple[str, ...] = ()
    cost: str = "drop"
    monotone: bool = False
    cautious: bool = False
    normalizer: str | None = None
    round_to: PositiveCount = 1
    min_kept: float = 0.0
    equal: bool = False
    rounds: PositiveCount = 1
    runtime: str = "torch"


# Weights are kept under this name, so it is no path. Its first digits say which plan it is of.
_TRAINING = re.compile(r"[0-9a-f]{32}")
_PLAN_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Recovered, Document):
    """A pruning configuration of one subject.

    Trained weights belong to what is pruned, how, and after which repair: a plan that differs in
    one of these from the one that was trained has no training, however it came about.

    Attributes:
        subject: What it applies to.
        fingerprint: Content fingerprint of the model's weights that it was made for.
        entries: One entry a pruned group or layer; what is not listed stays dense.
        run: The run whose points it was chosen from, if any.
        strategy: How it was made: ``manual``, ``uniform``, ``threshold``, ...
        recipe: What the strategy was asked for; later edits by hand are not in it.
        semantics: ``removal`` or ``weights``, as in `SweepSpec`.
        reduction: How member layers' scores join in a coupled group, as in `SweepSpec`.
        repair: How the pruned model is repaired without training, one of `analysis.repairs`: on the
            calibration samples that the subject's specification chooses by its seed, so that it can
            be done again.
        training: Id of the trained weights that the workspace keeps; they take the place of the
            repaired ones. None where nothing was trained.
        trained: How, for a person: ``finetune, 3 epochs``.
        note: Free text.
    """

    schema_version: ClassVar[int] = 2
    subject: SubjectSpec
    fingerprint: str
    entries: tuple[PlanEntry, ...]
    run: str | None = None
    strategy: str = "manual"
    recipe: Recipe | None = None
    semantics: str = "removal"
    reduction: str = "mean"
    repair: str = NO_REPAIR
    training: str | None = None
    trained: str = ""
    note: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self._is_trained():
            # Frozen to all others.
            object.__setattr__(self, "training", None)
            object.__setattr__(self, "trained", "")

    def _is_trained(self) -> bool:
        name = self.training
        if name is None or not _TRAINING.fullmatch(name):
            return False
        return name.startswith(self._pruning())

    def _pruning(self) -> str:
        """Return a digest of what trained weights belong to."""
        content = {
            "fingerprint": self.fingerprint,
            "entries": sorted(
                (item.name, item.granularity, item.criterion, item.kept, item.indices or ())
                for item in self.entries
                if item.kept < item.total
            ),
            "repair": self.repair,
            "semantics": self.semantics,
            "reduction": self.reduction,
        }
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:_PLAN_DIGITS]

    def trained_as(self, weights: str, words: str) -> Plan:
        """Return the plan with trained weights.

        Args:
            weights: Digest of their content, hexadecimal.
            words: How they were trained, for a person.
        """
        training = (self._pruning() + weights)[:32]
        return dataclasses.replace(self, training=training, trained=words)

    def repaired_by(self, repair: str) -> Plan:
        """Return the plan with a repair alone, whatever it was trained to."""
        return dataclasses.replace(self, repair=repair, training=None, trained="")

    @classmethod
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Return a plan of the next version.

        Plans of 1 knew no repair: they were pruned raw. They had one budget, or none.
        """
        recipe = data.get("recipe")
        if recipe is not None:
            kept = {name: value for name, value in recipe.items() if name != "budget"}
            budget = recipe.get("budget")
            recipe = {**kept, "budgets": [] if budget is None else [budget]}
        return {**data, "repair": "none", "recipe": recipe}


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """A plan of the workspace.

    Attributes:
        plan_id: Short name, unique in the workspace.
        plan: The plan.
        name: What a person calls it; empty if nobody named it.
        note: What a person says of it.
        created: Unix time.
        changed: Unix time.
        params_left: Fraction of the model's parameters that stays; None if it is not known.
        macs_left: Fraction of its MACs.
    """

    plan_id: str
    plan: Plan
    name: str
    note: str
    created: float
    changed: float
    params_left: float | None
    macs_left: float | None

    @property
    def label(self) -> str:
        """The name where there is one, else the id."""
        return self.name or self.plan_id
