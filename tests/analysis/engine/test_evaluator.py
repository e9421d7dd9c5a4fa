"""The incremental evaluator against full forward passes."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sample_models
from analysis.engine.evaluator import Evaluator
from pruners.capture import Graph, capture
from pruners.errors import UnsupportedError
from pruners.preserve import checksum
from sample_models.architectures import ARCHITECTURES


def reference_forward(model: nn.Module, inputs: Tensor, edit: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return torch.func.functional_call(model, edit, (inputs,))


def assert_same_logits(found: Tensor, expected: Tensor) -> None:
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=2e-5)


def randomised(model: nn.Module) -> nn.Module:
    """Give norms statistics that a wrong fold would show."""
    generator = torch.Generator().manual_seed(3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low in (
                (module.weight.data, 0.5),
                (module.bias.data, -0.5),
                (module.running_mean, -0.5),
                (module.running_var, 0.5),
            ):
                assert tensor is not None
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + low)
    return model.eval().requires_grad_(False)


Subject = tuple[nn.Module, Tensor, Graph]


class Tricky(nn.Module):
    """In-place operators, a tied weight, views, a residual sum read twice, an unused branch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.left = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.alone = nn.BatchNorm2d(8)
        self.tied = nn.Linear(8, 8)
        self.again = nn.Linear(8, 8)
        self.again.weight = self.tied.weight
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        stem = F.relu_(self.norm(self.stem(x)))
        left = self.left(stem)
        total = stem.clone()
        total += left
        total = F.relu_(self.alone(total)) + stem + left
        pooled = F.hardtanh_(total, 0.0, 6.0).mean((2, 3)).view(-1, 8)
        hidden = self.again(F.silu(self.tied(pooled), inplace=True))
        return self.head(torch.cat([hidden[:, :4], pooled[:, 4:]], 1))


@functools.cache
def graph_of(name: str) -> Graph:
    """Capturing takes seconds, and the graph does not hold the weights."""
    model, inputs = tricky() if name == "tricky" else sample(name)
    return capture(model, inputs[:2])


def tricky() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return randomised(Tricky()), torch.randn(5, 2, 6, 6)


