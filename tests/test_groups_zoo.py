"""Groups and removal on the model zoo, through the benchmark that prints its table."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

from benchmarks import groups_zoo

# What the suite can afford: the mechanisms of the zoo, each in a model that people use, with two
# blocks of those that repeat. The small models of tests/helpers cover every mechanism as well, one
# at a time, and the sample networks have residual sums and concatenation; the whole zoo is of full
# depth.
SPREAD = {
    "resnext50_32x4d": "grouped convolutions",
    "mobilenet_v3_small": "depthwise convolutions, squeeze-excitation",
    "shufflenet_v2_x1_0": "channel split and shuffle",
    "convnext_tiny": "layer norm over channels, layer scale",
    "mixer_s32_224": "token mixing",
    "deit_tiny_patch16_224": "heads of a fused attention, class token",
    "poolformer_s12": "group norm over everything, pooling as mixing",
}
# Squeeze-excitation, depthwise convolutions and group norm are in tests/helpers/topologies.py
# and in sample networks as well.
AT_NIGHT = ("mobilenet_v3_small", "poolformer_s12")
SIZE = 96
ALL = (*groups_zoo.TORCHVISION, *groups_zoo.TIMM)


def two_of_each(model: nn.Module, example: Tensor) -> tuple[nn.Module, Tensor]:
    """Keep the first two blocks of stages that go on with equal ones: more add time only."""
    for stage in [item for item in model.modules() if type(item) is nn.Sequential]:
        shapes = [[item.shape for item in block.parameters()] for block in stage]
        kinds = {type(block) for block in stage}
        if len(stage) > 2 and len(kinds) == 1 and all(each == shapes[1] for each in shapes[2:]):
            del stage[2:]
    return model, example


def assert_holds(name: str, *, size: int | None, singles: bool) -> None:
    if name in groups_zoo.TIMM:
        pytest.importorskip("timm")
    row = groups_zoo.measure(name, size=size, singles=singles, peer=False)
    assert row.difference < 1e-4
    assert row.predicted_right
    assert row.prunable > 0
    assert row.prunable_share > 0.5


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.nightly if name in AT_NIGHT else ()) for name in SPREAD],
)
@pytest.mark.slow
def test_spread_of_the_zoo(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build = groups_zoo.build
    monkeypatch.setattr(
        groups_zoo, "build", lambda name, **options: two_of_each(*build(name, **options))
    )
    assert_holds(name, size=SIZE, singles=False)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.zoo
@pytest.mark.timeout(1800)
def test_whole_zoo(name: str, request: pytest.FixtureRequest) -> None:
    if "zoo" not in (request.config.getoption("-m") or ""):
        pytest.skip("the whole zoo takes longer than the suite may: run it with -m zoo")
    assert_holds(name, size=None, singles=True)
