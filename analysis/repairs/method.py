"""What a repair is: a name, words for people, and the functions that do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from analysis.edits import Edit, PreparedSubject, Target
    from analysis.records import Plan
    from analysis.repairs.layers import Batches
    from analysis.repairs.points import PointRepairer
    from analysis.repairs.whole_plan import PlanWork
    from pruners.reconstruction import Repair


@dataclass(frozen=True, slots=True)
class PointRepair:
    """How single points of a sweep are repaired.

    Attributes:
        names: ``(prepared, target, mask)`` -> names of the tensors that a repair may change.
        fn: ``(repairer, target, mask, edit)`` -> the repaired edit; masks are True = keep.
    """

    names: Callable[[PreparedSubject, Target, Tensor], frozenset[str]]
    fn: Callable[[PointRepairer, Target, Tensor, Edit], Edit]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairMethod:
    """A registered repair.

    Attributes:
        name: Name on the command line, in runs and exports.
        label: Name on pages.
        help: What it does, in plain words.
        needs_removal: Whether it fits the next layers to removed channels, so that it means nothing
            where pruned channels are only masked.
        in_sweeps: How points of a sweep are repaired; None where only plans can be.
        in_plans: Repairs the model of a plan; None where there is nothing to do.
        choose: Chooses other units at the plan's counts first; None leaves those of the plan.
    """

    name: str
    label: str
    help: str
    needs_removal: bool = True
    in_sweeps: PointRepair | None = None
    in_plans: Callable[[PlanWork], Repair] | None = None
    choose: Callable[[PreparedSubject, Plan, Batches], Plan] | None = None
