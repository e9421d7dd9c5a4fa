"""Plans in the store."""

from __future__ import annotations

import contextlib
import secrets
import time

from analysis.records import Plan, SavedPlan
from analysis.store.connection import Database
from analysis.store.contents import content_of
from analysis.store.rows import Row
from pruners.errors import InputError, UnknownNameError

MAX_NAME, MAX_NOTE = 120, 2000


class PlanStore:
    """Plans of a workspace.

    Args:
        database: That of the workspace.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(
        self,
        plan: Plan,
        *,
        plan_id: str | None = None,
        params_left: float | None = None,
        macs_left: float | None = None,
    ) -> str:
        """Write a plan and return its id.

        Args:
            plan: The plan.
            plan_id: The plan to overwrite; its name and note stay. None makes a new one.
            params_left: Fraction of the model's parameters that stays, where it is known.
            macs_left: Fraction of its MACs.
        """
        now = time.time()
        name = plan_id or f"p-{secrets.token_hex(3)}"
        with self._database.write() as db:
            db.execute(
                "INSERT INTO plans (plan_id, created, changed, fingerprint, plan, params_left,"
                " macs_left) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (plan_id) DO UPDATE SET"
                " changed = excluded.changed, fingerprint = excluded.fingerprint,"
                " plan = excluded.plan, params_left = excluded.params_left,"
                " macs_left = excluded.macs_left",
                (name, now, now, plan.fingerprint, plan.to_json(), params_left, macs_left),
            )
        return name

    def get(self, plan_id: str) -> Plan:
        """Return a saved plan.

        Raises:
            UnknownNameError: There is none of that id.
        """
        return self.saved_as(plan_id).plan

    def saved_as(self, plan_id: str) -> SavedPlan:
        """Return a saved plan with its name and note.

        Raises:
            UnknownNameError: There is none of that id.
            InputError: A newer program wrote it.
        """
        with self._database.read() as db:
            row = db.execute("SELECT * FROM plans WHERE plan_id = ?", (plan_id,)).fetchone()
        if row is None:
            raise UnknownNameError("plan", plan_id, [item.plan_id for item in self.saved()[:8]])
        return _saved(row)

    def saved(self) -> tuple[SavedPlan, ...]:
        """Return the saved plans, the one changed last first."""
        with self._database.read() as db:
            rows = db.execute("SELECT * FROM plans ORDER BY changed DESC, plan_id").fetchall()
        found = []
        for row in rows:
            # A plan that a newer program wrote is not this program's to show.
            with contextlib.suppress(InputError):
                found.append(_saved(row))
        return tuple(found)

    def id_of(self, plan: Plan) -> str | None:
        """Return the id of a saved plan of the same model on the same subject; None without one."""
        wanted = (plan.fingerprint, plan.subject, content_of(plan))
        for item in self.saved():
            known = item.plan
            if (known.fingerprint, known.subject, content_of(known)) == wanted:
                return item.plan_id
        return None

    def id_of_equal(self, plan: Plan) -> str | None:
        """Return the id of a saved plan that is equal in all; None without one."""
        return next((item.plan_id for item in self.saved() if item.plan == plan), None)

    def rename(self, plan_id: str, name: str) -> None:
        """Write what a person calls a plan; an empty name takes it away.

        Raises:
            InputError: There is no such plan, or the name is too long.
        """
        self._describe(plan_id, "name", " ".join(name.split()), MAX_NAME)

    def annotate(self, plan_id: str, note: str) -> None:
        """Write what a person says of a plan.

        Raises:
            InputError: There is no such plan, or the note is too long.
        """
        self._describe(plan_id, "note", note.strip(), MAX_NOTE)

    def _describe(self, plan_id: str, column: str, text: str, limit: int) -> None:
        if len(text) > limit:
            raise InputError(f"the {column} has {len(text)} characters; at most {limit} are kept")
        self.saved_as(plan_id)
        with self._database.write() as db:
            # Says nothing of the plan's content, so it does not count as changed.
            db.execute(f"UPDATE plans SET {column} = ? WHERE plan_id = ?", (text, plan_id))

    def delete(self, plan_id: str) -> None:
        """Delete a plan, also one that cannot be read; what was measured of it stays known.

        Raises:
            UnknownNameError: There is none of that id.
        """
        with self._database.write() as db:
            count = db.execute("DELETE FROM plans WHERE plan_id = ?", (plan_id,)).rowcount
        if not count:
            raise UnknownNameError("plan", plan_id, [item.plan_id for item in self.saved()[:8]])


def _saved(row: Row) -> SavedPlan:
    return SavedPlan(
        plan_id=row["plan_id"],
        plan=Plan.from_json(row["plan"]),
        name=row["name"],
        note=row["note"],
        created=row["created"],
        changed=row["changed"],
        params_left=row["params_left"],
        macs_left=row["macs_left"],
    )
