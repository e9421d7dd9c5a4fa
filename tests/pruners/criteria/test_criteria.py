"""Each criterion against an oracle of its own: slow float64 loops, torch.nn.utils.prune, exact
leave-one-out on a quadratic, naive rewrites of the published steps.

Where a library disagrees with its paper the paper wins: Torch-Pruning's FPGM measures distances of
``|w|^p`` instead of ``w`` and its Taylor sums ``|w g|`` of one accumulated gradient; both give
other rankings than the loops below.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from pruners import criteria
from pruners.criteria.registry import Level
from pruners.criteria.second_order import FISHER_DAMP, damped_hessian
from pruners.errors import UnsupportedError
from pruners.selection.masks import keep_mask
from pruners.statistics.layer import LayerData


def layer(*shape: int, seed: int = 0, **statistics: Tensor) -> LayerData:
    weight = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return LayerData(name="layer", weight=weight, statistics=statistics, seed=seed)


def score(name: str, data: LayerData, level: Level = "channel") -> Tensor:
    return criteria.scores(name, data, level=level).double()


def reference_norm(row: list[float], order: float) -> float:
    if math.isinf(order):
        return max(abs(value) for value in row)
    return sum(abs(value) ** order for value in row) ** (1 / order)


@pytest.mark.parametrize(("name", "order"), [("l1", 1), ("l2", 2), ("linf", math.inf)])
def test_norms_equal_slow_loops_and_torch_prune(name: str, order: float) -> None:
    data = layer(12, 5, 3, 3)
    rows = data.weight.double().flatten(1).tolist()
    expected = torch.tensor([reference_norm(row, order) for row in rows], dtype=torch.float64)
    torch.testing.assert_close(score(name, data), expected, rtol=1e-6, atol=0)
    assert torch.equal(score(name, data, "element"), data.weight.abs().double())
    conv = nn.Conv2d(5, 12, 3)
    conv.weight.data = data.weight.clone()
    prune.ln_structured(conv, "weight", amount=5, n=order, dim=0)
    kept = keep_mask(score(name, data), 7)
    assert torch.equal(kept, conv.weight_mask.flatten(1).any(1))


def test_fpgm_equals_the_sum_of_distances_also_for_twins() -> None:
    data = layer(9, 4, 3)
    data.weight[3] = data.weight[7] * (1 + 1e-6)
    rows = data.weight.double().flatten(1).tolist()
    expected = [sum(math.dist(row, other) for other in rows) for row in rows]
    torch.testing.assert_close(
        score("fpgm", data), torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=1e-6
    )


def test_torch_pruning_agrees_on_l1_and_departs_from_the_fpgm_paper() -> None:
    """Its FPGM measures distances of |w|^p; the paper measures those of w, and so do we."""
    pruning = pytest.importorskip("torch_pruning")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 8, 3))
    graph = pruning.DependencyGraph().build_dependency(model, torch.randn(1, 3, 8, 8))
    group = graph.get_pruning_group(model[0], pruning.prune_conv_out_channels, list(range(64)))
    data = LayerData(name="layer", weight=model[0].weight.detach())
    plain = {"group_reduction": "first", "normalizer": None}
    magnitude = pruning.importance.GroupMagnitudeImportance(p=1, **plain)(group)
    torch.testing.assert_close(score("l1", data).float(), magnitude)
    theirs = pruning.importance.FPGMImportance(p=2, **plain)(group)
    places = torch.stack(
        [item.argsort().argsort().double() for item in (theirs, score("fpgm", data))]
    )
    assert float(torch.corrcoef(places)[0, 1]) < 0.9
    squares = LayerData(name="layer", weight=data.weight**2)
    same = torch.stack([theirs, score("fpgm", squares).float()])
    assert float(torch.corrcoef(same)[0, 1]) > 0.999


def reference_lamp(values: list[float]) -> list[float]:
    """Divide each square by the sum of squares that come no earlier in rising order."""
    order = sorted(range(len(values)), key=lambda i: (values[i] ** 2, i))
    result = [0.0] * len(values)
    for place, index in enumerate(order):
        rest = sum(values[other] ** 2 for other in order[place:])
        result[index] = values[index] ** 2 / rest
    return result


def test_lamp_equals_its_definition() -> None:
    data = layer(4, 3, 2)
    expected = reference_lamp(data.weight.double().flatten().tolist())
    assert score("lamp", data, "element").flatten().tolist() == pytest.approx(expected)
    norms = data.weight.double().flatten(1).norm(dim=1).tolist()
    assert score("lamp", data).tolist() == pytest.approx(reference_lamp(norms))
    zero = LayerData(name="layer", weight=torch.zeros(3, 2))
    assert score("lamp", zero, "element").sum() == 0


def test_random_depends_on_seed_and_layer_and_is_uniform() -> None:
    data = layer(200, 50, seed=3)
    first = score("random", data, "element")
    assert torch.equal(first, score("random", data, "element"))
    other_layer = LayerData(name="other", weight=data.weight, seed=3)
    other_seed = LayerData(name="layer", weight=data.weight, seed=4)
    assert not torch.equal(first, score("random", other_layer, "element"))
    assert not torch.equal(first, score("random", other_seed, "element"))
    quantiles = torch.quantile(first.flatten(), torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64))
    assert quantiles.tolist() == pytest.approx([0.1, 0.5, 0.9], abs=0.02)


def test_bn_scale_is_the_absolute_scale() -> None:
    scale = torch.tensor([0.5, -2.0, 0.0])
    assert score("bn_scale", layer(3, 2, bn_scale=scale)).tolist() == [0.5, 2.0, 0.0]


@pytest.mark.parametrize(
    ("name", "need", "element"),
    [
        ("taylor", "squared_product", lambda w, s: s),
        ("gradient", "abs_gradient", lambda w, s: s),
        ("snip", "mean_gradient", lambda w, s: abs(w * s)),
        ("snip_momentum", "product_momentum", lambda w, s: s),
        ("movement", "mean_gradient", lambda w, s: -w * s),
    ],
)
def test_gradient_criteria_sum_over_the_filter(name: str, need: str, element: object) -> None:
    statistic = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(5)).abs()
    data = layer(4, 3, 2, **{need: statistic})
    expected = [
        [element(float(w), float(s)) for w, s in zip(row.flatten(), other.flatten(), strict=True)]
        for row, other in zip(data.weight, statistic, strict=True)
    ]
    assert score(name, data).tolist() == pytest.approx([sum(row) for row in expected], rel=1e-5)
    flat = score(name, data, "element").flatten().tolist()
    assert flat == pytest.approx([value for row in expected for value in row], rel=1e-5)


def test_taylor_is_leave_one_out_on_a_quadratic_but_for_the_curvature() -> None:
    """L = a . w + 1/2 w' H w: dropping w_i costs -g_i w_i + 1/2 H_ii w_i^2 exactly."""
    data = layer(3, 4)
    weight = data.weight.double()
    slope = torch.randn(12, generator=torch.Generator().manual_seed(1)).double()
    hessian = random_hessian(12, seed=2)

    def loss(values: Tensor) -> Tensor:
        flat = values.flatten()
        return slope @ flat + 0.5 * flat @ hessian @ flat

    def cost(dropped: list[int]) -> float:
        """Return what zeroing the weights costs, without the part of the curvature."""
        left = weight.flatten().clone()
        left[dropped] = 0
        gone = weight.flatten()[dropped]
        curvature = 0.5 * gone @ hessian[dropped][:, dropped] @ gone
        return float(loss(left) - loss(weight) - curvature)

    gradient = torch.autograd.functional.jacobian(loss, weight)
    product = gradient * weight
    scored = layer(3, 4, squared_product=product**2, gate_square=product.sum(1) ** 2)
    single = [cost([index]) ** 2 for index in range(12)]
    assert score("taylor", scored, "element").flatten().tolist() == pytest.approx(single, rel=1e-5)
    whole = [cost([4 * row + column for column in range(4)]) ** 2 for row in range(3)]
    assert score("taylor_gate", scored).tolist() == pytest.approx(whole, rel=1e-5)


