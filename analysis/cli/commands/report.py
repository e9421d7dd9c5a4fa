"""``prunescope report``: a plan with all that was measured of it, in one file to share."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analysis import evaluation, recovery, reporting
from analysis.cli.commands.evaluate import evaluated, keep, repaired
from analysis.cli.options import (
    Json,
    Workspace,
    check_file,
    open_store,
    prepare_subject,
    saved_or_file,
)
from analysis.cli.output import print_json, say
from analysis.store import Store
from pruners.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.records import Evaluation, Plan


def report(
    plan: Annotated[
        str, typer.Option("--plan", help="A saved plan's id, or a plan file.", metavar="PLAN")
    ],
    out: Annotated[Path, typer.Option(help="HTML file to write.", metavar="FILE")],
    run: Annotated[
        str | None,
        typer.Option(help="Run whose curves to show.  [default: that of the plan]", metavar="RUN"),
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Write a report of a plan: one HTML file that needs no other."""
    if out.is_dir() or out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out names a file that ends in .html, found {out}")
    check_file(out)
    store = open_store(workspace)
    chosen, (title, note) = saved_or_file(plan, workspace), _title(store, plan)
    row = None if run is None else store.runs.get(run)
    prepared = prepare_subject(chosen.subject, workspace)
    if row is None and chosen.run is not None:
        with suppress(UnknownNameError):
            row = store.runs.get(chosen.run)
            row = row if row.is_of(prepared.identity) else None
    elif row is not None:
        row.require(prepared.identity)
    if row is not None and row.source is not None:
        # What was imported was not measured by a command that a report could name.
        row = None
    reporting.write_report(
        reporting.Report(
            plan=chosen,
            evaluation=_evaluation(store, prepared, chosen, workspace),
            identity=prepared.identity,
            title=title,
            note=note,
            run=row,
            points=None if row is None else store.points.table(row.run_id),
            training=recovery.training_recipe(store.workspace, chosen),
            inventory=prepared.inventory,
        ),
        out,
    )
    if as_json:
        print_json({"path": str(out), "run": None if row is None else row.run_id})
    else:
        say(f"Report written to {out}")


def _title(store: Store, name: str) -> tuple[str, str]:
    """Return title and note: of a saved plan its own, of a file its name."""
    if Path(name).is_file():
        return reporting.plan_title(Path(name).stem), ""
    saved = store.plans.saved_as(name)
    return reporting.plan_title(saved.label), saved.note


def _evaluation(
    store: Store, prepared: PreparedSubject, plan: Plan, workspace: Path | None
) -> Evaluation:
    """Return what the workspace knows of the plan; else measure it, and keep that."""
    known = evaluation.kept_evaluation(store, prepared, plan)
    if known is not None:
        return known.evaluation
    found = evaluated(prepared, plan, repaired(prepared, plan))
    keep(prepared, plan, found, workspace)
    return found