def sample(name: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return randomised(ARCHITECTURES[name]()), torch.randn(5, 1, 28, 28)


@pytest.fixture(params=["tricky", *sample_models.names(data="fashion-mnist")])
def subject(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor, Graph]:
    model, inputs = tricky() if request.param == "tricky" else sample(request.param)
    return model, inputs, graph_of(request.param)


def edits_of(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point():
            kept = torch.rand(tensor.shape, generator=generator) < 0.6
            yield {name: tensor * kept if "running_var" not in name else tensor * 2}


def test_every_single_edit_gives_the_models_own_logits(
    subject: Subject,
) -> None:
    model, inputs, graph = subject
    before = checksum(model)
    evaluator = Evaluator(model, graph, example=inputs[:2])
    assert evaluator.is_incremental
    assert not evaluator.fallback_reason
    edits = list(edits_of(model))
    batch = evaluator.dense(inputs)
    dense = batch.outputs.clone()
    assert_same_logits(dense, reference_forward(model, inputs, {}))
    for edit in edits:
        assert_same_logits(evaluator.evaluate(batch, edit), reference_forward(model, inputs, edit))
    # No edit left a trace in the kept values.
    assert torch.equal(evaluator.evaluate(batch, {}), dense)
    first = edits[0]
    assert_same_logits(evaluator.evaluate(batch, first), reference_forward(model, inputs, first))
    assert checksum(model) == before


def test_edits_of_several_tensors_and_batch_sizes(subject: Subject) -> None:
    model, inputs, graph = subject
    evaluator = Evaluator(model, graph, example=inputs[:2])
    edits = list(edits_of(model))
    together = {name: tensor for edit in edits[::3] for name, tensor in edit.items()}
    for size in (1, 3, 5):
        batch = evaluator.dense(inputs[:size])
        expected = reference_forward(model, inputs[:size], together)
        assert_same_logits(evaluator.evaluate(batch, together), expected)


def test_values_that_were_not_kept_are_computed_again(
    subject: Subject,
) -> None:
    model, inputs, graph = subject
    evaluator = Evaluator(model, graph, example=inputs[:2])
    edits = list(edits_of(model))
    batch = evaluator.dense(inputs, edits=[edits[-1]])
    for edit in (edits[-1], edits[0], edits[len(edits) // 2]):
        assert_same_logits(evaluator.evaluate(batch, edit), reference_forward(model, inputs, edit))


@pytest.mark.parametrize("options", [{"channels_last": False}, {"fold_batch_norm": False}])
def test_options_change_speed_only(options: dict[str, bool]) -> None:
    model, inputs = sample("mobilenet_small")
    graph = graph_of("mobilenet_small")
    evaluator = Evaluator(model, graph, example=inputs[:2], **options)
    batch = evaluator.dense(inputs)
    for edit in list(edits_of(model))[::9]:
        assert_same_logits(evaluator.evaluate(batch, edit), reference_forward(model, inputs, edit))


def test_without_a_graph_the_results_are_the_same() -> None:
    model, inputs = tricky()
    evaluator = Evaluator(model, None, fallback_reason="it has a data-dependent branch")
    assert not evaluator.is_incremental
    assert evaluator.fallback_reason == "it has a data-dependent branch"
    batch = evaluator.dense(inputs)
    for edit in edits_of(model):
        assert torch.equal(evaluator.evaluate(batch, edit), reference_forward(model, inputs, edit))
    assert evaluator.share(["head.weight"]) == 1.0


def test_a_graph_that_does_not_fit_the_model_is_not_used() -> None:
    model, inputs = tricky()
    graph = graph_of("tricky")
    model.register_forward_hook(lambda module, args, output: output + 1.0)
    evaluator = Evaluator(model, graph, example=inputs[:2])
    assert not evaluator.is_incremental
    assert "own outputs" in evaluator.fallback_reason


def test_a_model_that_takes_two_samples_only_is_compared_with_them() -> None:
    model, inputs = tricky()
    graph = graph_of("tricky")

    def refuse(module: nn.Module, args: tuple[Tensor]) -> None:
        if len(args[0]) > 2:
            raise ValueError("that is a crowd")

    model.register_forward_pre_hook(refuse)
    assert Evaluator(model, graph, example=inputs[:2]).is_incremental


def test_an_edit_that_fits_nothing_is_refused() -> None:
    model, inputs = tricky()
    evaluator = Evaluator(model, graph_of("tricky"), example=inputs[:2])
    batch = evaluator.dense(inputs)
    with pytest.raises(UnsupportedError, match="nowhere"):
        evaluator.evaluate(batch, {"nowhere.weight": torch.zeros(1)})
    with pytest.raises(UnsupportedError, match=r"shape \(5, 7\)"):
        evaluator.evaluate(batch, {"head.weight": torch.zeros(5, 7)})


def test_less_is_computed_the_later_the_edit() -> None:
    model, inputs = sample("resnet20")
    evaluator = Evaluator(model, graph_of("resnet20"), example=inputs[:2])
    program = evaluator.program
    assert program is not None
    sizes = [
        len(program.part([f"{name}.weight"]).steps)
        for name in ("conv1", "layer2.0.conv1", "layer3.2.conv2", "fc")
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1
    assert 0 < evaluator.share(["fc.weight"]) < evaluator.share(["conv1.weight"]) <= 1


def test_memory_limit_bounds_the_samples_of_a_batch() -> None:
    model, inputs = sample("resnet20")
    graph = graph_of("resnet20")
    wide = Evaluator(model, graph, example=inputs[:2], memory_limit=64 * 2**20)
    narrow = Evaluator(model, graph, example=inputs[:2], memory_limit=1)
    assert narrow.max_samples() == 1
    assert (wide.max_samples() or 0) > 50
    assert (wide.max_samples(["fc.weight"]) or 0) > 2 * (wide.max_samples() or 0)
    assert Evaluator(model, graph, example=inputs[:2], memory_limit=None).max_samples() is None


def test_tiles_change_speed_only(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs, graph = subject
    evaluator = Evaluator(model, graph, example=inputs[:2])
    monkeypatch.setattr("analysis.engine.evaluator.TILE_BYTES", 1)
    monkeypatch.setattr("analysis.engine.evaluator.MIN_SAMPLES", 2)
    assert [len(tile) for tile in evaluator.tiles(inputs)] == [2, 2, 1]
    edits = list(edits_of(model))[::4]
    # Values that were not kept are computed again in each tile, too.
    batch = evaluator.dense(inputs, edits=[edits[-1]])
    assert_same_logits(batch.outputs, reference_forward(model, inputs, {}))
    for edit in edits:
        expected = reference_forward(model, inputs, edit)
        assert_same_logits(evaluator.evaluate(batch, edit), expected)
        assert_same_logits(evaluator.outputs(inputs, edit), expected)


def test_batches_do_not_know_of_each_other() -> None:
    model, inputs = sample("resnet20")
    evaluator = Evaluator(model, graph_of("resnet20"), example=inputs[:2])
    edit = list(edits_of(model))[20]
    first = evaluator.dense(inputs[:3])
    expected = evaluator.evaluate(first, edit)
    second = evaluator.dense(inputs[3:])
    evaluator.evaluate(second, edit)
    assert torch.equal(evaluator.evaluate(first, edit), expected)
    assert first.nbytes > inputs[:3].nbytes


def test_a_batch_moves_from_edit_to_edit(subject: Subject) -> None:
    model, inputs, graph = subject
    evaluator = Evaluator(model, graph, example=inputs[:2])
    edits = list(edits_of(model))
    batch = evaluator.dense(inputs)
    dense = batch.outputs.clone()
    first = {**edits[0], **edits[len(edits) // 2]}
    second = {**edits[0], **edits[-1]}
    for edit in (first, second, {}, second):
        moved = evaluator.moved(batch, edit)
        assert_same_logits(moved.outputs, reference_forward(model, inputs, edit))
        # From there, another edit is as far as from the dense model.
        found = evaluator.evaluate(moved, first)
        assert_same_logits(found, reference_forward(model, inputs, first))
        batch = moved
    assert torch.equal(evaluator.moved(batch, {}).outputs, dense)


def test_without_a_graph_a_batch_moves_all_the_same() -> None:
    model, inputs = tricky()
    evaluator = Evaluator(model, None, fallback_reason="it has a data-dependent branch")
    edit = next(iter(edits_of(model)))
    moved = evaluator.moved(evaluator.dense(inputs), edit)
    assert torch.equal(moved.outputs, reference_forward(model, inputs, edit))
    assert torch.equal(evaluator.evaluate(moved, {}), reference_forward(model, inputs, {}))
