"""One least-squares scale a unit."""

from __future__ import annotations

import torch
from torch import Tensor

from pruners.float32 import strict
from pruners.reconstruction.lsq import RIDGE
from pruners.reconstruction.moments import Moments, augmented


@strict
def unit_scales(
    parts: list[tuple[Moments, Tensor, Tensor, Tensor | None]],
    *,
    kept: Tensor,
    ridge: float = RIDGE,
) -> Tensor:
    """Return a factor for each kept unit that brings the consumers' outputs closest to dense.

    Minimises ``sum over consumers ||y - b - sum_u m_u W_u x_u||^2 + ridge * scale * ||m - 1||^2``,
    with ``W_u x_u`` what unit u adds to a consumer's output.

    Args:
        parts: For each consumer its moments, output-first weight, the unit of each weight's input
            ``(G, D)`` (-1: not in the group, factor 1) and bias. All but the units are on one
            device.
        kept: Boolean ``(units,)``, on any device.
        ridge: Pull to 1, relative to the mean diagonal.

    Returns:
        Factors ``(units,)`` float64; 0 for removed units.

    References:
        Kwon et al.: A Fast Post-Training Pruning Framework for Transformers. NeurIPS 2022,
        arXiv:2204.09656, section 4.3 (mask tuning). Deviation: Gram matrices and a ridge to 1
        instead of LSMR with bounds.
    """
    units = len(kept)
    kept = kept.to(parts[0][1].device)
    normal = torch.zeros(units, units, dtype=torch.float64, device=kept.device)
    target = torch.zeros(units, dtype=torch.float64, device=kept.device)
    for moments, weight, unit_GD, bias in parts:
        part_normal, part_target = _unit_normal(moments, weight, unit_GD, bias, units)
        normal += part_normal
        target += part_target
    chosen = kept.nonzero()[:, 0]
    normal, target = normal[chosen][:, chosen], target[chosen]
    lift = ridge * float(normal.diagonal().mean()) + torch.finfo(torch.float64).tiny
    residual = target - normal.sum(1)
    damped = normal + lift * torch.eye(len(chosen), dtype=torch.float64, device=kept.device)
    scales = torch.zeros(units, dtype=torch.float64, device=kept.device)
    scales[chosen] = 1 + torch.linalg.lstsq(damped, residual[:, None]).solution[:, 0]
    return scales


def _unit_normal(
    moments: Moments, weight: Tensor, unit_GD: Tensor, bias: Tensor | None, units: int
) -> tuple[Tensor, Tensor]:
    groups = len(moments.gram)
    rows = augmented(weight, bias, groups=groups)
    unit_GD = unit_GD.to(rows.device)
    product = (rows.transpose(1, 2) @ rows) * moments.gram
    fixed_GE = torch.ones(groups, rows.shape[2], dtype=torch.bool, device=rows.device)
    fixed_GE[:, :-1] = unit_GD < 0
    pick = torch.zeros(groups, rows.shape[2], units, dtype=torch.float64, device=rows.device)
    inside = unit_GD >= 0
    group, column = inside.nonzero(as_tuple=True)
    pick[group, column, unit_GD[inside]] = 1.0
    normal = torch.einsum("geu,gef,gfv->uv", pick, product, pick)
    wanted = (rows * moments.cross).sum(1) - (product * fixed_GE[:, None]).sum(2)
    return normal, torch.einsum("geu,ge->u", pick, wanted)
