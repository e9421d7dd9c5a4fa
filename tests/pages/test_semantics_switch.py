"""The switch between removal and masked weights on Curves and Compare."""

from __future__ import annotations

import dataclasses
from collections import deque
from pathlib import Path

import pandas as pd
import pytest

from analysis.context import SubjectContext
from analysis.known_points import planned_points
from analysis.semantics_gap import semantics_gap
from analysis.store import Store
from analysis.sweep import iter_sweep
from tests.pages.reading import SWEEP, Open, assert_no_bug, text_of

WEIGHTS = dataclasses.replace(SWEEP, semantics="weights")


def add_sibling(workspace: Path, context: SubjectContext) -> str:
    """Enter the same sweep under the other semantics, measured to its end."""
    store = Store(workspace)
    run_id = store.create_run(WEIGHTS)
    store.attach(run_id, owner="test", pid=1, host="here")
    assert store.claim_device(run_id)
    store.describe(
        run_id,
        fingerprint=context.subject.fingerprint,
        data_fingerprint=context.subject.data_fingerprint,
        has_labels=True,
        batches=3,
        total_samples=120,
        versions={},
    )
    store.plan_points(run_id, planned_points(context, WEIGHTS))
    store.save_batch(run_id, deque(iter_sweep(context, WEIGHTS), maxlen=1)[0], owner="test")
    store.finish(run_id, "done", owner="test", seconds=1.0, error="")
    store.close()
    return run_id


@pytest.mark.parametrize("page", ["3_Curves", "4_Compare"])
def test_the_switch_offers_to_measure_and_goes_to_the_other_run(
    page: str, open_page: Open, workspace: Path, context: SubjectContext
) -> None:
    test = open_page(page, "done")
    run_id = str(test.query_params["run"])
    switch = test.segmented_control(key=f"semantics_{run_id}")
    switch.set_value("weights").run()
    assert_no_bug(test)
    assert "yet" in text_of(test)
    other = add_sibling(workspace, context)
    test.run()
    assert_no_bug(test)
    assert test.query_params["run"] == other
    assert "differ by" in text_of(test)
    assert run_id != other


def points(accuracies: list[float | None]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "criterion": "l1",
            "granularity": "channel",
            "layer": ["a", "a", "b"],
            "group": ["a", "a", "b"],
            "kept": [3, 2, 1],
            "accuracy": accuracies,
            "ratio_achieved": [0.25, 0.5, 0.75],
        }
    )


def test_gap_is_over_common_points() -> None:
    gap = semantics_gap(points([0.9, 0.8, None]), points([0.9, 0.5, 0.1]))
    assert gap is not None
    assert gap.points == 2
    assert gap.mean == pytest.approx(0.15)
    assert (gap.largest, gap.layer, gap.ratio) == (pytest.approx(0.3), "a", 0.5)
    assert semantics_gap(points([None, None, None]), points([0.9, 0.5, 0.1])) is None
