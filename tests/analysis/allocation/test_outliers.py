"""Ratios by outliers, against the authors' steps written by hand."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from analysis.allocation.registry import allocate
from analysis.allocation.strategy import Request
from analysis.edits.prepared import PreparedSubject
from analysis.plans.apply import start_plan
from analysis.plans.editing import lock
from analysis.plans.size import meter
from pruners.errors import InputError
from pruners.layers import find_layer
from tests.helpers.contexts import sample_context


def inputs_of(prepared: PreparedSubject, layer: str) -> Tensor:
    """Return what a linear layer reads of the calibration set ``(tokens, in)``."""
    seen: list[Tensor] = []
    handle = find_layer(prepared.model, layer).register_forward_pre_hook(
        lambda _module, args: seen.append(args[0].detach().flatten(0, -2))
    )
    calibration = prepared.subject.calibration
    assert calibration is not None
    with torch.no_grad():
        for inputs, _ in calibration.batches(64):
            prepared.model(inputs)
    handle.remove()
    return torch.cat(seen)


def test_owl_is_the_authors_scaling_of_the_share_of_outliers() -> None:
    """Equations 1 and 2; blocks of one size have the authors' ratios."""
    prepared = sample_context("vit_tiny")
    whole = start_plan(prepared, criterion="wanda", granularity="element", layers="*fc?")
    blocks: dict[str, list[Tensor]] = {}
    for entry in whole.entries:
        weight = find_layer(prepared.model, entry.layer).get_parameter("weight").detach()
        product = weight.abs() * inputs_of(prepared, entry.layer).square().sum(0).sqrt()
        blocks.setdefault(".".join(entry.layer.split(".")[:2]), []).append(product.flatten())
    assert len(blocks) > 2
    joined = {name: torch.cat(parts) for name, parts in blocks.items()}
    share = torch.tensor([float((x > 5 * x.mean()).float().mean()) for x in joined.values()])
    scaled = (share - share.min()) / (share.max() - share.min()) * 0.08 * 2
    density = scaled - scaled.mean() + (1 - 0.6)

    request = Request(plan=whole, meter=meter(prepared), ratio=0.6, prepared=prepared)
    found = allocate("owl", request)
    assert found.plan.strategy == "owl"
    for entry in found.plan.entries:
        place = list(blocks).index(".".join(entry.layer.split(".")[:2]))
        assert entry.kept / entry.total == pytest.approx(float(density[place]), abs=1e-3)
    kept = sum(entry.kept for entry in found.plan.entries)
    assert kept / sum(entry.total for entry in whole.entries) == pytest.approx(0.4, abs=1e-3)

    first = whole.entries[0].name
    held = allocate("owl", dataclasses.replace(request, plan=lock(whole, first))).plan
    assert held.entries[0].kept == held.entries[0].total
    dense = allocate("owl", dataclasses.replace(request, ratio=0.0)).plan
    assert all(entry.kept == entry.total for entry in dense.entries)
    with pytest.raises(InputError, match="strategy owl needs the inputs"):
        allocate("owl", dataclasses.replace(request, prepared=None))
