"""A captured model, and the tensors of a model by name."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from pruners.batches import Inputs, Lengths, parts_of


@dataclass(frozen=True, slots=True)
class Graph:
    """A captured model.

    Attributes:
        module: The functional graph. Its placeholders are the state (in any order) and the
            inputs; its output is the model's.
        inputs: Names of the placeholders that take the input batch ``(N, ...)``, one a tensor, in
            order.
        output: Name of the node that yields the output ``(N, ...)``.
        state: Placeholder name -> fully qualified name of the parameter, buffer or constant; a
            shared tensor has its first name everywhere.
        constants: Tensors that the capture lifted out of the code, by fully qualified name; on the
            CPU.
        is_of_several: Whether the model takes `Tensors`, be it of one.
        lengths: Placeholder name -> fewest and most tokens a sample, None for no end, of text for
            which the graph is what the model computes; those of any length are left out.
    """

    module: fx.GraphModule
    inputs: tuple[str, ...]
    output: str
    state: Mapping[str, str]
    constants: Mapping[str, Tensor] = field(default_factory=dict)
    is_of_several: bool = False
    lengths: Mapping[str, Lengths] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What the model computes, as a SHA-256; weights do not count, constants do."""
        content = hashlib.sha256(self.module.code.encode())
        for name, tensor in sorted(self.constants.items()):
            content.update(f"{name}{tensor.tolist()}".encode())
        return content.hexdigest()

    def on(self, device: torch.device | str) -> Graph:
        """Return the graph with all tensors that it makes on a device."""
        device = torch.device(device)
        if device.type == "cpu":
            return self
        module = copy.deepcopy(self.module)
        # A copy renames what has the name of a builtin, as the argument of nn.Sequential has.
        for node, own in zip(module.graph.nodes, self.module.graph.nodes, strict=True):
            node.name = own.name
        make_on(module, device)
        return replace(self, module=module)

    def tensors(self, model: nn.Module) -> dict[str, Tensor]:
        """Return the state of ``model`` that the graph reads, by fully qualified name.

        All of it is on the model's device.
        """
        own, device = named_state(model), device_of(model)
        return {
            name: own[name] if name in own else self.constants[name].to(device)
            for name in self.state.values()
        }

    def arguments(self, model: nn.Module, inputs: Inputs) -> list[Tensor]:
        """Return what the graph's module takes, in its order: the model's state and a batch."""
        state, parts = self.tensors(model), dict(zip(self.inputs, parts_of(inputs), strict=True))
        names = [node.name for node in self.module.graph.find_nodes(op="placeholder")]
        return [state[self.state[name]] if name in self.state else parts[name] for name in names]


def named_state(model: nn.Module) -> dict[str, Tensor]:
    """Return all parameters and buffers by name, shared ones under each of their names."""
    state: dict[str, Tensor] = dict(model.named_parameters(remove_duplicate=False))
    state.update(model.named_buffers(remove_duplicate=False))
    return state


def first_names(model: nn.Module) -> dict[str, str]:
    """Return for each parameter and buffer name the first name of the same tensor."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(item), name) for name, item in named_state(model).items()}


def on_cpu(model: nn.Module) -> nn.Module:
    """Return a model on the CPU: itself if it is there already, else a copy."""
    if all(item.device.type == "cpu" for item in named_state(model).values()):
        return model
    # The device may have no room for another one.
    memo: dict[int, object] = {}
    for parameter in model.parameters():
        there = parameter.detach().cpu()
        memo[id(parameter)] = nn.Parameter(there, parameter.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = buffer.detach().cpu()
    copied = copy.deepcopy(model, memo).cpu()
    make_on(copied, torch.device("cpu"))
    return copied


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's first parameter or buffer; the CPU if it has none."""
    return next((item.device for item in named_state(model).values()), torch.device("cpu"))


def make_on(model: nn.Module, device: torch.device) -> None:
    """Let the graphs in a model and those within them make their tensors on a device; in place."""

    def moved(item: Any) -> Any:
        return device if isinstance(item, torch.device) else item

    for module in model.modules():
        if isinstance(module, fx.GraphModule):
            for node in module.graph.nodes:
                node.args, node.kwargs = fx.node.map_aggregate((node.args, node.kwargs), moved)
            module.recompile()
