"""Branches and blocks that are left out: found, zeroed, removed, scored by block influence."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruners.capture import capture, named_state
from pruners.errors import UnknownNameError
from pruners.groups import difference, find_structure
from pruners.groups.depth import (
    block_influence,
    chosen_branches,
    depth_edit,
    find_branches,
    remove_branches,
)
from pruners.groups.edits import apply_edit
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
    if name == "deep":
        return Deep().eval(), torch.randn(3, 5, 6)
    return build(name)


BRANCHES = {"deep": 3, "resnet20": 7, "vit_tiny": 10, "gpt2": 2, "llama_tied": 2, "bert": 2}


@pytest.mark.parametrize("name", BRANCHES)
def test_zeroed_branches_are_removed_ones(name: str) -> None:
    """Point 5 of issue 14: each branch alone and all of a block; parameters go with it."""
    model, example = case(name)
    structure = find_structure(model, capture(model, example), example)
    branches = find_branches(model, structure)
    assert len(branches) == BRANCHES[name]
    for lost in (branches[-1:], chosen_branches(branches, [branches[0].block])):
        smaller = remove_branches(model, structure, lost)
        masked = copy.deepcopy(model)
        apply_edit(masked, depth_edit(lost, named_state(model)))
        with torch.no_grad():
            # Token ids: also other numbers of them than were captured.
            longer = MODELS[name].example(samples=2, tokens=13) if name in MODELS else example
            for inputs in (example, longer):
                assert difference(smaller(inputs), masked(inputs)) < 1e-5
            assert difference(masked(example), model(example)) > 1e-4
        left = named_state(smaller)
        layers = {layer for branch in lost for layer in branch.layers}
        assert not any(key.rpartition(".")[0] in layers for key in left)
        assert left.keys() < named_state(model).keys()


def test_a_shorter_model_is_one_without_the_block() -> None:
    """Depth pruning of a ModuleList: equal to deleting the module; influence by hand."""
    model, example = case("deep")
    assert isinstance(model, Deep)
    structure = find_structure(model, capture(model, example), example)
    branches = find_branches(model, structure)
    assert [branch.block for branch in branches] == ["blocks.0", "blocks.1", "blocks.2"]
    shorter = copy.deepcopy(model)
    del shorter.blocks[1]
    smaller = remove_branches(model, structure, chosen_branches(branches, ["blocks.1"]))
    with torch.no_grad():
        assert torch.equal(smaller(example), shorter(example))
        states = [example]
        for block in model.blocks:
            states.append(block(states[-1]))
    found = block_influence(model, structure, branches, [(example[:2], None), (example[2:], None)])
    for place, (before, after) in enumerate(itertools.pairwise(states)):
        expected = 1 - float(F.cosine_similarity(before, after, dim=-1).mean())
        assert found[f"blocks.{place}"] == pytest.approx(expected, abs=1e-6)
    with pytest.raises(UnknownNameError, match=r"blocks\.7"):
        chosen_branches(branches, ["blocks.7"])