def reference_leave_one_out(hessian: Tensor, weight: Tensor, dropped: int) -> float:
    """Return min of 1/2 d' H d over changes d with w_q + d_q = 0, by least squares in float64."""
    root = torch.linalg.cholesky(hessian).T
    others = [i for i in range(len(weight)) if i != dropped]
    target = root[:, dropped] * weight[dropped]
    best = torch.linalg.lstsq(root[:, others], target[:, None]).solution[:, 0]
    residual = root[:, others] @ best - target
    return 0.5 * float(residual @ residual)


def random_hessian(size: int, seed: int) -> Tensor:
    factor = torch.randn(size, 3 * size, generator=torch.Generator().manual_seed(seed)).double()
    return factor @ factor.T / size


def test_obs_is_exact_leave_one_out_on_a_quadratic() -> None:
    hessians = torch.stack([random_hessian(6, seed)[None] for seed in range(3)])
    data = layer(3, 6, fisher_blocks=hessians)
    found = score("obs", data, "element")
    for o in range(3):
        damped = hessians[o, 0] + FISHER_DAMP * torch.eye(6)
        row = data.weight[o].double()
        expected = [reference_leave_one_out(damped, row, i) for i in range(6)]
        assert found[o].tolist() == pytest.approx(expected, rel=1e-6)
    rows = data.weight.double()
    whole = [0.5 * float(rows[o] @ hessians[o, 0] @ rows[o]) for o in range(3)]
    assert score("obs", data).tolist() == pytest.approx(whole, rel=1e-5)


