"""Groups, against gradients, against Torch-Pruning, and on one small model for each mechanism."""

from __future__ import annotations

import functools
import warnings

import pytest
import torch
from torch import Tensor, nn

import sample_models
from pruners.capture import capture
from pruners.errors import UnknownNameError
from pruners.groups.edits import consumer_edit
from pruners.groups.groups import Group, Structure, find_structure
from pruners.groups.removal import remove
from pruners.tracing.labels import Labels, compact, support
from pruners.tracing.trace import HANDLERS
from sample_models.architectures import ARCHITECTURES
from tests.helpers.casts import CASTS
from tests.helpers.dead_positions import reference_influence
from tests.helpers.oddities import ODDITIES
from tests.helpers.topologies import TOPOLOGIES, build_topology, randomize

SAMPLES = sample_models.names(data="fashion-mnist")
MODELS = (*TOPOLOGIES, *ODDITIES, *CASTS, *SAMPLES)


@functools.cache
def traced(name: str) -> tuple[nn.Module, Tensor, Structure]:
    if name not in SAMPLES:
        model, example = build_topology(name)
    else:
        torch.manual_seed(0)
        model, example = randomize(ARCHITECTURES[name]()), torch.randn(2, 1, 28, 28)
    return model, example, find_structure(model, capture(model, example), example)


def prunable(structure: Structure) -> list[Group]:
    return [group for group in structure.groups if group.prunable]


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_never_prunable(name: str) -> None:
    model, example, structure = traced(name)
    last = structure.groups[-1]
    assert not last.prunable
    assert last.units == model(example).shape[1]
    assert last.reason == "is the network's output"


@pytest.mark.parametrize("name", MODELS)
def test_every_group_lists_members_that_exist(name: str) -> None:
    model, _, structure = traced(name)
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    assert len({group.id for group in structure.groups}) == len(structure.groups)
    for group in structure.groups:
        assert group.producers
        assert bool(group.reason) == (not group.prunable)
        assert bool(group.note) == (not group.exact)
        for member in group.members:
            assert member.index.shape == (state[member.name].shape[member.dim],)
            covered = member.index[member.index >= 0].unique()
            assert torch.equal(covered, torch.arange(group.units))


