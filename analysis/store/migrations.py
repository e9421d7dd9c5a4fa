"""The store's schema: numbered changes, applied once and in order, never edited afterwards."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence

from pruners.errors import StoreError

Step = str | Callable[[sqlite3.Connection], None]


def _join_terms(connection: sqlite3.Connection) -> None:
    """Write the columns that only classification has as named terms, in one column of JSON."""
    names = ("correct", "gained", "lost", "agree", "loss", "kl")

    def text(*values: float) -> str:
        # SQLite's own JSON functions would cut numbers to fifteen digits.
        return json.dumps(dict(zip(names, values, strict=True)))

    connection.create_function("terms_text", len(names), text, deterministic=True)
    for table in ("points", "baselines", "measured"):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN terms TEXT NOT NULL DEFAULT '{{}}'")
        connection.execute(f"UPDATE {table} SET terms = terms_text({', '.join(names)})")
        for name in names:
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {name}")


def _name_units(connection: sqlite3.Connection) -> None:
    """Fill in what the progress counts: samples, in adaptive mode curves that are decided."""

    def is_adaptive(spec: str) -> bool:
        return bool(json.loads(spec).get("mode") == "adaptive")

    connection.create_function("is_adaptive", 1, is_adaptive, deterministic=True)
    # Before the first batch, an adaptive run had the number of slices in the place of that of
    # the curves.
    connection.execute(
        "UPDATE runs SET unit = 'curves', done = batch, total = CASE WHEN samples > 0 THEN batches"
        " END WHERE is_adaptive(spec)"
    )
    connection.execute(
        "UPDATE runs SET done = samples, total = nullif(total_samples, 0) WHERE unit = 'samples'"
    )


_SUMS = """
    samples INTEGER NOT NULL DEFAULT 0,
    correct INTEGER NOT NULL DEFAULT 0,
    gained INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    agree INTEGER NOT NULL DEFAULT 0,
    loss REAL NOT NULL DEFAULT 0,
    kl REAL NOT NULL DEFAULT 0,
    seconds REAL NOT NULL DEFAULT 0
