from __future__ import annotations

import dataclasses
import gc
import multiprocessing
import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis import records
from analysis.records.inventory import Inventory
from analysis.records.plan import Plan, PlanEntry
from analysis.records.progress import Progress
from analysis.records.run import Identity
from analysis.records.sweep import PlannedPoint, PointKey, SweepSpec
from analysis.store.connection import FILE, Database
from analysis.store.migrations import MIGRATIONS, migrate
from analysis.store.store import Store
from pruners.errors import (
    InputError,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
    UnknownNameError,
)
from tests.helpers.store_writer import (
    SPEC,
    Update,
    keys,
    open_and_close,
    sums,
    update,
    write_batches,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "workspace")
    yield store
    store.close()


def planned(found: list[PointKey], *, salt: str = "") -> list[PlannedPoint]:
    return [
        PlannedPoint(
            key=key,
            cache_key=f"{salt}{key.layer}/{key.criterion}/{key.kept}",
            params=1000 + key.kept,
            macs=None,
        )
        for key in found
    ]


IDENTITY = Identity(weights="w", data="d", program="2:p")


def started(
    store: Store,
    spec: SweepSpec = SPEC,
    *,
    found: list[PointKey] | None = None,
    identity: Identity = IDENTITY,
) -> str:
    """Enter a run that the worker ``me`` works on."""
    run_id = store.runs.create(spec)
    store.jobs.attach(run_id, owner="me", pid=os.getpid(), host=socket.gethostname())
    assert store.jobs.claim_device(run_id)
    store.jobs.describe(
        run_id,
        identity=identity,
        has_labels=True,
        total_samples=40,
        versions={"torch": "2"},
    )
    store.points.enter(run_id, planned(keys() if found is None else found))
    return run_id


def ended(store: Store, state: str = records.DONE, *, batches: int = 4) -> str:
    run_id = started(store)
    for batch in range(1, batches + 1):
        store.points.save(run_id, update(batch, keys()), owner="me")
    store.jobs.finish(run_id, state, owner="me", seconds=2.0)
    return run_id


def test_layers_and_groups_are_kept_by_content(store: Store) -> None:
    """Fault 7 of the browser: after a restart nobody knew how large a layer is."""
    found = Inventory(params=5, macs=7, layers=(), groups=())
    store.inventories.keep(IDENTITY, found)
    assert store.inventories.get(IDENTITY) == found
    other_data = dataclasses.replace(IDENTITY, data="other")
    assert store.inventories.get(other_data) == found
    assert store.inventories.get(dataclasses.replace(IDENTITY, weights="other")) is None
    with store.database.write() as db:
        db.execute("UPDATE inventories SET inventory = '{}'")
    assert store.inventories.get(IDENTITY) is None


