"""SparseGPT and Wanda in the order of execution, against the authors' steps written by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pruners.granularity import parse
from pruners.layers import output_first_weight
from pruners.reconstruction import (
    Asked,
    choose_sparsegpt,
    choose_wanda,
    chosen_fit,
    masked_fit,
    repair_layers,
)

WIDTH, HIDDEN = 160, 144


def authors_sparsegpt(weight: Tensor, inputs: Tensor, kept: int, pattern: str) -> Tensor:
    """Write sparsegpt.py (fasterprune) anew, for ``(O, D)`` and inputs ``(T, D)``.

    The number that goes from a block is told, since theirs is one more than the share.
    """
    weight, damp = weight.double().clone(), 0.01
    hessian = 2 / len(inputs) * inputs.double().T @ inputs.double()
    hessian += damp * hessian.diagonal().mean() * torch.eye(len(hessian))
    upper = torch.linalg.cholesky(torch.linalg.inv(hessian), upper=True)
    columns = weight.shape[1]
    removed, taken = weight.numel() - kept, 0
    for i1 in range(0, columns, 128):
        i2 = min(i1 + 128, columns)
        w1, err1 = weight[:, i1:i2].clone(), torch.zeros_like(weight[:, i1:i2])
        hinv1 = upper[i1:i2, i1:i2]
        mask1 = torch.zeros_like(w1, dtype=torch.bool)
        if pattern == "element":
            upto = round(removed * i2 / columns)
            tmp = w1**2 / hinv1.diagonal() ** 2
            mask1.view(-1)[torch.topk(tmp.flatten(), upto - taken, largest=False)[1]] = True
            taken = upto
        for i in range(i2 - i1):
            if pattern != "element" and i % 4 == 0:
                tmp = w1[:, i : i + 4] ** 2 / hinv1.diagonal()[i : i + 4] ** 2
                mask1.scatter_(1, i + torch.topk(tmp, 2, dim=1, largest=False)[1], value=True)
            q = w1[:, i].clone()
            q[mask1[:, i]] = 0
            err1[:, i] = (w1[:, i] - q) / hinv1[i, i]
            w1[:, i:] -= err1[:, i : i + 1] @ hinv1[i : i + 1, i:]
        weight[:, i1:i2] = w1 * ~mask1
        weight[:, i2:] -= err1 @ upper[i1:i2, i2:]
    return weight


def authors_wanda(weight: Tensor, inputs: Tensor, kept: int, pattern: str) -> Tensor:
    """Write prune_wanda anew: ``|W| * sqrt(scaler_row)``, sorted within each row."""
    metric = weight.abs().double() * inputs.double().square().mean(0).sqrt()
    mask = torch.zeros_like(weight, dtype=torch.bool)
    if pattern == "element":
        share = (weight.numel() - kept) // len(weight)
        mask.scatter_(1, torch.sort(metric, dim=1, stable=True)[1][:, :share], value=True)
    else:
        for ii in range(0, weight.shape[1], 4):
            lost = torch.topk(metric[:, ii : ii + 4], 2, dim=1, largest=False)[1]
            mask.scatter_(1, ii + lost, value=True)
    return weight.double() * ~mask


@pytest.mark.parametrize("pattern", ["element", "2:4"])
@pytest.mark.parametrize(
    ("choose", "authors"), [(choose_sparsegpt, authors_sparsegpt), (choose_wanda, authors_wanda)]
)
def test_layers_in_order_are_the_authors_steps(choose, authors, pattern: str) -> None:  # type: ignore[no-untyped-def]
    """Layer 2 reads what the pruned layer 1 gives, as in the authors' loop."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 4)).eval()
    inputs = torch.randn(400, WIDTH) @ (torch.eye(WIDTH) + 0.3 * torch.randn(WIDTH, WIDTH))
    kept = {"0": WIDTH * HIDDEN // 2, "2": HIDDEN * 4 // 2}
    first = authors(model[0].weight.detach(), inputs, kept["0"], pattern)
    hidden = torch.relu(inputs.double() @ first.T + model[0].bias.double())
    second = authors(model[2].weight.detach(), hidden, kept["2"], pattern)

    masks = {f"{name}.weight": torch.ones_like(model[int(name)].weight) > 0 for name in kept}
    found = repair_layers(
        model,
        [(inputs[:250], None), (inputs[250:], None)],
        edit={},
        masks=masks,
        fit=masked_fit,
        fits={
            name: chosen_fit(choose, Asked(parse(pattern), number)) for name, number in kept.items()
        },
    ).edit
    for name, expected in (("0", first), ("2", second)):
        new = found[f"{name}.weight"]
        assert int((new != 0).sum()) == kept[name]
        assert torch.equal(new != 0, expected != 0)
        torch.testing.assert_close(new.double(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("choose", [choose_sparsegpt, choose_wanda])
@pytest.mark.parametrize("pattern", ["element", "2:4"])
def test_convolutions_keep_exactly_as_many(choose, pattern: str) -> None:  # type: ignore[no-untyped-def]
    """Grouped kernels: counts exact, N:M along channels at one kernel position, the rest of obs."""
    torch.manual_seed(0)
    weight = output_first_weight(nn.Conv2d(12, 8, 3, groups=2))
    inputs = torch.randn(2, 54, 300)
    gram = inputs @ inputs.transpose(1, 2)
    kept = weight.numel() // 3 if pattern == "element" else 8 * 9 * 4
    allowed = torch.ones_like(weight, dtype=torch.bool)
    mask, new = choose(weight, gram, asked=Asked(parse(pattern), kept))
    assert torch.equal(new != 0, mask)
    assert int(mask.sum()) == kept
    if pattern == "2:4":
        counts = mask[:, :4].sum(1)
        assert torch.equal(counts, torch.full_like(counts, 2))
    allowed[:, 1] = False
    mask, new = choose(weight, gram, asked=Asked(parse(pattern), kept, allowed))
    assert not bool(new[:, 1].any())
