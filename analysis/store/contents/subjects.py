"""What the numbers of subjects depend on, kept with the files that say whether it still holds."""

from __future__ import annotations

import json
from collections.abc import Mapping

from analysis.records import Identity, SubjectSpec
from analysis.store.connection import Database
from pruners.user_code import FileStamp

Files = dict[str, FileStamp]


class SubjectStore:
    """Subjects that a workspace has seen loaded.

    Args:
        database: That of the workspace.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, spec: SubjectSpec, identity: Identity, files: Mapping[str, FileStamp]) -> None:
        """Note what a subject was when it was loaded; nothing is written where that is known.

        Args:
            spec: The subject.
            identity: Of the subject.
            files: The files that it was read from, as they were then.
        """
        if self.get(spec) == (identity, dict(files)):
            return
        with self._database.write() as db:
            db.execute(
                "INSERT OR REPLACE INTO subjects VALUES (?, ?, ?, ?, ?)",
                (
                    spec.to_json(),
                    identity.weights,
                    identity.data,
                    identity.program,
                    json.dumps(dict(files)),
                ),
            )

    def get(self, spec: SubjectSpec) -> tuple[Identity, Files] | None:
        """Return what a subject was when it was loaded last, and from which files; None if never.

        Whether the files are as they were, the caller looks. A damaged row is none: when the
        subject is loaded again, it is written anew.
        """
        with self._database.read() as db:
            row = db.execute("SELECT * FROM subjects WHERE spec = ?", (spec.to_json(),)).fetchone()
        if row is None:
            return None
        try:
            files = {path: tuple(found) for path, found in json.loads(row["files"]).items()}
        except (ValueError, TypeError, AttributeError):
            return None
        identity = Identity(
            weights=row["fingerprint"], data=row["data_fingerprint"], program=row["program"]
        )
        return identity, files