@pytest.mark.parametrize("name", MODELS)
def test_members_are_what_the_gradient_says(name: str) -> None:
    """Removing units leaves exactly the members' positions without influence on the outputs.

    Consumers' columns still have a gradient, since the channel is still computed. Positions that
    hardly matter anyway (the bias of attention keys) are left out.
    """
    model, example, structure = traced(name)
    inputs = torch.randn(6, *example.shape[1:], generator=torch.Generator().manual_seed(5))
    dense = reference_influence(model, inputs, {})
    state = dict(model.named_parameters())
    generator = torch.Generator().manual_seed(1)
    for group in [item for item in prunable(structure) if item.exact][:3]:
        removed = torch.zeros(group.units, dtype=torch.bool)
        removed[torch.randperm(group.units, generator=generator)[: group.units // 2]] = True
        left = reference_influence(model, inputs, consumer_edit(group, removed, state))
        expected = {item: torch.zeros_like(old, dtype=torch.bool) for item, old in dense.items()}
        for member in group.members:
            if member.role != "consumer" and member.name in expected:
                lost = (member.index >= 0) & removed[member.index.clamp_min(0)]
                expected[member.name].movedim(member.dim, 0)[lost] = True
        readers = {member.name for member in group.consumers}
        for item, influence in left.items():
            matters = dense[item] > 1e-6
            dead = influence == 0
            assert not bool((dead & ~expected[item] & matters).any()), f"{group.id}: {item}"
            if item not in readers:
                assert bool(dead[expected[item]].all()), f"{group.id}: {item}"


def units(structure: Structure) -> dict[str, int]:
    return {group.id: group.units for group in prunable(structure)}


def roles(group: Group) -> set[tuple[str, int, str]]:
    return {(member.name, member.dim, member.role) for member in group.members}


def test_flatten_gives_each_channel_its_columns() -> None:
    group = traced("flattened")[2].group("conv")
    columns = group.consumers[0]
    assert columns.name == "fc1.weight"
    assert torch.equal(columns.index, torch.arange(8).repeat_interleave(9))


def test_residual_sums_are_one_group() -> None:
    structure = traced("resnet20")[2]
    stem = structure.group("conv1")
    producers = {member.layer for member in stem.producers}
    assert producers == {"conv1", *(f"layer1.{block}.conv2" for block in range(3))}
    assert structure.of_layer("layer1.1.conv2") == (stem,)


def test_depthwise_follows_its_producer_and_groups_tie() -> None:
    structure = traced("grouped")[2]
    assert units(structure) == {"stem": 4, "grouped": 8}
    assert ("depthwise.weight", 0, "depthwise") in roles(structure.group("grouped"))
    counts = structure.group("stem").producers[0].index.reshape(3, 4)
    assert bool((counts == counts[0]).all())


def test_concatenation_has_offsets() -> None:
    structure = traced("concatenated")[2]
    assert units(structure) == {"a": 6, "b": 10, "squeeze": 4}
    column = next(m for m in structure.group("b").consumers if m.name == "c.weight")
    assert torch.equal(column.index, torch.cat([torch.full((6,), -1), torch.arange(10)]))


def test_pieces_of_a_split_are_groups_of_their_own() -> None:
    structure = traced("split")[2]
    assert units(structure) == {"stem": 4, "stem#2": 8, "one": 6}
    assert structure.group("stem#2").layer == "stem"


def test_shared_weights_tie_what_they_make_and_read() -> None:
    structure = traced("shared")[2]
    assert units(structure) == {"enter": 8, "up": 10, "weight": 7}
    assert {("twice.weight", 0, "producer"), ("twice.weight", 1, "consumer")} <= roles(
        structure.group("enter")
    )
    assert ("scale", 0, "parameter") in roles(structure.group("weight"))


def test_pixel_shuffle_ties_its_squares() -> None:
    wide = traced("transposed")[2].group("wide")
    assert torch.equal(wide.producers[0].index, torch.arange(3).repeat_interleave(4))


def test_heads_go_as_a_whole_with_their_position_biases() -> None:
    structure = traced("attention")[2]
    group = structure.group("query")
    assert (group.kind, group.units) == ("head", 4)
    assert ("table", 1, "parameter") in roles(group)
    assert {member.layer for member in group.producers} == {"query", "key", "value"}
    assert ("query_norm.weight", 0, "norm") not in roles(group)
    embed = structure.group("embed")
    assert ("token", 2, "parameter") in roles(embed)
    assert ("position", 2, "parameter") in roles(embed)


def test_fused_projection_has_three_rows_of_heads() -> None:
    group = traced("multi_head")[2].group("attention")
    assert (group.kind, group.units) == ("head", 4)
    assert torch.equal(group.producers[0].index, torch.arange(4).repeat_interleave(4).repeat(3))


def test_token_mixing_leaves_the_channels_free() -> None:
    structure = traced("mixer")[2]
    assert units(structure) == {"embed": 8, "tokens1": 10, "wide": 12}
    assert not structure.group("tokens2").prunable


@pytest.mark.parametrize(
    ("name", "inexact"),
    [
        ("group_normed", {"stem": "group_norm", "next": "layer_norm"}),
        ("standardized", {"stem": "batch_norm", "conv": "mean"}),
        ("vit_tiny", {"patch_embed": "layer_norm"}),
    ],
)
def test_mixed_channels_are_marked(name: str, inexact: dict[str, str]) -> None:
    structure = traced(name)[2]
    found = {group.id: group.note for group in prunable(structure) if not group.exact}
    assert set(found) == set(inexact)
    for group_id, operator in inexact.items():
        assert operator in found[group_id]


def test_group_norm_keeps_equal_counts() -> None:
    index = traced("group_normed")[2].group("stem").producers[0].index
    assert torch.equal(index, torch.arange(4).repeat(2))


def test_unknown_operator_is_named_and_the_rest_is_found() -> None:
    structure = traced("untraced")[2]
    assert structure.group("first").prunable
    assert structure.group("second").reason == "operator sort is not supported"


def test_padded_channels_stay() -> None:
    structure = traced("baked_in")[2]
    groups = structure.of_layer("next")
    assert any("fixed number of channels" in group.reason for group in groups)


@pytest.mark.parametrize(
    ("name", "layer", "reason"),
    [
        ("parametrized", "spectral", "layer 'spectral' computes its weight from other parameters"),
        ("one_key", "shared", "is summed as a whole in scaled_dot_product_attention"),
        ("numbered", "second", "slice takes channels by number"),
        ("numbered", "single", "unbind takes channels by number"),
        ("numbered", "listed", "repeat_interleave repeats by numbers of the code"),
        ("recurrent", "gru", "operator gru of gru is not supported"),
        ("recurrent", "embed", "operator gru of gru is not supported"),
    ],
)
def test_what_cannot_be_removed_is_named(name: str, layer: str, reason: str) -> None:
    structure = traced(name)[2]
    groups = structure.of_layer(layer)
    assert groups
    assert all(reason in group.reason for group in groups)
    assert layer in {item.name for item in structure.layers}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("branches_grouped", {"a": 4, "a#2": 2, "grouped": 3}),
        ("partly_repeated", {"first": 4, "first#2": 4, "second": 6}),
        ("joined_weights", {"embed": 8, "query": 6, "key": 5, "value": 4}),
        ("in_place", {"first": 4, "first#2": 4, "third": 6}),
        ("blurred", {"first": 8, "second": 6, "third": 6}),
        ("gated", {"embed": 8, "wide": 10, "halves": 6}),
        ("parametrized", {"first": 8}),
    ],
)
def test_units_of_one_group_touch_equally_many_positions(
    name: str, expected: dict[str, int]
) -> None:
    structure = traced(name)[2]
    assert units(structure) == expected
    for group in structure.groups:
        for member in group.members:
            counts = torch.bincount(member.index[member.index >= 0])
            assert bool((counts == counts[0]).all()), f"{group.id}: {member.name}"


