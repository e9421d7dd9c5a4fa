"""Convolutions that are run with what follows them, on a stand-in for cuDNN's kernel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.engine.convolutions import can_fuse, fusing
from analysis.engine.program import Program
from pruners.capture import capture


class Net(nn.Module):
    """Convolutions of all kinds, and what may follow them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.expand, self.project = nn.Conv2d(8, 12, 1, bias=False), nn.Conv2d(12, 8, 1)
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.dilated = nn.Conv2d(8, 8, 3, padding=2, dilation=2, bias=False)
        self.strided = nn.Conv2d(8, 8, 1, stride=2)
        self.padded = nn.Conv2d(8, 8, 1, padding=1)
        self.same = nn.Conv2d(8, 8, 3, padding="same")
        self.head = nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        found = self.norm(self.stem(images)).relu()
        found = found + self.project(functional.relu6(self.expand(found)))
        found = functional.relu6(self.depth(found)) + functional.hardtanh(self.dilated(found), 0, 1)
        found = functional.silu(self.same(found)) + functional.hardtanh(self.dilated(found))
        wide = functional.relu6(self.padded(self.strided(found)))
        found = self.strided(found).relu() + wide[..., 1:-1, 1:-1]
        logits: Tensor = self.head(found.mean((2, 3)))
        return logits


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Stand in for cuDNN; return the shapes of the weights that it got."""
    seen = []

    def rectified(
        images: Tensor, weight: Tensor, bias: Tensor | None, *places: tuple[int, int]
    ) -> Tensor:
        seen.append(tuple(weight.shape))
        return functional.conv2d(images, weight, bias, *places).relu()

    monkeypatch.setattr(torch, "cudnn_convolution_relu", rectified)
    return seen


@pytest.mark.parametrize("channels_last", [True, False])
def test_values_are_those_of_the_model(channels_last: bool, kernels: list[tuple[int, ...]]) -> None:
    torch.manual_seed(0)
    model = Net().eval().requires_grad_(False)
    model.norm.running_mean += torch.randn(8)  # type: ignore[operator]
    inputs = torch.randn(3, 3, 16, 16)
    graph = capture(model, inputs[:2])
    tensors = graph.tensors(model)
    plain = Program(graph, tensors, channels_last=channels_last)
    program = Program(graph, tensors, channels_last=channels_last, fuse=True)
    edit = {"dilated.weight": torch.randn(8, 8, 3, 3), "expand.weight": torch.randn(12, 8, 1, 1)}
    with torch.inference_mode():
        values = program.run(program.whole(), program.prepare(inputs))
        for index, value in plain.run(plain.whole(), plain.prepare(inputs)).items():
            if isinstance(value, Tensor):
                torch.testing.assert_close(values[index], value, rtol=1e-4, atol=1e-5)
                assert values[index].stride() == value.stride()
        torch.testing.assert_close(values[program.output], model(inputs), rtol=1e-4, atol=1e-5)
        changed = {
            **values,
            **program.run(program.part(edit), values, program.edited(edit), keep=frozenset()),
        }
        expected = torch.func.functional_call(model, edit, (inputs,))
        torch.testing.assert_close(changed[program.output], expected, rtol=1e-4, atol=1e-5)
    # Stem, dilated before its limit at 0, and what is no product of pixels.
    rest = [(8, 8, 1, 1), (8, 8, 1, 1)] if channels_last else [(12, 8, 1, 1), *2 * [(8, 8, 1, 1)]]
    assert sorted(set(kernels)) == sorted({(8, 3, 3, 3), (8, 8, 3, 3), *rest})


def test_what_is_too_large_is_run_as_it_is(
    kernels: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusing, "MOST_ELEMENTS", 3 * 8 * 10 * 10)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1))
    model.eval().requires_grad_(False)
    inputs = torch.randn(4, 3, 8, 8)
    graph = capture(model, inputs[:2])
    program = Program(graph, graph.tensors(model), fuse=True)
    for count in (2, 4):
        values = program.run(program.whole(), program.prepare(inputs[:count]))
        expected = model(inputs[:count])
        torch.testing.assert_close(values[program.output], expected, rtol=1e-4, atol=1e-5)
    assert kernels == [(8, 3, 3, 3)]


def test_a_processor_has_no_such_kernels() -> None:
    assert not can_fuse(torch.device("cpu"))
    assert can_fuse(torch.device("cuda")) == (torch.version.hip is None)
