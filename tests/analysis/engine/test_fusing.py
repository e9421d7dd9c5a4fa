"""Convolutions that are run with what follows them, on a stand-in for cuDNN's kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.engine.convolutions import Fusing, can_fuse, fusing
from analysis.engine.program import Program
from pruners.capture import capture
from tests.helpers.fused_kernels import Call, fused_kernels, hiding


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
        self.norms, self.scale = nn.BatchNorm2d(8), nn.Parameter(torch.randn(1, 8, 1, 1))
        self.head = nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        found = self.norm(self.stem(images)).relu()
        found = found + self.project(functional.relu6(self.expand(found)))
        found = functional.relu6(self.depth(found)) + functional.hardtanh(self.dilated(found), 0, 1)
        found = functional.silu(self.same(found)) + functional.hardtanh(self.dilated(found))
        wide = functional.relu6(self.padded(self.strided(found)))
        found = self.strided(found).relu() + wide[..., 1:-1, 1:-1]
        found = (self.norms(self.dilated(found)) + found).relu()
        found = (found + self.project(self.expand(found).relu())).relu()
        # A sum that is read twice, one of other values than it has, and one that is not rectified.
        total = self.dilated(found) + found
        found = total.relu() + total
        found = (self.dilated(found) + self.scale).relu() + found
        found = functional.relu6(self.dilated(found) + found)
        logits: Tensor = self.head(found.mean((2, 3)))
        return logits


@pytest.fixture
def kernels() -> Iterator[list[Call]]:
    """Stand in for cuDNN and cuBLAS; return which kernels got weights of which shapes."""
    with fused_kernels() as seen:
        yield seen


def programs(
    model: nn.Module, inputs: Tensor, *, channels_last: bool = True, fuse: Fusing
) -> tuple[Program, Program]:
    """Return a program of single operators, and one with fused ones."""
    graph = capture(model, inputs[:2])
    plain, fused = (
        Program(graph, graph.tensors(model), channels_last=channels_last, fuse=kind)
        for kind in (Fusing.NOTHING, fuse)
    )
    return plain, fused


@pytest.mark.parametrize("fuse", [Fusing.RECTIFIERS, Fusing.SUMS])
@pytest.mark.parametrize("channels_last", [True, False])
def test_values_are_those_of_the_model(
    channels_last: bool, fuse: Fusing, kernels: list[Call]
) -> None:
    torch.manual_seed(0)
    model = Net().eval().requires_grad_(False)
    for norm in (model.norm, model.norms):
        norm.running_mean += torch.randn(8)  # type: ignore[operator]
    inputs = torch.randn(3, 3, 16, 16)
    plain, program = programs(model, inputs, channels_last=channels_last, fuse=fuse)
    edit = {"dilated.weight": torch.randn(8, 8, 3, 3), "expand.weight": torch.randn(12, 8, 1, 1)}
    with torch.inference_mode():
        expected = plain.run(plain.whole(), plain.prepare(inputs))
        of_node = {step.node: expected[step.index] for step in plain.steps}
        values = program.run(program.whole(), program.prepare(inputs))
        for step in program.steps:
            value = of_node[step.node]
            if isinstance(value, Tensor):
                torch.testing.assert_close(values[step.index], value, rtol=1e-4, atol=1e-5)
                assert values[step.index].stride() == value.stride()
        torch.testing.assert_close(values[program.output], model(inputs), rtol=1e-4, atol=1e-5)
        changed = {
            **values,
            **program.run(program.part(edit), values, program.edited(edit), keep=frozenset()),
        }
        model_outputs = torch.func.functional_call(model, edit, (inputs,))
        torch.testing.assert_close(changed[program.output], model_outputs, rtol=1e-4, atol=1e-5)
    # Stem, dilated before its limit at 0, and what is no product of pixels.
    rest = [] if channels_last else [("relu", (12, 8, 1, 1))]
    all_seen = [("relu", (8, 3, 3, 3)), ("relu", (8, 8, 3, 3)), ("relu", (8, 8, 1, 1)), *rest]
    # With a norm, and as a product of pixels; not where the sum is not the convolution's alone.
    sums = [("sum", (8, 8, 3, 3)), ("sum", (8, 12, 1, 1))] if fuse is Fusing.SUMS else []
    assert {item for item in kernels if item[0] != "product"} == {*all_seen, *sums}
    assert sum(step.added is not None for step in program.steps) == len(sums)


class Block(nn.Module):
    """Two convolutions whose rectifiers hide, and a way around them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.third, self.last = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        found = images + self.second(self.first(images).relu())
        found = (self.third(found) + found).relu()
        logits: Tensor = self.head(self.last(found).relu().mean((2, 3)))
        return logits


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("fuse", [Fusing.RECTIFIERS, Fusing.SUMS])
@pytest.mark.parametrize("rectify", [hiding, torch.relu])
def test_what_is_no_number_is_never_hidden(
    rectify: Callable[[Tensor], Tensor], fuse: Fusing, bad: float
) -> None:
    """Weights and inputs of an edit whose outputs would be ordinary numbers otherwise."""
    torch.manual_seed(0)
    model, inputs = Block().eval().requires_grad_(False), torch.randn(3, 4, 6, 6)
    plain, program = programs(model, inputs, fuse=fuse)
    broken = inputs.clone()
    broken[1, 2, 3, 3] = bad
    names = ("first.weight", "first.bias", "second.weight", "third.weight", "last.bias")
    with torch.inference_mode(), fused_kernels(rectify) as seen:
        for name in (None, *names):
            edit = {} if name is None else {name: model.get_parameter(name).clone()}
            for tensor in edit.values():
                tensor[1] = bad
            given = inputs if edit else broken
            found, expected = (
                item.run(item.whole(), item.prepare(given), item.edited(edit))[item.output]
                for item in (program, plain)
            )
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True)
            assert bad in (torch.inf, -torch.inf) or found.isnan().any()
    # A kernel is tried once, and is used in every run if it hides nothing.
    kinds = {Fusing.RECTIFIERS: 2, Fusing.SUMS: 3}[fuse]
    assert len(set(seen)) == kinds
    assert len(seen) == kinds * (1 if rectify is hiding else 2 + len(names))


