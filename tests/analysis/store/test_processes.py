"""Several processes at one file, and files that are damaged."""

from __future__ import annotations

import gc
import multiprocessing
import os
import re
import shutil
import signal
import socket
import sqlite3
import threading
from pathlib import Path

import pandas as pd
import pytest

from analysis.cli import main
from analysis.records.progress import Progress
from analysis.store.connection import FILE, Database
from analysis.store.migrations import migrate
from analysis.store.store import Store
from pruners.errors import (
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
)
from tests.helpers.store_writer import (
    SPEC,
    ended,
    keys,
    planned,
    started,
    update,
    write_batches,
)


class TestProcesses:
    def test_readers_see_whole_batches_while_another_process_writes(self, store: Store) -> None:
        run_id = started(store)
        prepared = multiprocessing.get_context("spawn")
        writer = prepared.Process(target=write_batches, args=(store.workspace, run_id, 1, 60))
        writer.start()
        seen = set()
        while writer.is_alive():
            state = store.points.state(run_id)
            samples = {item.samples for item in state.sums.values()}
            assert samples <= {state.baseline.samples}
            seen.add(state.baseline.samples)
            writer.join(0.001)  # it starts for seconds
        writer.join()
        assert writer.exitcode == 0
        assert store.runs.get(run_id).progress == Progress(590, 600)
        assert seen

    def test_kill_in_mid_write_loses_at_most_the_batch_in_flight(self, store: Store) -> None:
        run_id = started(store)
        prepared = multiprocessing.get_context("spawn")
        writer = prepared.Process(target=write_batches, args=(store.workspace, run_id, 1, 100_000))
        writer.start()
        while store.runs.get(run_id).progress.done < 50:
            writer.join(0.01)
            assert writer.is_alive()
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        state = store.points.state(run_id)
        done = store.runs.get(run_id).progress.done
        assert {item.samples for item in state.sums.values()} == {done}
        assert state.sums == update(done // 10, keys()).sums
        with store.database.read() as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == {"integrity_check": "ok"}

    def test_a_locked_database_is_one_line(self, store: Store) -> None:
        run_id = started(store)
        other = Store(store.workspace, busy_seconds=0.01)
        locker = sqlite3.connect(store.workspace / FILE, isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError, match="is locked by another program"):
            other.points.save(run_id, update(1, keys()), owner="me")
        assert other.runs.get(run_id).state == "running"  # reading goes on
        locker.execute("ROLLBACK")
        locker.close()
        other.points.save(run_id, update(1, keys()), owner="me")
        other.close()

    def test_a_full_disk_is_one_line_and_loses_one_batch(self, store: Store) -> None:
        run_id = started(store)
        store.points.save(run_id, update(1, keys()), owner="me")
        small = Store(store.workspace, max_bytes=store.database.path.stat().st_size)
        found = keys(tuple(f"layer{number}" for number in range(200)))
        with pytest.raises(StoreFullError, match=r"disk of the workspace .* is full"):
            small.points.enter(run_id, planned(found))
        small.close()
        assert store.runs.get(run_id).progress.done == 10
        assert len(store.points.table(run_id)) == 8
        store.points.save(run_id, update(2, keys()), owner="me")
        assert store.runs.get(run_id).progress.done == 20

    def test_what_sqlite_rolled_back_by_itself_is_told_by_its_reason(self) -> None:
        """Of a full disk, "cannot rollback" was said on set-up."""
        steps = (
            "CREATE TABLE one (a UNIQUE)",
            "INSERT INTO one VALUES (1)",
            "INSERT OR ROLLBACK INTO one VALUES (1)",
        )
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.row_factory = sqlite3.Row
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            migrate(connection, (steps,))
        connection.close()

    def test_a_foreign_file_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / FILE).write_text("this is not a database" * 50, encoding="utf-8")
        with pytest.raises(StoreDamagedError, match="damaged or not a PruneScope database"):
            Store(tmp_path)

    def test_a_damaged_file_is_one_line(self, store: Store) -> None:
        ended(store)
        store.close()
        path = store.workspace / FILE
        content = bytearray(path.read_bytes())
        content[4096:] = bytes(len(content) - 4096)
        path.write_bytes(content)
        with pytest.raises(StoreDamagedError, match="damaged or not a PruneScope database"):
            Store(store.workspace).runs.all()

    def test_a_file_that_cannot_be_opened_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / FILE).mkdir()
        with pytest.raises(StoreReadOnlyError, match="cannot be written"):
            Store(tmp_path)

    def test_a_file_that_may_not_be_written_is_one_line(self, tmp_path: Path) -> None:
        # Permissions do not bind the superuser, whom these tests may run as.
        database = Database(tmp_path)
        with database.read() as db:
            db.execute("PRAGMA query_only = 1")
        with (
            pytest.raises(StoreReadOnlyError, match="check its permissions"),
            database.write() as db,
        ):
            db.execute("DELETE FROM runs")
        database.close()

    def test_where_sqlite_cannot_put_its_files_all_is_read_and_nothing_written(
        self, store: Store
    ) -> None:
        """A workspace in a folder that may only be read could not be opened at all."""
        run_id = ended(store)
        whole = store.points.table(run_id)
        store.close()
        (store.workspace / f"{FILE}-shm").symlink_to(store.workspace / "nowhere" / "at all")
        again = Store(store.workspace)
        assert [row.run_id for row in again.runs.all()] == [run_id]
        pd.testing.assert_frame_equal(again.points.table(run_id), whole)
        with pytest.raises(StoreReadOnlyError, match="cannot be written"):
            again.runs.delete(run_id)
        assert again.runs.get(run_id).state == "done"
        # What somebody with permission puts into the file meanwhile is seen.
        elsewhere = store.workspace.parent / "elsewhere"
        elsewhere.mkdir()
        shutil.copy(store.workspace / FILE, elsewhere)
        other = Store(elsewhere)
        other.runs.rename(run_id, "seen")
        other.close()
        shutil.copy(elsewhere / FILE, store.workspace)
        assert again.runs.get(run_id).name == "seen"

    def test_a_part_of_what_was_written_is_not_taken_for_all(self, store: Store) -> None:
        """What was written last is in another file of SQLite, which cannot be read there."""
        run_id = ended(store)
        copy = store.workspace.parent / "copy"
        copy.mkdir()
        for suffix in ("", "-wal"):
            content = (store.workspace / f"{FILE}{suffix}").read_bytes()
            assert content
            (copy / f"{FILE}{suffix}").write_bytes(content)
        assert Store(copy).runs.get(run_id).state == "done"
        closed = store.workspace.parent / "closed"
        shutil.copytree(store.workspace, closed, ignore=shutil.ignore_patterns("*-shm"))
        (closed / f"{FILE}-shm").symlink_to(closed / "nowhere" / "at all")
        with pytest.raises(StoreReadOnlyError, match="cannot be written"):
            Store(closed)

    def test_an_error_is_told_by_its_code_not_by_its_words(self, tmp_path: Path) -> None:
        database = Database(tmp_path)
        for words in ("locked", "full", "readonly", "malformed"):
            what = pytest.raises(StoreError, match="failed: no such table")
            with what as caught, database.read() as db:
                db.execute(f"SELECT * FROM {words}")
            assert type(caught.value) is StoreError
        database.close()

    def test_a_workspace_that_is_a_file_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match="cannot be made"):
            Store(tmp_path / "file")

    def test_connections_end_with_their_threads(self, store: Store) -> None:
        for _ in range(20):
            thread = threading.Thread(target=store.runs.all)
            thread.start()
            thread.join()
        gc.collect()
        assert store.database.connections == 1

    def test_an_error_in_a_transaction_undoes_all_of_it(self, tmp_path: Path) -> None:
        database = Database(tmp_path)
        twice = [("w", "p", "{}")] * 2
        with pytest.raises(StoreError, match="UNIQUE"), database.write() as db:
            db.executemany("INSERT INTO inventories VALUES (?, ?, ?)", twice)
        with database.read() as db:
            assert db.execute("SELECT count(*) AS n FROM inventories").fetchone() == {"n": 0}
        database.close()


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ('{"criteria": 5}', "SweepSpec: missing field subject"),
        ('{"schema_version": 9}', "SweepSpec: written by a newer program"),
    ],
)
def test_a_damaged_run_hides_no_other_and_can_be_deleted(
    tmp_path: Path, spec: str, reason: str
) -> None:
    """It is named, the others are there, and it can go."""
    store = Store(tmp_path)
    bad, good = store.runs.create(SPEC), store.runs.create(SPEC)
    with store.database.write() as db:
        db.execute("UPDATE runs SET spec = ? WHERE run_id = ?", (spec, bad))
        db.execute("UPDATE runs SET state = 'done'")
    assert [row.run_id for row in store.runs.all()] == [good]
    assert store.runs.get("last").run_id == good
    (named,) = store.runs.damaged()
    assert named.run_id == bad
    assert named.reason.startswith(reason)
    with pytest.raises(StoreDamagedError, match=f"run {bad} cannot be read: {reason}"):
        store.runs.get(bad)
    store.runs.delete(bad)
    assert store.runs.damaged() == ()
    assert [row.run_id for row in store.runs.all()] == [good]


