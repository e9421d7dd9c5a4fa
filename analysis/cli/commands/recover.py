"""``prunescope recover``: repair a plan's model without training, and measure what that gains."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analysis import interop, recovery
from analysis.cli.commands.evaluate import PlanFile, repaired
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
from analysis.cli.output import (
    drop_text,
    duration,
    print_json,
    print_table,
    right_columns,
    say,
    say_notes,
    score_columns,
)
from analysis.repairs import NO_REPAIR, REPAIRS, check_repair, plan_repairs
from pruners.errors import InputError
from pruners.registry import described

if TYPE_CHECKING:
    from analysis.recovery import RecoveryReport
    from analysis.tasks import Words

USUAL = "lsq"


def recover(
    plan: PlanFile,
    method: Annotated[
        str | None,
        typer.Option(
            help=f"{described(map(REPAIRS.get, plan_repairs()))}.  "
            f"[default: that of the plan; {USUAL} where it has none]",
            metavar="NAME",
        ),
    ] = None,
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
    if method is None:
        method = USUAL if chosen.repair == NO_REPAIR else chosen.repair
    check_repair(method, known=plan_repairs())
    chosen = dataclasses.replace(chosen, repair=method)
    subject = chosen.subject
    if samples is not None:
        subject = dataclasses.replace(subject, samples=samples)
    subject = calibrated(
        subject, data=calibration_data, samples=calibration_samples, repair=chosen.repair
    )
    if device is not None:
        subject = dataclasses.replace(subject, device=device)
    if out is not None:
        check_folder(out)
    prepared = prepare_subject(subject, workspace)
    if subject.calibration_samples != chosen.subject.calibration_samples:
        say_notes(prepared.subject.notes)
    recovered = repaired(prepared, chosen)
    if recovered is None:
        raise InputError("the plan prunes nothing, so there is nothing to recover")
    found = recovery.report(prepared, chosen, recovered)
    if out is not None:
        interop.write_recovered(prepared, recovered, out)
    if as_json:
        print_json({**found.to_dict(), "out": None if out is None else str(out)})
        return
    _print(found, out, prepared.subject.task.words)


def _print(found: RecoveryReport, out: Path | None, words: Words) -> None:
    print_table(
        f"Recovery by {found.method} in {duration(found.seconds)}, {found.dense.samples:,} samples",
        ("", *score_columns(words), "agreement"),
        [
            (
                name,
                words.score(item.accuracy),
                words.interval(item.accuracy_low, item.accuracy_high),
                drop_text(words, item.drop, item.drop_low, item.drop_high),
                "-" if item.agreement is None else f"{item.agreement:.2%}",
            )
            for name, item in (
                ("dense", found.dense),
                ("pruned", found.pruned),
                ("recovered", found.recovered),
            )
        ],
        right=f"{right_columns(words)},agreement",
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
