"""Groups and removal on the model zoo, through the benchmark that prints its table."""

from __future__ import annotations

import pytest

from benchmarks import groups_zoo

# Every mechanism of the zoo once, at a size that the suite can afford.
SPREAD = ("mobilenet_v3_small", "shufflenet_v2_x1_0")
ALL = tuple(name for name in (*groups_zoo.TORCHVISION, *groups_zoo.TIMM) if name not in SPREAD)


def assert_holds(name: str, *, singles: bool) -> None:
    row = groups_zoo.measure(name, singles=singles, peer=False)
    assert row.difference < 1e-4
    assert row.predicted_right
    assert row.prunable > 0
    assert row.prunable_share > 0.5


@pytest.mark.parametrize("name", SPREAD)
@pytest.mark.slow
def test_spread_of_the_zoo(name: str) -> None:
    assert_holds(name, singles=False)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.zoo
@pytest.mark.timeout(1800)
def test_whole_zoo(name: str, request: pytest.FixtureRequest) -> None:
    if "zoo" not in (request.config.getoption("-m") or ""):
        pytest.skip("the whole zoo takes longer than the suite may: run it with -m zoo")
    if name in groups_zoo.TIMM:
        pytest.importorskip("timm")
    assert_holds(name, singles=True)
