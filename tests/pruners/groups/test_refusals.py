"""Models that cannot be captured, and layers that cannot be pruned: the line, and what to do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from pruners.batches import Tensors
from pruners.capture import capture
from pruners.errors import CaptureError
from pruners.groups import find_structure
from pruners.groups.removal import difference, edited_outputs, remove


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.out = nn.Linear(8, 4)

    def features(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x)).mean((2, 3))


class OneSize(Net):
    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.out(x * 2 if len(x) == 50 else x)


class Scaled(Net):
    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.out(x * 2 if x.shape[0] > 25 else x)


class Distances(Net):
    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.out(x) - torch.cdist(x.detach(), self.out.weight)


class Copied(Net):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if x.shape[0] >= 64:  # So do the U-Nets of diffusers.
            x = x.contiguous()
        return self.out(F.relu(x).mean((2, 3)))


class OfTwo(Net):
    def forward(self, inputs: Tensors) -> Tensor:
        x, scale = inputs.parts
        x = self.features(x) * scale
        return self.out(x * 3 if x.shape[0] >= 20 else x)


class ByValue(Net):
    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.out(x if float(x.sum()) > 0 else -x)


class ByNumPy(Net):
    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.out(torch.from_numpy(x.numpy()))


class Windowed(Net):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x.unfold(2, 2, 2).mul_(2)
        return self.out(x.mean((2, 3)))


def test_a_graph_that_gives_other_outputs_is_refused() -> None:
    """torch.export does not notice that this one holds for two samples only.

    Groups, costs and edits of such a graph would be another model's.
    """
    torch.manual_seed(0)
    with pytest.raises(CaptureError, match="its graph does not give the model's own outputs"):
        capture(Windowed().eval(), torch.randn(2, 3, 6, 6))


@pytest.mark.parametrize(
    ("model", "reason", "line"),
    [
        (OneSize, "it takes the number of samples for a constant", "* 2 if len(x) == 50"),
        (Scaled, "for some numbers of samples only: 2 <= batch and batch <= 25", "* 2 if x.shape"),
        (ByValue, "it decides by the values of a tensor", "if float(x.sum()) > 0"),
        (ByNumPy, "RuntimeError: .numpy() is not supported", "torch.from_numpy(x.numpy())"),
    ],
)
def test_the_line_to_blame_is_named(model: Callable[[], nn.Module], reason: str, line: str) -> None:
    """The message ended with what to tell torch's logger."""
    with pytest.raises(CaptureError) as caught:
        capture(model().eval().requires_grad_(False), torch.randn(2, 3, 8, 8))
    text = str(caught.value)
    assert text.startswith(f"torch.export cannot capture {model.__name__}: ")
    assert reason in text
    assert ("; len() makes it one, .shape[0] does not" in text) == (model is OneSize)
    number = next(
        at for at, code in enumerate(Path(__file__).read_text().splitlines(), 1) if line in code
    )
    assert f"(test_refusals.py, line {number}: " in text
    assert line in text
    assert "TORCH_LOGS" not in text
    assert "\n" not in text


def test_of_several_lines_that_ask_for_a_number_of_samples_the_one_that_ends_it_is_named() -> None:
    """The first one says that both inputs have as many."""
    example = Tensors([torch.randn(2, 3, 8, 8), torch.randn(2, 1)])
    with pytest.raises(CaptureError, match=r"batch <= 19 \(.*, line \d+: .*x \* 3 if x.shape"):
        capture(OfTwo().eval(), example)


class InHalves(Net):
    def forward(self, x: Tensor) -> Tensor:
        first, second = self.features(torch.cat([x, x.flip(3)])).chunk(2)  # So does RAFT.
        return self.out(first * second)


def test_what_torch_adds_to_a_number_of_samples_is_left_out() -> None:
    with pytest.raises(CaptureError, match=r"numbers of samples only: .* == 2 .*chunk") as caught:
        capture(InHalves().eval(), torch.randn(2, 3, 8, 8))
    assert "pecialization" not in str(caught.value)
    assert "TORCH_LOGS" not in str(caught.value)


class OfNumbers(nn.Module):
    """Asks for the length of what could be text, and takes the number of samples for a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(9, 4) for _ in range(3))
        self.out = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != 3:
            raise ValueError("three columns")
        columns = [table(x[:, at]) for at, table in enumerate(self.tables)]
        return self.out(torch.cat(columns, 1).reshape(len(x), 12))


def test_a_line_that_asks_for_a_length_is_not_to_blame() -> None:
    with pytest.raises(CaptureError) as caught:
        capture(OfNumbers().eval(), torch.randint(0, 9, (2, 3)))
    assert "reshape(len(x), 12))); len() makes it one, .shape[0] does not" in str(caught.value)


@pytest.mark.parametrize("make", [Copied, Distances])
def test_code_for_many_samples_that_gives_the_same_is_no_reason(make: Callable[[], Net]) -> None:
    """The graph is what torch.export makes of fewer, and has been compared with the model's."""
    torch.manual_seed(0)
    model, example = make().eval(), torch.randn(2, 3, 8, 8)
    graph = capture(model, example)
    for samples in (1, 25, 26, 63, 64, 70):
        inputs = torch.randn(samples, 3, 8, 8)
        with torch.no_grad():
            (found,) = graph.module(*graph.arguments(model, inputs))
            assert difference(found, model(inputs)) < 1e-5
    group = find_structure(model, graph, example).group("conv")
    assert group.prunable == (make is Copied), group.reason


