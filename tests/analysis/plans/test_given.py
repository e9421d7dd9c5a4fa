"""Ratios that are given by layer: read, fitted to a plan, and left alone by strategies."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import plans
from analysis.allocation import fill_plan, with_ratios
from analysis.allocation.strategy import BEST
from analysis.records import Plan, Recipe
from pruners.errors import InputError, PlanError
from tests.helpers.contexts import sample_context

MODEL = "resnet20"


def start() -> Plan:
    return plans.start_plan(sample_context(MODEL), criterion="l1")


def asked(*named: tuple[str, float]) -> dict[str, float]:
    return plans.asked_ratios(sample_context(MODEL), start(), named)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (["conv1=1.3"], "'conv1=1.3': a ratio is a number between 0 and 1"),
        (["conv1="], "a ratio is a number"),
        (["x"], "'x': a ratio is a number"),
        (["nan"], "'nan': a ratio is a number"),
        (["0.3", "0.5"], "for all layers as 0.3 and as 0.5"),
        (["no.json"], "no.json cannot be read"),
        (["list.json"], "holds no object of ratios by layer"),
        (["text.json"], "'conv1 in text.json': a ratio is a number"),
        (["broken.json"], "broken.json cannot be read"),
    ],
)
def test_what_is_no_ratio_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.json").write_text("[0.5]")
    Path("text.json").write_text('{"conv1": "half"}')
    Path("broken.json").write_text('{"conv1": ')
    with pytest.raises(InputError, match=says) as caught:
        plans.parse_ratios(written)
    assert "\n" not in str(caught.value)


def test_a_file_of_ratios(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text('{"layer1.*": 0.3, "conv1": 0}')
    found = plans.parse_ratios(["0.1", str(path), "fc=1"])
    assert found == plans.Ratios(0.1, (("layer1.*", 0.3), ("conv1", 0.0), ("fc", 1.0)))


def test_the_last_glob_that_fits_counts() -> None:
    """A member of a group stands for it, whether by name or by glob."""
    found = asked(("layer1.*", 0.3), ("layer1.1.*", 0.4), ("conv1", 0.5))
    assert found == {
        "layer1.0.conv1": 0.3,
        "layer1.1.conv1": 0.4,
        "layer1.2.conv1": 0.3,
        "conv1": 0.5,
    }
    assert asked(("*", 0.3), ("layer1.0.conv2", 0.5))["conv1"] == 0.5
    assert asked(("layer1.*.conv2", 0.5)) == {"conv1": 0.5}
    with pytest.raises(PlanError, match=r"layer1.0.conv2 .* conv1 .* belong to one group, conv1"):
        asked(("layer1.0.conv2", 0.3), ("conv1", 0.5))
    with pytest.raises(InputError, match=r"unknown layer of --ratio 'nope\.\*'; known: conv1"):
        asked(("nope.*", 0.3))


def test_strategies_leave_given_ratios_alone() -> None:
    """Kept counts by hand are 16 - round(0.3 * 16) and 64 - 0.5 * 64."""
    prepared = sample_context(MODEL)
    recipe = Recipe(ratio=0.25)
    begun = with_ratios(prepared, start(), {"conv1": 0.3, "layer3.0.conv2": 0.5}, recipe)
    assert [entry.name for entry in begun.entries if entry.locked] == ["conv1", "layer3.0.conv2"]
    kept = {e.name: e.kept for e in fill_plan(prepared, begun, "uniform", recipe).plan.entries}
    assert (kept["conv1"], kept["layer3.0.conv2"], kept["layer2.0.conv1"]) == (11, 32, 24)
    # Rounded up to a multiple of 4, and what nothing is asked of stays whole.
    coarse = Recipe(ratio=0.0, round_to=4, criteria=BEST)
    begun = with_ratios(prepared, start(), {"conv1": 0.3}, coarse)
    kept = {e.name: e.kept for e in fill_plan(prepared, begun, "uniform", coarse).plan.entries}
    assert kept.pop("conv1") == 12
    assert set(kept.values()) == {16, 32, 64}
