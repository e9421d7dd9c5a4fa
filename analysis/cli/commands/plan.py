"""``prunescope plan``: choose ratios per layer from a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis import allocation, comparison, interop, plans, prediction, records, repairs, tasks
from analysis.allocation import BEST, OF_PLAN, OF_RUN, STRATEGIES
from analysis.cli.frontier import aim_at_sizes, parse_levels, trade_off
from analysis.cli.options import (
    Json,
    Workspace,
    calibrated,
    check_file,
    check_folder,
    open_store,
    prepare_subject,
)
from analysis.cli.output import print_json, print_table, say
from analysis.cli.searching import (
    Searched,
    aim_of,
    filled_to_drop,
    nothing_removed,
    say_measured,
    searched,
)
from analysis.cli.stopping import SAME, StoppedError, resuming
from analysis.repairs import REPAIRS
from analysis.search import LEVELS
from analysis.sentences import listed, percent, plural
from pruners.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.allocation import Allocation, Predict
    from analysis.edits import PreparedSubject
    from analysis.plans import Prediction
    from analysis.prediction import Forecaster
    from analysis.records import Plan, Recipe, RunRow
    from analysis.search import Measured
    from analysis.store import Store
    from analysis.tasks import Words


def plan(
    given: Mapping[str, Any],
    frontier: Annotated[
        bool,
        typer.Option(
            help="Search and measure plans at several sizes, without and with the repair; "
            "--out is a folder for them."
        ),
    ] = False,
    levels: Annotated[
        str, typer.Option(help="MACs left at each size of --frontier.", metavar="X,X")
    ] = ",".join(map(str, LEVELS)),
    workspace: Workspace = None,
    as_json: Json = False,
) -> int:
    """Choose a ratio and a criterion per layer."""
    recipe = allocation.recipe_of(given)
    sizes = parse_levels(levels) if frontier else ()
    (check_folder if sizes else check_file)(given["out"])
    store = open_store(workspace)
    row = store.runs.get(given["run"])
    row.require_model()
    prepared = prepare_subject(row.spec.subject, workspace)
    row.require(prepared.identity)
    repair = repairs.chosen_repair(
        prepared,
        given["repair"],
        semantics=row.spec.semantics,
        granularities=(row.spec.granularity,),
    )
    row = _with_curves(row, given["curves"], repair.name, store.runs.all())
    _say_unfinished(row, workspace)
    points = store.points.table(row.run_id)
    is_measured = allocation.asked_drop(recipe) is not None
    is_measured = is_measured or bool(sizes) or STRATEGIES.get(given["strategy"]).measures
    start = _start(row, prepared, given, repair.name)
    # What is measured is repaired: the sweep may have had nothing to calibrate on.
    prepared, start = _calibrated(prepared, start, workspace) if is_measured else (prepared, start)
    if sizes:
        return trade_off(
            prepared,
            start,
            aim_at_sizes(aim_of(given, recipe, row.spec.criteria), given),
            sizes,
            store=store,
            workspace=workspace,
            out=given["out"],
            as_json=as_json,
        )
    forecaster = _forecaster(store, row, points)
    found, measured = _filled(
        prepared,
        start,
        given,
        recipe,
        points,
        row.spec.criteria,
        workspace,
        predict=forecaster.foresee if row.predicts else None,
    )
    final = _repaired(plans.resolve(prepared, found.plan), repair.name)
    plans.write_plan(final, given["out"])
    facts = _report(
        row,
        prepared,
        final,
        found,
        plans.left_out(prepared, row.spec.granularity),
        forecaster.predict(final) if row.predicts else None,
        _told(measured),
        out=given["out"],
        as_json=as_json,
    )
    if not as_json:
        if measured is not None and not isinstance(measured, Searched):
            words = prepared.subject.task.words
            say_measured(measured, final, words, confidence=given["confidence"])
        say(f"Repair: {REPAIRS.get(repair.name).help}; {repair.reason}.")
    if final.subject.calibration_samples != row.spec.subject.calibration_samples:
        say(
            "The sweep had no calibration samples: the repair takes calibration samples out of the "
            f"data, so that fewer are evaluated than in run {row.run_id}."
        )
    if isinstance(measured, Searched) and measured.is_stopped:
        raise StoppedError(f"Stopped; this is the best plan so far. {SAME}", facts=facts)
    if as_json:
        print_json(facts)
    return 0


def _told(measured: Measured | Searched | None) -> dict[str, Any] | None:
    """Return what JSON tells of a measured drop."""
    if measured is None or isinstance(measured, Searched):
        return None if measured is None else {"drop": measured.drop}
    return dataclasses.asdict(measured.verdict)


def _start(row: RunRow, prepared: PreparedSubject, given: Mapping[str, Any], repair: str) -> Plan:
    """Return the plan of a run that removes nothing yet."""
    start = plans.start_plan(
        prepared,
        criterion=_criterion(row, given["criterion"]),
        granularity=row.spec.granularity,
        layers=given["layers"],
        run=row.run_id,
        semantics=row.spec.semantics,
        reduction=row.spec.reduction,
    )
    return dataclasses.replace(start, repair=repair)


def _repaired(plan: Plan, repair: str) -> Plan:
    """Return a plan that is repaired so, on a subject that has what this takes."""
    subject = calibrated(plan.subject, data=None, samples=None, repair=repair)
    return dataclasses.replace(plan, subject=subject, repair=repair)


def _calibrated(
    prepared: PreparedSubject, start: Plan, workspace: Path | None
) -> tuple[PreparedSubject, Plan]:
    """Return subject and plan with what the plan's repair takes."""
    plan = _repaired(start, start.repair)
    if plan.subject == start.subject:
        return prepared, start
    return prepare_subject(plan.subject, workspace), plan