"""

# Position in the tuple + 1 is the number. Add at the end; shipped ones stay as they are.
MIGRATIONS: tuple[tuple[Step, ...], ...] = (
    (
        """CREATE TABLE runs (
            run_id TEXT PRIMARY KEY,
            created REAL NOT NULL,
            spec TEXT NOT NULL,
            device TEXT NOT NULL,
            state TEXT NOT NULL,
            queued REAL NOT NULL,
            owner TEXT NOT NULL DEFAULT '',
            pid INTEGER,
            host TEXT NOT NULL DEFAULT '',
            heartbeat REAL NOT NULL,
            cancel_requested INTEGER NOT NULL DEFAULT 0,
            error TEXT NOT NULL DEFAULT '',
            batch INTEGER NOT NULL DEFAULT 0,
            batches INTEGER NOT NULL DEFAULT 0,
            done_samples INTEGER NOT NULL DEFAULT 0,
            total_samples INTEGER NOT NULL DEFAULT 0,
            eta_seconds REAL,
            seconds REAL NOT NULL DEFAULT 0,
            fingerprint TEXT NOT NULL DEFAULT '',
            data_fingerprint TEXT NOT NULL DEFAULT '',
            has_labels INTEGER NOT NULL DEFAULT 1,
            versions TEXT NOT NULL DEFAULT '{}'
        )""",
        f"""CREATE TABLE points (
            run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
            position INTEGER NOT NULL,
            criterion TEXT NOT NULL,
            granularity TEXT NOT NULL,
            layer TEXT NOT NULL,
            "group" TEXT,
            ratio_requested REAL NOT NULL,
            kept INTEGER NOT NULL,
            total INTEGER NOT NULL,
            params INTEGER,
            macs INTEGER,
            status TEXT NOT NULL DEFAULT 'measured',
            reason TEXT NOT NULL DEFAULT '',
            cache_key TEXT NOT NULL,
            {_SUMS},
            PRIMARY KEY (run_id, position)
        ) WITHOUT ROWID""",
        f"""CREATE TABLE baselines (
            run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
            {_SUMS},
            PRIMARY KEY (run_id, samples)
        ) WITHOUT ROWID""",
        f"""CREATE TABLE measured (
            cache_key TEXT PRIMARY KEY,
            {_SUMS}
        ) WITHOUT ROWID""",
        """CREATE TABLE plans (
            plan_id TEXT PRIMARY KEY,
            created REAL NOT NULL,
            changed REAL NOT NULL,
            fingerprint TEXT NOT NULL,
            plan TEXT NOT NULL
        )""",
        "CREATE INDEX runs_by_device ON runs (device, state, queued)",
    ),
    # What each slice showed of a point in the middle of its test: JSON, empty for other points.
    ("ALTER TABLE points ADD COLUMN looks TEXT NOT NULL DEFAULT ''",),
    # What the forward pass computed: weights alone do not tell.
    ("ALTER TABLE runs ADD COLUMN program TEXT NOT NULL DEFAULT ''",),
    (_join_terms,),
    (
        "ALTER TABLE runs RENAME COLUMN done_samples TO samples",
        "ALTER TABLE runs ADD COLUMN done INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE runs ADD COLUMN total INTEGER",
        "ALTER TABLE runs ADD COLUMN unit TEXT NOT NULL DEFAULT 'samples'",
        "ALTER TABLE runs ADD COLUMN saves INTEGER NOT NULL DEFAULT 0",
        _name_units,
        "ALTER TABLE runs DROP COLUMN batch",
        "ALTER TABLE runs DROP COLUMN batches",
    ),
    ("ALTER TABLE runs ADD COLUMN name TEXT NOT NULL DEFAULT ''",),
    # Layers and groups of each model that was measured, so that nobody loads it to name them.
    (
        """CREATE TABLE inventories (
            weights TEXT NOT NULL,
            program TEXT NOT NULL,
            inventory TEXT NOT NULL,
            PRIMARY KEY (weights, program)
        ) WITHOUT ROWID""",
    ),
    (
        # Outputs of the first samples of an evaluation set, as arrays of numbers, the smallest
        # byte first: which ones (int32), of the dense model (float32), which is right (int32).
        """CREATE TABLE probes (
            fingerprint TEXT NOT NULL,
            data_fingerprint TEXT NOT NULL,
            program TEXT NOT NULL,
            first INTEGER NOT NULL,
            count INTEGER NOT NULL,
            columns BLOB NOT NULL,
            dense BLOB NOT NULL,
            truth BLOB NOT NULL,
            PRIMARY KEY (fingerprint, data_fingerprint, program, first, count)
        )""",
        # What a point changes of them (float16), and the digest of which ones.
        """CREATE TABLE changes (
            cache_key TEXT NOT NULL,
            first INTEGER NOT NULL,
            count INTEGER NOT NULL,
            columns TEXT NOT NULL,
            outputs BLOB NOT NULL,
            PRIMARY KEY (cache_key, first, count)
        )""",
        # Plans that were measured on the whole evaluation set, by what their numbers depend on.
        """CREATE TABLE measured_plans (
            fingerprint TEXT NOT NULL,
            data_fingerprint TEXT NOT NULL,
            program TEXT NOT NULL,
            content TEXT NOT NULL,
            plan TEXT NOT NULL,
            changed REAL NOT NULL,
            samples INTEGER NOT NULL,
            terms TEXT NOT NULL,
            seconds REAL NOT NULL,
            PRIMARY KEY (fingerprint, data_fingerprint, program, content)
        )""",
    ),
    (
        # What a person calls a plan and says of it, and the fractions that it leaves of the model.
        "ALTER TABLE plans ADD COLUMN name TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE plans ADD COLUMN note TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE plans ADD COLUMN params_left REAL",
        "ALTER TABLE plans ADD COLUMN macs_left REAL",
        # Plans beside the dense model, by all that the numbers depend on.
        """CREATE TABLE evaluations (
            fingerprint TEXT NOT NULL,
            data_fingerprint TEXT NOT NULL,
            program TEXT NOT NULL,
            calibration TEXT NOT NULL,
            content TEXT NOT NULL,
            plan TEXT NOT NULL,
            evaluation TEXT NOT NULL,
            changed REAL NOT NULL,
            PRIMARY KEY (fingerprint, data_fingerprint, program, calibration, content)
        )""",
    ),
    # Where imported points come from: JSON, empty for runs that were measured here.
    ("ALTER TABLE runs ADD COLUMN source TEXT NOT NULL DEFAULT ''",),
    # What a subject was when it was loaded, and the files that tell whether it still is: JSON.
    (
        """CREATE TABLE subjects (
            spec TEXT PRIMARY KEY,
            fingerprint TEXT NOT NULL,
            data_fingerprint TEXT NOT NULL,
            program TEXT NOT NULL,
            files TEXT NOT NULL
        )""",
    ),
    (
        # What a measured plan changes of the outputs of the first samples, as a point in `changes`.
        """CREATE TABLE plan_changes (
            fingerprint TEXT NOT NULL,
            data_fingerprint TEXT NOT NULL,
            program TEXT NOT NULL,
            content TEXT NOT NULL,
            count INTEGER NOT NULL,
            columns TEXT NOT NULL,
            outputs BLOB NOT NULL,
            PRIMARY KEY (fingerprint, data_fingerprint, program, content)
        )""",
    ),
    # Whether what a run failed with would come again.
    ("ALTER TABLE runs ADD COLUMN comes_again INTEGER NOT NULL DEFAULT 0",),
)


def migrate(
    connection: sqlite3.Connection, migrations: Sequence[Sequence[Step]] = MIGRATIONS
) -> None:
    """Bring the schema up to date. Each migration and its record are one transaction.

    Raises:
        StoreError: The database was written by a newer program.
    """
    applied = _applied(connection)
    if applied > len(migrations):
        raise StoreError(
            f"the workspace has schema {applied}, this program knows {len(migrations)}; update it, "
            "or use another workspace"
        )
    for number in range(applied + 1, len(migrations) + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have applied it while this one waited for the lock.
            if _applied(connection) < number:
                _apply(connection, number, migrations[number - 1])
            connection.execute("COMMIT")
        except BaseException:
            # A full disk makes SQLite roll back by itself.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _apply(connection: sqlite3.Connection, number: int, steps: Sequence[Step]) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, applied REAL NOT NULL)"
    )
    for step in steps:
        if isinstance(step, str):
            connection.execute(step)
        else:
            step(connection)
    connection.execute("INSERT INTO migrations VALUES (?, ?)", (number, time.time()))


def _applied(connection: sqlite3.Connection) -> int:
    """Return the number of the last migration that was applied; 0 for a new database."""
    known = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'"
    ).fetchone()
    if known is None:
        return 0
    # The cursor's own rows may be tuples or dictionaries.
    rows = connection.execute("SELECT number FROM migrations").fetchall()
    return len(rows)
