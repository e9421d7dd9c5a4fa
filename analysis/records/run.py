"""What the store says of a run."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from analysis.records.codec import Count
from analysis.records.progress import Progress
from analysis.records.record import Document
from analysis.records.sums import Sums
from analysis.records.sweep import SweepSpec
from pruners.errors import InputError

QUEUED, RUNNING, DONE = "queued", "running", "done"
CANCELLED, FAILED, INTERRUPTED = "cancelled", "failed", "interrupted"
LIVE_STATES = (QUEUED, RUNNING)
RESUMABLE_STATES = (CANCELLED, FAILED, INTERRUPTED)

# A worker writes a heartbeat every second. One that is silent for this long has died, or its
# machine sleeps; loading a subject does not silence it.
STALE_SECONDS = 20.0
# A worker whose process is still there may be that silent: stopped, or in code that lets no other
# thread run. What it held up is free then; coming back, it finds its run taken over.
PAUSED_SECONDS = 600.0

# Status of a point whose numbers were read from a file: without counts, so without an interval.
IMPORTED = "imported"
# Begins the model address of what was imported without a model.
NO_MODEL = "imported:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What all numbers of a subject depend on.

    Attributes:
        weights: Fingerprint of architecture and weights; empty before the subject is loaded.
        data: Fingerprint of the evaluation subset.
        program: Version of torch and, after a colon, fingerprint of what the forward pass computes;
            empty in runs of programs that did not record it.

    A fingerprint may begin with a mark and a hyphen, which say how it was made.
    """

    weights: str
    data: str
    program: str = ""

    def change(self, other: Identity) -> str:
        """Return what differs; empty if nothing does.

        It is ``weights or modules`` (as these print themselves), ``data`` or ``forward pass``.

        Forward passes that different versions of torch captured, or that were told by less than
        all of the code, cannot be compared.
        """
        if self.weights != other.weights:
            return "weights or modules"
        if self.data != other.data:
            return "data"
        (version, _, digest), (known, _, found) = (
            item.program.partition(":") for item in (self, other)
        )
        is_comparable = version == known and _mark(digest) == _mark(found)
        return "forward pass" if is_comparable and digest != found else ""

    def tells_less(self, other: Identity) -> bool:
        """Return whether the data was told by less than all of its content, unlike the other."""
        return bool(self.data and other.data) and _mark(self.data) < _mark(other.data)


