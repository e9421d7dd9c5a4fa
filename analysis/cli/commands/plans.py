"""``prunescope plans``: the plans that a workspace keeps, those of the dashboard among them."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis import comparison, tasks
from analysis import plans as files
from analysis.cli.commands.evaluate import measuring
from analysis.cli.options import Json, Workspace, open_store, prepare_subject, saved_or_file
from analysis.cli.output import (
    drop_text,
    print_json,
    print_table,
    right_columns,
    say,
    score_columns,
)
from analysis.cli.scores import with_scores
from analysis.evaluation import Known, KnownNumbers
from analysis.records import SavedPlan
from analysis.store import MAX_NAME, MAX_NOTE, Store
from pruners.errors import InputError

if TYPE_CHECKING:
    from analysis.comparison import PlanComparison
    from analysis.edits import PreparedSubject
    from analysis.tasks import Task

app = typer.Typer(help="List, show, name and delete saved plans.", rich_markup_mode=None)

Saved = Annotated[str, typer.Argument(help="A plan's id.", metavar="PLAN")]


@app.command("list")
def list_plans(workspace: Workspace = None, as_json: Json = False) -> None:
    """List the plans of the workspace, the one changed last first."""
    store = open_store(workspace)
    known = Known(store)
    found = [_summary(known, row) for row in store.plans.saved()]
    if as_json:
        print_json({"plans": list(map(_readable, found))})
        return
    print_table(
        f"{len(found)} plans",
        (
            *("plan", "name", "model", "pruned", "strategy", "repair", "MACs", "params"),
            *("measured", "drop", "changed"),
        ),
        [
            (
                *(row[name] for name in ("plan_id", "name", "model", "pruned", "strategy")),
                row["trained"] or row["repair"],
                _share(row["macs_left"]),
                _share(row["params_left"]),
                *_measured(row),
                _date(row["changed"]),
            )
            for row in found
        ],
        right="pruned,MACs,params,measured",
    )


@app.command("show")
def show(
    plan: Saved,
    out: Annotated[
        Path | None, typer.Option(help="Write the plan as .json.", metavar="FILE")
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show a saved plan, or write it as a file for evaluate, recover and export."""
    store = open_store(workspace)
    saved = store.plans.saved_as(plan)
    if out is not None:
        files.write_plan(files.compact(saved.plan), out)
        say(f"Plan written to {out}")
    if as_json:
        print_json(saved.plan)
    elif out is None:
        _print(store, saved)