def test_damaged_sums_of_the_dense_model_hide_no_other_run(tmp_path: Path) -> None:
    """What is read beside a run counts as well."""
    store = Store(tmp_path)
    bad, good = store.runs.create(SPEC), store.runs.create(SPEC)
    store.jobs.attach(bad, owner="me", pid=1, host="here")
    store.points.save(bad, update(1, keys()), owner="me")
    with store.database.write() as db:
        db.execute("UPDATE baselines SET terms = '[1'")
    assert [row.run_id for row in store.runs.all()] == [good]
    assert [row.run_id for row in store.runs.damaged()] == [bad]


@pytest.mark.parametrize("value", ["{", 1e308, b"\xff\x00"])
def test_whatever_stands_in_a_run_hides_no_other(
    tmp_path: Path, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """SQLite keeps values of any type in any column."""
    store = Store(tmp_path)
    bad, good = store.runs.create(SPEC), store.runs.create(SPEC)
    store.jobs.attach(bad, owner="me", pid=os.getpid(), host=socket.gethostname())
    with store.database.read() as db:
        (whole,) = db.execute("SELECT * FROM runs WHERE run_id = ?", (bad,)).fetchall()
    for column in whole.keys() - {"run_id"}:
        with store.database.write() as db:
            db.execute("DELETE FROM runs WHERE run_id = ?", (bad,))
            row = {**whole, column: value}
            marks = ", ".join("?" * len(row))
            db.execute(f"INSERT INTO runs ({', '.join(row)}) VALUES ({marks})", [*row.values()])
        for words in ((), ("--json",)):
            assert main(["runs", "list", "--workspace", str(tmp_path), *words]) == 0, column
            assert {bad, good} <= set(re.findall(r"\d{4}-\d{4}-\w{4}", capsys.readouterr().out))
        assert good in [run.run_id for run in store.runs.all()], column
        assert store.runs.get(good).state == "queued", column
        store.runs.rename(bad, "damaged")
    known = [*(run.run_id for run in store.runs.damaged()), *(r.run_id for r in store.runs.all())]
    assert sorted(known) == sorted([bad, good])
