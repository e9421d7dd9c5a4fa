"""Curves: crossings, ranks with ties, envelopes and coverage, against hand-made tables."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pandas as pd
import pytest

from analysis import curves
from pruners.errors import InputError, UnknownNameError
from tests.analysis.points_tables import GRID, curve, table

NAN = float("nan")
RISING = [0.0, 0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 0.6]


def row(points: pd.DataFrame, tolerance: float = 0.01) -> dict[str, object]:
    found = curves.tolerated(points, tolerance=tolerance).to_dict("records")
    assert len(found) == 1
    return {str(key): value for key, value in found[0].items()}


def test_tolerated_is_the_last_ratio_within() -> None:
    found = row(curve(RISING))
    assert found["tolerated"] == 0.4
    assert found["kept"] == 6
    assert found["drop_half"] == pytest.approx(0.02)
    assert not found["partial"]
    assert not found["open_end"]
    assert found["status"] == "measured"


def test_a_curve_that_comes_back_is_not_followed() -> None:
    assert row(curve([0.0, 0.02, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]))["tolerated"] == 0.1


def test_nothing_tolerated() -> None:
    found = row(curve([0.5] * 9))
    assert found["tolerated"] == 0.0
    assert found["kept"] == 10
    assert found["low"] == found["high"] == 0.0


def test_everything_tolerated_is_an_open_end() -> None:
    found = row(curve([0.0] * 9))
    assert found["tolerated"] == 0.9
    assert found["open_end"]


def test_intervals_give_low_and_high() -> None:
    found = row(curve(RISING, half_width=0.011))
    assert (found["low"], found["tolerated"], found["high"]) == (0.0, 0.4, 0.5)
    found = row(curve(RISING, half_width=0.006))
    assert (found["low"], found["tolerated"], found["high"]) == (0.2, 0.4, 0.4)


def test_a_failed_point_ends_the_walk_and_marks_partial() -> None:
    found = row(curve([0.0, NAN, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
    assert found["tolerated"] == 0.1
    assert found["partial"]
    assert found["failed"] == 1
    assert not found["open_end"]


def test_missing_points_mark_partial() -> None:
    short = curve(RISING[:4], criterion="l1", layer="a", ratios=GRID[:4])
    full = curve(RISING, layer="b")
    found = curves.tolerated(pd.concat([short, full], ignore_index=True), tolerance=0.01)
    assert found.set_index("layer")["partial"].to_dict() == {"a": True, "b": False}


def test_an_inferred_point_without_number_is_skipped() -> None:
    points = curve(RISING)
    points.loc[1, ["accuracy_drop", "drop_low", "drop_high"]] = NAN
    points.loc[1, "status"] = "inferred"
    assert row(points)["tolerated"] == 0.4


def test_a_layer_that_loses_nothing_because_nothing_goes_is_not_robust() -> None:
    points = curve([0.0] * 9, total=1)
    points["kept"] = points["total"]
    points["ratio_achieved"] = 0.0
    found = row(points)
    assert found["status"] == curves.NOT_PRUNABLE
    assert np.isnan(found["tolerated"])  # type: ignore[arg-type]
    assert found["rank"] == ""


def test_not_prunable_layers_are_appended_without_rank() -> None:
    base = curves.tolerated(curve(RISING), tolerance=0.01)
    found = curves.add_not_prunable(base, {"fc": "it makes the logits", "conv1": "known"})
    assert list(found["layer"]) == ["conv1", "fc"]
    last = found.iloc[-1]
    assert (last["status"], last["rank"]) == (curves.NOT_PRUNABLE, "")
    assert last["reason"] == "it makes the logits"
    assert curves.add_not_prunable(base, {}) is base


def test_a_negative_tolerance_is_refused() -> None:
    with pytest.raises(InputError, match="at least 0"):
        curves.tolerated(curve(RISING), tolerance=-0.1)


def test_an_empty_table_gives_an_empty_answer() -> None:
    assert curves.tolerated(curve([]).reindex(columns=curve(RISING).columns), tolerance=0.1).empty


def ranks(intervals: list[tuple[float, float]]) -> list[tuple[int, int]]:
    frame = pd.DataFrame(
        {
            "criterion": "l1",
            "granularity": "channel",
            "layer": [str(place) for place in range(len(intervals))],
            "low": [low for low, _ in intervals],
            "high": [high for _, high in intervals],
            "status": "measured",
        }
    )
    found = curves.add_ranks(frame)
    return list(zip(found["rank_low"], found["rank_high"], strict=True))


def test_ranks_of_separate_and_of_tied_layers() -> None:
    assert ranks([(0.7, 0.8), (0.4, 0.5), (0.1, 0.2)]) == [(1, 1), (2, 2), (3, 3)]
    assert ranks([(0.7, 0.8), (0.3, 0.5), (0.4, 0.6)]) == [(1, 1), (2, 3), (2, 3)]


def test_ranks_text() -> None:
    points = table({("l1", "a"): RISING, ("l1", "b"): RISING, ("l1", "c"): [0.5] * 9})
    found = curves.tolerated(points, tolerance=0.01).set_index("layer")["rank"].to_dict()
    assert found == {"a": "1-2", "b": "1-2", "c": "3"}


def reference_rank_range(intervals: list[tuple[float, float]], place: int) -> tuple[int, int]:
    """All orders that the intervals allow, by brute force."""
    seen = set()
    for order in itertools.permutations(range(len(intervals))):
        allowed = all(
            not intervals[later][0] > intervals[earlier][1]
            for at, earlier in enumerate(order)
            for later in order[at + 1 :]
        )
        if allowed:
            seen.add(order.index(place) + 1)
    return min(seen), max(seen)


@pytest.mark.parametrize("seed", range(8))
def test_rank_ranges_are_those_of_all_allowed_orders(seed: int) -> None:
    source = random.Random(seed)
    intervals = []
    for _ in range(5):
        ends = sorted(source.randrange(10) / 10 for _ in range(2))
        intervals.append((ends[0], ends[1]))
    found = ranks(intervals)
    for place in range(5):
        assert found[place] == reference_rank_range(intervals, place)
    for one, other in itertools.combinations(range(5), 2):
        if intervals[one][0] <= intervals[other][1] and intervals[other][0] <= intervals[one][1]:
            assert found[one][0] <= found[other][1]
            assert found[other][0] <= found[one][1]


def test_envelope_rises_and_keeps_the_raw_curve() -> None:
    points = curve([-0.01, 0.02, 0.01, NAN, 0.03, 0.0, 0.1, 0.1, 0.2], half_width=0.01)
    found = curves.envelope(points)
    assert found["envelope"].tolist() == pytest.approx(
        [0.0, 0.02, 0.02, 0.02, 0.03, 0.03, 0.1, 0.1, 0.2]
    )
    assert found["accuracy_drop"].equals(points["accuracy_drop"])
    assert (found["envelope_low"] <= found["envelope"]).all()
    assert (found["envelope_high"] >= found["envelope"]).all()
    assert (found["envelope"] >= 0).all()


def test_envelopes_of_several_curves_do_not_mix() -> None:
    points = table({("l1", "a"): [0.5] * 9, ("l1", "b"): RISING, ("fpgm", "b"): [0.0] * 9})
    shuffled = points.sample(frac=1, random_state=0)
    found = curves.envelope(shuffled)
    own = found[(found["layer"] == "b") & (found["criterion"] == "l1")].sort_values(
        "ratio_achieved"
    )
    assert own["envelope"].tolist() == pytest.approx(RISING)
    assert (found.index == shuffled.index).all()


def test_drop_at_reads_between_points() -> None:
    assert curves.drop_at([0.2, 0.4], [0.1, 0.3], ratio=0.3) == pytest.approx(0.2)
    assert curves.drop_at([0.2, 0.4], [0.1, 0.3], ratio=0.1) == pytest.approx(0.05)
    assert curves.drop_at([0.2, 0.3, 0.4], [0.1, NAN, 0.3], ratio=0.3) == pytest.approx(0.2)
    assert np.isnan(curves.drop_at([0.2, 0.4], [0.1, 0.3], ratio=0.5))


def test_coverage_says_how_far_each_cell_is() -> None:
    points = pd.concat(
        [
            curve([0.0, 0.0], layer="a", ratios=GRID[:2], samples=1000),
            curve([0.0], layer="b", ratios=GRID[:1], samples=250),
            curve([NAN], layer="c", ratios=GRID[1:2]),
        ],
        ignore_index=True,
    )
    found = curves.coverage(points).set_index(["layer", "ratio_requested"])
    assert found.loc[("a", 0.1), "state"] == "measured"
    assert found.loc[("b", 0.1), "state"] == "running"
    assert found.loc[("b", 0.1), "done"] == 0.25
    assert found.loc[("b", 0.2), "state"] == "missing"
    assert found.loc[("c", 0.2), "state"] == "failed"
    assert len(found) == 6


def test_curves_start_at_the_dense_model() -> None:
    found = curves.from_zero(curve(RISING))
    first = found.iloc[0]
    assert (first["ratio_achieved"], first["accuracy_drop"], first["kept"]) == (0.0, 0.0, 10)
    assert first["accuracy"] == pytest.approx(0.9)
    assert first["agreement"] == 1.0
    assert len(curves.from_zero(found)) == len(found)


def test_small_curves_of_all_layers_have_one_scale() -> None:
    """Each had its own, so that noise looked like a collapse."""
    noise = curve([0.0, 0.001, -0.001, 0.002, 0.0, 0.001, -0.02, 0.001, 0.0])
    low, high = curves.sparkline_reach(0.01)
    assert (low, high) == (-1.0, 4.0)
    lines = curves.sparklines(noise, criterion="l1", tolerance=0.01)["conv1"]
    assert lines[:5] == [0.0, 0.0, 0.1, -0.1, 0.2]
    assert min(lines) == low
    assert curves.sparkline_reach(0.0)[0] < curves.sparkline_reach(0.0)[1]


def test_sparklines_and_resolution() -> None:
    points = curve(RISING, half_width=0.004)
    lines = curves.sparklines(points, criterion="l1", tolerance=0.01)["conv1"]
    assert lines[:4] == [0.0, 0.0, 0.0, 0.5]
    assert max(lines) == 4.0
    assert curves.resolution(points) == pytest.approx(0.004)
    assert np.isnan(curves.resolution(curve([NAN] * 9)))


def test_unknown_metric() -> None:
    with pytest.raises(UnknownNameError, match="known: accuracy"):
        curves.metric("speed")
