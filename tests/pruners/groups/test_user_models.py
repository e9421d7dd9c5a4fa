"""Models of the kinds that users handed over, against slow loops and models written otherwise."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruners.capture import capture
from pruners.criteria import group_scores, producer_scores, scores
from pruners.groups import (
    CostModel,
    Structure,
    difference,
    edited_outputs,
    find_structure,
    remove,
)
from pruners.statistics import collect, input_gate_gradients, layer_data
from tests.helpers import user_models as made
from tests.helpers.topologies import IMAGE, randomize

TOKENS = (2, 6, 5)


def opened(model: nn.Module, shape: tuple[int, ...]) -> tuple[nn.Module, Structure]:
    randomize(model)
    example = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    return model, find_structure(model, capture(model, example), example, strict=True)


def check_removal(model: nn.Module, structure: Structure) -> None:
    """Each group, and all together: what is removed computes what is masked, at the told cost."""
    costs = CostModel(structure)
    halves = {
        group.id: range(0, group.units, 2)
        for group in structure.groups
        if group.prunable and group.exact
    }
    assert halves
    for kept in ({name: units} for name, units in [*halves.items()]):
        smaller = remove(model, structure, kept)
        with torch.no_grad():
            found = smaller(structure.example)
        assert difference(found, edited_outputs(model, structure, kept)) < 1e-5
        params = sum(item.numel() for item in smaller.parameters())
        assert costs.predict(kept).params == params
    together = remove(model, structure, halves)
    with torch.no_grad():
        found = together(structure.example)
    assert difference(found, edited_outputs(model, structure, halves)) < 1e-5


HOW = ("native", "interleave", "expand", "tiled", "repeat", "unmerged", "broadcast", "einsum")


@pytest.mark.parametrize("keys", [4, 2])
@pytest.mark.parametrize("how", [*HOW, "explicit"])
def test_a_key_head_goes_with_its_query_heads(how: str, keys: int) -> None:
    """GQA: a unit is a key and value head with its query heads.

    `unmerged` with two keys once had keys of their own to remove, to wrong numbers.
    """
    torch.manual_seed(0)
    model, structure = opened(made.GroupedQuery(how, keys), TOKENS)
    group = structure.group("query")
    assert (group.units, group.kind, group.prunable) == (keys, "head", True)
    assert {item.layer for item in group.producers} == {"query", "key", "value"}
    index = {item.layer: item.index for item in group.producers}
    assert torch.equal(index["key"], torch.arange(keys).repeat_interleave(4))
    times = 8 // keys
    of_query = torch.arange(keys).repeat_interleave(times)
    if how == "tiled":
        of_query = torch.arange(keys).repeat(times)
    assert torch.equal(index["query"], of_query.repeat_interleave(4))
    assert {item.id for item in structure.groups if item.prunable} == {"embed", "query"}
    check_removal(model, structure)
    smaller = remove(model, structure, {"query": [0]})
    assert isinstance(smaller, made.GroupedQuery)
    assert (smaller.n_heads, smaller.n_kv_heads) == (8 // keys, 1)


def _by_hand(x: Tensor) -> Tensor:
    rows = x.flatten(2)
    rows = (rows - rows.mean(2, keepdim=True)) / (rows.var(2, keepdim=True) + 1e-5).sqrt()
    return rows.view_as(x)


@pytest.mark.parametrize(
    ("norm", "reference"),
    [
        (nn.GroupNorm(16, 16), nn.InstanceNorm2d(16, affine=True)),
        (nn.GroupNorm(16, 16, affine=False), nn.InstanceNorm2d(16)),
        (lambda x: F.group_norm(x, 16), nn.InstanceNorm2d(16)),
        (lambda x: F.layer_norm(x, x.shape[2:]), nn.InstanceNorm2d(16)),
        (_by_hand, None),
    ],
)
def test_a_norm_of_single_channels_leaves_them_apart(
    norm: Callable[[Tensor], Tensor], reference: nn.Module | None
) -> None:
    """`GroupNorm(C, C)`: the groups and answers of an instance norm."""
    torch.manual_seed(0)
    model, structure = opened(made.PerChannelNorm(copy.deepcopy(norm)), IMAGE)
    group = structure.group("first")
    assert (group.units, group.prunable, group.exact) == (16, True, True)
    check_removal(model, structure)
    smaller = remove(model, structure, {"first": [1, 4, 7]})
    assert all(item.num_groups == 3 for item in smaller.modules() if isinstance(item, nn.GroupNorm))
    if reference is not None:
        other = made.PerChannelNorm(reference)
        other.load_state_dict(model.state_dict(), strict=False)
        instance = opened(other, IMAGE)[1].group("first")
        assert (instance.units, instance.exact) == (group.units, group.exact)


@pytest.mark.parametrize(
    ("norm", "exact"),
    [
        (nn.InstanceNorm2d(4, affine=True), False),
        (nn.InstanceNorm2d(4, track_running_stats=True), True),
        (nn.GroupNorm(4, 4), False),
        (nn.BatchNorm2d(4), True),
    ],
)
def test_a_norm_over_positions_mixes_channels_that_lie_there(norm: nn.Module, exact: bool) -> None:
    """A linear layer over the last dim of an image, behind it an instance norm."""
    layers = (nn.Conv2d(3, 4, 1), nn.Linear(8, 6), copy.deepcopy(norm), nn.Linear(6, 5))
    tail = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    model, structure = opened(nn.Sequential(*layers, *tail), IMAGE)
    assert structure.group("1").exact == exact
    assert structure.group("0").exact
    check_removal(model, structure)


@pytest.mark.parametrize(
    ("dims", "groups", "filters"), [(1, 2, 1), (2, 1, 2), (2, 4, 1), (2, 2, 2), (3, 4, 2)]
)
def test_transposed_convolutions_are_scored_by_their_channels(
    dims: int, groups: int, filters: int
) -> None:
    """Members whose index is not the weight's first dim.

    The weights are ``(in, out / groups, ...)``: channel c of group g is ``weight[g's inputs, c]``.
    """
    torch.manual_seed(0)
    shape = (2, 3, *(7, 5, 4)[:dims])
    model, structure = opened(made.Upward(dims, groups, filters), shape)
    check_removal(model, structure)
    group = structure.group("up")
    weight = model.up.weight
    expected = torch.zeros(group.units)
    per_group, inputs = 12 // groups, 8 // groups
    for channel in range(12):
        g, c = divmod(channel, per_group)
        rows = weight[g * inputs : (g + 1) * inputs, c]
        # Channels at the same place of each group are one unit.
        expected[c] += rows.abs().sum()
    found = group_scores(group, producer_scores(group, score_by_l1(model)))
    torch.testing.assert_close(found, expected / expected.mean())

    own = torch.zeros(group.units)
    for channel in range(12):
        own[channel % per_group] += model.depthwise.weight[channel].abs().sum()
    with_filters = group_scores(
        group, producer_scores(group, score_by_l1(model), reduction="filters"), reduction="filters"
    )
    both = (expected / expected.mean() + own / own.mean()) / 2
    torch.testing.assert_close(with_filters, both)


def score_by_l1(model: nn.Module) -> Callable[[str], Tensor]:
    return lambda name: scores("l1", layer_data(model, name), level="channel")


def test_filters_of_depthwise_convolutions_count_where_that_is_asked() -> None:
    """By default they do not; with `filters` they decide as one layer more."""
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(4 * 36, 5)
    )
    model, structure = opened(model, IMAGE)
    with torch.no_grad():
        for channel in range(4):
            model[0].weight[channel] = channel + 1
            model[1].weight[channel] = (4 - channel) ** 2
    group = structure.group("0")
    usual = group_scores(group, producer_scores(group, score_by_l1(model)))
    assert usual.argsort().tolist() == [0, 1, 2, 3]
    with_filters = group_scores(
        group, producer_scores(group, score_by_l1(model), reduction="filters"), reduction="filters"
    )
    assert with_filters.tolist() == pytest.approx(
        [(k / 2.5 + (5 - k) ** 2 / 7.5) / 2 for k in (1, 2, 3, 4)]
    )


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*spectral_norm.*:FutureWarning")
@pytest.mark.parametrize("how", made.Computed.LAYERS)
def test_weights_that_are_computed_are_not_scored(how: str) -> None:
    """Parametrizations: the group is named, and the others are as ever."""
    torch.manual_seed(0)
    model, structure = opened(made.Computed(how), IMAGE)
    kept = {group.layer: group.kept_whole for group in structure.groups}
    assert kept["first"]
    assert "\n" not in kept["first"]
    assert not kept["second"]
    assert not kept["fc"]
    check_removal(model, structure)


def test_a_weight_that_makes_channels_along_its_columns_is_not_scored_by_its_rows() -> None:
    """A square weight used transposed had the scores of the wrong dim."""
    model, structure = opened(made.TiedTranspose(), TOKENS)
    rows = {group.id: [item.layer for item in group.rows] for group in structure.groups}
    assert rows == {"enter": ["enter"], "shared": ["shared"], "out": ["out"]}
    # Its columns make channels of the first group, its rows those of the second.
    producers = {(item.name, item.dim) for item in structure.group("enter").producers}
    assert producers == {("enter.weight", 0), ("shared.weight", 1)}
    check_removal(model, structure)


def slow_statistics(
    model: nn.Module, layer: str, batches: list[tuple[Tensor, Tensor]]
) -> dict[str, Tensor]:
    """Sample by sample, with a ReLU of its own behind each call of the layer."""
    module = model.get_submodule(layer)
    gates, squares, zeros, rows = [], 0.0, 0.0, 0
    for inputs, labels in batches:
        for sample in range(len(inputs)):
            values: list[Tensor] = []

            def hook(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
                value = output.relu().requires_grad_(True)
                value.retain_grad()
                values.append(value)  # noqa: B023 (called within this turn)
                return value

            handle = module.register_forward_hook(hook)
            one = slice(sample, sample + 1)
            with torch.enable_grad():
                F.cross_entropy(model(inputs[one]), labels[one]).backward()
            handle.remove()
            width = values[0].shape[-1]
            parts = [(item.grad * item.detach()).reshape(-1, width).sum(0) for item in values]
            gates.append(torch.stack(parts).sum(0))
            for item in values:
                flat = item.detach().reshape(-1, width)
                squares = squares + flat.square().sum(0)
                zeros = zeros + (flat == 0).float().sum(0)
                rows += len(flat)
    return {
        "gate_gradients": torch.stack(gates),
        "activation_square": squares / rows,
        "activation_zeros": zeros / rows,
    }


@pytest.mark.parametrize(
    ("model", "layer", "reader"),
    [
        (made.Encoder(batch_first=True), "encoder.layers.1.linear1", "encoder.layers.1.linear2"),
        (made.Encoder(batch_first=False), "encoder.layers.1.linear1", "encoder.layers.1.linear2"),
        (made.Folded(), "wide", "back"),
    ],
)
def test_statistics_are_those_of_single_samples(model: nn.Module, layer: str, reader: str) -> None:
    """Samples along other dims, several rows of a sample, several calls."""
    torch.manual_seed(0)
    model = randomize(copy.deepcopy(model))
    generator = torch.Generator().manual_seed(1)
    inputs, labels = torch.randn(9, 6, 5, generator=generator), torch.arange(9) % 4
    batches = [(inputs[:5], labels[:5]), (inputs[5:], labels[5:])]
    expected = slow_statistics(model, layer, batches)
    needs = frozenset(expected)
    for samples in (None, 3):
        found = collect(model, batches, layers=[layer], needs=needs, max_samples=samples)
        for name, value in expected.items():
            torch.testing.assert_close(
                found.layers[layer][name], value, rtol=1e-3, atol=1e-6, msg=name
            )
    gates = input_gate_gradients(model, batches, layers=[reader])[reader]
    torch.testing.assert_close(gates, expected["gate_gradients"], rtol=1e-3, atol=1e-6)
