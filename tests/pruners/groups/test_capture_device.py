"""A model is captured on the CPU wherever it is, and its graph runs wherever the model is."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode

from analysis.engine.evaluator import Evaluator
from analysis.engine.program import Program
from pruners.capture import capture, on_cpu
from pruners.errors import CaptureError
from pruners.groups.groups import find_structure
from pruners.groups.removal import difference, remove
from tests.helpers.topologies import CLASSES, build_topology


class MakesTensors(nn.Module):
    """Batch norm, tensors made in the forward pass, a constant, and an index."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, CLASSES)
        self.register_buffer("order", torch.tensor([2, 0, 1]))

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, self.order] * torch.tensor([1.0, 2.0, 3.0], device=x.device).reshape(3, 1, 1)
        x = torch.relu(self.norm(self.conv(x)))
        x = x + torch.arange(x.shape[-1], device=x.device) * torch.ones(1, device=x.device)
        return self.fc(x.mean((2, 3)))


def makes_tensors() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return MakesTensors().eval().requires_grad_(False), torch.randn(2, 3, 8, 8)


def test_a_model_on_the_cpu_is_captured_as_it_is() -> None:
    model, _ = makes_tensors()
    assert on_cpu(model) is model


def test_garbage_is_collected_again_after_a_capture() -> None:
    """Also after one that fails; an export runs without."""
    found = []

    class Asks(MakesTensors):
        def forward(self, x: Tensor) -> Tensor:
            found.append(gc.isenabled())
            return super().forward(x).nonsense()

    with pytest.raises(CaptureError, match="nonsense"):
        capture(Asks().eval(), torch.randn(2, 3, 8, 8))
    assert found[0] is False
    assert gc.isenabled()


@pytest.mark.parametrize("name", ["makes_tensors", "flattened"])
def test_capture_never_sees_the_models_device(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """On a GPU, batch norm asked for two samples, and was refused.

    The meta device stands for any other: what would run there has no values.
    """
    model, example = makes_tensors() if name == "makes_tensors" else build_topology(name)
    expected = capture(model, example)
    monkeypatch.setattr(nn.Module, "cpu", lambda self: self.to_empty(device="cpu"))
    monkeypatch.setattr(Tensor, "cpu", lambda self: torch.zeros(self.shape, dtype=self.dtype))
    model.to("meta")
    found = capture(model, example.to("meta"))
    assert found.digest == expected.digest
    assert {item.device.type for item in model.parameters()} == {"meta"}
    batch = next(node for node in found.module.graph.nodes if node.name == found.inputs[0])
    assert not isinstance(batch.meta["val"].shape[0], int)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_the_graph_makes_its_tensors_on_the_models_device(size: int) -> None:
    """A batch of one, too."""
    model, example = makes_tensors()
    graph = capture(model, example)
    assert graph.on("cpu") is graph
    model.to("meta")
    moved = graph.on("meta")
    program = Program(moved, moved.tensors(model))
    values = program.run(program.whole(), program.prepare(torch.empty(size, 3, 8, 8).to("meta")))
    devices = {item.device.type for item in values.values() if isinstance(item, Tensor)}
    assert devices == {"meta"}
    assert values[program.output].shape == (size, CLASSES)
    # The graph that it was made from is left as it was.
    assert "meta" not in graph.module.code


def test_the_graph_of_a_sequence_is_found_again_on_another_device() -> None:
    """Every ``nn.Sequential`` was a traceback on a GPU.

    Its argument is called ``input``, as a builtin is, which a copied graph renames.
    """
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, CLASSES))
    graph = capture(model.eval().requires_grad_(False), torch.randn(2, 3, 8, 8))
    assert graph.inputs == ("input",)
    model.to("meta")
    moved = graph.on("meta")
    assert moved.digest == graph.digest
    program = Program(moved, moved.tensors(model))
    values = program.run(program.whole(), program.prepare(torch.empty(5, 3, 8, 8, device="meta")))
    assert values[program.output].shape == (5, CLASSES)


class MakesInBranches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        def scaled(y: Tensor) -> Tensor:
            return y * torch.arange(8.0, device=y.device)

        x = self.conv(x).mean((2, 3))
        return self.fc(torch.cond(x.sum() > 0, scaled, lambda y: y * 2, (x,)))


def test_graphs_within_the_graph_make_their_tensors_there_too() -> None:
    model = MakesInBranches().eval().requires_grad_(False)
    graph = capture(model, torch.randn(2, 3, 8, 8))
    parts = [item for item in graph.module.modules() if isinstance(item, fx.GraphModule)]
    assert any("cpu" in item.code for item in parts)
    moved = graph.on("meta").module
    parts = [item for item in moved.modules() if isinstance(item, fx.GraphModule)]
    assert len(parts) > 1
    assert not any("cpu" in item.code for item in parts)


class Made(TorchDispatchMode):
    """Notes what makes memory on another device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        is_view = func.is_view or func is torch.ops.aten.detach.default
        if isinstance(result, Tensor) and result.device.type == "meta" and not is_view:
            self.found.append(str(func))
        return result


def test_the_copy_on_the_cpu_takes_no_memory_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that fills more than half of a GPU ran step by step: no second one fitted."""
    model, _ = makes_tensors()
    model.fc.weight.requires_grad_()
    model.tied = model.fc
    model.to("meta")
    monkeypatch.setattr(Tensor, "cpu", lambda self: torch.zeros(self.shape, dtype=self.dtype))
    with Made() as made:
        copied = on_cpu(model)
    assert made.found == []
    assert {item.device.type for item in copied.state_dict().values()} == {"cpu"}
    wanted = {name: item.requires_grad for name, item in model.named_parameters()}
    assert {name: item.requires_grad for name, item in copied.named_parameters()} == wanted
    assert copied.tied is copied.fc
    assert {item.device.type for item in model.state_dict().values()} == {"meta"}


def test_a_model_that_cannot_be_copied_is_refused_in_one_line() -> None:
    class Stuck(MakesTensors):
        def __deepcopy__(self, memo: object) -> object:
            raise RuntimeError("only leaves can be copied\nand this is none")

    model = Stuck().eval().requires_grad_(False).to("meta")
    with pytest.raises(CaptureError, match="cannot capture Stuck"):
        capture(model, torch.randn(2, 3, 8, 8).to("cpu")[:, :2])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_batch_norm_on_cuda() -> None:
    model, example = makes_tensors()
    expected = model(example)
    model, example = model.cuda(), example.cuda()
    graph = capture(model, example)
    structure = find_structure(model, graph, example)
    evaluator = Evaluator(model, graph, example=example)
    assert evaluator.is_incremental
    assert difference(evaluator.dense(example[:1]).outputs.cpu(), expected[:1]) < 1e-4
    smaller = remove(model, structure, {"conv": range(4)})
    assert next(smaller.parameters()).device.type == "cuda"
