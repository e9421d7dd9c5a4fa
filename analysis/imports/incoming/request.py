"""What a plan is read from and for, and plans by counts of layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from analysis import plans
from pruners.errors import PlanError

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.records import Plan
    from pruners.groups import Group


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """A plan to be read.

    Attributes:
        file: Name of the file, for messages.
        content: Its bytes.
        prepared: The model that it is for.
        criterion: By which units are chosen where the file has counts alone, and what the plan is
            edited by later; None for our own plans, which say it.
        granularity: ``channel`` or ``element``, where the file does not say; None if nobody did.
        renames: Layers by what the file calls them.
    """

    file: str
    content: bytes
    prepared: PreparedSubject
    criterion: str | None = None
    granularity: str | None = None
    renames: Mapping[str, str] = field(default_factory=dict)

    @property
    def chosen_by(self) -> str:
        """The criterion, of formats that need one.

        Raises:
            PlanError: Nobody said it.
        """
        if self.criterion is None:
            raise PlanError(
                f"{self.file} does not say how units are chosen: give --criterion, by which they "
                "are where the file has counts alone, and by which the plan is edited later"
            )
        return self.criterion

    @property
    def model(self) -> str:
        """The model's address."""
        return self.prepared.subject.spec.model

    def start(self, granularity: str) -> Plan:
        """Return a plan that removes nothing, with an entry for all that can be pruned."""
        return plans.start_plan(self.prepared, criterion=self.chosen_by, granularity=granularity)


def entry_of(request: PlanRequest, plan: Plan, layer: str) -> str:
    """Return the name of the entry that a layer's units are in.

    Raises:
        PlanError: The model has none.
    """
    names = {entry.name for entry in plan.entries}
    found = layer if layer in names else None
    if found is None and request.prepared.structure is not None:
        found = plans.group_of(request.prepared)(layer)
    if found is None or found not in names:
        raise PlanError(
            f"{request.file} prunes {layer}, of which {request.model} cannot remove anything, or "
            "which it does not have; say which is which with --rename OLD=NEW"
        )
    return found


def plan_of_counts(request: PlanRequest, plan: Plan, counts: Mapping[str, tuple[str, int]]) -> Plan:
    """Return a plan with the counts of layers.

    Args:
        request: What is read.
        plan: Removes nothing yet.
        counts: By the layer's name in the file: name of the entry, and how many units it keeps.

    Raises:
        PlanError: Layers of one group keep different numbers.
    """
    seen: dict[str, tuple[str, int]] = {}
    for layer, (name, kept) in counts.items():
        other, before = seen.setdefault(name, (layer, kept))
        if before != kept:
            raise PlanError(
                f"{request.file}: {other} keeps {before} and {layer} keeps {kept}, but they "
                f"belong to one group, {name}: their channels are removed together"
            )
        plan = plans.set_kept(plan, name, kept)
    return plan


def consumed_by(request: PlanRequest, layer: str) -> Group:
    """Return the group of the channels that a layer reads.

    Raises:
        PlanError: There is none that can be pruned.
    """
    for group in request.prepared.require_structure().groups:
        if group.prunable and layer in {member.layer for member in group.consumers}:
            return group
    raise PlanError(
        f"{request.file} prunes the input channels of {layer}, which {request.model} does not have "
        "or cannot remove; say which is which with --rename OLD=NEW"
    )