def test_what_overflows_is_never_hidden() -> None:
    """Two channels become infinite, of which the next convolution makes no number, then 0."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2)
    )
    model.eval().requires_grad_(False)
    for item in model.parameters():
        item.fill_(1.0)
    model[0].weight.fill_(1e4)
    model[2].weight.copy_(torch.tensor([1.0, -1.0]).reshape(1, 2, 1, 1).expand(2, 2, 1, 1))
    graph = capture(model, torch.ones(2, 1, 1, 1))
    program = Program(graph, graph.tensors(model), fuse=Fusing.SUMS, dtype=torch.float16)
    inputs = torch.tensor([1.0, 10.0, 2.0]).reshape(3, 1, 1, 1)
    with torch.inference_mode(), fused_kernels(hiding) as seen:
        found = program.run(program.whole(), program.prepare(inputs))[program.output]
        # The kernels alone give an ordinary answer.
        assert hiding(torch.tensor([torch.inf - torch.inf])).tolist() == [0.0]
    assert found.isnan().all(1).tolist() == [False, True, False]
    assert seen


def test_a_kernel_is_tried_for_each_size_and_where_it_cannot_be_is_not_used(
    kernels: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2))
    model.eval().requires_grad_(False)
    inputs = torch.randn(5, 3, 8, 8)
    _, program = programs(model, inputs, fuse=Fusing.RECTIFIERS)

    def run(given: Tensor) -> int:
        before = len(kernels)
        found = program.run(program.whole(), program.prepare(given))[program.output]
        torch.testing.assert_close(found, model(given), rtol=1e-4, atol=1e-5)
        return len(kernels) - before

    assert [run(inputs), run(inputs), run(inputs[:4]), run(inputs[:4])] == [2, 1, 2, 1]
    # Waiting is not allowed while work is recorded, ...
    monkeypatch.setattr(fusing, "_is_recorded", lambda: True)
    assert [run(inputs), run(inputs[:3])] == [1, 0]
    monkeypatch.undo()
    assert run(inputs[:3]) == 2
    # ... and at such an address there may be another kernel.
    monkeypatch.setattr(fusing, "ALIGNMENT", 2**40)
    assert [run(inputs), run(inputs[:2])] == [0, 0]


def test_what_is_too_large_is_run_as_it_is(
    kernels: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusing, "MOST_ELEMENTS", 3 * 8 * 10 * 10)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1))
    model.eval().requires_grad_(False)
    inputs = torch.randn(4, 3, 8, 8)
    graph = capture(model, inputs[:2])
    program = Program(graph, graph.tensors(model), fuse=Fusing.SUMS)
    for count in (2, 4):
        values = program.run(program.whole(), program.prepare(inputs[:count]))
        expected = model(inputs[:count])
        torch.testing.assert_close(values[program.output], expected, rtol=1e-4, atol=1e-5)
    assert set(kernels) == {("relu", (8, 3, 3, 3))}


def test_a_processor_has_no_such_kernels() -> None:
    assert not can_fuse(torch.device("cpu"))
    assert can_fuse(torch.device("cuda")) == (torch.version.hip is None)
