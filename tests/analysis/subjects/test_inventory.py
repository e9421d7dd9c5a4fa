"""The inventory is what `prunescope inspect` prints."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from analysis.records import Inventory
from analysis.subjects.overview import inventory
from sample_models.architectures import ARCHITECTURES
from tests.helpers.topologies import build_topology


@dataclass(frozen=True)
class Subject:
    model: nn.Module
    example: Tensor


def subject(name: str) -> Subject:
    return Subject(ARCHITECTURES[name]().eval(), torch.randn(2, 1, 28, 28))


def test_contract_of_the_json_object() -> None:
    found = inventory(subject("resnet20")).to_dict()
    assert {"params", "macs", "layers", "groups"} <= set(found)
    layer_keys = {
        "name", "type", "params", "macs", "output_shape", "group", "prunable", "reason",
        "kept_in_part",
    }  # fmt: skip
    assert all(set(row) == layer_keys for row in found["layers"])
    assert all(
        {"id", "members", "channels", "prunable", "reason"} <= set(g) for g in found["groups"]
    )
    assert all(set(m) == {"name", "dim", "role"} for g in found["groups"] for m in g["members"])
    assert Inventory.from_dict(found).to_dict() == found


def test_numbers_of_known_layers() -> None:
    found = inventory(subject("lenet5"))
    rows = {row.name: row for row in found.layers}
    assert rows["conv1"].macs == 6 * 25 * 28 * 28
    assert rows["conv1"].params == 6 * 25 + 6
    assert rows["conv1"].output_shape == (6, 28, 28)
    assert rows["fc1"].output_shape == (120,)
    assert (rows["fc3"].prunable, rows["fc3"].reason) == (False, "is the network's output")
    assert sum(row.params for row in found.layers) == found.params == 61706


def test_every_layer_of_a_group_names_it() -> None:
    found = inventory(subject("mobilenet_small"))
    rows = {row.name: row for row in found.layers}
    assert rows["blocks.0.depthwise"].group == rows["blocks.0.expand"].group == "blocks.0.expand"
    assert all(row.prunable or row.reason for row in found.layers)


class HalfAnswer(nn.Module):
    """Half of the first layer's channels are the network's output as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.second = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        answer, rest = self.first(x).split(4, 1)
        return answer + self.second(rest.relu())[:, :4]


def test_a_layer_half_of_which_stays_says_so() -> None:
    """It was called prunable without a word."""
    rows = inventory(Subject(HalfAnswer().eval(), torch.randn(2, 6))).layers
    first = next(row for row in rows if row.name == "first")
    assert first.prunable
    assert first.kept_in_part == "4 of 8 channels stay: is the network's output"
    whole = inventory(subject("lenet5")).layers
    assert all(not row.kept_in_part for row in whole)


def test_layers_that_the_output_does_not_depend_on_are_listed() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used = nn.Linear(4, 3)
            self.unread = nn.Linear(4, 3)
            self.idle = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            self.unread(x)
            return self.used(x)

    found = inventory(Subject(Idle().eval(), torch.randn(2, 4)))
    assert [layer.name for layer in found.layers[1:]] == ["unread", "idle"]
    for layer in found.layers[1:]:
        assert (layer.reason, layer.macs) == ("the output does not depend on it", 0)


def test_refused_capture_keeps_the_layers() -> None:
    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.out = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x).mean((2, 3))
            return self.out(x if float(x.sum()) > 0 else -x)

    found = inventory(Subject(Branch().eval(), torch.randn(2, 3, 8, 8)))
    assert "torch.export cannot capture Branch" in found.capture_error
    assert not found.groups
    row = found.layers[0]
    assert (row.name, row.macs, row.output_shape) == ("conv", 4 * 27 * 36, (4, 6, 6))
    assert (row.prunable, found.macs) == (False, 4 * 27 * 36 + 8)


@pytest.mark.parametrize("name", ["attention", "group_normed", "untraced"])
def test_what_does_not_hold_is_visible(name: str) -> None:
    model, example = build_topology(name)
    found = inventory(Subject(model, example))
    assert any(not group.exact and group.note for group in found.groups if group.prunable) or any(
        "not supported" in group.reason for group in found.groups
    )


def test_a_head_that_is_tied_to_the_embedding_is_run() -> None:
    """SmolLM2's head, a fifth of its multiply-adds, was said not to be run."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(9, 4)
            self.inner = nn.Linear(4, 4)
            self.head = nn.Linear(4, 9, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, tokens: Tensor) -> Tensor:
            found: Tensor = self.head(self.inner(self.embed(tokens)))
            return found

    found = inventory(Subject(Tied().eval(), torch.zeros(2, 5, dtype=torch.int64)))
    rows = {row.name: row for row in found.layers}
    assert rows["head"].reason == "its weight is that of embed, where its multiply-adds are"
    assert rows["embed"].macs == 5 * 4 * 9
    assert sum(row.macs for row in found.layers) == found.macs == 5 * 4 * (4 + 9)