class TestRuns:
    def test_a_new_run_is_queued(self, store: Store) -> None:
        row = store.runs.get(store.runs.create(SPEC))
        assert row.state == "queued"
        assert row.is_live
        assert row.spec == SPEC
        assert row.baseline is None
        assert row.progress == Progress(0, None, "samples")
        assert row.progress.fraction == 0

    def test_a_run_from_start_to_end(self, store: Store) -> None:
        run_id = started(store)
        store.points.save(run_id, update(1, keys()), owner="me")
        row = store.runs.get(run_id)
        assert row.state == "running"
        assert row.progress == Progress(10, 40, "samples")
        assert (row.samples, row.total_samples, row.points) == (10, 40, 8)
        assert row.progress.fraction == 0.25
        assert row.eta_seconds == 3.0
        assert row.baseline == sums(1)
        store.jobs.finish(run_id, records.DONE, owner="me", seconds=2.5)
        row = store.runs.get(run_id)
        assert (row.state, row.seconds, row.eta_seconds) == ("done", 2.5, None)
        assert row.versions == {"torch": "2"}

    def test_ids_beginnings_and_last(self, store: Store) -> None:
        first, second = store.runs.create(SPEC), store.runs.create(SPEC)
        assert store.runs.get(first).run_id == first
        assert store.runs.get("last").run_id == second
        assert [row.run_id for row in store.runs.all()] == [second, first]
        assert store.runs.get(second[:-1] if second[:-1] != first[:-1] else second).run_id == second
        with pytest.raises(UnknownNameError, match="unknown run 'nothing'"):
            store.runs.get("nothing")
        with pytest.raises(UnknownNameError):
            store.runs.get("")

    def test_a_second_program_sees_the_same(self, store: Store) -> None:
        run_id = started(store)
        other = Store(store.workspace)
        assert other.runs.get(run_id) == store.runs.get(run_id)
        other.close()

    def test_cancelling_reaches_the_worker(self, store: Store) -> None:
        run_id = started(store)
        assert not store.jobs.beat(run_id, owner="me")
        store.jobs.request_cancel(run_id)
        assert store.runs.get(run_id).cancel_requested
        assert store.jobs.beat(run_id, owner="me")

    def test_cancelling_what_ended_does_nothing(self, store: Store) -> None:
        run_id = ended(store)
        store.jobs.request_cancel(run_id)
        assert not store.runs.get(run_id).cancel_requested

    def test_a_silent_worker_is_interrupted(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_id = started(store)
        later = time.time() + records.STALE_SECONDS + 1
        monkeypatch.setattr(time, "time", lambda: later)
        assert store.runs.get(run_id).state == "interrupted"
        store.jobs.beat(run_id, owner="me")
        assert store.runs.get(run_id).state == "running"

    def test_a_dead_worker_is_interrupted_at_once(self, store: Store) -> None:
        run_id = store.runs.create(SPEC)
        child = multiprocessing.get_context("spawn").Process(target=int)
        child.start()
        child.join()
        assert child.pid is not None
        store.jobs.attach(run_id, owner="me", pid=child.pid, host=socket.gethostname())
        assert store.runs.get(run_id).state == "interrupted"

    def test_a_worker_that_lost_its_run_cannot_write(self, store: Store) -> None:
        run_id = started(store)
        store.jobs.finish(run_id, records.CANCELLED, owner="me", seconds=1)
        store.jobs.requeue(run_id)
        store.jobs.attach(run_id, owner="other", pid=os.getpid(), host=socket.gethostname())
        for write in (
            lambda: store.points.save(run_id, update(1, keys()), owner="me"),
            lambda: store.jobs.finish(run_id, records.DONE, owner="me", seconds=1),
            lambda: store.jobs.beat(run_id, owner="me"),
        ):
            with pytest.raises(StoreError, match="taken over by another worker"):
                write()
        assert store.points.table(run_id).empty

    def test_two_workers_cannot_have_one_run(self, store: Store) -> None:
        run_id = store.runs.create(SPEC)
        store.jobs.attach(run_id, owner="a", pid=1, host="x")
        with pytest.raises(StoreError, match="not waiting for a worker"):
            store.jobs.attach(run_id, owner="b", pid=2, host="x")

    def test_only_what_stopped_can_be_resumed(self, store: Store) -> None:
        done, cancelled = ended(store), ended(store, records.CANCELLED, batches=2)
        with pytest.raises(InputError, match="is done; only a run that stopped"):
            store.jobs.requeue(done)
        store.jobs.requeue(cancelled)
        row = store.runs.get(cancelled)
        assert (row.state, row.cancel_requested, row.error) == ("queued", False, "")
        assert store.runs.get(cancelled).progress == Progress(20, 40)

    def test_other_weights_or_data_do_not_join_a_run(self, store: Store) -> None:
        run_id = ended(store, records.CANCELLED, batches=1)
        for change, what in (
            ({"weights": "v"}, "weights"),
            ({"data": "e"}, "data"),
            ({"program": "2:q"}, "forward pass"),
        ):
            other = dataclasses.replace(IDENTITY, **change)
            with pytest.raises(InputError, match=f"the {what} of run"):
                store.jobs.describe(
                    run_id,
                    identity=other,
                    has_labels=True,
                    total_samples=40,
                    versions={},
                )

    def test_an_adaptive_run_counts_curves(self, store: Store) -> None:
        run_id = started(store, dataclasses.replace(SPEC, mode="adaptive"))
        assert store.runs.get(run_id).progress == Progress(0, None, "curves")
        change = dataclasses.replace(update(1, keys()), progress=Progress(1, 4, "curves"))
        store.points.save(run_id, change, owner="me")
        row = store.runs.get(run_id)
        assert row.progress == Progress(1, 4, "curves")
        assert (row.samples, row.total_samples, row.progress.fraction) == (10, 40, 0.25)

    def test_whoever_caches_points_learns_of_each_change(self, store: Store) -> None:
        """In adaptive mode the progress stands still while points change."""
        run_id = started(store, dataclasses.replace(SPEC, mode="adaptive"))
        seen = [store.runs.get(run_id).saves]
        for batch in (1, 2):
            change = dataclasses.replace(update(batch, keys()), progress=Progress(0, 4, "curves"))
            store.points.save(run_id, change, owner="me")
            seen.append(store.runs.get(run_id).saves)
        assert seen == sorted(set(seen))

    def test_deleting(self, store: Store) -> None:
        done, running = ended(store), started(store)
        with pytest.raises(InputError, match="cancel it before"):
            store.runs.delete(running)
        store.runs.delete(done)
        assert [row.run_id for row in store.runs.all()] == [running]
        with pytest.raises(UnknownNameError):
            store.points.table(done)


class TestQueue:
    def test_one_run_at_a_time_on_a_device(self, store: Store) -> None:
        first, second, third = (store.runs.create(SPEC) for _ in range(3))
        for run_id in (first, second, third):
            store.jobs.attach(run_id, owner=run_id, pid=os.getpid(), host=socket.gethostname())
        assert not store.jobs.claim_device(second)
        assert store.jobs.claim_device(first)
        assert not store.jobs.claim_device(second)
        assert [store.runs.get(item).queue_position for item in (first, second, third)] == [0, 1, 2]
        store.jobs.finish(first, records.DONE, owner=first, seconds=0)
        assert not store.jobs.claim_device(third)
        assert store.jobs.claim_device(second)

    def test_devices_do_not_wait_for_each_other(self, store: Store) -> None:
        from dataclasses import replace

        gpu = replace(SPEC, subject=replace(SPEC.subject, device="cuda"))
        same = replace(SPEC, subject=replace(SPEC.subject, device="cuda:0"))
        other = replace(SPEC, subject=replace(SPEC.subject, device="cuda:1"))
        assert store.jobs.claim_device(store.runs.create(SPEC))
        assert store.jobs.claim_device(store.runs.create(gpu))
        assert not store.jobs.claim_device(store.runs.create(same))
        assert store.jobs.claim_device(store.runs.create(other))

    def test_a_dead_run_does_not_block_the_device(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started(store)
        later = time.time() + records.STALE_SECONDS + 1
        monkeypatch.setattr(time, "time", lambda: later)
        assert store.jobs.claim_device(store.runs.create(SPEC))

    def test_a_clock_that_is_set_back_blocks_no_device(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """D6 of issue 9: a queued run whose worker never came was waited for for an hour."""
        lost = store.runs.create(SPEC)
        earlier = time.time() - 3600
        monkeypatch.setattr(time, "time", lambda: earlier)
        assert store.runs.get(lost).state == "interrupted"
        mine = store.runs.create(SPEC)
        assert store.jobs.claim_device(mine)
        store.jobs.attach(lost, owner="late", pid=os.getpid(), host=socket.gethostname())
        assert not store.jobs.claim_device(store.runs.create(SPEC))


class TestPoints:
    def test_table_and_state(self, store: Store) -> None:
        found = keys()
        run_id = started(store)
        store.points.save(run_id, update(1, found), owner="me")
        store.points.save(run_id, update(2, found), owner="me")
        table = store.points.table(run_id)
        assert list(table["layer"]) == [key.layer for key in found]
        assert list(table["kept"]) == [key.kept for key in found]
        assert set(table["samples"]) == {20}
        assert table["correct"].tolist() == [16 - at for at in range(8)]
        assert table["accuracy_drop"].tolist() == pytest.approx([at / 20 for at in range(8)])
        assert table["loss"].tolist() == pytest.approx([0.05] * 8)
        assert table["loss_delta"].tolist() == pytest.approx([0.0] * 8)
        state = store.points.state(run_id)
        assert state.baseline == sums(2)
        assert state.sums == update(2, found).sums

    def test_nothing_measured_yet(self, store: Store) -> None:
        assert store.points.table(started(store)).empty

    def test_failed_points_have_a_reason_and_no_numbers(self, store: Store) -> None:
        found = keys()
        run_id = started(store)
        bad = update(1, found[1:], failed={found[0]: "it broke"})
        store.points.save(run_id, bad, owner="me")
        table = store.points.table(run_id)
        assert table["status"].tolist() == ["failed"] + ["measured"] * 7
        assert table.loc[0, ["accuracy", "loss", "kl"]].isna().all()
        assert store.points.reasons(run_id) == {found[0]: "it broke"}
        assert store.points.state(run_id).failed == {found[0]: "it broke"}

    def test_a_point_that_stopped_early_is_compared_on_its_own_samples(self, store: Store) -> None:
        found = keys()
        run_id = started(store)
        store.points.save(run_id, update(1, found), owner="me")
        late = update(2, found)
        early = {**late.sums, found[0]: sums(1, loss=0.75)}
        mixed = Update(Progress(20, 40), 20, sums(2, loss=0.9), early)
        store.points.save(run_id, mixed, owner="me")
        assert store.points.table(run_id)["loss_delta"][0] == pytest.approx((0.75 - 0.5) / 10)

    def test_what_one_run_measured_the_next_one_knows(self, store: Store) -> None:
        ended(store)
        run_id = started(store)
        state = store.points.state(run_id)
        assert store.runs.get(run_id).progress == Progress(0, 40)
        assert state.sums == update(4, keys()).sums

    def test_deleting_a_run_keeps_the_knowledge(self, store: Store) -> None:
        store.runs.delete(ended(store))
        assert len(store.points.measured([item.cache_key for item in planned(keys())])) == 8

    def test_fewer_samples_never_replace_more(self, store: Store) -> None:
        ended(store)
        run_id = started(store)
        store.points.save(run_id, update(1, keys()), owner="me")
        assert {item.samples for item in store.points.measured(["a/l1/6", "b/l2/4"]).values()} == {
            40
        }

    def test_failed_points_are_not_remembered(self, store: Store) -> None:
        found = keys()
        run_id = started(store)
        store.points.save(run_id, update(1, found[1:], failed={found[0]: "x"}), owner="me")
        assert "a/l1/6" not in store.points.measured(["a/l1/6", "a/l1/4"])

    def test_planning_again_keeps_what_is_there(self, store: Store) -> None:
        run_id = started(store)
        store.points.save(run_id, update(1, keys()), owner="me")
        store.points.enter(run_id, planned(keys()))
        assert set(store.points.table(run_id)["samples"]) == {10}

    def test_many_cache_keys_at_once(self, store: Store) -> None:
        assert store.points.measured(str(number) for number in range(5000)) == {}


class TestMerge:
    def test_points_are_joined_in_order(self, store: Store) -> None:
        from dataclasses import replace

        left = replace(SPEC, criteria=("l2",))
        right = replace(SPEC, criteria=("l1",), ratios=(0.5, 0.75))
        names = []
        for spec in (left, right):
            found = keys(("b", "a"), spec)
            run_id = started(store, spec, found=found)
            store.points.save(run_id, update(1, found), owner="me")
            store.jobs.finish(run_id, records.DONE, owner="me", seconds=2)
            names.append(run_id)
        merged = store.runs.get(store.runs.merge(names))
        assert merged.progress == Progress(10, 40, "samples")
        assert merged.state == "done"
        assert merged.spec.criteria == ("l2", "l1")
        assert merged.spec.ratios == (0.25, 0.5, 0.75)
        assert merged.seconds == 4
        assert merged.baseline == sums(1)
        table = store.points.table(merged.run_id)
        assert list(table["layer"]) == ["b"] * 4 + ["a"] * 4
        assert list(table["criterion"]) == ["l2", "l2", "l1", "l1"] * 2
        assert list(table["ratio_requested"]) == [0.25, 0.5, 0.5, 0.75] * 2
        assert len(store.runs.all()) == 3

    def test_the_better_measured_point_is_taken(self, store: Store) -> None:
        few, many = ended(store, records.CANCELLED, batches=1), ended(store, batches=3)
        for names in ([few, many], [many, few]):
            assert set(store.points.table(store.runs.merge(names))["samples"]) == {30}

    def test_the_progress_is_told_in_the_unit_of_the_joined_run(self, store: Store) -> None:
        curves = Progress(3, 4, "curves")
        adaptive = []
        for batch in (1, 3):
            run_id = started(store, dataclasses.replace(SPEC, mode="adaptive"))
            change = dataclasses.replace(update(batch, keys()), progress=curves)
            store.points.save(run_id, change, owner="me")
            store.jobs.finish(run_id, records.DONE, owner="me", seconds=1)
            adaptive.append(run_id)
        assert store.runs.get(store.runs.merge(adaptive)).progress == curves
        mixed = store.runs.merge([adaptive[1], ended(store, batches=2)])
        assert store.runs.get(mixed).progress == Progress(30, 40, "samples")

    def test_what_does_not_fit_is_refused(self, store: Store) -> None:
        from dataclasses import replace

        done = ended(store)
        with pytest.raises(InputError, match="two different runs"):
            store.runs.merge([done, done])
        for change, what in (
            ({"weights": "v"}, "different weights"),
            ({"data": "e"}, "different samples"),
            ({"program": "2:q"}, "different code"),
        ):
            foreign = started(store, identity=replace(IDENTITY, **change))
            store.jobs.finish(foreign, records.CANCELLED, owner="me", seconds=0)
            with pytest.raises(InputError, match=what):
                store.runs.merge([done, foreign])
        running = started(store)
        with pytest.raises(InputError, match="is running"):
            store.runs.merge([done, running])
        store.jobs.finish(running, records.CANCELLED, owner="me", seconds=0)
        other = started(store, replace(SPEC, granularity="element"))
        store.jobs.finish(other, records.CANCELLED, owner="me", seconds=0)
        with pytest.raises(InputError, match="differ in granularity: channel and element"):
            store.runs.merge([done, other])


class TestPlans:
    PLAN = Plan(
        subject=SPEC.subject,
        fingerprint="w",
        entries=(
            PlanEntry(
                layer="a",
                group="a",
                criterion="l1",
                granularity="channel",
                ratio=0.5,
                kept=2,
                total=4,
                indices=(1, 3),
            ),
        ),
    )

    def test_saved_changed_listed_deleted(self, store: Store) -> None:
        from dataclasses import replace

        first = store.plans.save(self.PLAN)
        second = store.plans.save(replace(self.PLAN, note="two", fingerprint="v"))
        assert store.plans.get(first) == self.PLAN
        changed = replace(self.PLAN, note="changed")
        assert store.plans.save(changed, plan_id=first) == first
        assert store.plans.get(first) == changed
        assert list(store.plans.all()) == [first, second]
        assert list(store.plans.all(fingerprint="v")) == [second]
        store.plans.delete(first)
        with pytest.raises(UnknownNameError, match="unknown plan"):
            store.plans.get(first)


# --- the file ----------------------------------------------------------------------------------


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
        prepared = multiprocessing.get_context("spawn")
        children = [prepared.Process(target=open_and_close, args=(tmp_path,)) for _ in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join()
            assert child.exitcode == 0
        connection = self.connect(tmp_path)
        count = connection.execute("SELECT count(*) FROM migrations").fetchone()[0]
        connection.close()
        assert count == len(MIGRATIONS)


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
        twice = [("p", 0, 0, "w", "{}")] * 2
        with pytest.raises(StoreError, match="UNIQUE"), database.write() as db:
            db.executemany("INSERT INTO plans VALUES (?, ?, ?, ?, ?)", twice)
        with database.read() as db:
            assert db.execute("SELECT count(*) AS n FROM plans").fetchone() == {"n": 0}
        database.close()


def test_a_damaged_run_hides_no_other_and_can_be_deleted(tmp_path: Path) -> None:
    """Point 3c of issue 8: it is named, the others are there, and it can go."""
    store = Store(tmp_path)
    bad, good = store.runs.create(SPEC), store.runs.create(SPEC)
    with store.database.write() as db:
        db.execute("UPDATE runs SET spec = '{\"criteria\": 5}' WHERE run_id = ?", (bad,))
        db.execute("UPDATE runs SET state = 'done'")
    assert [row.run_id for row in store.runs.all()] == [good]
    assert store.runs.get("last").run_id == good
    (named,) = store.runs.damaged()
    assert named.run_id == bad
    assert named.reason.startswith("SweepSpec")
    with pytest.raises(StoreDamagedError, match=f"run {bad} cannot be read: SweepSpec"):
        store.runs.get(bad)
    store.runs.delete(bad)
    assert store.runs.damaged() == ()
    assert [row.run_id for row in store.runs.all()] == [good]


def test_damaged_sums_of_the_dense_model_hide_no_other_run(tmp_path: Path) -> None:
    """Point 3c of issue 8: what is read beside a run counts as well."""
    store = Store(tmp_path)
    bad, good = store.runs.create(SPEC), store.runs.create(SPEC)
    store.jobs.attach(bad, owner="me", pid=1, host="here")
    store.points.save(bad, update(1, keys()), owner="me")
    with store.database.write() as db:
        db.execute("UPDATE baselines SET terms = '[1'")
    assert [row.run_id for row in store.runs.all()] == [good]
    assert [row.run_id for row in store.runs.damaged()] == [bad]
