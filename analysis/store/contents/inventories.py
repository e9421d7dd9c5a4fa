"""Layers and groups of the models that a workspace has measured, kept by content."""

from __future__ import annotations

from analysis.records import Identity, Inventory
from analysis.store.connection import Database
from pruners.errors import InputError


class InventoryStore:
    """Inventories of a workspace.

    Args:
        database: That of the workspace.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, identity: Identity, inventory: Inventory) -> None:
        """Write the inventory of a model."""
        with self._database.write() as db:
            db.execute(
                "INSERT OR REPLACE INTO inventories VALUES (?, ?, ?)",
                (identity.weights, identity.program, inventory.to_json()),
            )

    def get(self, identity: Identity) -> Inventory | None:
        """Return the inventory of a model; None if it was never written, or by another version."""
        with self._database.read() as db:
            row = db.execute(
                "SELECT inventory FROM inventories WHERE weights = ? AND program = ?",
                (identity.weights, identity.program),
            ).fetchone()
        try:
            return None if row is None else Inventory.from_json(row["inventory"])
        except InputError:
            return None
