"""What each group costs alone, after the repair, on the search data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curves import DROP, cost_metric, costs, curve_arrays, is_known, points_table
from analysis.devices import device_names
from analysis.edits import PreparedSubject
from analysis.measuring import Cancel
from analysis.records import Plan, Progress, Sums, SweepSpec, SweepUpdate
from analysis.repairs import NO_REPAIR, sweep_repairs
from analysis.search.data import effort_of
from analysis.search.keeping import PointKeeper
from analysis.sweeps import PlannedSweep, iter_sweep, plan_sweep

RATIOS = tuple(number / 10 for number in range(1, 10))
# Smooth where drops jump; tasks without it are judged by their drop.
SMOOTH = "kl"
POINT = ("criterion", "granularity", "layer", "group", "ratio_requested", "kept", "total")


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Cost of one group alone by the number of units that stay: falling.

    Attributes:
        kept: Rising.
        costs: Never rising.
    """

    kept: np.ndarray
    costs: np.ndarray

    def at(self, kept: int) -> float:
        """Return the cost at a number of kept units, by straight lines between points."""
        return float(np.interp(kept, self.kept, self.costs))


Keeping = Callable[[PlannedSweep], PointKeeper]
Curves = Mapping[str, Mapping[str, Curve]]
Packed = dict[str, dict[str, tuple[tuple[float, ...], tuple[float, ...]]]]


def measured_alone(
    prepared: PreparedSubject,
    plan: Plan,
    criteria: Sequence[str],
    *,
    cancel: Cancel,
    is_late: Cancel = lambda: False,
    keeping: Keeping = lambda planned: PointKeeper(None, planned, ""),
) -> Iterator[Progress | pd.DataFrame]:
    """Measure every entry of a plan alone, after its repair where points have it.

    Args:
        prepared: The subject on its search data.
        plan: Lists an entry for each target.
        criteria: The criteria to measure.
        cancel: Asked before each point.
        is_late: Asked before each point; what was measured until then is the table.
        keeping: Returns what keeps the points of a sweep, so that it goes on from there.

    Yields:
        How far it is, and at the end the points table; without it if it was cancelled.
    """
    prepared = _on_fewer(prepared)
    repair = plan.repair if plan.repair in sweep_repairs() else NO_REPAIR

    def ends() -> bool:
        return cancel() or is_late()

    table = yield from _swept(prepared, plan, criteria, repair, ends, keeping)
    failed = table[table["status"] == "failed"]
    if repair != NO_REPAIR and len(failed):
        # Groups that only removal evaluates have no repair of single points.
        layers = set(failed["layer"])
        rest = tuple(entry for entry in plan.entries if entry.layer in layers)
        raw = yield from _swept(
            prepared, dataclasses.replace(plan, entries=rest), criteria, NO_REPAIR, ends, keeping
        )
        if len(raw):
            table = pd.concat([table[~table["layer"].isin(layers)], raw], ignore_index=True)
    if not cancel():
        yield table


def _on_fewer(prepared: PreparedSubject) -> PreparedSubject:
    """Return the subject with the first of its search data: curves need not be that sharp."""
    split, samples = prepared.subject.evaluation, effort_of(prepared.subject).curve_samples
    if split is None or len(split) <= samples:
        return prepared
    fewer = split.of(split.indices[:samples])
    return prepared.of(dataclasses.replace(prepared.subject, evaluation=fewer))


def _swept(
    prepared: PreparedSubject,
    plan: Plan,
    criteria: Sequence[str],
    repair: str,
    cancel: Cancel,
    keeping: Keeping,
) -> Generator[Progress, None, pd.DataFrame]:
    # Other processes would open what is evaluated, not the search data.
    devices = device_names(plan.subject.device)
    here = devices[0] if len(devices) > 1 else plan.subject.device
    spec = SweepSpec(
        subject=dataclasses.replace(plan.subject, device=here),
        criteria=tuple(criteria),
        granularity=plan.entries[0].granularity,
        ratios=RATIOS,
        layers=",".join(entry.layer for entry in plan.entries),
        repair=repair,
        probe=0,
        semantics=plan.semantics,
        reduction=plan.reduction,
    )
    planned = plan_sweep(prepared, spec)
    keeper = keeping(planned)
    update: SweepUpdate | None = None
    for update in iter_sweep(planned, resume=keeper.load(), cancel=cancel):
        keeper.save(update.state)
        yield update.progress
    return _table(planned, update)


def _table(planned: PlannedSweep, update: SweepUpdate | None) -> pd.DataFrame:
    """Return the points that were measured; none without an update."""
    if update is None:
        return points_table("search", [], baselines={}, task=planned.spec.subject.task)
    rows = [
        {
            **{name: getattr(point.key, name) for name in POINT},
            "params": point.params,
            "macs": point.macs,
            "status": "failed" if point.key in update.failed else "measured",
            "sums": update.sums.get(point.key, Sums()),
        }
        for point in planned.identified
    ]
    return points_table(
        "search",
        rows,
        baselines={update.baseline.samples: update.baseline},
        has_labels=planned.prepared.subject.has_labels,
        task=planned.spec.subject.task,
    )


def cost_name(task: str) -> str:
    """Return the name of the cost that a search adds up over groups."""
    return SMOOTH if SMOOTH in costs(task) else DROP


def read_curves(points: pd.DataFrame, plan: Plan) -> Curves:
    """Return the curves by the name of the entry and criterion."""
    task = plan.subject.task
    column = cost_metric(cost_name(task), task).column
    totals = {entry.layer: (entry.name, entry.total) for entry in plan.entries}
    found: dict[str, dict[str, Curve]] = {}
    for (criterion, _, layer), arrays in curve_arrays(points[is_known(points)], ["kept", column]):
        if layer not in totals:
            continue
        name, total = totals[layer]
        kept = np.append(arrays["kept"].astype(float), total)
        values = np.append(arrays[column].astype(float), 0.0)
        order = np.argsort(kept)
        falling = np.maximum.accumulate(np.clip(values[order], 0.0, None)[::-1])[::-1]
        found.setdefault(name, {})[criterion] = Curve(kept[order], falling)
    return found


def sum_alone(curves: Curves, plan: Plan) -> float:
    """Return what the entries of a plan cost alone, added up."""
    return sum(
        curves[entry.name][entry.criterion].at(entry.kept)
        for entry in plan.entries
        if entry.criterion in curves.get(entry.name, {})
    )


def packed(curves: Curves) -> Packed:
    """Return curves as a record keeps them."""
    return {
        name: {
            criterion: (tuple(curve.kept.tolist()), tuple(curve.costs.tolist()))
            for criterion, curve in by_criterion.items()
        }
        for name, by_criterion in curves.items()
    }


def unpacked(curves: Packed) -> Curves:
    """Return curves, the inverse of `packed`."""
    return {
        name: {
            criterion: Curve(np.array(kept), np.array(costs))
            for criterion, (kept, costs) in by_criterion.items()
        }
        for name, by_criterion in curves.items()
    }
