"""``prunescope export``: a plan for the tools that people train and deploy with."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analysis import evaluation, interop, subjects
from analysis.cli.commands.evaluate import (
    PlanFile,
    evaluated,
    keep,
    repair_help,
    repaired,
    with_repair,
)
from analysis.cli.options import (
    CalibrationData,
    CalibrationSamples,
    Json,
    Workspace,
    calibrated,
    check_folder,
    open_store,
    plan_of_file,
    prepare_subject,
)
from analysis.cli.output import print_json, print_table, say, say_notes
from analysis.interop import FORMATS
from analysis.records import REMOVED
from pruners.errors import InputError, UnknownNameError
from pruners.registry import described

if TYPE_CHECKING:
    import pandas as pd

    from analysis.edits import PreparedSubject
    from analysis.interop import Verification
    from analysis.records import Evaluation, Plan
    from analysis.recovery import Recovery


def _list_formats(asked: bool) -> None:
    """Print what each format keeps and loses, and end."""
    if not asked:
        return
    for entry in FORMATS:
        say(f"{entry.name} ({entry.label}): {entry.help} {entry.described}".rstrip())
        if entry.target:
            say(f"    for {entry.target}; {entry.installing.replace('`', '')}".rstrip("; "))
    raise typer.Exit


def export(
    plan: PlanFile,
    out: Annotated[Path, typer.Option(help="Folder to write to.", metavar="DIR")],
    format: Annotated[
        str,
        typer.Option("--format", help=f"What to write. {described(FORMATS)}.", metavar="FORMAT"),
    ] = "zip",
    repair: Annotated[
        str | None,
        typer.Option(
            help=repair_help("Export the model repaired without training.")
            + "  [default: that of the plan]",
            metavar="NAME",
        ),
    ] = None,
    calibration_samples: CalibrationSamples = None,
    calibration_data: CalibrationData = None,
    form: Annotated[
        str,
        typer.Option(
            "--form",
            help="Which model a format of a runtime holds: removed (the smaller one), masked or "
            "dense.",
            metavar="NAME",
        ),
    ] = REMOVED,
    sparse: Annotated[
        bool,
        typer.Option(
            "--sparse", help="Format onnx: store mostly zero weights without their zeros."
        ),
    ] = False,
    measures: Annotated[
        bool,
        typer.Option(
            "--evaluate",
            help="Measure the plan first and put the result in; else what `evaluate` found before "
            "is put in, if it did.",
        ),
    ] = False,
    formats: Annotated[
        bool,
        typer.Option(
            "--formats",
            help="Say what each format keeps and loses, and end.",
            is_eager=True,
            callback=_list_formats,
        ),
    ] = False,
    verifies: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Have the libraries that the format is for read the files and compare, in a "
            "process of their own. Exit code 1 if none confirms them, or one finds a fault.",
        ),
    ] = False,
    python: Annotated[
        str | None,
        typer.Option(
            help="Interpreter of the environment that --verify runs the libraries in.",
            metavar="PATH",
            show_default="this one",
        ),
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Write a plan, the smaller model or the points as files."""
    FORMATS.get(format).ready()
    if verifies:
        interop.verifiers_of(format)
    elif python is not None:
        raise InputError("--python says where --verify runs the libraries; give --verify as well")
    chosen = with_repair(plan_of_file(plan), repair)
    check_folder(out)
    subject = calibrated(
        chosen.subject,
        data=calibration_data,
        samples=calibration_samples,
        repair=chosen.repair,
        int8=FORMATS.get(format).calibrates,
    )
    prepared = prepare_subject(subject, workspace)
    if subject.calibration_samples != chosen.subject.calibration_samples:
        say_notes(prepared.subject.notes)
    points = _points(chosen, prepared, workspace)
    recovery = repaired(prepared, chosen)
    measured = _evaluation(prepared, chosen, recovery, workspace, measures=measures)
    request = interop.ExportRequest(
        prepared=prepared,
        plan=chosen,
        recovery=recovery,
        directory=out,
        points=points,
        evaluation=measured,
        name=plan.stem,
        form=form,
        sparse=sparse,
    )
    found = interop.export(format, request)
    verified = interop.verify(request, format, python=python) if verifies else None
    if as_json:
        files = [{"path": str(path), "content": content} for path, content in found.files]
        facts = {"format": format, "files": files, "notes": list(found.notes)}
        print_json(facts if verified is None else {**facts, "verification": verified.to_dict()})
    else:
        print_table("Written", ("file", "content"), found.files)
        say_notes(found.notes)
        if verified is not None:
            _say_verified(verified)
    if verified is not None and not verified.passed:
        raise typer.Exit(1)


def _evaluation(
    prepared: PreparedSubject,
    plan: Plan,
    recovery: Recovery | None,
    workspace: Path | None,
    *,
    measures: bool,
) -> Evaluation | None:
    """Return what the plan is measured to give now, or what the workspace keeps of before."""
    if measures:
        found = evaluated(prepared, plan, recovery)
        keep(prepared, plan, found, workspace)
        return found
    known = evaluation.kept_evaluation(open_store(workspace), prepared, plan)
    return None if known is None else known.evaluation


def _say_verified(found: Verification) -> None:
    rows = [
        (target.label, target.version, target.result, check.name, check.text)
        for target in found.targets
        for check in target.checks
    ]
    rows += [
        (target.label, target.version, target.result, "", target.text)
        for target in found.targets
        if not target.checks
    ]
    print_table("Verified", ("library", "version", "result", "what", "found"), rows)


def _points(plan: Plan, prepared: PreparedSubject, workspace: Path | None) -> pd.DataFrame | None:
    """Return the points of the run that the plan was chosen from, if they are of this subject."""
    if plan.run is None:
        return None
    store = open_store(workspace)
    try:
        row = store.runs.get(plan.run)
    except UnknownNameError:
        say(f"Run {plan.run}, which the plan was chosen from, is not in this workspace.")
        return None
    identity = prepared.identity
    here, split = prepared.subject.spec, row.spec.subject
    asked = dataclasses.replace(
        here,
        calibration_samples=split.calibration_samples,
        calibration_data=split.calibration_data,
    )
    if asked != here:
        # Other samples are evaluated here than in the run, for some calibrate the repair.
        identity = dataclasses.replace(identity, data=subjects.load_subject(asked).data_fingerprint)
    if not row.is_of(identity):
        say(f"Run {plan.run} measured another content of the subject; its points are left out.")
        return None
    if not row.predicts:
        say(f"Run {plan.run} was imported and is no {row.spec.subject.task}: left out.")
        return None
    return store.points.table(row.run_id)