def _filled(
    prepared: PreparedSubject,
    start: Plan,
    given: Mapping[str, Any],
    recipe: Recipe,
    points: pd.DataFrame,
    criteria: Sequence[str],
    workspace: Path | None,
    *,
    predict: Predict | None,
) -> tuple[Allocation, Measured | Searched | None]:
    """Fill a plan as the options say.

    Returns:
        What was filled, and how a drop that was asked for was measured; of a search what it found.

    Raises:
        InputError: The budgets cannot be met, or a search has none.
    """
    strategy = given["strategy"]
    if named := plans.parse_ratios(given["ratio"] or ()).named:
        asked = plans.asked_ratios(prepared, start, named)
        start = allocation.with_ratios(prepared, start, asked, recipe, points=points)
        if recipe.ratio is None and recipe.tolerance is None and not recipe.budgets:
            # Of the others nothing is asked: they stay whole.
            strategy, recipe = "uniform", dataclasses.replace(recipe, ratio=0.0)
    runtime = interop.RUNTIMES.get(recipe.runtime)
    if STRATEGIES.get(strategy).measures:
        if not recipe.budgets or recipe.ratio is not None or recipe.tolerance is not None:
            raise InputError(f"strategy {strategy} needs --budget, and neither ratio nor tolerance")
        asked_criteria = criteria if recipe.criteria == BEST else (start.entries[0].criterion,)
        aim = aim_of(given, recipe, asked_criteria)
        best = searched(prepared, start, aim, workspace=workspace)
        return allocation.Allocation(plan=best.plan, message=nothing_removed(best.plan)), best

    def fill(recipe: Recipe) -> Allocation:
        return allocation.fill_plan(
            prepared, start, strategy, recipe, points=points, predict=predict, runtime=runtime
        )

    if allocation.asked_drop(recipe) is None:
        found, measured = fill(recipe), None
    else:
        aim = aim_of(given, recipe, criteria)
        found, measured = filled_to_drop(prepared, start, aim, fill)
    if not found.feasible:
        raise InputError(found.message or f"the budget {', '.join(given['budget'])} cannot be met")
    return found, measured


def _say_unfinished(row: RunRow, workspace: Path | None) -> None:
    """Say that curves are those of a part of a run, and how to get the others."""
    if row.state == records.DONE:
        return
    now = row.progress
    more = ""
    if row.is_worth_resuming:
        go_on = resuming("sweep", row.run_id, out=None, workspace=workspace, as_json=False)
        more = f" To measure the rest: {go_on}"
    part = f"{percent(now.fraction)} of its {now.unit}"
    say(f"Run {row.run_id} is {row.state}: its curves are of {part}.{more}")


