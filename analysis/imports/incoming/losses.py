"""What a masked state dict says that a plan does not, in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from analysis import plans
from analysis.imports.incoming.request import PlanRequest
from analysis.records import Plan
from analysis.sentences import listed, plural
from pruners.granularity import parse
from pruners.groups import member_mask


def lost(request: PlanRequest, plan: Plan, tensors: Mapping[str, Tensor]) -> str:
    """Return why the plan's model answers otherwise than the file's; empty if nothing is known.

    Args:
        request: What is read.
        plan: What became of it, with its indices.
        tensors: What the file holds, by the model's names.
    """
    own = request.prepared.model.state_dict()
    names = {name: name.removesuffix("_orig") for name in tensors}
    weights = {names[name]: item for name, item in tensors.items() if names[name] in own}
    masks = {n.removesuffix("_mask"): item for n, item in tensors.items() if n.endswith("_mask")}
    other = [name for name, item in weights.items() if not _equal(item, own[name])]
    if other:
        return (
            f"{request.file} has other weights than {request.model} ({plural(len(other), 'tensor')}"
            f", such as {other[0]}): the plan has its masks alone; to measure its model, open it "
            "with these weights (#weights=FILE)"
        )
    if all(parse(entry.granularity).is_structured for entry in plan.entries):
        state = {name: item.cpu() * masks.get(name, 1) for name, item in own.items()}
        kept = sorted(set(_still_added(request, plan, state)))
        if kept:
            return (
                "removed channels go with their biases and norms, which the file keeps "
                f"({listed(kept)}): its model answers otherwise than the plan's; --granularity "
                "element keeps them"
            )
        return ""
    left = [name for name, item in masks.items() if item.dim() == 1 and not bool(item.all())]
    if left:
        return (
            f"masks of biases and norms are left out ({listed(left)}): a plan of single weights "
            "has those of layers alone"
        )
    return ""


def _equal(one: Tensor, other: Tensor) -> bool:
    # Only training reads counters.
    if not other.is_floating_point():
        return True
    return one.shape == other.shape and torch.equal(one.float().cpu(), other.float().cpu())


def _still_added(request: PlanRequest, plan: Plan, state: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield biases and norms that add something at removed channels, which somebody reads."""
    for entry in plans.pruned_entries(plan):
        group = request.prepared.group(entry.name)
        gone = torch.ones(entry.total, dtype=torch.bool)
        gone[list(entry.indices or ())] = False
        held = {
            member.name: state[member.name].movedim(member.dim, 0)[~member_mask(member, gone).cpu()]
            for member in group.members
        }
        read = [held[member.name] for member in group.consumers]
        if any(bool(item.any()) for item in read):
            yield from (
                name
                for name, item in held.items()
                if state[name].dim() == 1
                and not name.endswith(("running_mean", "running_var"))
                and bool(item.any())
            )
