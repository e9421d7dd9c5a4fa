"""Leave residual branches out of a model's own modules, so that it stays of its own class."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruners.batches import Inputs
from pruners.capture import named_state
from pruners.groups.branches import Branch
from pruners.groups.graph_rewrite import unread
from pruners.groups.groups import Structure


@dataclass(frozen=True, slots=True, eq=False)
class Shortened:
    """A model without some branches, to be verified.

    Attributes:
        module: The model.
        names: Its names of parameters and buffers -> those of the model before: a list whose
            entries go counts the others anew.
    """

    module: nn.Module
    names: dict[str, str]


class Gone(nn.Module):
    """Stands where a module of a residual branch was: zeros of its input's shape.

    Args:
        outputs: How many outputs it had, if more than one: the others are None.
    """

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, *args: object, **kwargs: object) -> object:
        """Return zeros."""
        given = next(item for item in (*args, *kwargs.values()) if isinstance(item, Tensor))
        zeros = torch.zeros_like(given)
        return zeros if self.outputs == 1 else (zeros, *[None] * (self.outputs - 1))


def shortened(
    model: nn.Module, structure: Structure, lost: Sequence[Branch]
) -> Iterator[Shortened]:
    """Yield forms of a model without branches that may be right, the simplest first.

    Entries of a list or sequence go where all of their branches do; branches of others, and of
    those that do more than add branches, become `Gone`.

    Args:
        model: The model; it is changed.
        structure: Its structure.
        lost: The branches.
    """
    if not lost:
        yield Shortened(model, {name: name for name in named_state(model)})
        return
    _, gone = unread(structure.trace.graph, {item.total: item.skip for item in lost})
    listed = [
        group.layer
        for group in structure.depth
        if group.kind == "layer" and set(group.branches) <= set(lost)
        if isinstance(_parent(model, group.layer), nn.ModuleList | nn.Sequential)
    ]
    for deleted in (listed, []) if listed else ([],):
        form = copy.deepcopy(model)
        for branch in lost:
            if branch.block not in deleted:
                _empty(form, branch, gone, structure.example)
        yield Shortened(form, _without(form, deleted))


def _parent(model: nn.Module, name: str) -> nn.Module | None:
    path = name.rpartition(".")[0]
    return model.get_submodule(path) if name in dict(model.named_modules()) else None


def _empty(model: nn.Module, branch: Branch, gone: set[str], example: Inputs) -> None:
    """Take the place of the largest modules of which nothing is read any more."""
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        inside = [f"{name}.{item}" for item in named_state(module)]
        is_near = name.startswith(f"{branch.block}.") or name == branch.name
        is_within = any(name.startswith(f"{other}.") for other in found)
        if inside and is_near and not is_within and all(item in gone for item in inside):
            found[name] = module
    outputs = _outputs(model, found, example)
    for name, module in found.items():
        model.set_submodule(name, Gone(outputs.get(name, 1)).train(module.training))


def _outputs(model: nn.Module, modules: Mapping[str, nn.Module], example: Inputs) -> dict[str, int]:
    """Return how many outputs modules give that give several."""
    found: dict[str, int] = {}

    def watch(name: str, output: object) -> None:
        if isinstance(output, tuple):
            found[name] = len(output)

    with ExitStack() as stack, torch.no_grad():
        for name, module in modules.items():
            hook = module.register_forward_hook(
                lambda _module, _inputs, output, name=name: watch(name, output)
            )
            stack.callback(hook.remove)
        model(example)
    return found


def _without(model: nn.Module, listed: Sequence[str]) -> dict[str, str]:
    """Delete entries of lists; return the new names -> the old ones."""
    before: dict[int, str] = {}
    for name, item in named_state(model).items():
        before.setdefault(id(item), name)
    # The last one first, since those behind it are counted anew.
    for name in sorted(listed, key=lambda item: int(item.rpartition(".")[2]), reverse=True):
        parent = _parent(model, name)
        assert isinstance(parent, nn.ModuleList | nn.Sequential)
        del parent[int(name.rpartition(".")[2])]
    return {name: before[id(item)] for name, item in named_state(model).items()}