def _with_curves(row: RunRow, asked: str, repair: str, runs: Iterable[RunRow]) -> RunRow:
    """Return the run whose curves are read: the given one, or its variant after a repair.

    Raises:
        UnknownNameError: No such repair.
        InputError: No such variant was measured.
    """
    if asked == OF_RUN:
        return row
    name = repair if asked == OF_PLAN else REPAIRS.get(asked).name
    if row.spec.repair == name:
        return row
    for variant in comparison.siblings(row, runs):
        if variant.field == "repair" and variant.run.spec.repair == name:
            return variant.run
    raise InputError(
        f"run {row.run_id} has no variant with repair {name}; measure it: prunescope sweep with "
        f"the same options and --repair {name}"
    )


def _forecaster(store: Store, row: RunRow, points: pd.DataFrame) -> Forecaster:
    """Return what predicts plans from a run and from the plans that were measured."""
    task = tasks.task_named(row.spec.subject.task)
    probe = store.probes.load(row.run_id)
    probed = None if probe is None else prediction.ProbedCurves(points, probe, task)
    measured = store.measurements.all(row.identity)
    return prediction.Forecaster(row.spec, points, probed, measured)


def _say_forecast(row: RunRow, words: Words, plan: Plan, found: Prediction | None) -> None:
    if found is None and not row.predicts:
        say(f"Not predicted: the curves of run {row.run_id} are of another quantity.")
        return
    if found is None:
        say(f"Not predicted: the points of run {plan.run} are repaired, the plan is not so.")
        return
    when = "" if found.repair == plan.repair else f" before repair {plan.repair}"
    ends = f" ({words.drop(found.low)} to {words.drop(found.high)})" if found.has_interval else ""
    say(f"Predicted {words.drop_label}{when}: {words.cost(found.drop)}{ends}.")
    say(found.explanation)


def _criterion(row: RunRow, asked: str | None) -> str:
    """Return the criterion that entries begin with.

    Raises:
        InputError: The run did not measure it.
    """
    # They need torch, which takes seconds.
    from pruners.criteria import CRITERIA

    measured = row.spec.criteria
    unknown = [name for name in measured if name not in CRITERIA]
    if row.source is not None and unknown:
        raise InputError(
            f"run {row.run_id} does not say by which criterion its units were chosen "
            f"({', '.join(unknown)}); import {row.source.file} again with --criterion, so that a "
            "plan can choose them"
        )
    if asked in (None, BEST):
        return measured[0]
    if asked not in measured:
        raise InputError(
            f"run {row.run_id} did not measure criterion {asked!r}; it measured "
            f"{', '.join(measured)}"
        )
    return str(asked)


def _report(
    row: RunRow,
    prepared: PreparedSubject,
    plan: Plan,
    found: Allocation,
    left_out: Mapping[str, str],
    foreseen: Prediction | None,
    measured: Mapping[str, Any] | None,
    *,
    out: Path,
    as_json: bool,
) -> dict[str, Any]:
    """Return a plan as JSON has it; where that is not asked for, print it."""
    cost, dense = prepared.cost.predict(plans.kept_counts(plan)), prepared.cost.dense
    result: dict[str, Any] = {
        "out": str(out),
        "state": records.DONE,
        "strategy": plan.strategy,
        "plan": plan.to_dict(),
    }
    result |= {"level": found.level, "spent": found.spent, "message": found.message}
    result |= {"left_out": dict(left_out), "unmeasured": list(found.unmeasured)}
    result |= {"params": cost.params, "macs": cost.macs}
    result |= {"predicted": None if foreseen is None else dataclasses.asdict(foreseen)}
    result |= {"measured": measured}
    result |= {"dense_params": dense.params, "dense_macs": dense.macs}
    if as_json:
        return result
    print_table(
        f"Plan {out}",
        ("layer", "criterion", "ratio", "achieved", "kept"),
        [
            (
                item.layer,
                item.criterion,
                f"{item.ratio:.2f}",
                f"{plans.achieved(item):.2f}",
                f"{item.kept} of {item.total}",
            )
            for item in plan.entries
        ],
        right="ratio,achieved,kept",
    )
    say(
        f"{cost.params:,} of {dense.params:,} parameters and {cost.macs:,} of {dense.macs:,} "
        "MACs stay."
    )
    _say_forecast(row, prepared.subject.task.words, plan, foreseen)
    if found.unmeasured:
        count = plural(len(found.unmeasured), "layer")
        say(f"{count} without a curve in run {plan.run}: {listed(found.unmeasured)}.")
    for name, reason in left_out.items():
        say(f"{name} is left out: {reason}.")
    if found.message:
        say(found.message)
    return result
