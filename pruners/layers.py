"""The weights of layers in one layout: output channels first, whatever the module's own layout.

Shape suffixes: ``O`` output channels, ``I`` input channels, ``G`` convolution groups, ``K`` kernel
positions (one or more dims).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pruners.errors import UnknownNameError, UnsupportedError

CONV_TYPES = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED_TYPES = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class _Lookalike(type(nn.Module)):  # type: ignore[misc]
    """Tells by its form a class of a library that is not imported for it."""

    def __instancecheck__(cls, module: object) -> bool:
        weight = getattr(module, "weight", None)
        return (
            isinstance(weight, Tensor)
            and weight.dim() == 2
            and type(module).__name__ == cls.__name__
            and {"nx", "nf"} <= vars(module).keys()
        )


class Conv1D(nn.Module, metaclass=_Lookalike):
    """The linear layer of GPT-2 in transformers: ``x @ weight + bias``, weight ``(I, O)``."""

    nx: int
    nf: int
    weight: nn.Parameter


# Dim 0 of their weight reads inputs, dim 1 makes outputs.
INPUT_FIRST_TYPES = (*TRANSPOSED_TYPES, Conv1D)
LAYER_TYPES = (*CONV_TYPES, *TRANSPOSED_TYPES, nn.Linear, Conv1D, nn.MultiheadAttention)
TYPE_NAMES = tuple(kind.__name__ for kind in LAYER_TYPES)
# Hooks that compute a weight in each pass, and what takes them off.
OLD_NORMS = {
    "WeightNorm": "torch.nn.utils.remove_weight_norm",
    "SpectralNorm": "torch.nn.utils.remove_spectral_norm",
}


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """Return the layer ``name`` of a model.

    Raises:
        UnknownNameError: The model has no such module.
        UnsupportedError: The module has no prunable weight.
    """
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if name not in modules:
        raise UnknownNameError("layer", name, layer_names(model))
    weight_name(modules[name], name=name)
    return modules[name]


def layer_names(model: nn.Module) -> tuple[str, ...]:
    """Return the names of all modules that have a prunable weight, in definition order."""
    return tuple(name for name, module in model.named_modules() if is_layer(module))


def block_of(name: str) -> str:
    """Return the block that a layer belongs to: its name up to the last part with a number.

    >>> block_of("model.layers.3.mlp.up_proj"), block_of("layer1.0.conv2"), block_of("stem")
    ('model.layers.3', 'layer1.0', 'stem')
    """
    parts = name.split(".")
    # The last part names the layer itself: conv2 is no second block.
    ends = [end for end in range(1, len(parts)) if any(map(str.isdigit, parts[end - 1]))]
    return ".".join(parts[: ends[-1]]) if ends else name


def layer_of(name: str) -> str:
    """Return the module name of a parameter; a parameter of the model itself is its own layer.

    What ``torch.nn.utils.parametrize`` keeps in modules of its own belongs to the module that it
    makes a weight for.
    """
    return name.rpartition(".")[0].partition(".parametrizations.")[0] or name


def is_layer(module: nn.Module) -> bool:
    """Return whether a module has a prunable weight."""
    if isinstance(module, nn.MultiheadAttention):
        return module.in_proj_weight is not None
    # A weight that a parametrization computes is no tensor that could be masked.
    return isinstance(module, LAYER_TYPES) and isinstance(module.weight, nn.Parameter)


def weight_name(module: nn.Module, *, name: str = "") -> str:
    """Return the attribute that holds the layer's weight.

    Raises:
        UnsupportedError: The module has no prunable weight.
    """
    if isinstance(module, nn.MultiheadAttention) and module.in_proj_weight is None:
        raise UnsupportedError(
            f"layer {name!r} keeps the weights of query, key and value apart, which no criterion "
            "scores"
        )
    if isinstance(module, LAYER_TYPES) and not is_layer(module):
        raise UnsupportedError(
            f"layer {name!r} computes its weight from other parameters; {_remedy(module)}"
        )
    if not is_layer(module):
        kind = type(module)
        # Libraries have layers of their own of the same name.
        told = (
            f"{kind.__module__}.{kind.__name__}" if kind.__name__ in TYPE_NAMES else kind.__name__
        )
        raise UnsupportedError(
            f"layer {name!r} is of type {told}; weights that can be pruned are those of "
            f"{', '.join(TYPE_NAMES)}"
        )
    return "in_proj_weight" if isinstance(module, nn.MultiheadAttention) else "weight"


def _remedy(module: nn.Module) -> str:
    """Say how a layer that computes its weight gets a plain one, of the same values."""
    hooks = {type(hook).__name__ for hook in module._forward_pre_hooks.values()}
    remove = next((call for kind, call in OLD_NORMS.items() if kind in hooks), "")
    if parametrize.is_parametrized(module):
        remove = "torch.nn.utils.parametrize.remove_parametrizations"
    if not remove:
        return "hand over a layer that holds its weight itself"
    return f"remove the parametrization first ({remove})"


def native_weight(module: nn.Module, *, name: str = "") -> nn.Parameter:
    """Return the layer's weight parameter in the module's own layout."""
    weight = getattr(module, weight_name(module, name=name))
    assert isinstance(weight, nn.Parameter)
    return weight


def type_name(module: nn.Module) -> str:
    """Return the torch class whose layout the layer follows, such as ``Conv2d``."""
    for kind in LAYER_TYPES:
        if isinstance(module, kind):
            return kind.__name__
    return type(module).__name__


def conv_groups(module: nn.Module) -> int:
    """Return the number of convolution groups; 1 for layers that are no convolution."""
    return int(module.groups) if isinstance(module, CONV_TYPES + TRANSPOSED_TYPES) else 1


def to_output_first(tensor: Tensor, module: nn.Module) -> Tensor:
    """Bring a tensor of the weight's shape from the module's layout to ``(O, I/G, K...)``.

    Transposed convolutions are stored otherwise, ``(I, O/G, K...)``, and so is `Conv1D`.
    """
    if isinstance(module, Conv1D):
        return tensor.T
    if not isinstance(module, TRANSPOSED_TYPES):
        return tensor
    inputs, outputs, *kernel = tensor.shape
    groups = module.groups
    grouped = tensor.reshape(groups, inputs // groups, outputs, *kernel)
    return grouped.transpose(1, 2).reshape(groups * outputs, inputs // groups, *kernel)


def to_native(tensor: Tensor, module: nn.Module) -> Tensor:
    """Bring a tensor from ``(O, I/G, K...)`` back to the module's own layout."""
    if isinstance(module, Conv1D):
        return tensor.T
    if not isinstance(module, TRANSPOSED_TYPES):
        return tensor
    outputs, inputs, *kernel = tensor.shape
    groups = module.groups
    grouped = tensor.reshape(groups, outputs // groups, inputs, *kernel)
    return grouped.transpose(1, 2).reshape(groups * inputs, outputs // groups, *kernel)


def output_first_weight(module: nn.Module, *, name: str = "") -> Tensor:
    """Return the layer's weight as ``(O, I/G, K...)``, detached."""
    return to_output_first(native_weight(module, name=name).detach(), module)


def channels_last_dim(module: nn.Module) -> int:
    """Return the dim of the output channels in the layer's activation: -1 linear, 1 conv."""
    return 1 if isinstance(module, CONV_TYPES + TRANSPOSED_TYPES) else -1


def flat_rows(weight: Tensor) -> Tensor:
    """Return a weight ``(O, I/G, K...)`` as the matrix ``(O, I/G*K)``, float32 or wider."""
    wide = weight if weight.dtype == torch.float64 else weight.float()
    return wide.reshape(weight.shape[0], -1)
