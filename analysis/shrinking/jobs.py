"""Jobs of a workspace that search; their files are beside what the searches keep."""

from __future__ import annotations

from pathlib import Path

from analysis.jobs import JobFiles
from analysis.shrinking.records import Job

FOLDER = Path("searches") / "jobs"
MODULE = "analysis.shrinking"


class Jobs(JobFiles[Job]):
    """Jobs of a workspace.

    Args:
        workspace: Its folder.
    """

    def __init__(self, workspace: Path) -> None:
        super().__init__(workspace, folder=FOLDER, kind=Job, module=MODULE)
