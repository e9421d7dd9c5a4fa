"""Leave residual branches out of a model's own modules, so that it stays of its own class."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
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
        outputs: How many outputs it had, where they were a tuple: all but the first are None.
    """

    def __init__(self, outputs: int | None = None) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, *args: object, **kwargs: object) -> object:
        """Return zeros."""
        given = next(item for item in (*args, *kwargs.values()) if isinstance(item, Tensor))
        zeros = torch.zeros_like(given)
        return zeros if self.outputs is None else (zeros, *[None] * (self.outputs - 1))


def shortened(
    model: nn.Module, dense: nn.Module, structure: Structure, lost: Sequence[Branch]
) -> Iterator[Shortened]:
    """Yield forms of a model without branches that may be right, the simplest first.

    Entries of a list or sequence go where all of their branches do; branches of others, and of
    those that do more than add branches, become `Gone`.

    Args:
        model: The model; it is changed.
        dense: The model before anything was removed.
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
        emptied = [branch for branch in lost if branch.block not in deleted]
        _empty(form, dense, emptied, gone, structure.example)
        yield Shortened(form, _without(form, deleted))


def _parent(model: nn.Module, name: str) -> nn.Module | None:
    path = name.rpartition(".")[0]
    return model.get_submodule(path) if name in dict(model.named_modules()) else None


def _empty(
    model: nn.Module,
    dense: nn.Module,
    branches: Sequence[Branch],
    gone: set[str],
    example: Inputs,
) -> None:
    """Take the place of the largest modules of which nothing is read any more."""
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        inside = [f"{name}.{item}" for item in named_state(module)]
        is_near = any(name.startswith(f"{item.block}.") or name == item.name for item in branches)
        is_within = any(name.startswith(f"{other}.") for other in found)
        if inside and is_near and not is_within and all(item in gone for item in inside):
            found[name] = module
    # The dense model runs in any case; a part of this one may need what is gone already.
    outputs = _outputs(dense, found, example)
    for name, module in found.items():
        model.set_submodule(name, Gone(outputs.get(name)).train(module.training))
    for name in gone.intersection(named_state(model)):
        path, _, own = name.rpartition(".")
        if any(path.startswith(item.block) for item in branches):
            # A scale that the block holds itself; code that needs it fails, and the graph is taken.
            setattr(model.get_submodule(path), own, None)


def _outputs(model: nn.Module, names: Iterable[str], example: Inputs) -> dict[str, int]:
    """Return how many outputs modules give that give a tuple of them."""
    found: dict[str, int] = {}

    def watch(name: str, output: object) -> None:
        if isinstance(output, tuple):
            found[name] = len(output)

    with ExitStack() as stack, torch.no_grad():
        for name in names:
            hook = model.get_submodule(name).register_forward_hook(
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
    entries: dict[str, list[str]] = {}
    for name in listed:
        path, _, key = name.rpartition(".")
        entries.setdefault(path, []).append(key)
    lists = {path: model.get_submodule(path)._modules for path in entries}
    for path, held in lists.items():
        is_counted = list(held) == [str(place) for place in range(len(held))]
        left = [item for item in held.items() if item[0] not in entries[path]]
        held.clear()
        # Those behind an entry are counted anew; names of a named sequence stay.
        held.update({str(at) if is_counted else key: it for at, (key, it) in enumerate(left)})
    return {name: before[id(item)] for name, item in named_state(model).items()}