def test_an_operator_in_a_form_that_is_not_known_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> object:
        raise IndexError("no such dim")

    model, example, _ = traced("flattened")
    monkeypatch.setitem(HANDLERS, "sigmoid", broken)
    structure = find_structure(model, capture(model, example), example)
    assert structure.group("conv").prunable
    assert structure.group("fc1").reason == "sigmoid cannot be followed (IndexError)"


def test_unknown_group_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match="unknown group 'nothing'"):
        traced("flattened")[2].group("nothing")


@pytest.mark.parametrize("name", ["lenet5", "vgg_small", "resnet20", "mobilenet_small"])
def test_groups_are_those_of_torch_pruning(name: str) -> None:
    """The layers whose outputs go together, where Torch-Pruning manages the model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch_pruning as tp

        torch.manual_seed(0)
        model = ARCHITECTURES[name]().eval()
        example = torch.randn(2, 1, 28, 28)
        graph = tp.DependencyGraph().build_dependency(model, example_inputs=example)
        names = {module: item for item, module in model.named_modules()}
        outputs = (tp.prune_conv_out_channels, tp.prune_linear_out_channels)
        expected = set()
        for group in graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]):
            made = {
                names[item.dep.target.module]
                for item in group
                if item.dep.handler in (*outputs, tp.prune_depthwise_conv_out_channels)
            }
            expected.add(frozenset(made))
    structure = traced(name)[2]
    found = {
        frozenset(m.layer for m in group.members if m.role in ("producer", "depthwise"))
        for group in structure.groups
    }
    assert found == expected


class OnePair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.fc = nn.Linear(3, 4), nn.Linear(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.nn.functional.glu(self.first(x)[:, :2]))


def test_the_halves_of_one_gate_stay_together() -> None:
    """Seed 10479 of the generator: halves of one channel each passed for a repeated one."""
    model, example = OnePair().eval(), torch.randn(2, 3)
    structure = find_structure(model, capture(model, example), example)
    units = {group.id: group.units for group in structure.groups if group.prunable}
    # What the gate never reads may go; of the gate's one pair nothing may.
    assert units == {"first#2": 2}
    smaller = remove(model, structure, {"first#2": range(1)})
    assert torch.equal(smaller(example), model(example))


def test_labels_are_united_transitively() -> None:
    labels = Labels()
    first, second, third = (labels.of(name, 0, 4) for name in "abc")
    labels.unite(first, second.flip(0))
    labels.unite(second, third)
    root = labels.components()
    assert torch.equal(root[first], torch.arange(4))
    assert torch.equal(root[third], torch.arange(4).flip(0))


@pytest.mark.parametrize("seed", range(5))
def test_components_are_those_of_a_slow_union_find(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = Labels()
    line = labels.of("a", 0, 200)
    pairs = torch.randint(0, 200, (2, 120), generator=generator)
    labels.unite(line[pairs[0]], line[pairs[1]])
    parent = list(range(200))

    def reference_find(item: int) -> int:
        while parent[item] != item:
            item = parent[item]
        return item

    for one, two in pairs.T.tolist():
        low, high = sorted((reference_find(one), reference_find(two)))
        parent[high] = low
    assert labels.components().tolist() == [reference_find(item) for item in range(200)]


def test_compact_planes_expand_what_does_not_change() -> None:
    plane = compact(torch.arange(3).reshape(1, 3, 1).expand(2, 3, 4).clone())
    assert plane.shape == (2, 3, 4)
    assert support(plane) == {1}