class Centred(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight - weight.mean(0, keepdim=True)


PARAMETRIZE = "torch.nn.utils.parametrize.remove_parametrizations"


def own(layer: nn.Module) -> None:
    parametrize.register_parametrization(layer, "weight", Centred())


@pytest.mark.filterwarnings("ignore:.*is deprecated")
@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (parametrizations.weight_norm, PARAMETRIZE),
        (parametrizations.spectral_norm, PARAMETRIZE),
        (parametrizations.orthogonal, PARAMETRIZE),
        (own, PARAMETRIZE),
        (nn.utils.weight_norm, "torch.nn.utils.remove_weight_norm"),
        (nn.utils.spectral_norm, "torch.nn.utils.remove_spectral_norm"),
    ],
)
def test_computed_weights_are_refused_with_what_to_do(
    change: Callable[[nn.Module], object], remedy: str
) -> None:
    """'operator mv is not supported' for spectral norms, and no word of it."""
    layers = [nn.Conv2d(3, 6, 3), nn.Conv2d(6, 5, 3), nn.Conv2d(5, 4, 1)]
    change(layers[1])
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    model.eval().requires_grad_(False)
    example = torch.randn(2, 3, 8, 8)
    structure = find_structure(model, capture(model, example), example)
    expected = (
        f"layer '1' computes its weight from other parameters; remove the parametrization first "
        f"({remedy})"
    )
    assert structure.group("1").kept_whole == expected
    assert structure.group("0").kept_whole in (expected, "")
    assert structure.group("2").kept_whole == ""


class OfNothing(nn.Module):
    """Appends to what is empty at first, and has a layer that reads none of the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 4)
        with warnings.catch_warnings(action="ignore"):
            self.none = nn.Linear(0, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([torch.empty(0), F.relu(self.first(x))], 1)
        x = F.relu(self.second(x))
        return self.out(x) + self.none(x[:, :0])


def test_tensors_without_elements_cost_channels_only() -> None:
    """By the generator of graphs: an index was out of range."""
    torch.manual_seed(0)
    model, example = OfNothing().eval(), torch.randn(5, 6)
    structure = find_structure(model, capture(model, example), example, strict=True)
    found = {group.id: group for group in structure.groups}
    assert "linear of none reads a tensor without elements" in found.pop("out").reason
    assert found.keys() == {"first", "second"}
    for group in found.values():
        assert group.prunable
        kept = {group.id: range(0, group.units, 2)}
        masked = edited_outputs(model, structure, kept)
        smaller = remove(model, structure, kept, verify=False)
        assert difference(smaller(example), masked) < 1e-5


class Taken(nn.Module):
    """Takes a single channel, a part of one, or nothing of it, and reads what it took by sizes."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.out = nn.Linear({"swapped": 4, "part": 8, "nothing": 4, "squeezed": 4}[how], 4)
        self.none = nn.Parameter(torch.randn(0, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.how == "swapped":
            one, two, rest = x.mean((2, 3)).split([1, 1, 2], 1)
            return cast(Tensor, self.out(torch.cat([two, rest, one], 1)))
        if self.how == "part":
            tokens = x.flatten(1)[:, 16:18].unsqueeze(2).expand(-1, -1, 4)
            return cast(Tensor, self.out(tokens.reshape(-1, 8)))
        if self.how == "nothing":
            rows = x.mean(3).unsqueeze(3)[..., :0] @ self.none
            return cast(Tensor, self.out(rows.mean(2).transpose(1, 2)).mean(1))
        return cast(Tensor, self.out(x.unsqueeze(1).squeeze().mean((2, 3))))


@pytest.mark.parametrize(
    ("how", "frozen"), [("swapped", 2), ("part", 1), ("nothing", 4), ("squeezed", 0)]
)
def test_what_is_taken_out_of_channels_stays(how: str, frozen: int) -> None:
    """Seeds 300464, 300609, 300697 and 300706 of the generator."""
    torch.manual_seed(0)
    model, example = Taken(how).eval(), torch.randn(3, 3, 8, 8)
    structure = find_structure(model, capture(model, example), example, strict=True)
    groups = [group for group in structure.groups if group.layer == "conv"]
    assert sum(group.units for group in groups if not group.prunable) == frozen
    for group in groups:
        if group.prunable:
            kept = {group.id: [0]}
            masked = edited_outputs(model, structure, kept)
            smaller = remove(model, structure, kept, verify=False)
            assert difference(smaller(example), masked) < 1e-5
