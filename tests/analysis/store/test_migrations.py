"""Workspaces of older programs."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.store.connection import FILE
from analysis.store.migrations import MIGRATIONS, migrate
from analysis.store.store import Store
from pruners.errors import StoreError
from tests.helpers.store_writer import ended

ROOT = Path(__file__).resolve().parents[3]
OPEN = """
import sys
from pathlib import Path
from analysis.store import Store
Store(Path(sys.argv[1])).close()
"""


class TestMigrations:
    def connect(self, path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path / FILE, isolation_level=None)

    def test_every_older_schema_becomes_the_present_one(self, tmp_path: Path) -> None:
        def schema(connection: sqlite3.Connection) -> set[str]:
            return {str(row[0]) for row in connection.execute("SELECT sql FROM sqlite_master")}

        fresh = self.connect(tmp_path)
        migrate(fresh)
        for known in range(len(MIGRATIONS)):
            folder = tmp_path / str(known)
            folder.mkdir()
            old = self.connect(folder)
            migrate(old, MIGRATIONS[:known])
            migrate(old)
            assert schema(old) == schema(fresh)
            old.close()
        fresh.close()

    def test_a_migration_that_breaks_leaves_nothing_behind(self, tmp_path: Path) -> None:
        connection = self.connect(tmp_path)
        broken = (("CREATE TABLE a (x)",), ("CREATE TABLE b (x)", "CREATE TABLE b (x)"))
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, broken)
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        assert names == {"migrations", "a"}
        migrate(connection, (broken[0], ("CREATE TABLE b (x)",)))
        assert connection.execute("SELECT count(*) FROM migrations").fetchone() == (2,)
        connection.close()

    def test_data_survives_a_later_migration(self, store: Store) -> None:
        run_id = ended(store)
        connection = self.connect(store.workspace)
        later = (*MIGRATIONS, ("ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT ''",))
        migrate(connection, later)
        connection.close()
        with pytest.raises(StoreError, match=r"schema \d+, this program knows"):
            Store(store.workspace)
        assert store.runs.get(run_id).state == "done"

    def test_two_programs_that_start_at_once_migrate_once(self, tmp_path: Path) -> None:
        command = [sys.executable, "-c", OPEN, str(tmp_path)]
        programs = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
        assert [program.wait() for program in programs] == [0, 0]
        connection = self.connect(tmp_path)
        count = connection.execute("SELECT count(*) FROM migrations").fetchone()[0]
        connection.close()
        assert count == len(MIGRATIONS)
