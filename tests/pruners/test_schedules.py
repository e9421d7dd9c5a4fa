"""Schedules: values of the formulas, ends, monotone, phases."""

from __future__ import annotations

import pytest

from pruners import schedules
from pruners.errors import InputError, UnknownNameError

GRID = [i / 20 for i in range(21)]


@pytest.mark.parametrize("name", schedules.SCHEDULES.names())
def test_ends_at_the_final_ratio_and_stays_in_range(name: str) -> None:
    values = [schedules.ratio_at(name, t, final=0.8, rounds=3) for t in GRID]
    assert values[-1] == pytest.approx(0.8)
    assert all(0 <= value <= 0.8 + 1e-12 for value in values)
    if name != "acdc":
        assert values == sorted(values)
    assert schedules.round_ratios(name, 4, final=0.8)[-1] == pytest.approx(0.8)
    entry = schedules.SCHEDULES.get(name)
    assert entry.label
    assert entry.citation
    assert entry.help.endswith(".")


def test_values_of_the_formulas() -> None:
    at = schedules.ratio_at
    assert at("cubic", 0.5, final=0.8) == pytest.approx(0.7)  # as SparseML gives
    assert at("cubic", 0.25, final=0.9, initial=0.1) == pytest.approx(0.9 - 0.8 * 0.75**3)
    assert at("linear", 0.25, final=0.8, initial=0.2) == pytest.approx(0.35)
    assert at("one_shot", 0.0, final=0.8) == 0.8
    steps = [at("iterative", t, final=0.9, rounds=3) for t in (0, 0.3, 0.34, 0.67, 1)]
    assert steps == pytest.approx([0.3, 0.3, 0.6, 0.9, 0.9])
    assert schedules.round_ratios("iterative", 3, final=0.9) == pytest.approx((0.3, 0.6, 0.9))
    assert schedules.round_ratios("linear", 2, final=0.8) == pytest.approx((0.4, 0.8))
    assert schedules.round_ratios("cubic", 2, final=0.8) == pytest.approx((0.7, 0.8))


def test_acdc_phases_alternate_and_end_compressed() -> None:
    phases = [schedules.acdc_phase(e, start=2, end=12, frequency=2) for e in range(14)]
    dense = [epoch for epoch, phase in enumerate(phases) if phase == "dense"]
    assert dense == [0, 1, 2, 3, 6, 7]
    # An odd number of phases would end dense: the last one is compressed anyway.
    assert schedules.acdc_phase(9, start=0, end=10, frequency=2) == "compressed"
    assert schedules.ratio_at("acdc", 0.0, final=0.8, rounds=2) == 0.0
    assert schedules.ratio_at("acdc", 0.3, final=0.8, rounds=2) == 0.8


@pytest.mark.parametrize("rounds", [7, 22, 49, 107])
def test_rounds_and_phases_begin_where_they_should(rounds: int) -> None:
    """1 / 49 * 49 is less than 1: the second round asked for no more than the first."""
    found = schedules.round_ratios("iterative", rounds, final=1.0)
    assert found == pytest.approx([(done + 1) / rounds for done in range(rounds)])
    places = [place / (2 * rounds) for place in range(2 * rounds)]
    phases = [schedules.ratio_at("acdc", place, final=0.8, rounds=rounds) for place in places]
    assert phases == [0.0, 0.8] * rounds
    # Steps of an epoch: phases of a tenth of an epoch are three steps of thirty.
    steps = [schedules.acdc_phase(k / 30, start=0, end=0.6, frequency=0.1) for k in range(18)]
    assert steps == (["dense"] * 3 + ["compressed"] * 3) * 3


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("linear", {"progress": 1.2, "final": 0.5}, "progress"),
        ("linear", {"progress": 0.5, "final": 1.5}, "initial <= final"),
        ("linear", {"progress": 0.5, "final": 0.2, "initial": 0.3}, "initial <= final"),
        ("iterative", {"progress": 0.5, "final": 0.2, "rounds": 0}, "round"),
    ],
)
def test_out_of_range_is_refused(name: str, values: dict[str, float], message: str) -> None:
    progress = values.pop("progress")
    with pytest.raises(InputError, match=message):
        schedules.ratio_at(name, progress, **values)


def test_unknown_and_empty() -> None:
    with pytest.raises(UnknownNameError, match="cubic"):
        schedules.SCHEDULES.get("agp")
    with pytest.raises(InputError, match="round"):
        schedules.round_ratios("linear", 0, final=0.5)
    with pytest.raises(InputError, match="frequency"):
        schedules.acdc_phase(0, start=0, end=1, frequency=0)
