"""Branches and layers that are left out: found, zeroed, removed, counted, and block influence."""

from __future__ import annotations

import copy
import itertools
import math
import warnings
from collections import OrderedDict
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from pruners.capture import capture, named_state
from pruners.errors import UnknownNameError, UnsupportedError
from pruners.groups import (
    CostModel,
    Structure,
    WholeCost,
    block_influence,
    difference,
    find_structure,
    remove,
)
from pruners.groups.edits import apply_edit, consumer_edit
from sample_models.architectures import ARCHITECTURES
from tests.helpers.hugging_face import MODELS, build
from tests.helpers.topologies import randomize


class Block(nn.Module):
    """A pre-norm branch of a linear layer, as small as can be."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.linear(self.norm(x))


class Deep(nn.Module):
    """Three blocks and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x).mean(1)


def case(name: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    if name in ("resnet20", "vit_tiny"):
        return randomize(ARCHITECTURES[name]()), torch.randn(2, 1, 28, 28)
    if name == "llama_tiny":
        model = randomize(ARCHITECTURES[name]())
        return model, torch.randint(0, 60, (2, 9))
    if name == "deep":
        return Deep().eval(), torch.randn(3, 5, 6)
    return build(name)


def traced(name: str) -> tuple[nn.Module, Structure, Tensor]:
    model, example = case(name)
    return model, find_structure(model, capture(model, example), example), example


# How many branches and layers there are.
DEPTH = {"resnet20": (7, 7), "vit_tiny": (10, 5), "llama_tied": (2, 1), "bert": (2, 1)}


@pytest.mark.parametrize("name", DEPTH)
def test_zeroed_branches_are_removed_ones(name: str) -> None:
    """A branch, and a layer; what is left is as small as was predicted."""
    model, structure, example = traced(name)
    kinds = [group.kind for group in structure.depth]
    assert (kinds.count("branch"), kinds.count("layer")) == DEPTH[name]
    costs = CostModel(structure)
    shapes = {key: tuple(item.shape) for key, item in model.state_dict().items()}
    for lost in (structure.depth[kinds.count("branch") - 1], structure.depth[-1]):
        smaller = remove(model, structure, {lost.id: ()})
        assert type(smaller) is type(model), lost.id
        masked = copy.deepcopy(model)
        apply_edit(masked, consumer_edit(lost, torch.tensor([True]), named_state(model)))
        with torch.no_grad():
            # Token ids: also other numbers of them than were captured.
            longer = MODELS[name].example(samples=2, tokens=13) if name in MODELS else example
            for inputs in (example, longer):
                assert difference(smaller(inputs), masked(inputs)) < 1e-5
            assert difference(masked(example), model(example)) > 1e-4
        # Counted by torch in a forward pass.
        assert costs.predict({lost.id: 0}) == WholeCost(smaller, example).dense
        left = costs.shapes(shapes, {lost.id: 0})
        assert sorted(left.values()) == sorted(
            tuple(item.shape) for item in smaller.state_dict().values()
        )
        (saved,) = costs.tensor_parts(shapes, [1] * len(shapes), {lost.id: (0, 1)}).values()
        numbers = sum(map(math.prod, left.values())) - sum(map(math.prod, shapes.values()))
        assert saved.tolist() == [numbers, 0]


def test_a_shorter_model_is_one_without_the_block() -> None:
    """Depth pruning of a ModuleList: equal to deleting the module; influence by hand."""
    model, structure, example = traced("deep")
    assert isinstance(model, Deep)
    layers = [group for group in structure.depth if group.kind == "layer"]
    assert [group.layer for group in layers] == ["blocks.0", "blocks.1", "blocks.2"]
    shorter = copy.deepcopy(model)
    del shorter.blocks[1]
    smaller = remove(model, structure, {"layer:blocks.1": ()})
    with torch.no_grad():
        assert torch.equal(smaller(example), shorter(example))
        states = [example]
        for block in model.blocks:
            states.append(block(states[-1]))
    assert smaller.state_dict().keys() == shorter.state_dict().keys()
    found = block_influence(model, structure, [(example[:2], None), (example[2:], None)])
    for place, (before, after) in enumerate(itertools.pairwise(states)):
        expected = 1 - float(F.cosine_similarity(before, after, dim=-1).mean())
        assert found[f"layer:blocks.{place}"] == pytest.approx(expected, abs=1e-6)
    with pytest.raises(UnknownNameError, match=r"blocks\.7"):
        remove(model, structure, {"layer:blocks.7": ()})


def test_branches_and_channels_go_together() -> None:
    """One removal of both equals both edits, is as small as predicted, and is of its own class."""
    model, structure, example = traced("llama_tiny")
    heads = next(item for item in structure.groups if item.kind == "head" and item.prunable)
    lost = next(item for item in structure.depth if not item.layer.startswith(heads.layer[:8]))
    smaller = remove(model, structure, {heads.id: (0,), lost.id: ()})
    masked, gone = copy.deepcopy(model), torch.ones(heads.units, dtype=torch.bool)
    gone[0] = False
    apply_edit(masked, consumer_edit(heads, gone, named_state(model)))
    apply_edit(masked, consumer_edit(lost, torch.tensor([True]), named_state(model)))
    with torch.no_grad():
        assert difference(smaller(example), masked(example)) < 1e-5
    costs = CostModel(structure)
    assert costs.predict({heads.id: (0,), lost.id: 0}) == WholeCost(smaller, example).dense
    with pytest.raises(UnsupportedError, match="does not add up"):
        costs.parts({heads.id: (1,), lost.id: (0,)})


class Attending(nn.Module):
    """Attention with a table of position biases that it hands on, as T5's first layer has."""

    def __init__(self, table: bool) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(6, 6) for _ in range(4))
        self.table = nn.Embedding(5, 5) if table else None

    def forward(self, x: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        bias = self.table(torch.arange(5)) if self.table is not None else bias
        weights = (self.query(x) @ self.key(x).mT + bias).softmax(-1)
        return self.out(weights @ self.value(x)), bias


class Sharing(nn.Module):
    """Blocks that read the bias that the first one made."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Attending(table=not number) for number in range(2))
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        bias = None
        for block in self.blocks:
            made, bias = block(x, bias)
            x = x + made
        return self.head(x).mean(1)


def residual(count: int, **names: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(names or {str(at): Block() for at in range(count)}))


class InTuple(Block):
    """A branch that returns a tuple of one."""

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.linear(self.norm(x)),)


class Joining(nn.Module):
    """A block whose code joins tuples, as that of some transformers does."""

    def __init__(self) -> None:
        super().__init__()
        self.attend, self.mlp = InTuple(), InTuple()

    def forward(self, x: Tensor) -> Tensor:
        for branch in (self.attend, self.mlp):
            found = branch(x)
            x = (x + found[0], *found[1:])[0]
        return x


class Scaled(nn.Module):
    """A block with a scale of its own, which it may be without."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.scale = nn.Linear(6, 6), nn.Parameter(torch.ones(6))

    def forward(self, x: Tensor) -> Tensor:
        made = self.linear(x)
        return x + made if self.scale is None else x + self.scale * made


class Computing(nn.Module):
    """A block that ends with a layer whose weight, or scale of a norm, is computed or kept."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.linear = how, nn.Linear(6, 6)
        if how == "weight_norm":
            parametrizations.weight_norm(self.linear)
        elif how == "old weight_norm":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.nn.utils.weight_norm(self.linear)
        if "weight_norm" not in how:
            self.bias = nn.Parameter(torch.randn(6))
            self.register_buffer("scale", torch.rand(6))

    def forward(self, x: Tensor) -> Tensor:
        made = self.linear(x.relu())
        if self.how == "one added":
            made = F.layer_norm(made, (6,), 1 + self.bias, self.bias)
        elif self.how == "buffer":
            made = F.layer_norm(made, (6,), cast(Tensor, self.scale), self.bias)
        return x + made


@pytest.mark.parametrize("how", ["weight_norm", "old weight_norm", "one added", "buffer"])
def test_branches_that_end_with_a_computed_weight_are_removed(how: str) -> None:
    """The bias alone was zeroed, and removal ended in an error."""
    torch.manual_seed(0)
    model = nn.Sequential(Computing(how), Computing(how), nn.Linear(6, 4)).eval()
    example = torch.randn(3, 5, 6)
    structure = find_structure(model, capture(model, example), example)
    assert [group.kind for group in structure.depth] == ["branch", "branch", "layer", "layer"]
    for lost in structure.depth:
        assert not lost.exact
        smaller = remove(model, structure, {lost.id: ()})
        left = model[1 - int(lost.layer[0])]
        with torch.no_grad():
            assert difference(smaller(example), model[2](left(example))) < 1e-6
        predicted = CostModel(structure).predict({lost.id: 0})
        assert predicted == WholeCost(smaller, example).dense


def odd(name: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    head = nn.Linear(6, 4)
    models = {
        "named": lambda: residual(0, res0=Block(), res1=Block(), head=head),
        "gaps": lambda: residual(0, **{"1": Block(), "2": Block(), "5": head}),
        "shared bias": Sharing,
        "joining": lambda: nn.Sequential(Joining(), Joining(), head),
        "scaled": lambda: nn.Sequential(Scaled(), Scaled(), head),
    }
    return randomize(models[name]().eval()), torch.randn(3, 5, 6)


@pytest.mark.parametrize("name", ["named", "gaps", "shared bias", "joining", "scaled"])
def test_what_is_left_of_odd_blocks_is_right_and_as_small_as_told(name: str) -> None:
    """Entries with names, counts with gaps; a bias that others read; tuples that the code joins."""
    model, example = odd(name)
    structure = find_structure(model, capture(model, example), example)
    costs = CostModel(structure)
    assert structure.depth
    for lost in structure.depth:
        smaller = remove(model, structure, {lost.id: ()})
        masked = copy.deepcopy(model)
        for layer in ("0.scale", "1.scale") if name == "scaled" else ():
            if layer[0] == lost.layer[0]:
                masked.get_parameter(layer).data.zero_()
        apply_edit(masked, consumer_edit(lost, torch.tensor([True]), named_state(model)))
        with torch.no_grad():
            assert difference(smaller(example), masked(example)) < 1e-5
        assert costs.predict({lost.id: 0}) == WholeCost(smaller, example).dense
        if name != "shared bias":
            assert type(smaller) is type(model)
