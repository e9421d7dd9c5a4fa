"""Find, while a model runs, the values by which the next layers read a layer's channels.

The output of a conv is rarely what counts: batch norm, a residual sum and an activation function
come first. `ActivationTracer` follows a layer's output through these (and through in-place
operations and calls of `torch.nn.functional` alike) up to the first activation function.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from pruners.layers import channels_last_dim, find_layer
from pruners.statistics.arrangement import Arrangement

# Activation functions that answer exactly 0 to a whole half-line, so zeros can be counted.
RECTIFIERS = frozenset({"relu", "relu_", "relu6", "threshold", "threshold_"})
OTHER_ACTIVATIONS = frozenset(
    {
        "gelu", "silu", "silu_", "hardswish", "hardswish_", "leaky_relu", "leaky_relu_", "elu",
        "elu_", "selu", "selu_", "celu", "sigmoid", "sigmoid_", "tanh", "tanh_", "mish",
        "softplus", "prelu", "hardsigmoid", "hardtanh", "hardtanh_",
    }
)  # fmt: skip
SUMS = frozenset({"add", "add_", "__add__", "__iadd__", "__radd__"})
PASSING = frozenset({"dropout", "dropout1d", "dropout2d", "dropout3d", "contiguous", "batch_norm"})
_TAG = "_prunescope_tag"
# A layer and the number of its call in one pass: modules may be used several times.
Call = tuple[str, int]


@dataclass(frozen=True, slots=True)
class ChannelValue:
    """A value that carries the channels of layers.

    Attributes:
        calls: Layers whose channels it carries, with the number of the call of each; several
            after a residual sum.
        tensor: The value.
        dim: Dim of the channels.
        rectified: Whether it comes out of a ReLU.
    """

    calls: tuple[Call, ...]
    tensor: Tensor
    dim: int
    rectified: bool


@dataclass(frozen=True, slots=True)
class _Tag:
    calls: tuple[Call, ...]
    dim: int
    normed: bool = False


class ActivationTracer(TorchFunctionMode):
    """Context that reports the values of layers' channels; the last report of a call counts.

    Args:
        model: The model that runs inside the context; its hooks are removed at the end.
        layers: Names of the layers to follow.
        on_value: Called with each value, in the order of execution.
        on_batch_norm: Called with a call of a layer and the scale of the batch norm right after.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        layers: Sequence[str],
        on_value: Callable[[ChannelValue], None],
        on_batch_norm: Callable[[Call, Tensor], None],
    ) -> None:
        super().__init__()
        self._model = model
        self._layers = tuple(layers)
        self._on_value = on_value
        self._on_batch_norm = on_batch_norm
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> ActivationTracer:
        for name in self._layers:
            module = find_layer(self._model, name)
            self._handles.append(module.register_forward_hook(self._output_hook(name)))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *exception: Any) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        super().__exit__(*exception)  # type: ignore[no-untyped-call]

    def _output_hook(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        numbers = itertools.count()

        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            # The channels of an attention's input projection are not visible outside of it.
            if isinstance(output, Tensor):
                tag = _Tag(((name, next(numbers)),), channels_last_dim(module))
                self._report(output, tag, rectified=False)

        return hook

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        tag = self._tag_of(name, args)
        output = func(*args, **kwargs)
        if tag is None or not isinstance(output, Tensor):
            return output
        if name == "batch_norm":
            self._note_scale(tag, args, kwargs)
            tag = _Tag(tag.calls, tag.dim, normed=True)
        if name in RECTIFIERS or name in OTHER_ACTIVATIONS:
            self._on_value(ChannelValue(tag.calls, output, tag.dim, name in RECTIFIERS))
            if hasattr(output, _TAG):
                delattr(output, _TAG)
        else:
            self._report(output, tag, rectified=False)
        return output

    def _tag_of(self, name: str, args: tuple[Any, ...]) -> _Tag | None:
        """Return the tag that the result carries on, if the operation keeps channels apart."""
        if name in SUMS and len(args) >= 2:
            first, second = (getattr(item, _TAG, None) for item in args[:2])
            shapes = [item.shape for item in args[:2] if isinstance(item, Tensor)]
            if len(shapes) == 2 and shapes[0] != shapes[1]:
                return None
            if first is None or second is None:
                return first or second
            return _Tag(tuple(dict.fromkeys((*first.calls, *second.calls))), first.dim, True)
        if name in PASSING or name in RECTIFIERS or name in OTHER_ACTIVATIONS:
            return getattr(args[0], _TAG, None) if args else None
        return None

    def _note_scale(self, tag: _Tag, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        scale = args[3] if len(args) > 3 else kwargs.get("weight")
        if isinstance(scale, Tensor) and not tag.normed and len(tag.calls) == 1:
            self._on_batch_norm(tag.calls[0], scale.detach())

    def _report(self, tensor: Tensor, tag: _Tag, *, rectified: bool) -> None:
        setattr(tensor, _TAG, tag)
        self._on_value(ChannelValue(tag.calls, tensor, tag.dim, rectified))


class GateSlot:
    """Holds the derivative by a gate on each channel of a value once backward has run.

    Args:
        value: The value.
        samples: Samples of the batch.
        arrangement: Where they are.
    """

    def __init__(self, value: ChannelValue, samples: int, arrangement: Arrangement) -> None:
        self.gradient: Tensor | None = None
        # A later in-place operation may overwrite the value before backward.
        saved = value.tensor.detach().clone()

        def hook(grad: Tensor) -> None:
            product = (grad * saved).float()
            apart = arrangement.apart(product, channels=value.dim, samples=samples)
            self.gradient = apart.sum(1)

        self.handle: RemovableHandle = value.tensor.register_hook(hook)  # type: ignore[no-untyped-call]
