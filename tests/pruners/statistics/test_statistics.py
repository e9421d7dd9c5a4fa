"""Statistics against plain backward passes and explicit gates; the model is left as found."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruners.criteria import scores
from pruners.errors import InputError, UnknownNameError
from pruners.layers import conv_groups, native_weight, to_output_first
from pruners.preserve import checksum
from pruners.statistics.calibration import NEEDS, Statistics, collect
from tests.pruners.models import (
    RESIDUAL_LAYERS,
    SmallResidual,
    image_batches,
    one_layer,
    small_residual,
)

ALL_NEEDS = frozenset(NEEDS)


@pytest.fixture(scope="module")
def statistics() -> Statistics:
    return collect(small_residual(), image_batches(), layers=RESIDUAL_LAYERS, needs=ALL_NEEDS)


def reference_gradients(model: nn.Module, batch: tuple[Tensor, Tensor | None]) -> dict[str, Tensor]:
    """Return the gradients of a plain backward pass in float64."""
    model = model.double().requires_grad_(True)
    model.zero_grad()
    F.cross_entropy(model(batch[0].double()), batch[1]).backward()
    return {name: model.get_submodule(name).weight.grad.clone() for name in RESIDUAL_LAYERS}


def test_gradient_statistics_equal_plain_backward_passes(statistics: Statistics) -> None:
    model = small_residual()
    gradients = [reference_gradients(model, batch) for batch in image_batches()]
    for name in RESIDUAL_LAYERS:
        weight = model.get_submodule(name).weight.detach()
        products = [g[name] * weight for g in gradients]
        momentum = torch.zeros_like(weight)
        for product in products:
            momentum = 0.9 * momentum + product.abs()
        expected = {
            "squared_product": sum(p**2 for p in products) / 3,
            "gate_square": sum(p.flatten(1).sum(1) ** 2 for p in products) / 3,
            "mean_gradient": sum(g[name] for g in gradients) / 3,
            "abs_gradient": sum(g[name].abs() for g in gradients) / 3,
            "product_momentum": momentum,
        }
        for need, value in expected.items():
            found = statistics.layers[name][need].double()
            torch.testing.assert_close(found, value, rtol=2e-4, atol=1e-9, msg=f"{name} {need}")


def test_fisher_blocks_are_outer_products(statistics: Statistics) -> None:
    model = small_residual()
    gradients = [reference_gradients(model, batch)["conv"] for batch in image_batches()]
    blocks = statistics.layers["conv"]["fisher_blocks"].double()
    assert blocks.shape == (8, 2, 50, 50)
    for start, number in ((0, 0), (50, 1)):
        cut = [g[3].flatten()[start : start + 50] for g in gradients]
        expected = sum(torch.outer(c, c) for c in cut) / 3
        found = blocks[3, number][: len(cut[0]), : len(cut[0])]
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-9)


class Gated(SmallResidual):
    """The same network with a gate on each channel where the next layers read it."""

    gates: dict[str, Tensor]

    def forward(self, inputs: Tensor) -> Tensor:
        g = {name: gate.reshape(1, -1, 1, 1) for name, gate in self.gates.items()}
        stem = F.relu(self.norm(self.stem(inputs))) * g["stem"]
        hidden = F.relu(self.norm2(self.conv(stem)) + stem) * g["conv"]
        hidden = F.relu(self.depthwise(hidden)) * g["depthwise"]
        hidden = F.gelu(self.grouped(hidden)) * g["grouped"]
        return self.head(hidden.mean((2, 3)))


def test_gate_gradients_equal_explicit_gates_per_sample(statistics: Statistics) -> None:
    model = Gated().double().eval()
    model.load_state_dict(small_residual().state_dict())
    rows: dict[str, list[Tensor]] = {name: [] for name in ("stem", "conv", "depthwise", "grouped")}
    for inputs, labels in image_batches():
        for sample in range(len(inputs)):
            model.gates = {
                name: torch.ones(size, dtype=torch.float64, requires_grad=True)
                for name, size in (("stem", 8), ("conv", 8), ("depthwise", 8), ("grouped", 12))
            }
            one = slice(sample, sample + 1)
            loss = F.cross_entropy(model(inputs[one].double()), labels[one])
            names = list(rows)
            grads = torch.autograd.grad(loss, [model.gates[name] for name in names])
            for name, grad in zip(names, grads, strict=True):
                rows[name].append(grad)
    for name, values in rows.items():
        found = statistics.layers[name]["gate_gradients"].double()
        torch.testing.assert_close(found, torch.stack(values), rtol=1e-3, atol=1e-6)


def test_activation_statistics_are_those_the_next_layer_reads(statistics: Statistics) -> None:
    model = small_residual()
    inputs = torch.cat([batch[0] for batch in image_batches()])
    stem = F.relu(model.norm(model.stem(inputs)))
    joint = F.relu(model.norm2(model.conv(stem)) + stem)
    for name, expected in (("stem", stem), ("conv", joint)):
        found = statistics.layers[name]
        zeros = (expected == 0).float().mean((0, 2, 3))
        torch.testing.assert_close(found["activation_zeros"], zeros, rtol=1e-4, atol=1e-6)
        square = expected.square().mean((0, 2, 3))
        torch.testing.assert_close(found["activation_square"], square, rtol=1e-4, atol=1e-6)


def test_batch_norm_scales_and_reasons(statistics: Statistics) -> None:
    model = small_residual()
    assert torch.equal(statistics.layers["stem"]["bn_scale"], model.norm.weight)
    assert torch.equal(statistics.layers["conv"]["bn_scale"], model.norm2.weight)
    assert "no batch norm" in statistics.reasons["depthwise"]["bn_scale"]
    assert "no ReLU" in statistics.reasons["grouped"]["activation_zeros"]


def test_input_statistics_equal_unfold(statistics: Statistics) -> None:
    model = small_residual()
    inputs = torch.cat([batch[0] for batch in image_batches()])
    unfolded = F.unfold(inputs, 3, padding=1).transpose(0, 1).flatten(1).double()
    gram = unfolded @ unfolded.T / len(inputs)
    found = statistics.layers["stem"]
    torch.testing.assert_close(found["input_gram"][0].double(), gram, rtol=1e-4, atol=1e-5)
    norm = unfolded.norm(dim=1)
    torch.testing.assert_close(found["input_norm"][0].double(), norm, rtol=1e-5, atol=1e-6)
    assert found["input_norm"].shape == (1, 27)
    assert statistics.layers["depthwise"]["input_gram"].shape == (8, 9, 9)
    assert conv_groups(model.depthwise) == 8


def test_one_need_equals_all_needs(statistics: Statistics) -> None:
    for need in sorted(ALL_NEEDS - {"seed"}):
        alone = collect(
            small_residual(), image_batches(), layers=RESIDUAL_LAYERS, needs=frozenset({need})
        )
        for name in RESIDUAL_LAYERS:
            assert set(alone.layers[name]) <= {need}
            for value in alone.layers[name].values():
                torch.testing.assert_close(value, statistics.layers[name][need])


def test_model_is_left_as_found_also_after_an_exception() -> None:
    model = small_residual()
    model.norm.train()
    model.head.weight.requires_grad_(True)
    before = checksum(model)
    collect(model, image_batches(), layers=RESIDUAL_LAYERS, needs=ALL_NEEDS)
    assert checksum(model) == before
    bad = [*image_batches(), (torch.randn(2, 1, 9, 9), torch.zeros(2, dtype=torch.int64))]
    with pytest.raises(RuntimeError):
        collect(model, bad, layers=RESIDUAL_LAYERS, needs=ALL_NEEDS)
    assert checksum(model) == before


def test_progress_counts_batches() -> None:
    seen: list[tuple[int, int | None]] = []
    collect(
        small_residual(),
        image_batches(),
        layers=["stem"],
        needs=frozenset({"input_norm"}),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("labelled", [True, False])
def test_parts_that_fit_in_memory_give_the_statistics_of_whole_batches(labelled: bool) -> None:
    needs = frozenset(NEEDS) - {"seed"}
    whole, parts = (
        collect(
            small_residual(),
            image_batches(labelled=labelled),
            layers=["stem", "conv"],
            needs=needs,
            max_samples=at_a_time,
        )
        for at_a_time in (None, 3)
    )
    assert (whole.samples, whole.batches) == (parts.samples, parts.batches)
    for layer, expected in whole.layers.items():
        assert parts.layers[layer].keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(parts.layers[layer][name], tensor, msg=f"{layer} {name}")


def test_without_labels_they_are_drawn_by_seed() -> None:
    batches = image_batches(labelled=False)
    runs = [
        collect(
            small_residual(),
            iter(batches),
            layers=["conv"],
            needs=frozenset({"squared_product"}),
            seed=seed,
        )
        for seed in (1, 1, 2)
    ]
    first, again, other = (run.layers["conv"]["squared_product"] for run in runs)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert bool((first > 0).any())
    assert not runs[0].labelled


def test_drawn_labels_give_the_curvature_of_the_divergence() -> None:
    """The mean squared gate gradient tends to the second derivative of the KL divergence."""
    model, inputs = one_layer("Linear")
    many = [(inputs[:1].repeat(20000, 1), None)]
    gates = collect(model, many, layers=["layer"], needs=frozenset({"gate_gradients"}))
    fisher = gates.layers["layer"]["gate_gradients"].double().square().mean(0)
    hidden = F.relu(model.layer(inputs[:1])).double()[0]
    dense = hidden.log_softmax(0)

    def divergence(gate: Tensor) -> Tensor:
        return F.kl_div((hidden * gate).log_softmax(0), dense, reduction="sum", log_target=True)

    ones = torch.ones(6, dtype=torch.float64)
    curvature = torch.autograd.functional.hessian(divergence, ones).diagonal()
    torch.testing.assert_close(fisher, curvature, rtol=0.05, atol=1e-3)


def test_memory_limit_refuses_by_name_and_shortens_blocks() -> None:
    limited = collect(
        small_residual(),
        image_batches(),
        layers=RESIDUAL_LAYERS,
        needs=frozenset({"input_gram", "fisher_blocks"}),
        memory_limit=20_000,
    )
    assert "input_gram" in limited.layers["depthwise"]
    assert "memory limit" in limited.reasons["conv"]["input_gram"]
    assert limited.fisher_block < 50
    with pytest.raises(InputError, match=r"layer conv.*memory limit"):
        scores("sparsegpt", limited.layer_data(small_residual(), "conv"), level="element")


@pytest.mark.parametrize(
    ("batches", "needs", "error", "message"),
    [
        ([], frozenset({"input_norm"}), InputError, "at least one calibration batch"),
        (image_batches(), frozenset({"nonsense"}), UnknownNameError, "unknown statistic"),
        (
            [(torch.full((2, 3, 9, 9), float("nan")), torch.zeros(2, dtype=torch.int64))],
            frozenset({"mean_gradient"}),
            InputError,
            "calibration loss is nan",
        ),
    ],
)
def test_bad_input_is_one_line(
    batches: list[tuple[Tensor, Tensor | None]],
    needs: frozenset[str],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        collect(small_residual(), batches, layers=["stem"], needs=needs)


def test_layer_data_is_output_first() -> None:
    model, inputs = one_layer("ConvTranspose2d")
    labels = torch.zeros(5, dtype=torch.int64)
    found = collect(model, [(inputs, labels)], layers=["layer"], needs=frozenset({"mean_gradient"}))
    data = found.layer_data(model, "layer")
    weight = native_weight(model.layer)
    assert data.weight.shape == (6, 4, 3, 3)
    assert torch.equal(data.weight, to_output_first(weight, model.layer))
    assert found.layers["layer"]["mean_gradient"].shape == (6, 4, 3, 3)
