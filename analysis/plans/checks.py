"""Does a plan fit a subject?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from analysis.records import Plan, PlanEntry
from analysis.repairs import REPAIRS
from pruners.criteria import CRITERIA
from pruners.errors import PlanError
from pruners.granularity import parse
from pruners.reductions import REDUCTIONS
from pruners.semantics import SEMANTICS


def check(plan: Plan) -> Plan:
    """Check a plan that came from outside; return it.

    Raises:
        PlanError: An entry contradicts itself, or two entries name one group.
        UnknownNameError: There is no such semantics, reduction, repair or granularity.
    """
    SEMANTICS.get(plan.semantics)
    REDUCTIONS.get(plan.reduction)
    REPAIRS.get(plan.repair)
    seen: dict[tuple[str, str], PlanEntry] = {}
    for entry in plan.entries:
        _check_entry(entry)
        # Weights of a layer may be masked as well as whole channels removed: two entries.
        kind = "channel" if parse(entry.granularity).is_structured else "element"
        other = seen.setdefault((kind, entry.name), entry)
        if other is not entry:
            raise PlanError(
                f"{other.layer} (keeps {other.kept}) and {entry.layer} (keeps {entry.kept}) "
                f"are two entries of one group, {entry.name}; a plan has one entry a group"
            )
    return plan


def _check_entry(entry: PlanEntry) -> None:
    least = 1 if parse(entry.granularity).keep_one else 0
    if entry.kept < least:
        raise PlanError(
            f"{entry.layer}: keeps {entry.kept} of {entry.total}, possible are {least} to "
            f"{entry.total}"
        )
    if entry.indices is None:
        return
    rising = sorted(set(entry.indices))
    if len(rising) != entry.kept or list(entry.indices) != rising:
        raise PlanError(
            f"{entry.layer}: {len(entry.indices)} kept indices listed for a kept count of "
            f"{entry.kept}; they must be different and rising"
        )
    if rising and not (rising[0] >= 0 and rising[-1] < entry.total):
        raise PlanError(
            f"{entry.layer}: kept indices must lie in 0..{entry.total - 1}, found "
            f"{rising[0]}..{rising[-1]}"
        )


def check_fits(
    plan: Plan,
    *,
    fingerprint: str,
    totals: Mapping[tuple[str, str], int] | None = None,
    layers: Collection[str] | None = None,
    group_of: Callable[[str], str | None] = lambda layer: None,
) -> Plan:
    """Check that a plan holds together and belongs to these weights; return it.

    Args:
        plan: The plan.
        fingerprint: Fingerprint of the weights at hand.
        totals: Number of units by (granularity, group id or layer name).
        layers: Names that an entry's layer may have; None: any.
        group_of: Group id of a layer; None where it has none.

    Raises:
        UnknownNameError: There is no criterion of an entry's name, also not in the subject's files.
        PlanError: It contradicts itself, was made for other weights, or does not fit the groups.
    """
    check(plan)
    for name in dict.fromkeys(entry.criterion for entry in plan.entries):
        CRITERIA.get(name)
    if plan.fingerprint != fingerprint:
        raise PlanError(
            f"the plan was made for weights {plan.fingerprint[:12]}, but {plan.subject.model} as "
            f"loaded has {fingerprint[:12]}: its weights or modules are others; bring back those "
            "of the plan or make a new one"
        )
    for entry in plan.entries if totals is not None else ():
        total = (totals or {}).get((entry.granularity, entry.name))
        if total is None:
            raise PlanError(_why_unknown(plan, entry, group_of(entry.name)))
        if layers is not None and entry.layer not in layers:
            raise PlanError(
                f"the plan says {entry.name} is at {entry.layer!r}, which is no layer of "
                f"{plan.subject.model} as loaded"
            )
        if total != entry.total:
            raise PlanError(
                f"the plan says {entry.name} has {entry.total} units, the model has {total}"
            )
    return plan


def _why_unknown(plan: Plan, entry: PlanEntry, group: str | None) -> str:
    if group is None:
        return (
            f"the plan prunes {entry.name!r}, which {plan.subject.model} as loaded does not "
            f"have at granularity {entry.granularity}"
        )
    text = f"{entry.layer} (keeps {entry.kept})"
    others = [item for item in plan.entries if item.name == group]
    if others:
        text += f" and {others[0].layer} (keeps {others[0].kept})"
    return f"{text}: one entry for the group {group} stands for all its layers"
