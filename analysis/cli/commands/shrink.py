"""``prunescope shrink``: from a goal to a smaller model that was measured, in one command."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis import allocation, interop, plans, repairs, search, shrinking, sweeps
from analysis.allocation import PLAN_OPTIONS, PlanOption
from analysis.cli.commands.evaluate import evaluated, keep, print_evaluation, repaired
from analysis.cli.options import (
    Json,
    Workspace,
    calibrated,
    check_folder,
    open_store,
    prepare_subject,
)
from analysis.cli.output import duration, print_json, say, say_notes
from analysis.cli.searching import aim_of, searched
from analysis.cli.training import trained
from analysis.records import Recipe
from analysis.repairs import NO_REPAIR, REPAIRS
from analysis.retraining import PRESETS, Order, given_recipe
from analysis.sweeps import OPTIONS, Option
from pruners.errors import InputError
from pruners.registry import described

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.records import Evaluation, Plan, SweepSpec

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
    recover: Annotated[
        str | None,
        typer.Option(
            help=f"Train what was found, and answer with that. {described(PRESETS)}.",
            metavar="PRESET",
        ),
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> int:
    """Find the smallest model that holds a drop, or the best one of a size."""
    began = time.perf_counter()
    if recover is not None:
        PRESETS.get(recover)
    if export is not None:
        check_folder(export)
    recipe = _recipe(given, max_drop)
    spec = sweeps.spec_of_options({**given, "repair": NO_REPAIR, "confidence": 0.95})
    subject = calibrated(spec.subject, data=None, samples=None, repair=given["repair"])
    prepared = shrinking.opened(subject, lambda spec: prepare_subject(spec, workspace))
    say_notes(prepared.subject.notes)
    start = _start(prepared, spec, given)
    aim = aim_of(given, recipe, spec.criteria)
    plan = searched(prepared, start, aim, workspace=workspace)
    training: dict[str, Any] = {}
    if recover is not None:
        plan, training = _trained(prepared, plan, recover, workspace)
    recovery = repaired(prepared, plan)
    found = evaluated(prepared, plan, recovery, latency_seconds=0.0)
    keep(prepared, plan, found, workspace)
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
    seconds = time.perf_counter() - began
    if as_json:
        print_json({**_result(plan, found, seconds), **training})
        return 0
    words = prepared.subject.task.words
    print_evaluation("Smaller model", found, words)
    if (missed := shrinking.missed_drop(recipe, found)) is not None:
        say(
            f"It loses more than the {words.drop(missed)} that were asked for, which held on the "
            "samples of the search: ask for a little less, or give it more --trials."
        )
    for path, what in ((out, "Plan"), (export, "Model")):
        if path is not None:
            say(f"{what} written to {path}")
    say(f"Done in {duration(seconds)}.")
    return 0


def _trained(
    prepared: PreparedSubject, plan: Plan, preset: str, workspace: Path | None
) -> tuple[Plan, dict[str, Any]]:
    """Return a plan trained by a preset, and what that took."""
    order = Order(
        subject=prepared.subject.spec,
        plan=plan,
        recipe=given_recipe({"preset": preset}),
        seeds=(plan.subject.seed,),
    )
    job = trained(
        order, lambda spec: prepared, words=prepared.subject.task.words, workspace=workspace
    )
    plan, done = open_store(workspace).plans.get(job.plan_ids[0]), job.results[0]
    about = {
        "id": plan.training,
        "trained": plan.trained,
        "preset": preset,
        "repaired_accuracy": job.repaired,
        "epochs": done.epochs,
        "seconds": done.seconds,
        "plan_id": done.plan_id,
    }
    return plan, {"training": about}


def _recipe(given: Mapping[str, Any], max_drop: float | None) -> Recipe:
    """Return what is asked for.

    Raises:
        InputError: Neither a drop nor a budget is given, or the drop twice.
    """
    budgets = list(given["budget"] or ())
    if max_drop is not None:
        budgets.append(f"drop={max_drop}")
    if not budgets:
        raise InputError("shrink needs a goal: --max-drop 0.01, --budget macs=0.5, or both")
    return Recipe(
        budgets=tuple(map(str, allocation.parse_budgets(budgets))),
        **{name: given[name] for name in ("round_to", "min_kept", "equal")},
    )


def _start(prepared: PreparedSubject, spec: SweepSpec, given: Mapping[str, Any]) -> Plan:
    repair = repairs.chosen_repair(prepared, given["repair"])
    plan = plans.start_plan(
        prepared, criterion=spec.criteria[0], granularity=spec.granularity, layers=spec.layers
    )
    say(f"Repair: {REPAIRS.get(repair.name).help}; {repair.reason}.")
    return dataclasses.replace(plan, repair=repair.name)


def _result(plan: Plan, found: Evaluation, seconds: float) -> dict[str, Any]:
    dense, pruned = found.dense, found.removed
    return {
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
