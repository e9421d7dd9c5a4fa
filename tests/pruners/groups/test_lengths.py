"""Smaller models that are the captured graph: right for texts of other lengths, or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analysis.interop.formats.script import write_script
from pruners.batches import Lengths
from pruners.capture import capture
from pruners.groups import difference, edited_outputs, find_structure
from pruners.groups.removal import removed_graph
from tests.analysis.interop.test_script import loaded

CLOSE = 1e-4


class Text(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.up, self.down = nn.Embedding(9, 4), nn.Linear(4, 6), nn.Linear(6, 4)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.relu(self.up(self.read(x))))

    def read(self, x: Tensor) -> Tensor:
        return self.table(x)


class LongDoubled(Text):
    def read(self, x: Tensor) -> Tensor:
        return self.table(x) * (2 if x.shape[1] > 5 else 1)


class ShortDoubled(Text):
    def read(self, x: Tensor) -> Tensor:
        return self.table(x) * (2 if 3 < x.shape[1] < 12 else 1)


class ThirdsDoubled(Text):
    def read(self, x: Tensor) -> Tensor:
        return self.table(x) * (2 if x.shape[1] % 3 == 0 else 1)


class TwoDoubled(Text):
    def read(self, x: Tensor) -> Tensor:
        return self.table(x) * (2 if x.shape[1] in (4, 12) else 1)


class StepByStep(Text):
    def read(self, x: Tensor) -> Tensor:
        hidden = torch.zeros(x.shape[0], 4)
        found = []
        for token in self.table(x).unbind(1):
            hidden = torch.tanh(hidden + token)
            found.append(hidden)
        return torch.stack(found, 1)


@pytest.mark.parametrize(
    ("kind", "lengths", "words"),
    [
        (Text, None, ""),
        (LongDoubled, (6, None), "6 tokens or more"),
        (ShortDoubled, (4, 11), "4 to 11 tokens"),
        # Every third length would do; only those next to one another are told.
        (ThirdsDoubled, (9, 9), "9 tokens"),
        # Single lengths on both sides, beyond which all is as here again.
        (TwoDoubled, (5, 11), "5 to 11 tokens"),
        (StepByStep, (9, 9), "9 tokens"),
    ],
)
def test_what_hangs_on_the_length_is_refused_in_one_line(
    kind: type[Text], lengths: Lengths | None, words: str, tmp_path: Path
) -> None:
    """A graph keeps one side of an ``if``: it gave wrong numbers for the other side's lengths."""
    model, example = kind(), torch.randint(9, (3, 9))
    graph = capture(model, example)
    assert list(graph.lengths.values()) == ([] if lengths is None else [lengths])
    structure = find_structure(model, graph, example)
    kept = {"up": [0, 1, 2, 4, 5]}
    smaller = removed_graph(model, structure, kept)
    rebuilt = loaded(write_script(smaller.eval(), example, tmp_path)[0])
    low, high = lengths or (1, None)
    for length in (1, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 300):
        inputs = torch.randint(9, (2, length))
        if low <= length <= (high or length):
            with torch.no_grad():
                expected = edited_outputs(model, replace(structure, example=inputs), kept)
                assert difference(smaller(inputs), expected) < CLOSE
                assert difference(rebuilt(inputs), expected) < CLOSE
            continue
        with pytest.raises(RuntimeError) as told:
            smaller(inputs)
        assert str(told.value) == f"this smaller model takes texts of {words}"
        with pytest.raises(ValueError, match=f"takes {words} a sample"):
            rebuilt(inputs)


class Padded(Text):
    """Fills texts up to a multiple of four, as models do that read in chunks (Mamba 2)."""

    def read(self, x: Tensor) -> Tensor:
        x = self.table(x)
        missing = (4 - x.shape[1] % 4) % 4
        return F.pad(x, (0, 0, 0, missing)).unflatten(1, (-1, 4)).flatten(1, 2)[:, : x.shape[1]]


def test_lengths_for_which_sizes_cannot_be_computed_do_not_hold() -> None:
    """They ended in an AssertionError of the library that computes sizes."""
    model, example = Padded(), torch.randint(0, 9, (2, 7))
    graph = capture(model, example)
    structure = find_structure(model, graph, example)
    group = structure.group("up")
    kept = {"up": list(range(1, group.units))}
    smaller = removed_graph(model, structure, kept)
    ((low, high),) = graph.lengths.values()
    assert (low, high) == (5, 7)
    for tokens in range(low, high + 1):
        inputs = torch.randint(0, 9, (2, tokens))
        expected = edited_outputs(model, replace(structure, example=inputs), kept)
        assert difference(smaller(inputs), expected) < CLOSE
