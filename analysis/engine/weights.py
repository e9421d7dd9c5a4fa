"""What the steps of a program read of the model's state: as it is, or with an edit's tensors.

The weights of a convolution are derived from the state once: folded with the batch norm after it,
without the columns that an edit has set to zero, in the layout and type of the program. Folding
and the statistics of batch norms stay in the type of the state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from analysis.engine.convolutions import (
    conv_state,
    folded_bias,
    folded_weight,
    norm_scale,
    used_columns,
)
from analysis.engine.operators import PLAIN_CONVOLUTIONS
from analysis.engine.steps import Step

State = Mapping[str, Tensor]
Resolve = Callable[[fx.Node], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """The weights of one convolution.

    Attributes:
        weight: ``(O, I, ...)``, without the columns that are skipped.
        bias: ``(O,)`` or None.
        columns: The input channels that it reads; None reads all.
    """

    weight: Tensor
    bias: Tensor | None
    columns: Tensor | None = None


class Weights:
    """The state of a program, dense or edited.

    Args:
        names: Names of the state by placeholder.
        state: The dense tensors by name.
        channels_last: Lay out 2-d kernels in channels-last.
        skip_zero_columns: Leave out the columns that an edit has set to zero.
        dtype: Type of the tensors that steps read; None leaves it as it is.
        edit: Tensors that replace the dense ones, by name.
        dense: The weights without an edit.
    """

    def __init__(
        self,
        names: Mapping[fx.Node, str],
        state: State,
        *,
        channels_last: bool,
        skip_zero_columns: bool,
        dtype: torch.dtype | None,
        edit: State | None = None,
        dense: Weights | None = None,
    ) -> None:
        self._names = names
        self._state = state
        self._channels_last = channels_last
        self._skips = skip_zero_columns
        self._dtype = dtype
        self._edit = edit or {}
        self._dense = dense
        self._kernels: dict[int, Kernel] = {}
        self._tensors: dict[str, Tensor] = {}
        self._scales: dict[int, Tensor] = {}
        self._shifts: dict[int, Tensor] = {}

    def edited(self, edit: State) -> Weights:
        """Return these dense weights with an edit's tensors in place."""
        return Weights(
            self._names,
            self._state,
            channels_last=self._channels_last,
            skip_zero_columns=self._skips,
            dtype=self._dtype,
            edit=edit,
            dense=self,
        )

    def tensor(self, name: str) -> Tensor:
        """Return a tensor of the state in the type of the program."""
        if self._dense is not None and name not in self._edit:
            return self._dense.tensor(name)
        if name not in self._tensors:
            self._tensors[name] = self.lowered(self._own(name))
        return self._tensors[name]

    def lowered(self, value: Any) -> Any:
        """Return floating-point tensors, those in tuples too, in the type of the program."""
        if self._dtype is None:
            return value
        if isinstance(value, tuple | list):
            return type(value)(self.lowered(item) for item in value)
        is_real = isinstance(value, Tensor) and value.is_floating_point()
        return value.to(self._dtype) if is_real else value

    def exact(self, nodes: Iterable[Any], resolve: Resolve) -> list[Any]:
        """Return the values of nodes, those of the state in their own type; None stays None."""
        return [
            None
            if not isinstance(node, fx.Node)
            else self._own(self._names[node])
            if node in self._names
            else resolve(node)
            for node in nodes
        ]

    def kernel(self, step: Step, inputs: Tensor, resolve: Resolve) -> Kernel:
        """Return the weights of a convolution; derived once, unless other steps compute them.

        Args:
            step: The convolution.
            inputs: What it reads.
            resolve: Returns the value of a node.
        """
        is_edited = not self._edit.keys().isdisjoint(step.state)
        if self._dense is not None and not is_edited:
            return self._dense.kernel(step, inputs, resolve)
        if step.index in self._kernels:
            return self._kernels[step.index]
        kernel = self._derived(step, inputs, resolve, is_edited)
        if all(node in self._names for node in _state_nodes(step)):
            self._kernels[step.index] = kernel
        return kernel

    def _own(self, name: str) -> Tensor:
        return self._edit[name] if name in self._edit else self._state[name]

    def _derived(self, step: Step, inputs: Tensor, resolve: Resolve, is_edited: bool) -> Kernel:
        arguments = step.body.args
        bias_node = arguments[2] if len(arguments) > 2 else None
        weight, bias = self.exact((arguments[1], bias_node), resolve)
        skips = is_edited and self._may_skip(step, inputs, weight)
        columns = used_columns(weight) if skips else None
        if columns is not None:
            weight = weight.index_select(1, columns)
        if step.norm is not None:
            weight, bias = self._folded(step, weight, bias, resolve)
        weight, bias = self.lowered(weight), self.lowered(bias)
        if self._channels_last and weight.dim() == 4:
            weight = weight.contiguous(memory_format=torch.channels_last)
        return Kernel(weight, bias, columns)

    def _folded(
        self, step: Step, weight: Tensor, bias: Tensor | None, resolve: Resolve
    ) -> tuple[Tensor, Tensor]:
        """Return weight and bias that include the norm; what an edit leaves alone is kept."""
        assert step.norm is not None
        terms = [item for item in step.norm.args[1:5] if isinstance(item, fx.Node)]
        of_norm = {self._names[node] for node in terms if node in self._names}
        owner = self if self._dense is None or of_norm & self._edit.keys() else self._dense
        gamma, beta, mean, var = self.exact(step.norm.args[1:5], resolve)
        if step.index not in owner._scales:
            eps = step.norm.args[6]
            assert isinstance(eps, float)
            owner._scales[step.index] = norm_scale(gamma, var, eps)
        scale = owner._scales[step.index]
        if bias is None and owner is not self:
            # Only the weight is another one.
            if step.index not in owner._shifts:
                owner._shifts[step.index] = folded_bias(weight, bias, beta, mean, scale)
            return folded_weight(weight, scale), owner._shifts[step.index]
        return folded_weight(weight, scale), folded_bias(weight, bias, beta, mean, scale)

    def _may_skip(self, step: Step, inputs: Tensor, weight: Tensor) -> bool:
        """Return whether skipping columns is possible and pays: not where it waits for a GPU."""
        return (
            self._skips
            and self._channels_last
            and inputs.device.type == "cpu"
            and inputs.dim() == 4
            and step.body.target in PLAIN_CONVOLUTIONS
            and weight.shape[1] == inputs.shape[1]
        )


def changed(old: State, new: State) -> frozenset[str]:
    """Return the names whose tensors differ between two edits; waits for a device once at most."""
    if not old:
        return frozenset(new)
    both = [name for name in old.keys() & new.keys() if old[name] is not new[name]]
    alike = [torch.eq(old[name], new[name]).all() for name in both]
    is_equal = dict(zip(both, torch.stack(alike).tolist() if alike else (), strict=True))
    other = {name for name, equal in is_equal.items() if not equal}
    return frozenset(other | (old.keys() ^ new.keys()))


def _state_nodes(step: Step) -> list[fx.Node]:
    norm = step.norm.args[1:5] if step.norm is not None else ()
    return conv_state(step.body) + [item for item in norm if isinstance(item, fx.Node)]
