"""Plans that were measured: predictions learn from them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from analysis.records import NO_REPAIR, Change, Identity, MeasuredPlan, Plan, Sums
from analysis.store.connection import Database
from analysis.store.contents.plan_content import content_of
from analysis.store.contents.probes import IDENTITY, as_bytes, change_of
from analysis.store.rows import SUM_COLUMNS, SUM_LIST, placeholders, sum_values, sums_of
from pruners.errors import InputError

# The newest ones of a subject that are read: more of them tell hardly more.
MAX_READ = 200


class MeasurementStore:
    """Measured plans of a workspace.

    Args:
        database: That of the workspace.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        plan: Plan,
        identity: Identity,
        sums: Sums,
        *,
        recovered: bool = False,
        change: Change | None = None,
    ) -> None:
        """Note what a plan's model showed on the whole evaluation set.

        Args:
            plan: The plan.
            identity: Of the subject.
            sums: Of the pruned model.
            recovered: Whether the model was repaired, or trained, as the plan says; else it was
                pruned and left so.
            change: What it changes of the outputs of the first samples, where that is known.
        """
        plan = plan if recovered else plan.repaired_by(NO_REPAIR)
        columns = ("fingerprint", "data_fingerprint", "program", "content", "plan", "changed")
        values = (identity.weights, identity.data, identity.program, content_of(plan))
        with self._database.write() as db:
            db.execute(
                f"INSERT OR IGNORE INTO measured_plans ({', '.join(columns)}, {SUM_LIST})"
                f" VALUES ({placeholders(len(columns) + len(SUM_COLUMNS))})",
                (*values, plan.to_json(), time.time(), *sum_values(sums)),
            )
            if change is not None:
                db.execute(
                    f"INSERT OR IGNORE INTO plan_changes ({IDENTITY}, content, count, columns,"
                    f" outputs) VALUES ({placeholders(7)})",
                    (*values, len(change.outputs), change.columns, as_bytes(change.outputs)),
                )

    def stamp(self, identity: Identity) -> tuple[int, int, float]:
        """Return what changes whenever the measured plans of a subject do."""
        with self._database.read() as db:
            row = db.execute(
                "SELECT count(*) AS plans, count(outputs) AS changes,"
                " coalesce(max(changed), 0) AS last FROM measured_plans"
                f" LEFT JOIN plan_changes USING ({IDENTITY}, content)"
                f" WHERE ({IDENTITY}) = (?, ?, ?)",
                (identity.weights, identity.data, identity.program),
            ).fetchone()
        return row["plans"], row["changes"], row["last"]

    def get(self, plan: Plan, identity: Identity) -> MeasuredPlan | None:
        """Return what exactly this plan, for these weights, showed; None if nobody measured it."""
        if plan.fingerprint != identity.weights:
            return None
        return next(self._read(identity, "AND content = ?", (content_of(plan),)), None)

    def all(self, identity: Identity, *, most: int = MAX_READ) -> tuple[MeasuredPlan, ...]:
        """Return the measured plans of a subject, the newest ones, the oldest of them first."""
        newest = "ORDER BY changed DESC, content LIMIT ?"
        return tuple(self._read(identity, newest, (most,)))[::-1]

    def _read(
        self, identity: Identity, which: str, values: tuple[str | int, ...]
    ) -> Iterator[MeasuredPlan]:
        keys = (identity.weights, identity.data, identity.program)
        with self._database.read() as db:
            rows = db.execute(
                "SELECT measured_plans.*, outputs, columns, count FROM measured_plans"
                f" LEFT JOIN plan_changes USING ({IDENTITY}, content)"
                f" WHERE ({IDENTITY}) = (?, ?, ?) {which}",
                (*keys, *values),
            ).fetchall()
        for row in rows:
            # A plan that a newer program wrote is not this program's to read.
            with contextlib.suppress(InputError):
                yield MeasuredPlan(Plan.from_json(row["plan"]), sums_of(row), change_of(row))