def test_obs_ignores_the_padding_of_the_last_block() -> None:
    blocks = torch.stack([random_hessian(4, 7), torch.zeros(4, 4).double()])
    blocks[1, :2, :2] = random_hessian(2, 8)
    data = layer(1, 6, fisher_blocks=blocks[None])
    found = score("obs", data, "element")[0]
    row = data.weight[0].double()
    first = [reference_leave_one_out(blocks[0], row[:4], i) for i in range(4)]
    last = [reference_leave_one_out(blocks[1, :2, :2], row[4:], i) for i in range(2)]
    assert found.tolist() == pytest.approx(first + last, rel=1e-4)


def test_sparsegpt_is_the_leave_one_out_output_error() -> None:
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(2, 5, 40, generator=generator).double()
    inputs[1, 2] = 0  # an input that is never active costs nothing
    gram = inputs @ inputs.transpose(1, 2)
    data = layer(6, 5, input_gram=gram)
    found = score("sparsegpt", data, "element")
    hessian = damped_hessian(gram)
    for o in range(6):
        group = o // 3
        expected = [
            2 * reference_leave_one_out(hessian[group], data.weight[o].double(), i)
            for i in range(5)
        ]
        if group == 1:
            expected[2] = 0.0
        assert found[o].tolist() == pytest.approx(expected, rel=1e-6)
    outputs = [data.weight[o].double() @ inputs[o // 3] for o in range(6)]
    energy = [float(output @ output) for output in outputs]
    assert score("sparsegpt", data).tolist() == pytest.approx(energy, rel=1e-6)


def reference_wanda(weight: Tensor, inputs: Tensor, ratio: float) -> Tensor:
    """The published steps: metric, sort each row, drop the lowest share of each row."""
    metric = weight.abs() * torch.sqrt((inputs**2).sum(1)).reshape(1, -1)
    mask = torch.zeros_like(metric, dtype=torch.bool)
    order = torch.sort(metric, dim=-1, stable=True)[1]
    mask.scatter_(1, order[:, : int(metric.shape[1] * ratio)], True)
    return ~mask


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_wanda_removes_the_same_share_of_each_row(ratio: float) -> None:
    inputs = torch.randn(8, 30, generator=torch.Generator().manual_seed(4))
    data = layer(5, 8, input_norm=inputs.norm(dim=1)[None])
    found = keep_mask(score("wanda", data, "element"), 40 - int(8 * ratio) * 5)
    assert torch.equal(found, reference_wanda(data.weight, inputs, ratio))
    plain = (data.weight.abs() * inputs.norm(dim=1)).sum(1).double()
    torch.testing.assert_close(score("wanda", data), plain)


def test_wanda_uses_the_inputs_of_the_right_group() -> None:
    norms = torch.tensor([[1.0, 2.0], [10.0, 20.0]])
    data = LayerData(
        name="l", weight=torch.ones(4, 2), conv_groups=2, statistics={"input_norm": norms}
    )
    assert score("wanda", data).tolist() == [3.0, 3.0, 30.0, 30.0]


def test_activation_criteria() -> None:
    gates = torch.tensor([[1.0, -2.0], [3.0, 0.0]])
    data = layer(
        2,
        2,
        gate_gradients=gates,
        activation_square=torch.tensor([4.0, 9.0]),
        activation_zeros=torch.tensor([0.25, 1.0]),
    )
    assert score("fisher", data).tolist() == [5.0, 2.0]
    assert score("activation_norm", data).tolist() == [2.0, 3.0]
    assert score("apoz", data).tolist() == [0.75, 0.0]


def test_what_does_not_apply_is_said_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"layer layer: .*fpgm does not score elem"):
        criteria.scores("fpgm", layer(3, 2), level="element")
    with pytest.raises(UnsupportedError, match=r"needs squared_product: it was not coll"):
        criteria.scores("taylor", layer(3, 2), level="channel")
    attention = LayerData(name="attn", weight=torch.ones(3, 3), type="MultiheadAttention")
    with pytest.raises(UnsupportedError, match=r"layer attn: .*MultiheadAttention"):
        criteria.scores("apoz", attention, level="channel")
