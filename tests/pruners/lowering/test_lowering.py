"""Programs are lowered as torch does it, where they are at all, and compute what the model does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from pruners.capture import Graph, capture, exporting, first_names
from pruners.groups import find_structure, removed_graph
from pruners.lowering import lower
from tests.helpers.random_graphs import RandomModel
from tests.helpers.topologies import build_topology, randomize

IMAGE = (2, 3, 8, 8)
Step = Callable[[Tensor, Tensor, Tensor], Tensor]


class Of(nn.Module):
    """A function of a convolution ``(N, 4, 8, 8)``, of the images, and of a buffer."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.register_buffer("held", torch.randn(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.step(self.norm(self.conv(x)), x, self.held)


class Text(nn.Module):
    """Rotated heads, of text of any length."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 8)
        self.key = nn.Linear(8, 8)
        self.out = nn.Linear(8, 5)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        heads = self.key(x).reshape(*ids.shape, 2, -1).transpose(1, 2)
        angle = torch.arange(ids.shape[1])[:, None] * torch.tensor([1.0, 0.1])
        first, second = heads.chunk(2, -1)
        heads = torch.cat([first * angle.cos() - second, second * angle.sin() + first], -1)
        heads = F.scaled_dot_product_attention(heads, heads, heads, is_causal=True)
        x = x + heads.transpose(1, 2).reshape(*ids.shape, -1)
        return self.out(F.relu(x, inplace=True).flatten(0, 1)).unflatten(0, ids.shape)


def written_after(x: Tensor, view: Tensor) -> Tensor:
    """Write into memory that a view was taken of before."""
    return x.relu_() + view


SHORT: dict[str, Step] = {
    "chained": lambda y, x, held: y.relu_().add_(held).mul_(2) + y,
    "read_before": lambda y, x, held: written_after(y, y * 2),
    "stale_name": lambda y, x, held: (y.clamp_(-0.2, 0.3), y)[1],
    "by_itself": lambda y, x, held: y.add_(y),
    "viewed_after": lambda y, x, held: y.relu_().transpose(2, 3).flatten(1) + 1,
    "through_itself": lambda y, x, held: (y.contiguous().float().add_(1), y * 2)[1],
    "dropped_out": lambda y, x, held: (F.dropout(y, 0.5, False, inplace=True).add_(1), y * 2)[1],
    "inner_operator": lambda y, x, held: (F.relu6(y, inplace=True), y + 1)[1],
    "made": lambda y, x, held: torch.zeros(y.shape).copy_(y).masked_fill_(y < 0, 0.1),
    "constant": lambda y, x, held: y.index_select(1, torch.tensor([1, 0])).sigmoid_(),
    "windows": lambda y, x, held: y.unflatten(3, (2, 4)).movedim(3, 1).reshape(-1, 4, 32) * 2,
    "types": lambda y, x, held: y.double().type_as(x).to(torch.float32).expand_as(y) * held,
}
BY_TORCH: dict[str, Step] = {
    "viewed_before": lambda y, x, held: written_after(y, y.transpose(2, 3)),
    "viewed_between": lambda y, x, held: (lambda view: (y.add_(1), view)[1])(y.relu_().mT),
    "view_written": lambda y, x, held: (y.chunk(2, 1)[0].add_(1), y)[1],
    "part_written": lambda y, x, held: (y.clone().__setitem__((slice(None), 0), 1.0), y)[1],
    "input_written": lambda y, x, held: x.contiguous().add_(1) + y.mean(),
    "turned_in_place": lambda y, x, held: y.transpose_(2, 3) * 2,
    "given_memory": lambda y, x, held: torch.add(y, 1, out=torch.empty_like(y)),
    "of_the_batch": lambda y, x, held: F.batch_norm(y, None, None, training=True),
}
TOPOLOGIES = ("shuffled", "multi_head", "numbered")


def exported(model: nn.Module, example: Tensor) -> Any:
    """Export a model as the capture does."""
    with exporting._quiet(50), torch.no_grad():
        sizes = exporting.free_sizes(model, example)
        return torch.export.export(model, (example,), dynamic_shapes=sizes)


def described(module: fx.GraphModule) -> list[Any]:
    """Return what a graph does, step by step: sizes by their expression, values by their place.

    Inputs are by name, in any order.
    """
    exporting._drop_checks(module)
    known: dict[fx.Node, str] = {}
    steps: list[Any] = []
    for node in module.graph.nodes:
        value = node.meta.get("val")
        if isinstance(value, torch.SymInt):
            known[node] = f"<{value}>"
            continue
        known[node] = node.name if node.op == "placeholder" else f"%{len(steps)}"
        args = fx.node.map_arg((node.args, node.kwargs), lambda item: item)
        args = fx.node.map_aggregate(args, lambda item: known.get(item, item))
        target = "" if node.op == "output" else str(node.target)
        steps.append((node.op, target, repr(args), told(value)))
    at = len(module.graph.find_nodes(op="placeholder"))
    return [*sorted(steps[:at], key=lambda step: step[1]), *steps[at:]]


def owners(module: fx.GraphModule) -> list[Any]:
    """Return of which module each operator is."""
    return [
        [entry[0] for entry in node.meta.get("nn_module_stack", {}).values()]
        for node in module.graph.nodes
        if node.op == "call_function" and not isinstance(node.meta["val"], torch.SymInt)
    ]


def told(value: Any) -> Any:
    """Return all of a value but its numbers."""
    if isinstance(value, Tensor):
        return value.dtype, str(value.shape), str(value.stride()), value.device
    return [told(item) for item in value] if isinstance(value, list | tuple) else str(value)


def check(model: nn.Module, example: Tensor, *, short: bool | None) -> None:
    """Compare a program with torch's own lowering of it, and with the model for other sizes."""
    program = exported(model, example)
    with exporting._quiet(50), torch.no_grad():
        expected = copy.copy(program).run_decompositions({})
        text = str(program.graph)
        is_lowered = lower(program)
    assert short is None or is_lowered == short
    if not is_lowered:
        assert str(program.graph) == text
        return
    assert described(program.graph_module) == described(expected.graph_module)
    if example.is_floating_point():  # torch tells those of computed sizes to be of the next module.
        assert owners(program.graph_module) == owners(expected.graph_module)
    graph = exporting.graph_of(program, first_names(model))
    for inputs in others(example):
        try:
            with torch.no_grad():
                wanted = model(inputs.clone())
        except (RuntimeError, ValueError):
            assert short is None, "only random models may refuse a number of samples"
            continue
        torch.testing.assert_close(computed(graph, model, inputs), wanted)


