"""Find, while a model runs, the values by which the next layers read a layer's channels.

The output of a conv is rarely what counts: batch norm, a residual sum and an activation function
come first. `ActivationTracer` follows a layer's output through these (and through in-place
operations and calls of `torch.nn.functional` alike) up to the first activation function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from pruners.layers import channels_last_dim, find_layer, to_samples_channels

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


@dataclass(frozen=True, slots=True)
class ChannelValue:
    """A value that carries the channels of layers.

    Attributes:
        layers: The layers whose channels it carries; several after a residual sum.
        tensor: The value.
        dim: Dim of the channels.
        rectified: Whether it comes out of a ReLU.
    """

    layers: tuple[str, ...]
    tensor: Tensor
    dim: int
    rectified: bool


@dataclass(frozen=True, slots=True)
class _Tag:
    layers: tuple[str, ...]
    dim: int
    normed: bool = False


class ActivationTracer(TorchFunctionMode):
    """Context that reports the values of layers' channels; the last report of a layer counts.

    Args:
        model: The model that runs inside the context; its hooks are removed at the end.
        layers: Names of the layers to follow.
        on_value: Called with each value, in the order of execution.
        on_batch_norm: Called with a layer's name and the scale of the batch norm right after it.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        layers: Sequence[str],
        on_value: Callable[[ChannelValue], None],
        on_batch_norm: Callable[[str, Tensor], None],
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
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            # The channels of an attention's input projection are not visible outside of it.
            if isinstance(output, Tensor):
                self._report(output, _Tag((name,), channels_last_dim(module)), rectified=False)

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
            tag = _Tag(tag.layers, tag.dim, normed=True)
        if name in RECTIFIERS or name in OTHER_ACTIVATIONS:
            self._on_value(ChannelValue(tag.layers, output, tag.dim, name in RECTIFIERS))
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
            return _Tag(tuple(dict.fromkeys((*first.layers, *second.layers))), first.dim, True)
        if name in PASSING or name in RECTIFIERS or name in OTHER_ACTIVATIONS:
            return getattr(args[0], _TAG, None) if args else None
        return None

    def _note_scale(self, tag: _Tag, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        scale = args[3] if len(args) > 3 else kwargs.get("weight")
        if isinstance(scale, Tensor) and not tag.normed and len(tag.layers) == 1:
            self._on_batch_norm(tag.layers[0], scale.detach())

    def _report(self, tensor: Tensor, tag: _Tag, *, rectified: bool) -> None:
        setattr(tensor, _TAG, tag)
        self._on_value(ChannelValue(tag.layers, tensor, tag.dim, rectified))


class GateSlot:
    """Holds the derivative by a gate on each channel of a value once backward has run."""

    def __init__(self, value: ChannelValue, samples: int) -> None:
        self.gradient: Tensor | None = None
        # A later in-place operation may overwrite the value before backward.
        saved = value.tensor.detach().clone()

        def hook(grad: Tensor) -> None:
            product = (grad * saved).float()
            self.gradient = to_samples_channels(product, dim=value.dim, samples=samples).sum(1)

        self.handle: RemovableHandle = value.tensor.register_hook(hook)  # type: ignore[no-untyped-call]