@app.command("name")
def name(
    plan: Saved,
    new: Annotated[
        str | None, typer.Argument(help=f"Its name, up to {MAX_NAME} characters.", metavar="NAME")
    ] = None,
    note: Annotated[
        str | None, typer.Option(help=f"A note, up to {MAX_NOTE} characters.", metavar="TEXT")
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Name a saved plan, or note something about it; an empty text takes either away."""
    if new is None and note is None:
        raise InputError("plans name needs a NAME, a --note, or both")
    store = open_store(workspace)
    if new is not None:
        store.plans.rename(plan, new)
    if note is not None:
        store.plans.annotate(plan, note)
    saved = store.plans.saved_as(plan)
    if as_json:
        print_json(_readable(_summary(Known(store), saved)))
    else:
        say(f"Plan {plan}: {saved.name or 'no name'}{f'; {saved.note}' if saved.note else ''}")


@app.command("delete")
def delete(plan: Saved, workspace: Workspace = None, as_json: Json = False) -> None:
    """Delete a saved plan; what was measured of it stays known."""
    open_store(workspace).plans.delete(plan)
    if as_json:
        print_json({"deleted": plan})
    else:
        say(f"Plan {plan} was deleted.")


@app.command("compare")
def compare(
    one: Annotated[str, typer.Argument(help="A plan's id, or a plan file.", metavar="A")],
    other: Annotated[str, typer.Argument(help="Another one.", metavar="B")],
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Compare two plans: ratios, sizes, and their models on the same samples."""
    first, second = (saved_or_file(item, workspace) for item in (one, other))
    if first.fingerprint != second.fingerprint:
        raise InputError(f"{one} and {other} are of different weights; only plans of one model fit")
    prepared = prepare_subject(first.subject, workspace)
    if second.subject != first.subject:
        _check_same(prepared, prepare_subject(second.subject, workspace), (one, other))
    with measuring("comparing") as show_progress:
        found = comparison.compare_plans(prepared, first, second, progress=show_progress)
    task = prepared.subject.task
    if as_json:
        print_json(with_scores(found.to_dict(), task.words))
        return
    _print_comparison((one, other), found, task)


def _print(store: Store, saved: SavedPlan) -> None:
    row = _summary(Known(store), saved)
    score, drop = _measured(row)
    print_table(
        f"Plan {saved.plan_id}",
        ("", ""),
        [
            ("name", saved.name),
            ("note", saved.note),
            *((name, row[name]) for name in ("model", "data", "run", "strategy")),
            ("recovery", saved.plan.recovery_words),
            ("MACs left", _share(row["macs_left"])),
            ("parameters left", _share(row["params_left"])),
            ("measured", score),
            ("drop", drop),
            ("changed", _date(saved.changed)),
        ],
    )
    print_table(
        "",
        ("layer", "criterion", "ratio", "kept", "total"),
        [
            (item.layer, item.criterion, f"{item.ratio:.2%}", item.kept, item.total)
            for item in saved.plan.entries
        ],
        right="ratio,kept,total",
    )


def _summary(known: Known, saved: SavedPlan) -> dict[str, Any]:
    plan, found = saved.plan, known.of(saved.plan)
    return {
        "plan_id": saved.plan_id,
        "name": saved.name,
        "note": saved.note,
        "model": plan.subject.model,
        "data": plan.subject.data,
        "task": plan.subject.task,
        "run": plan.run,
        "pruned": len(files.pruned_entries(plan)),
        "strategy": plan.strategy,
        "repair": plan.repair,
        "training": plan.training,
        "trained": plan.trained,
        "macs_left": saved.macs_left,
        "params_left": saved.params_left,
        "created": saved.created,
        "changed": saved.changed,
        **_numbers(found),
    }


def _numbers(found: KnownNumbers | None) -> dict[str, Any]:
    """Return what is known of a plan; an evaluation's sizes take the place of those saved with it.

    ``measured`` is of the evaluation too, where there is one.
    """
    if found is None:
        return {"evaluated": None, "measured": None}
    names = ("samples", "accuracy", "low", "high", "drop", "drop_low", "drop_high")
    numbers = {name: getattr(found, name) for name in names}
    if found.evaluation is None:
        return {"evaluated": None, "measured": numbers}
    return {
        "macs_left": found.evaluation.evaluation.macs_left,
        "params_left": found.evaluation.evaluation.params_left,
        "evaluated": {"changed": found.evaluation.changed, **numbers},
        "measured": numbers,
    }


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    """Return a summary as JSON has it."""
    return with_scores(row, tasks.scoring_of(row["task"]).words)


def _measured(row: dict[str, Any]) -> tuple[str, str]:
    """Return score and drop with their intervals; dashes where nobody measured the plan."""
    found = row["measured"]
    if found is None:
        return "-", "-"
    words = tasks.scoring_of(row["task"]).words
    score = f"{words.score(found['accuracy'])} ({words.interval(found['low'], found['high'])})"
    return score, drop_text(words, found["drop"], found["drop_low"], found["drop_high"])


def _share(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction:.1%}"


def _date(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def _check_same(prepared: PreparedSubject, other: PreparedSubject, names: tuple[str, str]) -> None:
    """Check that subjects under two addresses are one model; say whose samples are taken.

    Raises:
        InputError: The same weights are computed with in another way.
    """
    one, second = names
    data = prepared.identity.data
    change = prepared.identity.change(dataclasses.replace(other.identity, data=data))
    if change:
        raise InputError(
            f"{one} and {second} differ in the model's {change}; only plans of one model fit"
        )
    if other.identity.data != data:
        say(f"{second} names other samples: both are measured on those of {one}.")


def _print_comparison(names: tuple[str, str], found: PlanComparison, task: Task) -> None:
    """Print two plans beside each other."""
    words = task.words
    print_table(
        f"Two plans on {found.samples:,} samples",
        ("", *score_columns(words), "parameters", "MACs", "repair"),
        [
            (
                f"{letter}: {name}",
                words.score(side.accuracy),
                words.interval(side.low, side.high),
                drop_text(words, side.drop, side.drop_low, side.drop_high),
                f"{side.params:,}",
                f"{side.macs:,}",
                side.recovered_by,
            )
            for letter, name, side in zip("AB", names, (found.one, found.other), strict=True)
        ],
        right=f"{right_columns(words)},parameters,MACs",
    )
    print_table(
        "",
        ("layer", "A", "B", "units"),
        [(row.layer, f"{row.one:.1%}", f"{row.other:.1%}", row.total) for row in found.layers],
        right="A,B,units",
    )
    if same := task.told_agreement(found.agreement, found.samples):
        say(f"Both give the same answer to {same}.")
    drop = drop_text(words, found.drop, found.drop_low, found.drop_high)
    say(f"B against A on the same samples, {score_columns(words)[2]}: {drop}.")
    changed = [item.class_name for item in found.classes if item.clear]
    if changed:
        say(f"Classes that clearly differ: {', '.join(changed)}.")
