"""Runs whose points were read from a file of another program: entered whole, and done at once."""

from __future__ import annotations

import time
from collections.abc import Sequence

from analysis import records
from analysis.records import ImportedPoint, ImportSource, Sums, SweepSpec
from analysis.store.connection import Database
from analysis.store.rows import POINT_COLUMNS, SUM_COLUMNS, key_values, placeholders, sum_values
from analysis.store.runs import device_key, new_run_id


class ImportStore:
    """Imported runs of a workspace; what reads them is that of all runs.

    Args:
        database: That of the workspace.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(
        self, spec: SweepSpec, source: ImportSource, points: Sequence[ImportedPoint], *, name: str
    ) -> str:
        """Enter an imported run and return its id.

        Its points are known to no other run: nothing was measured here.

        Args:
            spec: Subject and grid, as far as they are known.
            source: Where the points come from.
            points: The points, each layer's together, rising in ratio.
            name: What the run is called.
        """
        now = time.time()
        run_id = new_run_id(now)
        columns = (*POINT_COLUMNS, "status", "reason", *SUM_COLUMNS)
        rows = [(run_id, place, *_values(point)) for place, point in enumerate(points)]
        curves = len({(item.key.criterion, item.key.name) for item in points})
        with self._database.write() as db:
            db.execute(
                "INSERT INTO runs (run_id, created, spec, device, state, queued, heartbeat, unit,"
                " done, total, saves, name, source)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 'curves', ?, ?, 1, ?, ?)",
                (
                    *(run_id, now, spec.to_json(), device_key(spec.subject.device)),
                    *(records.DONE, now, now, curves, curves, name, source.to_json()),
                ),
            )
            db.executemany(
                f"INSERT INTO points ({', '.join(columns)}) VALUES ({placeholders(len(columns))})",
                rows,
            )
        return run_id


def _values(point: ImportedPoint) -> tuple[object, ...]:
    sums = Sums(samples=point.samples, terms=point.values)
    status = "failed" if point.failure else records.IMPORTED
    return (
        *key_values(point.key),
        *(point.params, point.macs, "", status, point.failure),
        *sum_values(sums),
    )
