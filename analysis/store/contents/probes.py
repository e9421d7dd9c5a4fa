"""The probe: outputs of a few samples, of the dense model and of every point, by content.

As the sums of a point, its changes are known by its fingerprint to every run of the workspace.
They are written with the batch that they belong to: whatever kills a worker, both are there or
neither is.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from analysis.records import (
    Change,
    PointKey,
    Probe,
    ProbePart,
    columns_digest,
    columns_digests,
)
from analysis.store.connection import Database
from analysis.store.rows import Row, key_of
from analysis.store.runs import RunStore

if TYPE_CHECKING:
    # Takes a while to import, and a list of runs needs none of it.
    import numpy as np

IDENTITY = "fingerprint, data_fingerprint, program"


class ProbeStore:
    """Probes of a workspace.

    Args:
        database: That of the workspace.
        runs: Its runs.
    """

    def __init__(self, database: Database, runs: RunStore) -> None:
        self._database = database
        self._runs = runs

    def load(self, run_id: str) -> Probe | None:
        """Return the probe of a run, as far as it goes; None without one that can be read."""
        row = self._runs.get(run_id)
        identity = (row.fingerprint, row.data_fingerprint, row.program)
        with self._database.read() as db:
            dense = db.execute(
                f"SELECT * FROM probes WHERE ({IDENTITY}) = (?, ?, ?)", identity
            ).fetchall()
            changes = db.execute(
                "SELECT points.*, changes.* FROM points JOIN changes USING (cache_key)"
                " WHERE run_id = ? AND status <> 'failed' ORDER BY position",
                (row.run_id,),
            ).fetchall()
        try:
            return _probe(dense, changes, most=row.spec.probe or None)
        except (TypeError, ValueError):
            # Damaged rows: plans are predicted without it.
            return None


def save_probe(
    db: sqlite3.Connection, run_id: str, probe: ProbePart[PointKey], names: Mapping[PointKey, str]
) -> None:
    """Write a part of a probe, in the transaction at hand.

    Args:
        db: The connection.
        run_id: The run.
        probe: What a slice showed.
        names: Fingerprints of the run's points.
    """
    part = (probe.first, len(probe))
    db.execute(
        f"INSERT OR REPLACE INTO probes ({IDENTITY}, first, count, columns, dense, truth)"
        f" SELECT {IDENTITY}, ?, ?, ?, ?, ? FROM runs WHERE run_id = ?",
        (*part, *map(as_bytes, (probe.columns, probe.dense, probe.truth)), run_id),
    )
    columns = columns_digest(probe.columns)
    db.executemany(
        "INSERT OR REPLACE INTO changes (cache_key, first, count, columns, outputs)"
        " VALUES (?, ?, ?, ?, ?)",
        [
            (names[key], *part, columns, as_bytes(change))
            for key, change in probe.changes.items()
            if key in names
        ],
    )


def _probe(dense: Sequence[Row], changes: Sequence[Row], *, most: int | None) -> Probe | None:
    """Join rows to a probe of at most so many samples: another run's may be larger.

    Changes of other outputs than the dense model's are left out.
    """
    import numpy as np

    found = _covering(dense)
    if not found:
        return None
    columns = _joined(found, "columns", "<i4")
    outputs, truth = _joined(found, "dense", "<f4"), _joined(found, "truth", "<i4")[:, 0]

    @functools.cache
    def kept(first: int, count: int) -> str:
        return columns_digest(columns[first : first + count])

    by_point: dict[PointKey, list[Row]] = {}
    for row in changes:
        if row["columns"] == kept(row["first"], row["count"]):
            by_point.setdefault(key_of(row), []).append(row)
    joined = {key: _covering(rows) for key, rows in by_point.items()}
    return Probe(
        outputs[:most],
        truth[:most].astype(np.int64),
        {key: _joined(rows, "outputs", "<f2")[:most] for key, rows in joined.items() if rows},
        columns_digests(columns[:most]),
    )


def change_of(row: Row) -> Change | None:
    """Return the change of a measured plan; None without one that can be read."""
    import numpy as np

    if row["outputs"] is None:
        return None
    try:
        outputs = np.frombuffer(row["outputs"], "<f2").reshape(row["count"], -1)
    except (TypeError, ValueError):
        return None
    return Change(row["columns"], outputs)


def _covering(rows: Sequence[Row]) -> list[tuple[Row, int]]:
    """Return rows that cover the samples from the first on, each with the samples to skip in it.

    Runs with other batch sizes cut the probe elsewhere.

    >>> [(row["first"], skip) for row, skip in _covering(
    ...     [{"first": 0, "count": 4}, {"first": 0, "count": 2}, {"first": 2, "count": 6}])]
    [(0, 0), (2, 2)]
    """
    found: list[tuple[Row, int]] = []
    end = 0
    while True:
        fitting = [row for row in rows if row["first"] <= end < row["first"] + row["count"]]
        if not fitting:
            return found
        row = max(fitting, key=lambda item: item["first"] + item["count"])
        found.append((row, end - row["first"]))
        end = row["first"] + row["count"]


def _joined(rows: Sequence[tuple[Row, int]], name: str, kind: str) -> np.ndarray:
    """Return the values of a column, ``(samples, K)``."""
    import numpy as np

    return np.concatenate(
        [np.frombuffer(row[name], kind).reshape(row["count"], -1)[skip:] for row, skip in rows]
    )


def as_bytes(values: np.ndarray) -> bytes:
    """Return numbers as they are kept: the smallest byte first, whatever the machine."""
    return values.astype(values.dtype.newbyteorder("<")).tobytes()
