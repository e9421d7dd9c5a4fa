"""Plans in the store."""

from __future__ import annotations

import contextlib
import secrets
import time

from analysis.records import Plan
from analysis.store.connection import Database
from pruners.errors import InputError, UnknownNameError


class PlanStore:
    """Plans of a workspace.

    Args:
        database: That of the workspace.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, plan: Plan, *, plan_id: str | None = None) -> str:
        """Write a plan and return its id.

        Args:
            plan: The plan.
            plan_id: The plan to overwrite; None makes a new one.
        """
        now = time.time()
        name = plan_id or f"p-{secrets.token_hex(3)}"
        text = plan.to_json()
        with self._database.write() as db:
            db.execute(
                "INSERT INTO plans VALUES (?, ?, ?, ?, ?) ON CONFLICT (plan_id) DO UPDATE SET"
                " changed = excluded.changed, fingerprint = excluded.fingerprint,"
                " plan = excluded.plan",
                (name, now, now, plan.fingerprint, text),
            )
        return name

    def get(self, plan_id: str) -> Plan:
        """Return a saved plan.

        Raises:
            UnknownNameError: There is none of that id.
        """
        with self._database.read() as db:
            row = db.execute("SELECT plan FROM plans WHERE plan_id = ?", (plan_id,)).fetchone()
        if row is None:
            raise UnknownNameError("plan", plan_id, self.all())
        return Plan.from_json(row["plan"])

    def all(self, *, fingerprint: str | None = None) -> dict[str, Plan]:
        """Return the saved plans by id, the one changed last first.

        Args:
            fingerprint: Only plans of this model.
        """
        with self._database.read() as db:
            rows = db.execute("SELECT * FROM plans ORDER BY changed DESC, plan_id").fetchall()
        found = {}
        for row in rows:
            if fingerprint in (None, row["fingerprint"]):
                # A plan that a newer program wrote is not this program's to show.
                with contextlib.suppress(InputError):
                    found[row["plan_id"]] = Plan.from_json(row["plan"])
        return found

    def delete(self, plan_id: str) -> None:
        """Delete a plan."""
        with self._database.write() as db:
            db.execute("DELETE FROM plans WHERE plan_id = ?", (plan_id,))
