"""Points in the store: what a run measured, and what every run of the workspace measured."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from analysis.records import PlannedPoint, PointKey, Sums
from analysis.store.connection import Database
from analysis.store.contents import save_probe
from analysis.store.jobs import check_owned
from analysis.store.rows import (
    POINT_COLUMNS,
    SUM_COLUMNS,
    SUM_LIST,
    key_of,
    key_values,
    looks_of,
    looks_text,
    placeholders,
    sum_values,
    sums_of,
)
from analysis.store.runs import RunStore

if TYPE_CHECKING:
    # pandas and torch take seconds to import; `prunescope runs list` needs neither.
    import pandas as pd

    from analysis.records import SweepState, SweepUpdate


class PointStore:
    """Points of a workspace.

    Args:
        database: That of the workspace.
        runs: Its runs.
    """

    def __init__(self, database: Database, runs: RunStore) -> None:
        self._database = database
        self._runs = runs

    def enter(self, run_id: str, points: Sequence[PlannedPoint]) -> None:
        """Enter a run's points, with what earlier runs measured of them. Done again, it is kept."""
        known = self.measured([item.cache_key for item in points])
        columns = (*POINT_COLUMNS, *SUM_COLUMNS)
        rows = [
            (
                run_id,
                position,
                *key_values(item.key),
                item.params,
                item.macs,
                item.cache_key,
                *sum_values(known.get(item.cache_key, Sums())),
            )
            for position, item in enumerate(points)
        ]
        with self._database.write() as db:
            db.executemany(
                f"INSERT OR IGNORE INTO points ({', '.join(columns)})"
                f" VALUES ({placeholders(len(columns))})",
                rows,
            )
            db.execute("UPDATE runs SET saves = saves + 1 WHERE run_id = ?", (run_id,))

    def save(
        self, run_id: str, update: SweepUpdate, *, owner: str = "", seconds: float = 0.0
    ) -> None:
        """Write the state after a batch in one transaction.

        Args:
            run_id: The run.
            update: What the sweep yielded; sums are cumulative.
            owner: The worker; it must still own the run.
            seconds: Wall time of the work since it wrote last.

        Raises:
            StoreError: Another worker took the run over, or the disk is full.
        """
        with self._database.write() as db:
            changed = db.execute(
                "UPDATE runs SET done = ?, total = ?, unit = ?, samples = ?, eta_seconds = ?,"
                " heartbeat = ?, seconds = seconds + ?, saves = saves + 1"
                " WHERE run_id = ? AND owner = ?",
                (
                    update.progress.done,
                    update.progress.total,
                    update.progress.unit,
                    update.samples,
                    update.eta_seconds,
                    time.time(),
                    seconds,
                    run_id,
                    owner,
                ),
            ).rowcount
            check_owned(changed, run_id)
            db.execute(
                f"INSERT OR REPLACE INTO baselines (run_id, {', '.join(SUM_COLUMNS)})"
                f" VALUES ({placeholders(1 + len(SUM_COLUMNS))})",
                (run_id, *sum_values(update.baseline)),
            )
            rows = db.execute("SELECT * FROM points WHERE run_id = ?", (run_id,)).fetchall()
            changes = []
            for row in rows:
                key = key_of(row)
                reason = update.failed.get(key) or update.inferred.get(key) or ""
                status = "failed" if key in update.failed else "measured"
                status = "inferred" if key in update.inferred else status
                looks = looks_text(update.looks.get(key, ()))
                values = sum_values(update.sums.get(key, Sums()))
                changes.append((status, reason, looks, *values, run_id, row["position"]))
            assignments = ", ".join(f"{name} = ?" for name in SUM_COLUMNS)
            db.executemany(
                f"UPDATE points SET status = ?, reason = ?, looks = ?, {assignments}"
                " WHERE run_id = ? AND position = ?",
                changes,
            )
            _remember(db, run_id)
            if update.probe is not None:
                names = {key_of(row): row["cache_key"] for row in rows}
                save_probe(db, run_id, update.probe, names)

    def measured(self, cache_keys: Iterable[str]) -> dict[str, Sums]:
        """Return what any run measured, by cache key."""
        wanted = list(dict.fromkeys(cache_keys))
        found: dict[str, Sums] = {}
        with self._database.read() as db:
            for first in range(0, len(wanted), 500):
                part = wanted[first : first + 500]
                rows = db.execute(
                    f"SELECT * FROM measured WHERE cache_key IN ({placeholders(len(part))})", part
                )
                found.update({row["cache_key"]: sums_of(row) for row in rows})
        return found

    def state(self, run_id: str) -> SweepState:
        """Return what a run knows already, for `analysis.sweeps.sweep.iter_sweep`."""
        from analysis.records import SweepState

        with self._database.read() as db:
            rows = db.execute(
                "SELECT * FROM points WHERE run_id = ? ORDER BY position", (run_id,)
            ).fetchall()
            last = db.execute(
                "SELECT * FROM baselines WHERE run_id = ? ORDER BY samples DESC", (run_id,)
            ).fetchone()
        return SweepState(
            baseline=sums_of(last) if last else Sums(),
            sums={key_of(row): sums_of(row) for row in rows if row["samples"]},
            failed={key_of(row): row["reason"] for row in rows if row["status"] == "failed"},
            inferred={key_of(row): row["reason"] for row in rows if row["status"] == "inferred"},
            looks={key_of(row): looks_of(row) for row in rows if row["looks"]},
        )

    def table(self, run_id: str) -> pd.DataFrame:
        """Return the points table of a run, as far as it is measured."""
        from analysis.curves import points_table

        row = self._runs.get(run_id)
        with self._database.read() as db:
            rows = db.execute(
                "SELECT * FROM points WHERE run_id = ? ORDER BY position", (row.run_id,)
            ).fetchall()
            baselines = db.execute(
                "SELECT * FROM baselines WHERE run_id = ?", (row.run_id,)
            ).fetchall()
        return points_table(
            row.run_id,
            [{**item, "sums": sums_of(item)} for item in rows],
            baselines={item["samples"]: sums_of(item) for item in baselines},
            confidence=row.spec.confidence,
            has_labels=row.has_labels,
            task=row.quantity,
        )

    def reasons(self, run_id: str) -> dict[PointKey, str]:
        """Return why points failed or were inferred."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT * FROM points WHERE run_id = ? AND reason <> '' ORDER BY position",
                (run_id,),
            ).fetchall()
        return {key_of(row): row["reason"] for row in rows}


def _remember(db: Any, run_id: str) -> None:
    """Keep what was measured for other runs: the largest number of samples of each point."""
    db.execute(
        f"INSERT INTO measured (cache_key, {SUM_LIST}) SELECT cache_key, {SUM_LIST} FROM points"
        " WHERE run_id = ? AND status = 'measured' AND samples > 0"
        " ON CONFLICT (cache_key) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in SUM_COLUMNS)
        + " WHERE excluded.samples > measured.samples",
        (run_id,),
    )
