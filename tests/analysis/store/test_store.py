"""Runs, queue and points of a workspace."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import socket
import subprocess
import time

import pytest

from analysis import records
from analysis.records import run
from analysis.records.inventory import Inventory
from analysis.records.progress import Progress
from analysis.records.run import PAUSED_SECONDS
from analysis.store.store import Store
from pruners.errors import (
    InputError,
    StoreError,
    UnknownNameError,
)
from tests.helpers.store_writer import (
    IDENTITY,
    SPEC,
    Update,
    ended,
    keys,
    planned,
    started,
    sums,
    update,
)


def test_layers_and_groups_are_kept_by_content(store: Store) -> None:
    """After a restart nobody knew how large a layer is."""
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
        """One that pauses (stopped, starved) is not dead while its process is there.

        Its device was given to the next run, and the run to the next worker.
        """
        run_id, now = started(store), time.time()
        # By a clock that is set forward, this process would have begun after its sign of life.
        process = run._Process(started=now - 1)
        monkeypatch.setattr(run, "_process", lambda pid, host: process)
        after = {}
        for seconds in (records.STALE_SECONDS + 1, PAUSED_SECONDS + 1):
            later = now + seconds
            monkeypatch.setattr(time, "time", lambda later=later: later)
            after[seconds] = store.runs.get(run_id).state
        assert list(after.values()) == ["running", "interrupted"]
        store.jobs.beat(run_id, owner="me")
        assert store.runs.get(run_id).state == "running"

    def test_a_number_that_another_process_has_now_is_no_sign_of_life(self) -> None:
        """Told by when the process began, where the system says so."""
        child = subprocess.Popen(["sleep", "60"])
        now = time.time()

        def state(*, beat: float, after: float) -> str:
            return records.state_now(
                "running",
                heartbeat=now + beat,
                pid=child.pid,
                host=socket.gethostname(),
                now=now + beat + after,
            )

        assert (state(beat=-5, after=21), state(beat=5, after=21)) == ("interrupted", "running")
        child.kill()
        # It has ended, and nobody has asked how.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert state(beat=5, after=0) == "interrupted"
        child.wait()

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
            ({"weights": "v"}, "weights or modules"),
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
        later = time.time() + PAUSED_SECONDS + 1
        monkeypatch.setattr(time, "time", lambda: later)
        assert store.jobs.claim_device(store.runs.create(SPEC))

    def test_a_clock_that_is_set_back_blocks_no_device(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A queued run whose worker never came was waited for for an hour."""
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
