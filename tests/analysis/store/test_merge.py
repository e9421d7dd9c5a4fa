"""Runs that are joined."""

from __future__ import annotations

import dataclasses

import pytest

from analysis import records
from analysis.records.progress import Progress
from analysis.store.store import Store
from pruners.errors import (
    InputError,
)
from tests.helpers.store_writer import (
    IDENTITY,
    SPEC,
    ended,
    keys,
    started,
    sums,
    update,
)


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
