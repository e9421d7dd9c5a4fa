"""The registry of export formats: one decorated function each.

Command-line choices and page options are generated from the entries. A new format is one function
in one file and one import in `analysis.interop`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import nn

from analysis.edits import PreparedSubject
from analysis.evaluation import Evaluation
from analysis.plans import pruned_entries, removed_model, require_fit
from analysis.records import Plan
from analysis.recovery import Recovery, recovered_model
from pruners.errors import InputError, StoreError, UnknownNameError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExportRequest:
    """What is exported.

    Attributes:
        prepared: The subject.
        plan: The plan.
        recovery: The plan repaired: then the repaired model is exported; None where it was not.
        directory: Where the files go; it is made if missing.
        points: The points table of the plan's run; None where nothing was measured.
        evaluation: What the plan was measured to give; None where it was not.
        name: Start of the file names.
    """

    prepared: PreparedSubject
    plan: Plan
    directory: Path
    recovery: Recovery | None = None
    points: pd.DataFrame | None = None
    evaluation: Evaluation | None = None
    name: str = "plan"

    @property
    def repair(self) -> str:
        """How the exported model is repaired; ``none`` if it is not."""
        return "none" if self.recovery is None else self.recovery.method

    @property
    def chosen(self) -> Plan:
        """The plan as it is exported: a mask search chooses other channels than were asked for."""
        return self.plan if self.recovery is None else self.recovery.plan

    def model(self) -> nn.Module:
        """Return the physically smaller model that is exported.

        Raises:
            PlanError: The plan does not fit the subject.
        """
        if self.recovery is not None:
            return recovered_model(self.prepared, self.recovery)
        return removed_model(self.prepared, self.plan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export wrote.

    Attributes:
        files: The files, each with what is inside.
        notes: What the format cannot say, for the user.
    """

    files: tuple[tuple[Path, str], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """A registered format.

    Attributes:
        name: Short name, used in commands.
        label: Name for people.
        help: What it writes, one sentence.
        fn: The function.
        ready: Raises UnsupportedError where a package that the format needs is not installed.
    """

    name: str
    label: str
    help: str
    fn: Callable[[ExportRequest], Exported]
    ready: Callable[[], None] = lambda: None


_FORMATS: dict[str, Format] = {}


def export_format(
    name: str, *, label: str, help: str, ready: Callable[[], None] = lambda: None
) -> Callable[[Callable[[ExportRequest], Exported]], Callable[[ExportRequest], Exported]]:
    """Register a function as an export format; see `Format` for the arguments.

    Raises:
        ValueError: The name is taken.
    """

    def register(fn: Callable[[ExportRequest], Exported]) -> Callable[[ExportRequest], Exported]:
        if name in _FORMATS:
            raise ValueError(f"two export formats are called {name!r}")
        _FORMATS[name] = Format(name, label, help, fn, ready)
        return fn

    return register


def names() -> tuple[str, ...]:
    """Return the names of all formats."""
    return tuple(_FORMATS)


def get(name: str) -> Format:
    """Return a format.

    Raises:
        UnknownNameError: No such format.
    """
    if name not in _FORMATS:
        raise UnknownNameError("export format", name, _FORMATS)
    return _FORMATS[name]


def export(name: str, request: ExportRequest) -> Exported:
    """Write a plan in a format.

    Raises:
        UnknownNameError: No such format.
        InputError: The plan does not fit, or the format needs what is missing.
        StoreError: The files cannot be written.
    """
    chosen = get(name)
    chosen.ready()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", request.name):
        raise InputError(
            f"the name of an export is made of letters, digits, '.', '_' and '-', found "
            f"{request.name!r}"
        )
    # Before anything is written: a plan that is refused leaves no folder behind.
    require_fit(request.prepared, request.plan)
    _check_evaluation(request)
    try:
        request.directory.mkdir(parents=True, exist_ok=True)
        return chosen.fn(request)
    except OSError as error:
        raise StoreError(f"cannot write to {request.directory}: {error}") from None


def _check_evaluation(request: ExportRequest) -> None:
    """Refuse numbers of another model than the one that is exported."""
    if request.evaluation is not None and request.evaluation.repair != request.repair:
        raise InputError(
            f"the evaluation is that of the model with repair {request.evaluation.repair}, but "
            f"what is exported has repair {request.repair}; evaluate the model that you export"
        )


def problems(request: ExportRequest) -> list[str]:
    """Say what a user should know before exporting; empty if all is well."""
    found = []
    if not pruned_entries(request.plan):
        found.append("the plan removes nothing: the exported model is the dense one")
    if request.points is None or request.points.empty:
        found.append("no points: no run of this subject is the plan's, so no points.csv is written")
    elif (request.points["status"] == "failed").any():
        found.append(f"{int((request.points['status'] == 'failed').sum())} points failed")
    if request.evaluation is None:
        found.append("the plan was not evaluated: the bundle says nothing of its accuracy")
    return found


def require_points(request: ExportRequest) -> pd.DataFrame:
    """Return the points table.

    Raises:
        InputError: There is none.
    """
    if request.points is None or request.points.empty:
        raise InputError("this export writes measured points, but the plan has no run with points")
    return request.points
