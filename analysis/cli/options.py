"""Options that several commands share."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analysis import edits, plans, store, subjects
from analysis.cli.output import say
from analysis.files import check_writable
from analysis.repairs import NO_REPAIR
from analysis.store import Store
from analysis.tasks import TASKS
from pruners.errors import InputError, StoreError
from pruners.registry import described
from pruners.user_code import resolved

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.records import Plan, SubjectSpec

WORKSPACE_VARIABLE = "PRUNESCOPE_WORKSPACE"
DEFAULT_WORKSPACE = "~/.prunescope"

Workspace = Annotated[
    Path | None,
    typer.Option(
        help=f"Folder of runs and plans.  [default: ${WORKSPACE_VARIABLE} or {DEFAULT_WORKSPACE}]",
        metavar="DIR",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")]
CriterionFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--criterion-file",
        help="Python file with criteria of your own; repeatable. It is run: use what you trust.",
        metavar="FILE",
    ),
]
CalibrationData = Annotated[
    str | None,
    typer.Option(
        help="Data address of samples to calibrate on.  [default: that of the plan]",
        metavar="ADDRESS",
    ),
]
CalibrationSamples = Annotated[
    int | None,
    typer.Option(help="Samples to calibrate on.  [default: those of the plan]", metavar="N"),
]
Task = Annotated[
    str | None,
    typer.Option(
        help=f"What the model answers. {described(TASKS)}.  [default: what the data are for]",
        metavar="NAME",
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or mps.", metavar="NAME")]


def workspace_path(given: Path | None) -> Path:
    """Return the workspace folder: the option, else the environment, else the default."""
    return resolved(given or os.environ.get(WORKSPACE_VARIABLE) or DEFAULT_WORKSPACE)


def open_store(given: Path | None) -> Store:
    """Open the workspace that the option or the environment names.

    Raises:
        StoreError: It cannot be used.
    """
    return Store(workspace_path(given))


@contextmanager
def kept_if_writable() -> Iterator[None]:
    """Keep what was measured in the workspace; it is worth as much where that cannot be written."""
    try:
        yield
    except StoreError as error:
        say(f"What was measured is shown here alone and could not be kept: {error}")


def prepare_subject(spec: SubjectSpec, workspace: Path | None) -> PreparedSubject:
    """Load a subject and find its groups.

    Args:
        spec: The subject.
        workspace: The option; calibration statistics that this workspace has are read, and kept
            there.

    Raises:
        InputError: It cannot be loaded; the message says why.
    """
    cache = store.statistics_folder(workspace_path(workspace))
    found = edits.prepare(subjects.load_subject(spec, cache=cache))
    found.use_cache(cache)
    return found


def calibrated(
    spec: SubjectSpec,
    *,
    data: str | None,
    samples: int | None,
    repair: str,
    int8: bool = False,
) -> SubjectSpec:
    """Return a plan's subject with what a repair, or 8 bits, calibrate on.

    Args:
        spec: The plan's subject.
        data: The option; None leaves what the plan says.
        samples: The option; None leaves what the plan says, but a repair or 8 bits get the usual
            number where the plan's sweep needed none.
        repair: Name of the repair.
        int8: Whether something goes into 8 bits.
    """
    if samples is None:
        samples = spec.calibration_samples
        if samples == 0 and (int8 or repair != NO_REPAIR):
            samples = subjects.calibration_of(spec.task)
    return dataclasses.replace(
        spec,
        calibration_data=spec.calibration_data if data is None else data,
        calibration_samples=samples,
    )


def plan_of_file(path: Path) -> Plan:
    """Read a plan file.

    Raises:
        InputError: It is missing or not a plan.
    """
    return plans.read_plan(path)


def saved_or_file(name: str, workspace: Path | None) -> Plan:
    """Return the plan of an id, or of a file.

    Raises:
        InputError: It is neither.
    """
    if Path(name).is_file():
        return plan_of_file(Path(name))
    return open_store(workspace).plans.get(name)


def check_folder(path: Path, option: str = "--out") -> None:
    """Check a folder that files are to be written to, before the work that they come of.

    Raises:
        InputError: It is a file.
        StoreError: It cannot be written.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; {option} names a folder")
    check_writable(path)


def check_file(path: Path) -> None:
    """Check a file that is to be written, before the work that it comes of.

    Raises:
        InputError: It is a folder.
        StoreError: It cannot be written.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; --out names a file")
    check_writable(path)
