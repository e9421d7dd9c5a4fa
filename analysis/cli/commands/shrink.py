"""``prunescope shrink``: from a goal to a smaller model that was measured, in one command."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis import allocation, interop, plans, repairs, search, sweeps
from analysis.allocation import PLAN_OPTIONS, PlanOption
from analysis.cli.commands.evaluate import evaluated, repaired
from analysis.cli.options import (
    Json,
    Workspace,
    calibrated,
    check_folder,
    prepare_subject,
    workspace_path,
)
from analysis.cli.output import duration, print_json, progress_bar, say, say_notes
from analysis.records import Recipe
from analysis.repairs import NO_REPAIR, REPAIRS
from analysis.sweeps import OPTIONS, Option
from pruners.errors import CancelledError, InputError

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.evaluation import Evaluation
    from analysis.records import Plan, SubjectSpec, SweepSpec
    from analysis.search import Aim, SearchUpdate

SEARCHES = "searches"
_OF_PLANS = (
    *("budget", "repair", "round_to", "min_kept", "equal", "trials", "minutes", "confidence"),
)


def shrink_options() -> list[Option | PlanOption]:
    """Return the options of the subject, of the grid and of the search."""
    found: list[Option | PlanOption] = [item for item in OPTIONS if item.is_of_subject]
    found += [OPTIONS.get(name) for name in ("granularity", "layers")]
    criteria = OPTIONS.get("criteria")
    found.append(dataclasses.replace(criteria, written=",".join(search.CRITERIA)))
    return found + [PLAN_OPTIONS.get(name) for name in _OF_PLANS]


def shrink(
    given: Mapping[str, Any],
    max_drop: Annotated[
        float | None,
        typer.Option(help="Largest drop, a fraction; 0.01 is 1 pp.", metavar="X", min=0, max=1),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Plan file to write.", metavar="FILE")] = None,
    export: Annotated[
        Path | None, typer.Option(help="Folder for the smaller model.", metavar="DIR")
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> int:
    """Find the smallest model that holds a drop, or the best one of a size."""
    began = time.perf_counter()
    if export is not None:
        check_folder(export)
    aim = _aim(given, max_drop)
    spec = sweeps.spec_of_options({**given, "repair": NO_REPAIR, "confidence": 0.95})
    subject = calibrated(spec.subject, data=None, samples=None, repair=given["repair"])
    prepared = _opened(subject, workspace)
    say_notes(prepared.subject.notes)
    plan = searched(prepared, _start(prepared, spec, given), aim, workspace=workspace)
    recovery = repaired(prepared, plan)
    found = evaluated(prepared, plan, recovery, latency_seconds=0.0)
    if out is not None:
        plans.write_plan(plan, out)
    if export is not None:
        interop.export(
            "model",
            interop.ExportRequest(
                prepared=prepared,
                plan=plan,
                recovery=recovery,
                directory=export,
                evaluation=found,
                name="plan",
            ),
        )
    _report(plan, found, out, export, seconds=time.perf_counter() - began, as_json=as_json)
    return 0


def _aim(given: Mapping[str, Any], max_drop: float | None) -> Aim:
    """Return what is looked for.

    Raises:
        InputError: Neither a drop nor a budget is given, or the drop twice.
    """
    budgets = list(given["budget"] or ())
    if max_drop is not None:
        budgets.append(f"drop={max_drop}")
    if not budgets:
        raise InputError("shrink needs a goal: --max-drop 0.01, --budget macs=0.5, or both")
    return aim_of(given, Recipe(budgets=tuple(map(str, allocation.parse_budgets(budgets)))))


def aim_of(given: Mapping[str, Any], recipe: Recipe) -> Aim:
    """Return what a search is asked for by a recipe and the options."""
    names = ("round_to", "min_kept", "equal")
    minutes = given["minutes"]
    return search.Aim(
        recipe=dataclasses.replace(recipe, **{name: given[name] for name in names}),
        criteria=tuple(given["criteria"].split(",")),
        confidence=given["confidence"],
        trials=given["trials"],
        seconds=None if minutes is None else 60 * minutes,
    )


def _opened(spec: SubjectSpec, workspace: Path | None) -> PreparedSubject:
    """Open the subject; where all samples would be evaluated, some are set aside for the search."""
    prepared = prepare_subject(spec, workspace)
    fewer = search.set_aside(prepared.subject)
    if fewer is None:
        return prepared
    return prepare_subject(dataclasses.replace(spec, samples=fewer), workspace)


def _start(prepared: PreparedSubject, spec: SweepSpec, given: Mapping[str, Any]) -> Plan:
    repair = repairs.chosen_repair(prepared, given["repair"])
    plan = plans.start_plan(
        prepared, criterion=spec.criteria[0], granularity=spec.granularity, layers=spec.layers
    )
    say(f"Repair: {REPAIRS.get(repair.name).help}; {repair.reason}.")
    return dataclasses.replace(plan, repair=repair.name)


def searched(prepared: PreparedSubject, start: Plan, aim: Aim, *, workspace: Path | None) -> Plan:
    """Search a plan under a progress bar; Ctrl-C ends it with the best plan so far.

    Raises:
        CancelledError: It was stopped before there was a plan.
    """
    say(f"Searching on {search.search_data(prepared.subject).words}; they are not evaluated.")
    last: SearchUpdate | None = None
    updates = search.iter_search(prepared, start, aim, folder=workspace_path(workspace) / SEARCHES)
    with progress_bar() as bar:
        task = bar.add_task("searching", total=None, eta="")
        try:
            for last in updates:
                progress = last.progress
                bar.update(
                    task,
                    description=last.text(prepared.subject.task.words),
                    completed=progress.done,
                    total=progress.total,
                )
        except KeyboardInterrupt:
            if last is None or last.plan is None:
                raise CancelledError("stopped before a plan was found") from None
            say("Stopped; this is the best plan so far. The same command goes on.")
    if last is None or last.plan is None:
        raise CancelledError("the search found no plan")
    if last.state.finished:
        say(f"The search ended after {last.state.trials} plans: {last.state.finished}.")
    return plans.resolve(prepared, last.plan)


def _report(
    plan: Plan,
    found: Evaluation,
    out: Path | None,
    export: Path | None,
    *,
    seconds: float,
    as_json: bool,
) -> None:
    dense, pruned = found.dense, found.removed
    result = {
        "schema_version": 1,
        "dense_accuracy": dense.accuracy,
        "accuracy": pruned.accuracy,
        "drop": pruned.drop,
        "drop_low": pruned.drop_low,
        "drop_high": pruned.drop_high,
        "samples": found.samples,
        "macs_left": pruned.macs / dense.macs,
        "params_left": pruned.params / dense.params,
        "repair": plan.repair,
        "seconds": seconds,
    }
    if as_json:
        print_json(result)
        return
    for path, what in ((out, "Plan"), (export, "Model")):
        if path is not None:
            say(f"{what}: {path}")
    say_notes(found.notes)
    say(f"Done in {duration(seconds)}.")
