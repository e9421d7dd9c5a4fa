"""``prunescope sweep``: measure sensitivity curves."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis import records
from analysis.cli.options import (
    CriterionFiles,
    Device,
    Json,
    Workspace,
    open_store,
    prepare_subject,
)
from analysis.cli.output import duration, print_json, progress_bar, say
from analysis.cli.sweep_options import (
    check_choice,
    check_resume,
    spec_of_options,
)
from analysis.cli.variant_hints import say_gain
from analysis.records import RunRow, SweepSpec
from pruners.errors import CancelledError, InputError, PruneScopeError

if TYPE_CHECKING:
    from analysis.store import Store
    from analysis.sweeps import PlannedSweep


def sweep(
    model: Annotated[str | None, typer.Option(help="Model address.", metavar="ADDRESS")] = None,
    data: Annotated[str | None, typer.Option(help="Data address.", metavar="ADDRESS")] = None,
    criteria: Annotated[
        str,
        typer.Option(
            help="Criteria, joined by commas, or all; `prunescope criteria` lists them.",
            metavar="NAMES",
        ),
    ] = "l1,fpgm,taylor",
    granularity: Annotated[
        str,
        typer.Option(
            help="channel, head, element, block:NxM (N output x M input channels) or N:M (N kept "
            "of each M neighbouring input channels), such as 2:4."
        ),
    ] = "channel",
    ratios: Annotated[
        str, typer.Option(help="first:last:step, or numbers joined by commas.")
    ] = "0.1:0.9:0.1",
    layers: Annotated[
        str, typer.Option(help="Only layers and groups whose name fits.", metavar="GLOB")
    ] = "*",
    samples: Annotated[
        int | None, typer.Option(help="Size of the evaluation subset.  [default: all samples]")
    ] = None,
    calibration_samples: Annotated[int, typer.Option(help="Size of the calibration set.")] = 512,
    batch_size: Annotated[int, typer.Option(help="Samples per batch.")] = 250,
    seed: Annotated[int, typer.Option(help="Chooses subsets and random scores.")] = 0,
    mode: Annotated[
        str, typer.Option(help="exhaustive, or adaptive: stop where the answer is clear.")
    ] = "exhaustive",
    tolerance: Annotated[
        float, typer.Option(help="Accuracy drop that adaptive mode decides on; 0.01 is 1 pp.")
    ] = 0.01,
    confidence: Annotated[
        float, typer.Option(help="Confidence of adaptive decisions and of the intervals.")
    ] = 0.95,
    repair: Annotated[str, typer.Option(help="Repair of each point: none, bn or lsq.")] = "none",
    semantics: Annotated[
        str,
        typer.Option(
            help="What a pruned channel means: removal, or weights (weight and bias masked, batch "
            "norm left alone, as NNI does)."
        ),
    ] = "removal",
    reduction: Annotated[
        str, typer.Option(help="How the layers of a group join: mean, sum, max, min or first.")
    ] = "mean",
    precision: Annotated[
        str,
        typer.Option(
            help="float32, or bf16: faster on processors that have it; close answers are done "
            "again in float32."
        ),
    ] = "float32",
    criterion_file: CriterionFiles = None,
    executor: Annotated[
        str, typer.Option(help="local, or ray: share the batches among the workers of a cluster.")
    ] = "local",
    ray_address: Annotated[
        str, typer.Option(help="The Ray cluster; auto takes RAY_ADDRESS or one on this machine.")
    ] = "auto",
    device: Device = "cpu",
    memory_limit: Annotated[
        str,
        typer.Option(
            help="Memory for the values kept of a batch; what does not fit is measured in parts.",
            metavar="SIZE",
        ),
    ] = "1GiB",
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
        from analysis.curves import check_format

        check_format(out)
    check_choice("executor", executor, ("local", "ray"))
    given = {"model": model, "data": data}
    store = open_store(workspace)
    if resume is not None:
        check_resume(given)
        row = store.runs.get(resume)
        planned = None if row.state == records.DONE else _planned(row.spec, workspace)
    else:
        spec = spec_of_options(
            model=model,
            data=data,
            criteria=criteria,
            granularity=granularity,
            ratios=ratios,
            layers=layers,
            samples=samples,
            calibration_samples=calibration_samples,
            batch_size=batch_size,
            seed=seed,
            mode=mode,
            tolerance=tolerance,
            confidence=confidence,
            repair=repair,
            semantics=semantics,
            reduction=reduction,
            precision=precision,
            criterion_files=criterion_file or (),
            device=device,
            memory_limit=memory_limit,
            executor=executor,
            ray_address=ray_address,
        )
        planned = _planned(spec, workspace)
        _check_and_announce(store, planned)
        row = store.runs.get(store.runs.create(spec))
    if planned is not None:
        _collect(planned)
        row = _measure(store, row, planned, is_resumed=resume is not None)
    return _report(store, row, out=out, as_json=as_json)


def _planned(spec: SweepSpec, workspace: Path | None) -> PlannedSweep:
    from analysis.sweeps import plan_sweep

    return plan_sweep(prepare_subject(spec.subject, workspace), spec)


def _check_and_announce(store: Store, planned: PlannedSweep) -> None:
    """Find out whether the sweep can be done, before anything is entered in the store."""
    from analysis.worker import known_points

    known, prepared = known_points(store, planned), planned.prepared
    for note in prepared.subject.notes:
        say(note)
    if prepared.evaluator.fallback_reason:
        say(f"Full forward passes are used: {prepared.evaluator.fallback_reason}")
    new = len(planned.points) - len(known)
    say(f"{new} points to measure, {len(known)} known from earlier runs.")


def _collect(planned: PlannedSweep) -> None:
    """Collect the calibration statistics in sight of the user; the workspace keeps them."""
    with progress_bar() as bar:
        task = bar.add_task("calibration", total=None, eta="")
        planned.prepared.prepare(
            planned.spec.criteria,
            progress=lambda now: bar.update(task, completed=now.done, total=now.total),
        )


def _measure(store: Store, row: RunRow, planned: PlannedSweep, *, is_resumed: bool) -> RunRow:
    from analysis.worker import run_to_end

    if is_resumed:
        store.jobs.requeue(row.run_id)
    start = time.perf_counter()
    with progress_bar() as bar:
        task = bar.add_task("scores", total=None, eta="")

        def show(now: RunRow) -> None:
            left = f"{duration(now.eta_seconds)} left" if now.eta_seconds is not None else ""
            what = "waiting for the device" if now.state == records.QUEUED else "scores"
            progress = now.progress
            if now.samples:
                what = f"{progress.done} of {progress.total} {progress.unit}"
            bar.update(
                task, description=what, completed=progress.done, total=progress.total, eta=left
            )

        row = run_to_end(store, row.run_id, progress=show, open_sweep=lambda _: planned)
    say(f"Run {row.run_id}: {row.state} after {duration(time.perf_counter() - start)}.")
    return row


def _report(store: Store, row: RunRow, *, out: Path | None, as_json: bool) -> int:
    from analysis.curves import write_points

    table = store.points.table(row.run_id)
    if out is not None:
        write_points(table, out)
        say(f"{len(table)} points written to {out}")
    failed = int((table["status"] == "failed").sum())
    if failed:
        say(
            f"{failed} of {len(table)} points could not be measured; "
            f"`prunescope runs show {row.run_id}` says why."
        )
    if row.state == records.DONE:
        say_gain(store, row)
    if as_json:
        print_json(_result(row, points=len(table)))
    elif row.state == records.DONE:
        print(row.run_id)
    if row.state == records.FAILED:
        raise _failure(row)
    if row.state == records.CANCELLED:
        say(f"Stopped; what was measured is kept. Go on: prunescope sweep --resume {row.run_id}")
        return 130
    return 0


def _failure(row: RunRow) -> PruneScopeError:
    text = f"{row.error} (run {row.run_id}; go on with --resume {row.run_id})"
    return InputError(text) if row.error else CancelledError(text)


def _result(row: RunRow, *, points: int) -> dict[str, Any]:
    baseline = row.baseline
    dense: dict[str, Any] | None = None
    if baseline is not None and baseline.samples:
        dense = {
            "samples": baseline.samples,
            "correct": baseline["correct"],
            "accuracy": baseline["correct"] / baseline.samples,
            "loss": baseline["loss"] / baseline.samples if row.has_labels else None,
        }
    return {
        "run_id": row.run_id,
        "state": row.state,
        "points": points,
        "seconds": row.seconds,
        "baseline": dense,
    }
