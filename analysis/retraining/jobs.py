"""Training jobs of a workspace, each with a folder for its checkpoints."""

from __future__ import annotations

from pathlib import Path

from analysis.jobs import JobFiles
from analysis.retraining.records import Job

FOLDER = Path("training")
MODULE = "analysis.retraining"


class Jobs(JobFiles[Job]):
    """Jobs of a workspace.

    Args:
        workspace: Its folder.
    """

    def __init__(self, workspace: Path) -> None:
        super().__init__(workspace, folder=FOLDER, kind=Job, module=MODULE)

    def has_checkpoint(self, name: str) -> bool:
        """Return whether there is a checkpoint to go on from."""
        return any((self.workspace / FOLDER / name).glob("seed-*/**/*.safetensors"))


def seed_folder(workspace: Path, job_id: str, seed: int) -> Path:
    """Return where checkpoint and history of one seed are; of several rounds, a folder each."""
    return workspace / FOLDER / job_id / f"seed-{seed}"
