"""``prunescope runs``: list, show, delete and merge runs."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from analysis import curves, records, tasks
from analysis.cli.options import Json, Workspace, open_store
from analysis.cli.output import answer, duration, print_json, print_table, say
from analysis.cli.variant_hints import say_gain
from analysis.records import RunRow

app = typer.Typer(help="List, show, delete and merge runs.", rich_markup_mode=None)

Run = Annotated[str, typer.Argument(help="A run's id, its beginning, or last.", metavar="RUN")]


@app.command("list")
def list_runs(workspace: Workspace = None, as_json: Json = False) -> None:
    """List the runs of the workspace, the newest first."""
    store = open_store(workspace)
    rows, damaged = store.runs.all(), store.runs.damaged()
    for run in damaged:
        say(
            f"Run {run.run_id} cannot be read: {run.reason}; "
            f"`prunescope runs delete {run.run_id}` removes it."
        )
    if as_json:
        print_json(
            {
                "runs": [_summary(row) for row in rows],
                "damaged": [dataclasses.asdict(run) for run in damaged],
            }
        )
        return
    print_table(
        f"{len(rows) + len(damaged)} runs",
        (
            "run",
            "created",
            "state",
            "done",
            "points",
            "model",
            "data",
            "criteria",
            "granularity",
            "repair",
            "mode",
        ),
        [
            (
                row.run_id,
                _date(row.created),
                _state(row),
                f"{row.progress.fraction:.0%}",
                row.points,
                row.spec.subject.model,
                row.spec.subject.data,
                ",".join(row.spec.criteria),
                row.spec.granularity,
                row.spec.repair,
                row.spec.mode,
            )
            for row in rows
        ]
        + [(run.run_id, _date(run.created), "damaged", *[""] * 8) for run in damaged],
        right="done,points",
    )


@app.command("show")
def show(
    run: Run,
    out: Annotated[
        Path | None, typer.Option(help="Write the points as .csv or .parquet.", metavar="FILE")
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show a run: what was measured, how far, and what failed."""
    store = open_store(workspace)
    row = store.runs.get(run)
    if out is not None:
        curves.write_points(store.points.table(row.run_id), out, row.quantity)
        say(f"Points written to {out}")
    reasons = store.points.reasons(row.run_id)
    if as_json:
        failed = [{**dataclasses.asdict(key), "reason": reason} for key, reason in reasons.items()]
        print_json({**row.to_dict(), "reasons": failed})
        return
    facts = {
        "state": _state(row) + (f": {row.error}" if row.error else ""),
        "name": row.name,
        "created": _date(row.created),
        # Nothing is known of a worker that was killed before anything was kept.
        "seconds": duration(row.seconds) if row.seconds else "-",
        "samples": f"{row.samples} of {row.total_samples}",
        "points": row.points,
        **{
            name: value
            for name, value in row.spec.subject.to_dict().items()
            if name != "samples" and value is not None
        },
        **{
            name: value
            for name, value in row.spec.to_dict().items()
            if name != "subject" and value is not None
        },
        "weights": row.fingerprint[:16],
        "evaluated": row.data_fingerprint[:16],
        "versions": ", ".join(f"{name} {value}" for name, value in (row.versions or {}).items()),
    }
    facts.pop("schema_version")
    if row.source is not None:
        facts = _source(row) | {name: facts[name] for name in _OF_IMPORTS if name in facts}
    elif row.baseline is not None and row.baseline.samples:
        scoring = tasks.scoring_of(row.spec.subject.task)
        facts[f"dense {scoring.words.label}"] = scoring.words.score(scoring.score(row.baseline))
    print_table(f"Run {row.run_id}", ("", ""), [(name, _plain(facts[name])) for name in facts])
    for key, reason in reasons.items():
        say(f"{key.layer} {key.criterion} {key.ratio_requested:g}: {reason}")
    if row.source is None:
        say_gain(store, row)


@app.command("delete")
def delete(run: Run, workspace: Workspace = None, as_json: Json = False) -> None:
    """Delete a run and its points; later runs still know what was measured."""
    run_id = open_store(workspace).runs.delete(run)
    if as_json:
        print_json({"deleted": run_id})
    else:
        say(f"Run {run_id} was deleted.")


@app.command("merge")
def merge(
    runs: Annotated[list[str], typer.Argument(help="Two runs or more.", metavar="RUN RUN")],
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Join the points of runs of one subject in a new run."""
    store = open_store(workspace)
    run_id = store.runs.merge(runs)
    if as_json:
        print_json(_summary(store.runs.get(run_id)))
    else:
        answer(run_id)


# What is known of an imported run beside its source.
_OF_IMPORTS = ("name", "created", "points", "model", "data", "criteria", "granularity", "ratios")


def _source(row: RunRow) -> dict[str, object]:
    """Return where imported points come from, and what was said of them."""
    source = row.source
    assert source is not None
    words = tasks.scoring_of(source.quantity).words
    dense = "" if source.baseline is None else words.score(source.baseline)
    return {
        "state": _state(row),
        "file": source.file,
        "written by": source.format,
        "numbers": words.label,
        f"dense {words.label}": dense,
        **{f"said: {name}": text for name, text in source.said.items()},
        "notes": " ".join(source.notes),
        "weights": source.weights[:16],
    }


def _state(row: RunRow) -> str:
    """Return the state of a run as people read it: an imported one was not measured here."""
    return row.state if row.source is None else records.IMPORTED


def _summary(row: RunRow) -> dict[str, Any]:
    return {
        "run_id": row.run_id,
        "created": row.created,
        "state": row.state,
        "progress": row.progress.to_dict(),
        "points": row.points,
        "samples": row.samples,
        "error": row.error,
        "seconds": row.seconds,
        "spec": row.spec.to_dict(),
        "source": None if row.source is None else row.source.to_dict(),
    }


def _date(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value)