def _mark(fingerprint: str) -> str:
    return fingerprint.rpartition("-")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSource(Document):
    """Where the points of a run come from that another program measured.

    Attributes:
        file: Name of the file.
        digest: SHA-256 of its content, hexadecimal.
        format: What wrote it, one of `analysis.imports.RESULT_FORMATS`.
        quantity: What its numbers are, a name that `analysis.tasks.scoring_of` knows.
        baseline: Score of the dense model, the higher the better; None where the file has several.
        said: What the file does not say and a person said of it, by option.
        notes: What was done to its numbers, a sentence each.
        weights: Fingerprint of the model that its layers were found in; empty without a model.
        program: Of that model's forward pass, as in `Identity`.
    """

    file: str
    digest: str
    format: str
    quantity: str
    baseline: float | None = None
    said: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    weights: str = ""
    program: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow(Document):
    """A run.

    Attributes:
        run_id: Short name, unique in the workspace.
        created: Unix time.
        spec: What it measures.
        state: ``queued``, ``running``, ``done``, ``cancelled``, ``failed`` or ``interrupted``
            (was queued or running, but its worker is silent).
        progress: How far it is: over samples, in adaptive mode over curves that are decided.
        points: Points of the grid.
        samples: Samples evaluated, of ``total_samples``.
        total_samples: Samples of the evaluation subset; 0 before the subject is loaded.
        saves: How often its points were written, which tells whether they have changed.
        eta_seconds: Expected time that is left; None if unknown.
        heartbeat: Unix time of the worker's last sign of life.
        pid: The worker's process; None before one started.
        error: Why it failed; empty otherwise.
        cancel_requested: Whether somebody asked it to stop.
        baseline: Sums of the dense model so far; None before the first batch.
        seconds: Wall time of all its workers.
        fingerprint: Of the model; empty before the subject is loaded.
        data_fingerprint: Of the evaluation subset.
        program: Of the forward pass; see `Identity`.
        has_labels: Whether accuracy is against labels, not against the dense model.
        queue_position: Runs ahead of it on its device, while queued.
        versions: Versions of the programs that measured it.
        name: What a person calls it; empty without a name.
        source: Where its points come from, if they were imported and not measured here.
        comes_again: Whether model or data are to blame for the error: it would come again.
    """

    schema_version: ClassVar[int] = 2
    run_id: str
    created: float
    spec: SweepSpec
    state: str
    progress: Progress
    points: Count
    samples: Count
    total_samples: Count
    saves: Count
    eta_seconds: float | None
    heartbeat: float
    pid: int | None
    error: str
    cancel_requested: bool
    baseline: Sums | None
    seconds: float
    fingerprint: str = ""
    data_fingerprint: str = ""
    program: str = ""
    has_labels: bool = True
    queue_position: Count = 0
    versions: dict[str, str] | None = None
    name: str = ""
    source: ImportSource | None = None
    comes_again: bool = False

    @classmethod
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Return a run of the next version; in 1, the mode said what the progress counted."""
        old = data["progress"]
        samples, total_samples = old["samples"], old["total_samples"]
        progress = {"done": samples, "total": total_samples or None, "unit": "samples"}
        if data["spec"]["mode"] == "adaptive":
            progress = {"done": old["batch"], "total": old["batches"] or None, "unit": "curves"}
        counts = {"samples": samples, "total_samples": total_samples, "points": old["points"]}
        return {**data, **counts, "progress": progress, "saves": 0}

    @property
    def identity(self) -> Identity:
        """What its numbers depend on; its weights are empty before the subject is loaded."""
        return Identity(weights=self.fingerprint, data=self.data_fingerprint, program=self.program)

    @property
    def model_identity(self) -> Identity:
        """What tells the model whose layers its curves are of; empty where there is none."""
        if self.source is None:
            return self.identity
        return Identity(weights=self.source.weights, data="", program=self.source.program)

    @property
    def quantity(self) -> str:
        """What its numbers are, a name that `analysis.tasks.scoring_of` knows."""
        return self.spec.subject.task if self.source is None else self.source.quantity

    @property
    def has_model(self) -> bool:
        """Whether its subject can be loaded: some curves are imported without a model."""
        return not self.spec.subject.model.startswith(NO_MODEL)

    def require_model(self) -> None:
        """Check that there is a model that plans could be made for.

        Raises:
            InputError: The curves were imported without one.
        """
        if self.source is not None and not self.has_model:
            raise InputError(
                f"run {self.run_id} was imported from {self.source.file} without a model; import "
                "the file again with --model"
            )

    @property
    def predicts(self) -> bool:
        """Whether its drops are those that its subject is judged by, so that plans can be told."""
        return self.source is None or self.quantity in ("accuracy", self.spec.subject.task)

    def is_of(self, identity: Identity) -> bool:
        """Return whether the run measured this subject; a run that began nothing is of any."""
        return not self.fingerprint or not self.identity.change(identity)

    def require(self, identity: Identity) -> None:
        """Check that the run measured this subject; see `is_of`.

        Raises:
            InputError: It measured other weights, other data or another forward pass.
        """
        if self.is_of(identity):
            return
        self.require_comparable(identity)
        what = self.identity.change(identity)
        address = self.spec.subject.data if what == "data" else self.spec.subject.model
        raise InputError(
            f"the {what} of {address} changed since run {self.run_id} was measured, so its curves "
            f"say nothing of it; run the sweep again, or bring back what it measured"
        )

    def require_comparable(self, identity: Identity) -> None:
        """Check that the run told its data as it is told now.

        Raises:
            InputError: An older program did not look at all of its content.
        """
        if self.fingerprint and self.identity.tells_less(identity):
            raise InputError(
                f"run {self.run_id} is of an older version of PruneScope, which told the data "
                f"{self.spec.subject.data} by some of its samples: whether it is the same now "
                "cannot be said; run the sweep again (the curves of the old run stay as they are)"
            )

    @property
    def is_live(self) -> bool:
        """Whether a worker is at it, or will be."""
        return self.state in LIVE_STATES

    @property
    def is_resumable(self) -> bool:
        """Whether it ended before its end."""
        return self.state in RESUMABLE_STATES

    @property
    def is_worth_resuming(self) -> bool:
        """Whether it is resumable, and what ended it need not come again."""
        return self.is_resumable and not self.comes_again


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedRun:
    """A run of the workspace that is there and cannot be read.

    Attributes:
        run_id: Its id.
        created: Unix time.
        reason: What is wrong.
    """

    run_id: str
    created: float
    reason: str


def state_now(state: str, *, heartbeat: float, pid: int | None, host: str, now: float) -> str:
    """Return the state that a reader should see: a dead worker's run is interrupted.

    A sign of life from long after now is none: the clock was set back since.
    """
    if state not in LIVE_STATES:
        return state
    process = _process(pid, host)
    is_same = process.started is not None and process.started <= heartbeat
    # Not turned round: a damaged file may hold NaN, which is no sign of life either.
    is_fresh = -STALE_SECONDS <= now - heartbeat <= (PAUSED_SECONDS if is_same else STALE_SECONDS)
    return state if is_fresh and not process.is_gone else INTERRUPTED


class _Process(NamedTuple):
    """What is known of a worker's process.

    Attributes:
        is_gone: Whether it surely is no more.
        started: Unix time when the process that has its number now began, to a second; None where
            that cannot be told.
    """

    is_gone: bool = False
    started: float | None = None


def _process(pid: int | None, host: str) -> _Process:
    if pid is None or host != socket.gethostname() or os.name != "posix":
        return _Process()
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return _Process(is_gone=True)
    except PermissionError:
        return _Process()
    return _Process(*_found(pid))


def _found(pid: int) -> tuple[bool, float | None]:
    """Return what the system's folder of processes says of one: no more than that it is there."""
    try:
        # Behind its name, which may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        uptime = float(Path("/proc/uptime").read_text("ascii").split()[0])
        age = uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return False, None
    # Of what has ended, and nobody asked how, the number is kept.
    return fields[0] == "Z", time.time() - age
