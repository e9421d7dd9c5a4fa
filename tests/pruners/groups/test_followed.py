"""Forms of operators that users' networks have: their channels go, and their cost counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruners.capture import capture, named_state
from pruners.groups import (
    CostModel,
    Group,
    Structure,
    WholeCost,
    consumer_edit,
    difference,
    find_structure,
    remove,
)
from tests.helpers.topologies import randomize
from tests.helpers.user_models import AsData

HEADS, WIDTH, TOKENS = 3, 4, 6
SIZE = HEADS * WIDTH
Attend = Callable[["Attention", Tensor, Tensor, Tensor], Tensor]


def plain(model: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value)


def scaled(model: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Channels of each head are multiplied by numbers of the code."""
    by_channel = torch.tensor([1.0, 0.5, 2.0, 0.3])
    return plain(model, query * by_channel, key * by_channel, value)


def turned(model: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """All channels of a head are rotated, so that nothing is left of those that are not."""

    def rotate(x: Tensor) -> Tensor:
        angles = torch.arange(x.shape[2])[:, None] * torch.tensor([1.0, 0.1]).repeat(2)
        first, rest = x[..., :WIDTH], x[..., WIDTH:]
        one, two = first.chunk(2, -1)
        other = torch.cat([-two, one], -1)
        return torch.cat([first * angles.cos() + other * angles.sin(), rest], -1)

    return plain(model, rotate(query), rotate(key), value)


def by_table(model: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Positions are looked up with gather, as GPT-J looks up its rotations."""
    places = torch.arange(query.shape[2])[None, :, None].expand(query.shape[0], -1, WIDTH)
    rows = torch.gather(model.table.expand(query.shape[0], -1, -1), 1, places)
    return plain(model, query * rows[:, None], key * rows[:, None], value)


def relative(model: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scores are gathered by distance, as in DeBERTa."""
    tokens = query.shape[2]
    apart = (torch.arange(tokens)[:, None] - torch.arange(tokens)[None]) % tokens
    scores = query @ key.mT
    scores = scores + torch.gather(scores, -1, apart.expand(query.shape[0], HEADS, -1, -1))
    return scores.softmax(-1) @ value


def bounded(model: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scores are at least a number of the code, by `torch.max` of two, as XGLM's are."""
    scores = torch.max((query @ key.mT).flatten(0, 1), torch.tensor(-9.0)).softmax(-1)
    return torch.bmm(scores, value.flatten(0, 1)).unflatten(0, (-1, HEADS))


def added(model: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Products of all heads at once with a mask added, as BLOOM's."""
    query, key, value = (item.flatten(0, 1) for item in (query, key, value))
    mask = torch.linspace(0, 1, query.shape[1])[None, None]
    weights = torch.baddbmm(mask, query, key.mT, beta=1.0, alpha=0.5).softmax(-1)
    return (weights @ value).unflatten(0, (-1, HEADS))


def linear(model: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Linear attention: each head's values get a one, for the sum, as EfficientViT's."""
    query, key = query.relu(), key.relu()
    value = F.pad(value, (0, 1), value=1.0)
    found = query @ (key.mT @ value)
    return found[..., :-1] / (found[..., -1:] + 1.0)


class Attention(nn.Module):
    def __init__(self, attend: Attend) -> None:
        super().__init__()
        self.attend = attend
        self.qkv, self.out = nn.Linear(5, 3 * SIZE), nn.Linear(SIZE, 4)
        self.table = nn.Parameter(torch.randn(2 * TOKENS, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv(x).chunk(3, -1)
        heads = [item.unflatten(-1, (HEADS, WIDTH)).transpose(1, 2) for item in parts]
        found = self.attend(self, *heads).transpose(1, 2).flatten(2)
        return self.out(found).mean(1)


class ByNumber(nn.Module):
    """Keys and values lie behind the queries of each group, and are taken by a list (Falcon)."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(5, HEADS * 4 * WIDTH), nn.Linear(HEADS * 2 * WIDTH, 4)

    def forward(self, x: Tensor) -> Tensor:
        all_heads = self.qkv(x).unflatten(-1, (HEADS, 4, WIDTH))
        query, key, value = all_heads[..., :-2, :], all_heads[..., [-2], :], all_heads[..., [-1], :]
        key, value = (item.expand_as(query) for item in (key, value))
        heads = [item.flatten(2, 3).transpose(1, 2) for item in (query, key, value)]
        return self.out(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)).mean(1)


class Windows(nn.Module):
    """Windows are cut out, weighted and put back (VOLO, ConvBERT); aliases of operators."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 5, 1)
        self.out = nn.Linear(5 * 9, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = torch.multiply(x, torch.sigmoid(torch.negative(x)))
        x = F.fold(F.unfold(x, 3, padding=1), x.shape[2:], 3, padding=1)
        x = F.unfold(torch.subtract(self.middle(x), 0.5), 3)
        return self.out(x.mT).mean(1)


def opened(model: nn.Module, example: Tensor) -> tuple[nn.Module, Structure]:
    randomize(model.eval())
    return model, find_structure(model, capture(model, example), example, strict=True)


def check(model: nn.Module, structure: Structure, group: Group) -> None:
    """What is removed is what is masked by hand, for other numbers of samples as well."""
    kept = [unit for unit in range(group.units) if unit != 1]
    smaller = remove(model, structure, {group.id: kept})
    gone = torch.zeros(group.units, dtype=torch.bool)
    gone[1] = True
    before = {name: item.clone() for name, item in named_state(model).items()}
    edit = consumer_edit(group, gone, before)
    with torch.no_grad():
        for inputs in (structure.example, torch.cat([structure.example] * 2)):
            for name, tensor in edit.items():
                named_state(model)[name].copy_(tensor)
            masked = model(inputs)
            for name in edit:
                named_state(model)[name].copy_(before[name])
            assert difference(smaller(inputs), masked) < 1e-5
    predicted = CostModel(structure).predict({group.id: kept})
    assert predicted == WholeCost(smaller, structure.example).dense


@pytest.mark.parametrize("attend", [scaled, turned, by_table, relative, bounded, added, linear])
def test_heads_go_through_what_attention_is_made_of(attend: Attend) -> None:
    torch.manual_seed(0)
    model, structure = opened(Attention(attend), torch.randn(2, TOKENS, 5))
    assert CostModel(structure).dense == WholeCost(model, structure.example).dense
    group = structure.group("qkv")
    assert (group.units, group.kind, group.prunable) == (HEADS, "head", True), group.reason
    check(model, structure, group)


def test_groups_of_heads_go_whose_keys_are_taken_by_a_list() -> None:
    torch.manual_seed(0)
    model, structure = opened(ByNumber(), torch.randn(2, TOKENS, 5))
    groups = [group for group in structure.groups if group.prunable]
    assert [(group.units, group.kind) for group in groups] == [(HEADS, "head")]
    check(model, structure, groups[0])


def test_channels_go_through_windows() -> None:
    torch.manual_seed(0)
    model, structure = opened(Windows(), torch.randn(2, 3, 5, 5))
    groups = {group.id: group.units for group in structure.groups if group.prunable}
    assert groups == {"first": 6, "middle": 5}
    for name in groups:
        check(model, structure, structure.group(name))


class Patches(nn.Module):
    """Tokens with an embedding of their own, flattened with their channels (PatchTST)."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.embed = how, nn.Linear(5, 8)
        self.place = nn.Parameter(torch.randn(TOKENS + 3, 8))
        self.out = nn.Linear(TOKENS * 8, 4)

    def forward(self, x: Tensor) -> Tensor:
        place = self.place[:TOKENS]
        if self.how == "by number":  # As the decoder of Whisper and many a transformer do.
            place = self.place[torch.arange(TOKENS).repeat(x.shape[0], 1)]
        return self.out((self.embed(x) + place).flatten(1))


@pytest.mark.parametrize("how", ["cut", "by number"])
def test_channels_go_that_are_flattened_with_tokens_that_stay(how: str) -> None:
    """All channels were one unit: tokens were tied to what is read beside them."""
    torch.manual_seed(0)
    model, structure = opened(Patches(how), torch.randn(2, TOKENS, 5))
    group = structure.group("embed")
    assert (group.units, group.kind, group.prunable) == (8, "channel", True), group.reason
    check(model, structure, group)


class OneHead(nn.Module):
    """Attention over pixels by one head, as in many a GAN."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 4, 1)
        self.query, self.key, self.value = (nn.Conv2d(6, size, 1) for size in (2, 2, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        query, key, value = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))
        weights = torch.softmax(query.transpose(1, 2) @ key, -1)
        return self.out((value @ weights.transpose(1, 2)).view_as(x) + x).mean((2, 3))


def test_channels_that_a_single_head_weighs_are_no_heads() -> None:
    """They are weighed each alone; at granularity channel they were not offered."""
    torch.manual_seed(0)
    model, structure = opened(OneHead(), torch.randn(2, 3, 4, 4))
    group = structure.group("first")
    assert {"first.weight", "value.weight"} <= {member.name for member in group.producers}
    assert (group.units, group.kind, group.prunable) == (6, "channel", True), group.reason
    check(model, structure, group)
    assert not structure.group("query").prunable


class Fields(nn.Module):
    """Convolutions over the columns of tables, one product of two fields each (xDeepFM)."""

    def __init__(self, *, transposed: bool) -> None:
        super().__init__()
        kind = nn.ConvTranspose1d if transposed else nn.Conv1d
        self.table, self.cross = nn.Embedding(9, 5), kind(16, 6, 1)
        self.out = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.table(x)
        x = (x[:, :, None] * x[:, None]).flatten(1, 2)
        return self.out(torch.relu(self.cross(x)).sum(-1))


@pytest.mark.parametrize("transposed", [False, True])
def test_positions_that_are_channels_of_another_layer_count(transposed: bool) -> None:
    torch.manual_seed(0)
    model, structure = opened(Fields(transposed=transposed), torch.randint(0, 9, (2, 4)))
    costs = CostModel(structure)
    assert costs.dense.macs == 16 * 6 * 5 + 6
    kept = {"table": [0, 3], "cross": range(4)}
    smaller = remove(model, structure, kept)
    assert costs.predict(kept) == WholeCost(smaller, structure.example).dense
    assert costs.predict(kept).macs == 16 * 4 * 2 + 4


class Unfollowed(nn.Module):
    """Multiplies in forms that channels are not followed through."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 4)
        self.weight = nn.Parameter(torch.randn(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.how == "three":
            x = torch.einsum("btc,cd,de->bte", x, self.weight, self.weight)
        elif self.how == "ellipsis":
            x = torch.einsum("...c,cd->...d", x, self.weight)
        elif self.how == "bmm":
            x = torch.addbmm(self.weight[:TOKENS], x.mT[:, :TOKENS], x)[None] + x
        else:
            x = F.conv2d(x[:, None], self.weight[None, None], padding=4)[:, 0, :TOKENS, :8] + x
        return self.last(x).mean(1)


@pytest.mark.parametrize("how", ["three", "ellipsis", "bmm", "image"])
def test_what_is_not_followed_counts(how: str) -> None:
    """Its multiply-adds were left out of the network's."""
    torch.manual_seed(0)
    model, example = Unfollowed(how).eval(), torch.randn(2, TOKENS, 5)
    structure = find_structure(model, capture(model, example), example)
    assert CostModel(structure).dense == WholeCost(model, example).dense


def test_layers_that_see_as_much_as_the_data_say_count_what_the_example_gives() -> None:
    """They counted one sample, and were said not to be run."""
    torch.manual_seed(0)
    model, example = AsData().eval(), torch.randn(3, 5).repeat(2, 1)
    example[3:] *= -1  # Each expert gets half of the samples.
    nn.init.zeros_(model.first.bias)
    structure = find_structure(model, capture(model, example), example)
    costs = CostModel(structure)
    assert costs.dense == WholeCost(model, example).dense
    assert {layer.name for layer in structure.layers} >= {"experts.0", "experts.1"}
    assert costs.layers()["experts.1"] == 32
