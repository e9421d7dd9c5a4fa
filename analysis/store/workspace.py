"""The part of the store that all its parts share: the workspace folder and its database."""

from __future__ import annotations

from pathlib import Path

from analysis.store.connection import BUSY_SECONDS, Database


class WorkspaceStore:
    """A workspace.

    Args:
        workspace: Its folder; made if missing.
        busy_seconds: How long to wait for another process that is writing.

    Raises:
        StoreError: The folder or its database cannot be used.
    """

    def __init__(self, workspace: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.workspace = Path(workspace).expanduser().resolve()
        self._database = Database(self.workspace, busy_seconds=busy_seconds)

    @property
    def statistics_path(self) -> Path:
        """Folder of calibration statistics."""
        return folder_in(self.workspace)

    def close(self) -> None:
        """Close the database connections."""
        self._database.close()


def folder_in(workspace: Path) -> Path:
    """Return where a workspace keeps its calibration statistics."""
    return workspace / "statistics"
