"""What is exported, what an export wrote, and what a format is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import edits, plans, recovery
from analysis.records import DENSE, MASKED, NO_REPAIR, REMOVED
from pruners.errors import InputError, UnsupportedError

FORMS = {REMOVED: "smaller model", MASKED: "masked model", DENSE: "dense model"}

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from analysis.edits import PreparedSubject
    from analysis.records import Evaluation, Plan
    from analysis.recovery import Recovery


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExportRequest:
    """What is exported.

    Attributes:
        prepared: The subject.
        plan: The plan.
        recovery: The plan repaired or trained: then that model is exported; None where it was not.
        directory: Where the files go; it is made if missing.
        points: The points table of the plan's run; None where nothing was measured.
        evaluation: What the plan was measured to give; None where it was not.
        name: Start of the file names.
        form: ``removed`` (the physically smaller model), ``masked`` (of the dense size, with what
            the plan removes set to zero) or ``dense``; only formats of runtimes ask for it.
        sparse: Store mostly zero weights without their zeros, where the format can.
    """

    prepared: PreparedSubject
    plan: Plan
    directory: Path
    recovery: Recovery | None = None
    points: pd.DataFrame | None = None
    evaluation: Evaluation | None = None
    name: str = "plan"
    form: str = REMOVED
    sparse: bool = False

    @property
    def repair(self) -> str:
        """How the exported model is repaired; ``none`` if it is not."""
        return self._of_model.repair

    @property
    def trained(self) -> str:
        """How it was trained, for a person; empty if it was not."""
        return self._of_model.trained

    @property
    def recovery_words(self) -> str:
        """Either of them, behind a model."""
        return self._of_model.recovery_words

    @property
    def _of_model(self) -> Plan:
        """The plan as the exported model is, whatever it asks for."""
        return self.plan.repaired_by(NO_REPAIR) if self.recovery is None else self.recovery.plan

    @property
    def chosen(self) -> Plan:
        """The plan as it is exported: a mask search chooses other channels than were asked for."""
        return self.plan if self.recovery is None else self.recovery.plan

    @property
    def form_words(self) -> str:
        """The form, for a person: ``smaller model``."""
        return FORMS[self.form]

    def model(self) -> nn.Module:
        """Return the model that is exported, in the form that is asked for.

        Weights of element-like entries are zeros in the smaller model.

        Raises:
            PlanError: The plan does not fit the subject.
            UnsupportedError: The plan has no masked form.
        """
        if self.form == DENSE:
            return self.prepared.model
        if self.form == MASKED:
            return self._masked()
        if self.recovery is not None:
            return recovery.recovered_model(self.prepared, self.recovery)
        return plans.removed_model(self.prepared, self.plan)

    def _masked(self) -> nn.Module:
        edit = (
            plans.masked_edit(self.prepared, self.plan)
            if self.recovery is None
            else self.recovery.edit
        )
        if edit.kept:
            raise UnsupportedError(
                f"the plan has no masked form: a norm mixes the channels of {', '.join(edit.kept)} "
                "and others, so zeroing is not removing; export the smaller model"
            )
        return edits.edited_model(self.prepared, edit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export wrote.

    Attributes:
        files: The files, each with what is inside.
        notes: What the format cannot say, for the user.
        stale: Names of files that, from an earlier export, do not belong to these.
    """

    files: tuple[tuple[Path, str], ...]
    notes: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """A registered format.

    Attributes:
        name: Short name, used in commands.
        label: Name for people.
        help: What it writes, one sentence.
        fn: The function.
        ready: Raises UnsupportedError where a package that the format needs is not installed.
        keeps: What of a plan is in the files, one clause.
        loses: What of a plan is not in them, one clause.
        target: The library that reads the files, with the version that was tested; None where
            PruneScope, torch alone or any program reads them.
        install: What installs the target: a command, or one a line where each is for an
            environment of its own.
        verify: Which verifiers have the target itself confirm the files, of
            `analysis.interop.VERIFIERS`.
        options: Which of ``form`` and ``sparse`` of an `ExportRequest` it knows.
        calibrates: Whether it needs calibration samples.
    """

    name: str
    label: str
    help: str
    fn: Callable[[ExportRequest], Exported]
    ready: Callable[[], None] = lambda: None
    keeps: str = ""
    loses: str = ""
    target: str | None = None
    install: str = ""
    verify: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    calibrates: bool = False

    @property
    def installing(self) -> str:
        """What installs the target, as Markdown; empty where nothing is needed."""
        commands = self.install.splitlines()
        apart = ", each in an environment of its own" if len(commands) > 1 else ""
        return " or ".join(f"`{command}`" for command in commands) + apart

    @property
    def described(self) -> str:
        """What it keeps and loses, one sentence; empty where the format does not say."""
        parts = [f"keeps {self.keeps}"] * bool(self.keeps) + [f"loses {self.loses}"] * bool(
            self.loses
        )
        text = "; ".join(parts)
        return f"{text[0].upper()}{text[1:]}." if text else ""


def require_points(request: ExportRequest) -> pd.DataFrame:
    """Return the points table.

    Raises:
        InputError: There is none.
    """
    if request.points is None or request.points.empty:
        raise InputError("this export writes measured points, but the plan has no run with points")
    return request.points
