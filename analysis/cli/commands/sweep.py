"""``prunescope sweep``: measure sensitivity curves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis import curves, evaluation, records, sweeps, tasks, worker
from analysis.cli.options import Json, Workspace, check_file, open_store, prepare_subject
from analysis.cli.output import (
    answer,
    duration,
    print_json,
    progress_bar,
    say,
    say_notes,
)
from analysis.cli.scores import score_facts
from analysis.cli.stopping import StoppedError, going_on, resuming
from analysis.cli.variant_hints import say_gain
from analysis.records import RunRow, SweepSpec
from analysis.sentences import plural
from pruners.errors import CancelledError, InputError, PruneScopeError, StoreFullError
from pruners.user_code import Grace

if TYPE_CHECKING:
    from analysis.store import Store
    from analysis.subjects import Subject
    from analysis.sweeps import PlannedSweep

_KEPT = "Stopped; what was measured is kept. Go on:"


def sweep(
    given: Mapping[str, Any],
    out: Annotated[
        Path | None, typer.Option(help="Write the points as .csv or .parquet.", metavar="FILE")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(help="Go on with a run that stopped; its options stay.", metavar="RUN"),
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> int:
    """Measure every layer at every ratio by every criterion."""
    if out is not None:
        curves.check_format(out)
        check_file(out)
    store = open_store(workspace)
    if resume is not None:
        _check_resume(given)
        row = store.runs.get(resume)
        planned = None if row.state == records.DONE else _planned(row.spec, workspace)
        if planned is not None:
            _collect(planned)
        else:
            say(f"Run {row.run_id} is done already: nothing is left to measure.")
    else:
        spec = sweeps.spec_of_options(given)
        planned = _planned(spec, workspace)
        _check_and_announce(store, planned)
        # A queued run that nobody works on would hold up those behind it.
        _collect(planned)
        row = store.runs.get(store.runs.create(spec))
    go_on = resuming("sweep", row.run_id, out=out, workspace=workspace, as_json=as_json)
    with going_on(_KEPT, go_on):
        if planned is not None:
            row = _measure(store, row, planned, is_resumed=resume is not None)
        return _report(store, row, out=out, as_json=as_json, go_on=go_on)


def _check_resume(given: Mapping[str, Any]) -> None:
    """Check that nothing was given that the resumed run decides.

    Raises:
        InputError: Something was.
    """
    names = [f"--{name}" for name in ("model", "data") if given[name] is not None]
    if names:
        raise InputError(f"--resume takes everything from the run; leave {', '.join(names)} out")


def _planned(spec: SweepSpec, workspace: Path | None) -> PlannedSweep:
    return sweeps.plan_sweep(prepare_subject(spec.subject, workspace), spec)


def _check_and_announce(store: Store, planned: PlannedSweep) -> None:
    """Find out whether the sweep can be done, before anything is entered in the store."""
    known, prepared = worker.known_points(store, planned), planned.prepared
    say_notes(prepared.subject.notes)
    if prepared.evaluator.fallback_reason:
        say(f"Full forward passes are used: {prepared.evaluator.fallback_reason}")
    new = len(planned.points) - len(known)
    say(f"{plural(new, 'point')} to measure, {len(known)} known from earlier runs.")


def _collect(planned: PlannedSweep) -> None:
    """Collect the calibration statistics in sight of the user; the workspace keeps them."""
    with progress_bar() as bar:
        task = bar.add_task("calibration", total=None, eta="")
        planned.prepared.prepare(
            planned.spec.criteria,
            progress=lambda now: bar.update(task, completed=now.done, total=now.total),
        )


def _measure(
    store: Store,
    row: RunRow,
    planned: PlannedSweep,
    *,
    is_resumed: bool,
) -> RunRow:
    if is_resumed:
        store.jobs.requeue(row.run_id)
    start = time.perf_counter()
    with progress_bar() as bar:
        task = bar.add_task("scores", total=None, eta="")

        is_told = False

        def show(now: RunRow) -> None:
            nonlocal is_told
            if now.queue_position and not is_told:
                # Logs show no progress bar.
                before = plural(now.queue_position, "run")
                say(f"Waiting for the device {now.spec.subject.device}: {before} before this one.")
                is_told = True
            left = f"{duration(now.eta_seconds)} left" if now.eta_seconds is not None else ""
            what = "waiting for the device" if now.state == records.QUEUED else "scores"
            progress = now.progress
            if now.samples:
                what = f"{progress.done} of {progress.total} {progress.unit}"
            bar.update(
                task, description=what, completed=progress.done, total=progress.total, eta=left
            )

        try:
            row = worker.run_to_end(
                store,
                row.run_id,
                progress=show,
                open_sweep=lambda _: planned,
                grace=Grace(),
            )
        except StoreFullError as error:
            raise StoreFullError(_with_advice(str(error), row.run_id)) from None
    _say_doubts(planned.prepared.subject, row)
    say(f"Run {row.run_id}: {row.state} after {duration(time.perf_counter() - start)}.")
    return row


def _say_doubts(subject: Subject, row: RunRow) -> None:
    """Say what is doubtful about the numbers and was not said before they were measured."""
    for doubt in evaluation.find_doubts(subject, row.baseline):
        if not doubt.text.startswith(subject.notes):
            say(doubt.text)


def _report(
    store: Store,
    row: RunRow,
    *,
    out: Path | None,
    as_json: bool,
    go_on: str,
) -> int:
    table = store.points.table(row.run_id)
    if out is not None:
        curves.write_points(table, out, row.spec.subject.task)
        say(f"{plural(len(table), 'point')} written to {out}")
    failed = int((table["status"] == "failed").sum())
    if failed:
        say(
            f"{failed} of {len(table)} points could not be measured; "
            f"`prunescope runs show {row.run_id}` says why."
        )
    if row.state == records.DONE:
        say_gain(store, row)
    if row.state == records.CANCELLED:
        facts = _result(row, points=len(table))
        raise StoppedError(f"{_KEPT} {go_on}", go_on=go_on, facts=facts)
    if as_json:
        print_json(_result(row, points=len(table)))
    elif row.state == records.DONE:
        answer(row.run_id)
    if row.state == records.FAILED:
        raise _failure(row)
    return 0


def _failure(row: RunRow) -> PruneScopeError:
    text = f"{row.error} (run {row.run_id})"
    if row.is_worth_resuming:
        text = _with_advice(row.error, row.run_id)
    return InputError(text) if row.error else CancelledError(text)


def _with_advice(error: str, run_id: str) -> str:
    return f"{error} (run {run_id}; go on with --resume {run_id})"


def _result(row: RunRow, *, points: int) -> dict[str, Any]:
    baseline, scoring = row.baseline, tasks.scoring_of(row.spec.subject.task)
    dense: dict[str, Any] | None = None
    if baseline is not None and baseline.samples:
        dense = {"samples": baseline.samples, **scoring.facts(baseline)}
        if "loss" in scoring.columns:
            values = scoring.values(baseline, baseline, has_labels=row.has_labels)
            dense["loss"] = values.get("loss")
    return {
        "run_id": row.run_id,
        "state": row.state,
        "points": points,
        "seconds": row.seconds,
        "baseline": dense,
        **score_facts(scoring.words),
    }
