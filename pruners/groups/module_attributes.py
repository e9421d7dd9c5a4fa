"""Adapt the attributes of modules to sliced parameters."""

from __future__ import annotations

import re
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from pruners.groups.graph_rewrite import Sizes
from pruners.groups.groups import Group, Structure
from pruners.layers import Conv1D
from pruners.tracing import module_of, operator_name

# Attributes of attention modules that hold the width of all heads together.
HEAD_WIDTHS = (
    "attn_dim", "inner_dim", "all_head_dim", "all_head_size", "inner_size", "split_size",
)  # fmt: skip

# Names of how wide a head is, which stays.
HEAD_SIZE = re.compile("dim|size|width|channels")


def fit_attributes(model: nn.Module, structure: Structure, removed: Tensor) -> None:
    """Set the sizes that modules keep as attributes.

    Args:
        model: A copy of the model with sliced parameters; changed in place.
        structure: Structure of the model before.
        removed: Which labels are removed, ``(labels,)``.
    """
    for module in model.modules():
        _fit(module)
    _fit_depthwise(model, structure, removed)
    _fit_group_norms(model, structure, removed)
    for group in structure.groups:
        if group.kind == "head" and group.prunable:
            _fit_heads(model, structure, group, removed)


def _fit(module: nn.Module) -> None:
    item = cast(Any, module)
    if isinstance(module, _ConvTransposeNd):
        item.in_channels = module.weight.shape[0]
        item.out_channels = module.weight.shape[1] * module.groups
    elif isinstance(module, _ConvNd):
        item.out_channels = module.weight.shape[0]
        item.in_channels = module.weight.shape[1] * module.groups
    elif isinstance(module, nn.Linear):
        item.out_features, item.in_features = module.weight.shape
    elif isinstance(module, Conv1D):
        item.nx, item.nf = module.weight.shape
    elif isinstance(module, nn.Embedding):
        item.embedding_dim = module.weight.shape[1]
    elif isinstance(module, _NormBase):
        first = module.weight if module.weight is not None else module.running_mean
        if isinstance(first, Tensor):
            item.num_features = len(first)
    elif isinstance(module, nn.LayerNorm | nn.RMSNorm) and module.weight is not None:
        item.normalized_shape = tuple(module.weight.shape)
    elif isinstance(module, nn.PReLU):
        item.num_parameters = module.weight.numel()


def _fit_depthwise(model: nn.Module, structure: Structure, removed: Tensor) -> None:
    """Give depthwise convolutions as many groups as input channels stay."""
    modules = dict(model.named_modules())
    names = {
        member.layer
        for group in structure.groups
        for member in group.members
        if member.role == "depthwise"
    }
    sizes = Sizes(structure.trace, removed)
    for product in structure.trace.products:
        name = product.weight.rpartition(".")[0]
        module = modules.get(name)
        if name not in names or not isinstance(module, _ConvNd):
            continue
        source = structure.trace.values[product.node.all_input_nodes[0]]
        rank = module.weight.dim() - 2
        groups = sizes.size(source, len(source.shape) - rank - 1)
        item = cast(Any, module)
        item.groups = item.in_channels = groups
        if isinstance(module, _ConvTransposeNd):
            item.out_channels = module.weight.shape[1] * groups


def _fit_group_norms(model: nn.Module, structure: Structure, removed: Tensor) -> None:
    """Set the channels of group norms; those of single channels have as many groups."""
    modules = dict(model.named_modules())
    sizes = Sizes(structure.trace, removed)
    for node in structure.trace.graph.module.graph.nodes:
        module = modules.get(module_of(node))
        if operator_name(node) != "group_norm" or not isinstance(module, nn.GroupNorm):
            continue
        item = cast(Any, module)
        channels = sizes.size(structure.trace.values[node], 1)
        if node.args[1] == structure.trace.values[node].shape[1]:
            item.num_groups = channels
        item.num_channels = channels


def _fit_heads(model: nn.Module, structure: Structure, group: Group, removed: Tensor) -> None:
    """Set the number of heads where the module around a head group keeps it."""
    member = group.producers[0]
    root = structure.units.root
    line = root[structure.trace.labels.of(member.name, member.dim, len(member.index))]
    inside = member.index >= 0
    lost = len(torch.unique(member.index[inside][removed[line[inside]]]))
    if not lost:
        return
    modules = dict(model.named_modules())
    for consumer in group.consumers:
        width = int((consumer.index >= 0).sum())
        path = consumer.layer.split(".")
        for end in range(len(path), -1, -1):
            holder = modules.get(".".join(path[:end]))
            if holder is not None and _set_heads(holder, group.units, lost, width):
                break


def _set_heads(module: nn.Module, heads: int, lost: int, width: int) -> bool:
    """Set attributes that count heads, or the several query heads of each."""
    attributes = vars(module)
    names = [
        name
        for name, value in attributes.items()
        if "head" in name and not HEAD_SIZE.search(name) and type(value) is int
        if value > 0 and value % heads == 0
    ]
    for name in names:
        setattr(module, name, attributes[name] // heads * (heads - lost))
    for name in HEAD_WIDTHS if names else ():
        if attributes.get(name) == width:
            setattr(module, name, width * (heads - lost) // heads)
    return bool(names)
