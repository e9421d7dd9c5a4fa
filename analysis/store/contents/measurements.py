"""Plans that were measured: predictions learn from them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

from analysis.records import NO_REPAIR, Identity, MeasuredPlan, Plan, Sums
from analysis.store.connection import Database
from analysis.store.contents.plan_content import content_of
from analysis.store.rows import SUM_COLUMNS, SUM_LIST, Row, placeholders, sum_values, sums_of
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

    def add(self, plan: Plan, identity: Identity, sums: Sums, *, recovered: bool = False) -> None:
        """Note what a plan's model showed on the whole evaluation set.

        Args:
            plan: The plan.
            identity: Of the subject.
            sums: Of the pruned model.
            recovered: Whether the model was repaired, or trained, as the plan says; else it was
                pruned and left so.
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

    def stamp(self, identity: Identity) -> tuple[int, float]:
        """Return what changes whenever the measured plans of a subject do."""
        with self._database.read() as db:
            row = db.execute(
                "SELECT count(*) AS count, coalesce(max(changed), 0) AS last FROM measured_plans"
                " WHERE (fingerprint, data_fingerprint, program) = (?, ?, ?)",
                (identity.weights, identity.data, identity.program),
            ).fetchone()
        return row["count"], row["last"]

    def get(self, plan: Plan, identity: Identity) -> MeasuredPlan | None:
        """Return what exactly this plan, for these weights, showed; None if nobody measured it."""
        if plan.fingerprint != identity.weights:
            return None
        with self._database.read() as db:
            rows = db.execute(
                "SELECT * FROM measured_plans"
                " WHERE (fingerprint, data_fingerprint, program, content) = (?, ?, ?, ?)",
                (identity.weights, identity.data, identity.program, content_of(plan)),
            ).fetchall()
        return next(_measured(rows), None)

    def all(self, identity: Identity) -> tuple[MeasuredPlan, ...]:
        """Return the measured plans of a subject, the oldest first."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT * FROM measured_plans"
                " WHERE (fingerprint, data_fingerprint, program) = (?, ?, ?)"
                " ORDER BY changed DESC, content LIMIT ?",
                (identity.weights, identity.data, identity.program, MAX_READ),
            ).fetchall()
        return tuple(_measured(rows[::-1]))


def _measured(rows: Sequence[Row]) -> Iterator[MeasuredPlan]:
    for row in rows:
        # A plan that a newer program wrote is not this program's to read.
        with contextlib.suppress(InputError):
            yield MeasuredPlan(Plan.from_json(row["plan"]), sums_of(row))
