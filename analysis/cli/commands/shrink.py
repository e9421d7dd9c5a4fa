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
from analysis.cli.answering import answered
from analysis.cli.commands.evaluate import evaluated, keep, print_evaluation, repaired
from analysis.cli.options import (
    Json,
    Workspace,
    calibrated,
    check_file,
    check_folder,
    prepare_subject,
)
from analysis.cli.output import duration, print_json, say, say_notes
from analysis.cli.scores import with_scores
from analysis.cli.searching import aim_of, nothing_removed
from analysis.cli.stopping import SAME, StoppedError
from analysis.records import DONE, Recipe
from analysis.repairs import NO_REPAIR, REPAIRS
from analysis.retraining import PRESETS
from analysis.sweeps import OPTIONS, Option
from pruners.errors import InputError
from pruners.registry import described

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.records import Evaluation, Plan, SweepSpec
    from analysis.shrinking import Wish
    from analysis.tasks import Task, Words

_OF_PLANS = (
    *(
        "budget",
        "repair",
        "round_to",
        "min_kept",
        "equal",
        "runtime",
        "trials",
        "minutes",
        "confidence",
    ),
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
        typer.Option(help="Largest drop; of accuracy 0.01 is 1 pp.", metavar="X", min=0),
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
    train_data: Annotated[
        str | None,
        typer.Option(
            help="Data address to train on; none of its samples may be an evaluated one.",
            metavar="ADDRESS",
        ),
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> int:
    """Find the smallest model that holds a drop, or the best one of a size."""
    began = time.perf_counter()
    wish = _wish(recover, train_data)
    if out is not None:
        check_file(out)
    if export is not None:
        check_folder(export, "--export")
    recipe = _recipe(given, max_drop)
    spec = sweeps.spec_of_options({**given, "repair": NO_REPAIR, "confidence": 0.95})
    subject = calibrated(spec.subject, data=None, samples=None, repair=given["repair"])
    prepared = shrinking.opened(subject, lambda spec: prepare_subject(spec, workspace))
    say_notes(prepared.subject.notes)
    start = _start(prepared, spec, given)
    aim = aim_of(given, recipe, spec.criteria)
    answer = answered(prepared, start, aim, wish, workspace=workspace)
    plan = answer.plan
    if out is not None:
        # First: measuring may take long.
        plans.write_plan(plan, out)
    recovery = repaired(prepared, plan)
    found = evaluated(prepared, plan, recovery, latency_seconds=0.0)
    keep(prepared, plan, found, workspace)
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
    facts = with_scores(_result(plan, found, seconds), prepared.subject.task.words)
    facts |= answer.training
    if not as_json:
        _print(found, prepared.subject.task, plan)
        before_training = answer.is_stopped and wish is not None
        _say_missed(recipe, found, prepared.subject.task.words, before_training=before_training)
        for path, what in ((out, "Plan"), (export, "Model")):
            if path is not None:
                say(f"{what} written to {path}")
        say(f"Done in {duration(seconds)}.")
    if answer.is_stopped:
        raise StoppedError(f"Stopped; this is the best that was found so far. {SAME}", facts=facts)
    if as_json:
        print_json(facts)
    return 0


def _print(found: Evaluation, task: Task, plan: Plan) -> None:
    print_evaluation("Smaller model", found, task)
    if nothing := nothing_removed(plan):
        say(nothing)


def _say_missed(recipe: Recipe, found: Evaluation, words: Words, *, before_training: bool) -> None:
    """Say so where the answer loses more than was asked for, and why."""
    missed = shrinking.missed_drop(recipe, found)
    if missed is None:
        return
    why = (
        "since it was stopped before the training that gives it back."
        if before_training
        else "which held on the samples of the search: ask for a little less, or give it more "
        "--trials."
    )
    say(f"It loses more than the {words.cost(missed)} that were asked for, {why}")


def _wish(recover: str | None, train_data: str | None) -> Wish | None:
    """Return how the answer is trained.

    Raises:
        UnknownNameError: No such preset.
        InputError: There are training data, and nothing is trained.
    """
    if recover is not None:
        return shrinking.Wish(preset=PRESETS.get(recover).name, data=train_data or "")
    if train_data is not None:
        raise InputError("--train-data needs --recover, such as --recover quick")
    return None


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
        **{name: given[name] for name in ("round_to", "min_kept", "equal", "runtime")},
    )


def _start(prepared: PreparedSubject, spec: SweepSpec, given: Mapping[str, Any]) -> Plan:
    repair = repairs.chosen_repair(prepared, given["repair"], granularities=(spec.granularity,))
    plan = plans.start_plan(
        prepared, criterion=spec.criteria[0], granularity=spec.granularity, layers=spec.layers
    )
    say(f"Repair: {REPAIRS.get(repair.name).help}; {repair.reason}.")
    return dataclasses.replace(plan, repair=repair.name)


def _result(plan: Plan, found: Evaluation, seconds: float) -> dict[str, Any]:
    dense, pruned = found.dense, found.removed
    return {
        "schema_version": 1,
        "state": DONE,
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