def computed(graph: Graph, model: nn.Module, inputs: Tensor) -> Tensor:
    """Return what a captured graph computes."""
    with torch.no_grad():
        (found,) = graph.module(*graph.arguments(model, inputs.clone()))
    return found


def others(example: Tensor) -> list[Tensor]:
    """Return inputs of other numbers of samples, and of other lengths if they are text."""
    lengths = (example.shape[1],) if example.is_floating_point() else (2, 5, 9)
    made = []
    for samples in (1, 2, 3):
        for length in lengths:
            shape = (samples, length, *example.shape[2:])
            made.append(
                torch.randn(shape) if example.is_floating_point() else torch.randint(9, shape)
            )
    return made


@pytest.mark.parametrize("name", [*SHORT, *BY_TORCH])
def test_what_is_written_in_place(name: str) -> None:
    torch.manual_seed(0)
    model = randomize(Of({**SHORT, **BY_TORCH}[name]))
    check(model, torch.randn(IMAGE), short=name in SHORT)


@pytest.mark.parametrize("views_before", [False, True])
@pytest.mark.parametrize("kind", ["dropout", "type_as"])
def test_what_is_written_into_a_returned_argument_is_written_into_it(
    kind: str, views_before: bool
) -> None:
    """torch's own lowering takes it for a copy."""

    def step(y: Tensor, x: Tensor, held: Tensor) -> Tensor:
        view = y.mT if views_before else y
        other = F.dropout(y, 0.5, training=False) if kind == "dropout" else y.type_as(x)
        other.add_(1)
        return y * view

    model, example = randomize(Of(step)), torch.randn(IMAGE)
    graph = capture(model, example)
    torch.testing.assert_close(computed(graph, model, example), model(example))


def written_through(y: Tensor, x: Tensor, held: Tensor) -> Tensor:
    """Write into a view that a composite yields."""
    torch.einsum("nchw->nhwc", y).add_(1)
    return y * 2


def read_through(y: Tensor, x: Tensor, held: Tensor) -> Tensor:
    """Write into memory after a composite yielded a view of it."""
    first = y.flatten()[:3].clone()
    across, _ = torch.meshgrid(first, first, indexing="ij")
    first.add_(1)
    return y * across.sum()


@pytest.mark.parametrize("step", [written_through, read_through])
def test_what_is_written_into_a_view_that_a_composite_yields_is_seen(step: Step) -> None:
    """torch's own lowering takes it for a copy."""
    model, example = randomize(Of(step)), torch.randn(IMAGE)
    graph = capture(model, example)
    for inputs in (example, torch.randn(1, 3, 8, 8), torch.randn(3, 3, 8, 8)):
        torch.testing.assert_close(computed(graph, model, inputs), model(inputs))


def test_text_of_any_length() -> None:
    torch.manual_seed(0)
    check(randomize(Text()), torch.randint(9, (2, 6)), short=True)


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_small_networks(name: str) -> None:
    check(*build_topology(name), short=True)


def test_a_torch_that_does_not_tell_lowers_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruners.lowering.operators._is_preservable_cia_op", None)
    model = randomize(Of(SHORT["chained"]))
    check(model, torch.randn(IMAGE), short=False)


def test_a_torch_of_other_inner_parts_lowers_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruners.lowering.program.enable_python_dispatcher", None)
    model = randomize(Of(SHORT["chained"]))
    check(model, torch.randn(IMAGE), short=False)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(60))
def test_random_graphs(seed: int) -> None:
    torch.manual_seed(seed)
    model = RandomModel(seed)
    if "spectrum" in model.said:
        pytest.skip("torch forgets how a spectrum lies in memory when it traces it again")
    check(randomize(model, seed=seed), model.example, short=None)


class UpInPlace(nn.Module):
    """Writes in place, and enlarges by an operator whose kernel asks for sizes (HRNet)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, 2, 1), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu_(self.first(x))
        x = F.interpolate(x, size=(x.shape[-2] * 2, x.shape[-1] * 2), mode="nearest")
        return self.last(F.dropout(F.avg_pool2d(x, 8).flatten(1), training=False))


def test_looking_at_kernels_fixes_no_number_of_samples() -> None:
    """The graph was one of two samples, so that every edit was a full pass."""
    torch.manual_seed(0)
    model, images = UpInPlace().eval(), torch.randn(5, 3, 8, 8)
    graph = capture(model, images[:2])
    (place,) = (node for node in graph.module.graph.nodes if node.name in graph.inputs)
    assert isinstance(place.meta["val"].shape[0], torch.SymInt)
    structure = find_structure(model, graph, images[:2])
    smaller = removed_graph(model, structure, {"first": range(4)})
    with torch.no_grad():
        assert torch.allclose(smaller(images), model(images), atol=1e-6)
