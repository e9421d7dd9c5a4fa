"""The registry of repairs.

Names and help are known without torch: what the entries do is looked up when they do it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis import records, repairs
from analysis.repairs.method import PointRepair, RepairMethod
from pruners.errors import UnknownNameError, UnsupportedError
from pruners.granularity import parse
from pruners.registry import Registry
from pruners.semantics import SEMANTICS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from analysis.edits import PreparedSubject
    from analysis.repairs.points import PointRepairer

NO_REPAIR = records.NO_REPAIR
# What suits the model; see `analysis.repairs.usual_repair`.
AUTO = "auto"
REPAIRS = Registry(
    "repair",
    (
        RepairMethod(name=NO_REPAIR, label="Raw", help="no repair", needs_removal=False),
        RepairMethod(
            name="bn",
            label="Batch norm",
            help="batch-norm statistics estimated anew",
            needs_removal=False,
            in_sweeps=PointRepair(
                lambda *point: repairs.batch_norm_names(*point),
                lambda *point: repairs.batch_norm_point(*point),
            ),
            in_plans=lambda work: repairs.batch_norm_plan(work),
        ),
        RepairMethod(
            name="lsq",
            label="Least squares",
            help="kept weights fitted to the dense layer's outputs by least squares (AIMET)",
            in_sweeps=PointRepair(
                lambda *point: repairs.weight_names(*point),
                lambda *point: repairs.least_squares_point(*point),
            ),
            in_plans=lambda work: repairs.least_squares_plan(work),
        ),
        RepairMethod(
            name="obs",
            label="OBS update",
            help="each removed weight made up for by later ones, as OBS does (SparseGPT)",
            in_plans=lambda work: repairs.obs_plan(work),
        ),
        RepairMethod(
            name="sparsegpt-sequential",
            label="SparseGPT in order",
            help="elements and N:M chosen anew, as many, layer by layer by what the "
            "pruned model gives, each made up for by later ones (SparseGPT); channels as obs",
            in_plans=lambda work: repairs.sparsegpt_plan(work),
        ),
        RepairMethod(
            name="wanda-sequential",
            label="Wanda in order",
            help="elements and N:M chosen anew, as many, layer by layer by what the "
            "pruned model gives (Wanda); the others keep their values",
            in_plans=lambda work: repairs.wanda_plan(work),
        ),
        RepairMethod(
            name="tune",
            label="Mask tuning",
            help="a factor for each kept channel, mask tuning (Kwon et al.)",
            in_plans=lambda work: repairs.tuned_plan(work),
        ),
        RepairMethod(
            name="search",
            label="Mask search",
            help="other channels at the same counts, then mask tuning (Kwon et al.)",
            in_plans=lambda work: repairs.tuned_plan(work),
            choose=lambda prepared, plan, batches: repairs.searched_plan(prepared, plan, batches),
        ),
    ),
)


def sweep_repairs(*, removes: bool = True) -> tuple[str, ...]:
    """Return the names of what sweeps offer, ``none`` first.

    Args:
        removes: Whether pruned channels are removed (`pruners.semantics.Semantics`).
    """
    return tuple(
        entry.name
        for entry in REPAIRS
        if (entry.in_sweeps or entry.name == NO_REPAIR) and (removes or not entry.needs_removal)
    )


def plan_repairs(*, removes: bool = True) -> tuple[str, ...]:
    """Return the names of the repairs of plans, without ``none``."""
    return tuple(
        entry.name for entry in REPAIRS if entry.in_plans and (removes or not entry.needs_removal)
    )


def point_repairer(
    prepared: PreparedSubject,
    method: str,
    *,
    semantics: str = "removal",
    granularity: str = "channel",
) -> PointRepairer:
    """Return what repairs the points of a sweep.

    Args:
        prepared: The subject.
        method: One of `sweep_repairs`.
        semantics: ``removal`` or ``weights``.
        granularity: As in `SweepSpec`.

    Raises:
        UnknownNameError: No such repair.
        UnsupportedError: It does not fit the semantics, or the granularity.
    """
    removes = SEMANTICS.get(semantics).removes
    found = check_repair(
        method, removes=removes, granularities=(granularity,), known=sweep_repairs()
    )
    return repairs.PointRepairer(prepared, found)


def leaves_parts(granularities: Iterable[str]) -> bool:
    """Return whether pruning leaves layers with fewer inputs or weights, which can be fitted.

    Args:
        granularities: What is pruned; branches and layers that go leave nothing of theirs. None
            says nothing.
    """
    kinds = [parse(text) for text in granularities]
    return not kinds or not all(item.is_whole for item in kinds)


def check_repair(
    name: str,
    *,
    removes: bool = True,
    granularities: Iterable[str] = (),
    known: tuple[str, ...] | None = None,
) -> RepairMethod:
    """Return a repair that fits the semantics and what is pruned.

    Args:
        name: Its name.
        removes: Whether pruned channels are removed.
        granularities: What is pruned, if that is known.
        known: The names to choose from; all by default.

    Raises:
        UnknownNameError: No such repair there.
        UnsupportedError: It fits layers to what removal leaves, and nothing is removed, or
            branches and layers as a whole.
    """
    if known is not None and name not in known:
        raise UnknownNameError(REPAIRS.kind, name, known)
    found = REPAIRS.get(name)
    if found.needs_removal and not removes:
        fitting = [entry.name for entry in REPAIRS if not entry.needs_removal and entry.in_plans]
        raise UnsupportedError(
            f"repair {name} fits the next layers to removed channels; with semantics 'weights' "
            f"only {', '.join(fitting)} applies"
        )
    if found.needs_removal and not leaves_parts(granularities):
        raise UnsupportedError(
            f"repair {name} fits layers that lost some of their inputs or weights, and branches "
            "and layers go as a whole: take none, bn where there is batch norm, or train the plan"
        )
    return found
