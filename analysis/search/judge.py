"""Measure plans on the search data after their repair, and compare two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from analysis.edits import Edit, PreparedSubject, edited_model
from analysis.measuring import EditRunner, Slice, Slices, measure
from analysis.plans import plan_edit
from analysis.records import Plan, Sums
from analysis.recovery import Recovery, Repairer
from analysis.repairs import NO_REPAIR
from analysis.search.data import effort_of
from analysis.uncertainty import MeanTest

KEEP_BYTES = 2**30
PLAN = "plan"


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """A plan on the search data.

    Attributes:
        plan: The plan, with the units that its repair kept.
        costs: Distance of the outputs from the dense ones, a value a sample, float64 ``(n,)``.
        sums: What the task counts.
        wins: Whether it is better than its rival; None without one.
        error: Standard error of its mean distance from its rival.
    """

    plan: Plan
    costs: Tensor
    sums: Sums
    wins: bool | None = None
    error: float = 0.0

    @property
    def cost(self) -> float:
        """Mean distance."""
        return float(self.costs.mean())


class Scorer(Protocol):
    """What scores plans."""

    def score(self, plan: Plan) -> Scored:
        """Measure a plan."""


class Judge:
    """Scores plans, each after its repair.

    Args:
        prepared: The subject on its search data.
        repair: One of `analysis.repairs`.
        alpha: Chance that a plan that is no better passes for one that is.
    """

    def __init__(self, prepared: PreparedSubject, repair: str, *, alpha: float = 0.1) -> None:
        split = prepared.subject.evaluation
        assert split is not None
        self._prepared, self._alpha = prepared, alpha
        self._slices = Slices(split, effort_of(prepared.subject).slice_samples, come_back=True)
        self._looks = _looks(self._slices.ends)
        self._runner = EditRunner(prepared, keep_bytes=KEEP_BYTES)
        self._repairer = None if repair == NO_REPAIR else Repairer(prepared, repair)

    def score(
        self, plan: Plan, rival: Scored | None = None, *, recovery: Recovery | None = None
    ) -> Scored:
        """Measure a plan; against a rival only until it is clear whether it is better.

        Args:
            plan: The plan.
            rival: Measured to the end.
            recovery: The plan as it was trained, in the place of its repair.

        Raises:
            PlanError: The plan does not fit the model.
            InputError: Its outputs are not finite.
        """
        if recovery is None:
            plan, edit = self._repaired(plan)
        else:
            plan, edit = recovery.plan, recovery.edit
        test = MeanTest(len(self._looks), self._alpha)
        wins: bool | None = None
        costs: list[Tensor] = []
        sums = Sums()
        what: Edit | nn.Module = edited_model(self._prepared, edit) if edit.kept else edit
        task = self._prepared.subject.task

        def observe(dense: Tensor, outputs: Mapping[str, Tensor], _: Slice) -> None:
            costs.append(task.distance(dense, outputs[PLAN]).double().cpu())

        loop = measure(
            self._prepared, {PLAN: what}, self._slices, task, runner=self._runner, observe=observe
        )
        before = 0
        for found in loop:
            sums += found.require(PLAN)
            # A winner is measured to the end: it is the next one's rival.
            if rival is None or wins or sums.samples not in self._looks:
                continue
            shift = torch.cat(costs)[before:] - rival.costs[before : sums.samples]
            before = sums.samples
            wins = test.update(float(shift.mean()), float(shift.var(correction=0)), len(shift))
            if wins is False:
                break
        return Scored(plan, torch.cat(costs), sums, wins, test.error)

    def _repaired(self, plan: Plan) -> tuple[Plan, Edit]:
        is_dense = not any(entry.kept < entry.total for entry in plan.entries)
        if self._repairer is None or is_dense:
            return plan, plan_edit(self._prepared, plan)
        found = self._repairer.repair(plan)
        return found.plan, found.edit


def _looks(ends: Sequence[int]) -> frozenset[int]:
    """Return after how many samples plans are compared: each time twice as many, and at the end."""
    looks = {ends[-1]}
    wanted = ends[0]
    for end in ends:
        if end >= wanted:
            looks.add(end)
            wanted = 2 * end
    return frozenset(looks)
