"""``prunescope recover``: repair a plan's model without training, and measure what that gains."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analysis import interop, recovery
from analysis.cli.commands.evaluate import PlanFile
from analysis.cli.options import (
    CalibrationData,
    CalibrationSamples,
    Json,
    Workspace,
    calibrated,
    check_folder,
    plan_of_file,
    prepare_subject,
)
from analysis.cli.output import duration, print_json, print_table, progress_bar, say, say_notes
from analysis.repairs import REPAIRS, plan_repairs
from pruners.registry import described

if TYPE_CHECKING:
    from analysis.recovery import RecoveryReport


def recover(
    plan: PlanFile,
    method: Annotated[
        str,
        typer.Option(help=f"{described(map(REPAIRS.get, plan_repairs()))}.", metavar="NAME"),
    ] = "lsq",
    samples: Annotated[
        int | None,
        typer.Option(help="Samples to evaluate.  [default: those of the plan]", metavar="N"),
    ] = None,
    calibration_samples: CalibrationSamples = None,
    calibration_data: CalibrationData = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda, cuda:1 or mps.  [default: that of the plan]", metavar="NAME"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the repaired model here: model.safetensors and a script that rebuilds it.",
            metavar="DIR",
        ),
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Repair a pruned model without training: dense, pruned and recovered side by side."""
    chosen = plan_of_file(plan)
    subject = chosen.subject
    if samples is not None:
        subject = dataclasses.replace(subject, samples=samples)
    subject = calibrated(subject, data=calibration_data, samples=calibration_samples, repair=method)
    if device is not None:
        subject = dataclasses.replace(subject, device=device)
    if out is not None:
        check_folder(out)
    prepared = prepare_subject(subject, workspace)
    if subject.calibration_samples != chosen.subject.calibration_samples:
        say_notes(prepared.subject.notes)
    with progress_bar() as bar:
        task = bar.add_task(f"recovering by {method}", total=None, eta="")
        repaired = recovery.recover_plan(
            prepared,
            chosen,
            method=method,
            progress=lambda now: bar.update(task, completed=now.done, total=now.total),
        )
    found = recovery.report(prepared, chosen, repaired)
    if out is not None:
        interop.write_recovered(prepared, repaired, out)
    if as_json:
        print_json({**found.to_dict(), "out": None if out is None else str(out)})
        return
    _print(found, out)


def _print(found: RecoveryReport, out: Path | None) -> None:
    print_table(
        f"Recovery by {found.method} in {duration(found.seconds)}, {found.dense.samples:,} samples",
        ("", "accuracy", "interval", "drop pp", "agreement"),
        [
            (
                name,
                f"{item.accuracy:.2%}",
                f"{item.accuracy_low:.2%} to {item.accuracy_high:.2%}",
                f"{100 * item.drop:.2f} ({100 * item.drop_low:.2f} to {100 * item.drop_high:.2f})",
                f"{item.agreement:.2%}",
            )
            for name, item in (
                ("dense", found.dense),
                ("pruned", found.pruned),
                ("recovered", found.recovered),
            )
        ],
        right="accuracy,drop pp,agreement",
    )
    if found.layers:
        ratio = sum(item.after / item.before for item in found.layers if item.before > 0)
        say(
            f"Output error of {len(found.layers)} layers: {ratio / len(found.layers):.0%} of "
            "that of masking alone, on average."
        )
    for name, reason in found.skipped.items():
        say(f"{name} was left as it is: {reason}.")
    if out is not None:
        say(f"The repaired model is in {out}.")
