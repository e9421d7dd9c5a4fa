"""The workspace: runs, their points, plans. Several processes use it at once.

A worker writes each batch in one transaction, so whatever kills it, the store holds complete
batches only, and a resumed run goes on from the last one.
"""

from __future__ import annotations

from pathlib import Path

from analysis.store.connection import BUSY_SECONDS, Database
from analysis.store.contents import (
    EvaluationStore,
    InventoryStore,
    MeasurementStore,
    ProbeStore,
    SubjectStore,
)
from analysis.store.imported import ImportStore
from analysis.store.jobs import JobStore
from analysis.store.plans import PlanStore
from analysis.store.points import PointStore
from analysis.store.runs import RunStore
from pruners.user_code import resolved


class Store:
    """A workspace.

    Args:
        workspace: Its folder; made if missing.
        busy_seconds: How long to wait for another process that is writing.
        max_bytes: Size that the database may not outgrow; None leaves it to the disk.

    Attributes:
        workspace: The folder, absolute.
        database: The file that all parts write to.
        runs: What was measured: create, look up, list, merge, delete.
        jobs: Who measures it: queue, worker, sign of life, end.
        points: What each run found, and what all of them know.
        imports: Runs whose points were read from files of other programs.
        probes: Outputs of a few samples, to predict plans from.
        plans: Saved plans.
        inventories: Layers and groups of the models that were measured.
        measurements: Plans that were measured: predictions learn from them.
        evaluations: Plans beside the dense model, as Evaluate shows them.
        subjects: What numbers of subjects depend on, while their files are as they were.

    Raises:
        StoreError: The folder or its database cannot be used.
    """

    def __init__(
        self,
        workspace: Path,
        *,
        busy_seconds: float = BUSY_SECONDS,
        max_bytes: int | None = None,
    ) -> None:
        self.workspace = resolved(workspace)
        self.database = Database(self.workspace, busy_seconds=busy_seconds, max_bytes=max_bytes)
        self.runs = RunStore(self.database)
        self.jobs = JobStore(self.database, self.runs)
        self.points = PointStore(self.database, self.runs)
        self.imports = ImportStore(self.database)
        self.measurements = MeasurementStore(self.database)
        self.evaluations = EvaluationStore(self.database)
        self.probes = ProbeStore(self.database, self.runs)
        self.plans = PlanStore(self.database)
        self.inventories = InventoryStore(self.database)
        self.subjects = SubjectStore(self.database)

    @property
    def statistics_folder(self) -> Path:
        """Folder of calibration statistics."""
        return statistics_folder(self.workspace)

    def close(self) -> None:
        """Close the database connections."""
        self.database.close()


def statistics_folder(workspace: Path) -> Path:
    """Return where a workspace keeps its calibration statistics."""
    return workspace / "statistics"
