"""Repair a pruned model layer by layer, in the order of execution, without training.

Each layer is fitted on the inputs that the model gives with everything before it already repaired,
towards the outputs of the dense model, so that errors do not pile up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from pruners.errors import InputError
from pruners.float32 import strict
from pruners.layers import conv_groups, find_layer, is_layer, to_native, to_output_first
from pruners.reconstruction.known import KnownLayers, LayerRepair, Repaired, layer_keys
from pruners.reconstruction.lsq import least_squares
from pruners.reconstruction.moments import Batches, LayerCalls, Moments, layer_calls
from pruners.reconstruction.sources import MomentSource
from pruners.statistics import DEFAULT_MEMORY_LIMIT


class Fit(Protocol):
    """Fits the kept weights of a layer to the outputs of the dense one."""

    def __call__(
        self, moments: Moments, weight: Tensor, bias: Tensor | None, *, mask: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return new weights, and a new bias or the given one.

        Args:
            moments: The layer's moments.
            weight: The dense weight, output channels first.
            bias: ``(O,)`` or None.
            mask: Of the weight's shape, True = keep.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Repair:
    """A repaired edit.

    Attributes:
        edit: All tensors of the pruned and repaired model that differ from the dense one.
        layers: What changed, in the order of execution.
        skipped: Layer name -> why it was not repaired.
    """

    edit: dict[str, Tensor]
    layers: tuple[LayerRepair, ...]
    skipped: dict[str, str]


@strict
def repair_layers(
    model: nn.Module,
    batches: Batches,
    *,
    edit: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    fit: Fit = least_squares,
    fits: Mapping[str, Fit] | None = None,
    teacher: nn.Module | None = None,
    rows: Mapping[str, Tensor] | None = None,
    known: KnownLayers | None = None,
    context: bytes = b"",
    progress: Callable[[int, int], None] | None = None,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
) -> Repair:
    """Repair all layers whose weights are masked.

    Args:
        model: The model that is pruned, in eval mode; left as found.
        batches: Calibration batches that can be iterated again and again (a list).
        edit: Tensors of the pruned model by fully qualified name.
        masks: Weight name -> boolean mask of its shape in the module's layout, True = keep. A
            weight that is masked for several reasons has one mask with all of them.
        fit: How a layer is fitted: `least_squares` or `obs_fit`, for example.
        fits: How layers of these names are fitted instead.
        teacher: The dense model if ``model`` is a smaller one; see `capture_moments`.
        rows: Output channels of the teacher's layers that the smaller ones have.
        known: Layers that were repaired before: those are taken over, to the bit what they would
            be, and the others are added. Only for models that call the same layers for all inputs.
        context: What repairs in ``known`` depend on beside ``edit`` and ``masks``, where it is not
            the same for all of them: how a layer is fitted, for example.
        progress: Called with layers done and their number.
        memory_limit: Bytes that the values of all batches may take at once. Where they take more,
            the time grows with the square of the depth; see `MomentSource`.

    Raises:
        InputError: There are no batches.
    """
    calls, skipped = _repairable(model, batches, list(masks))
    keys: dict[str, bytes] = {}
    found: dict[str, Repaired] = {}
    if known is not None:
        keys = layer_keys(model, calls, edit=edit, masks=masks, context=context)
        found = {name: item for name, key in keys.items() if (item := known.get(key)) is not None}
    current = dict(edit)
    for new, _ in found.values():
        current.update(new)
    missing = {name: item for name, item in calls.items() if name not in found}
    source = MomentSource(
        model,
        batches,
        missing,
        edit=current,
        teacher=teacher,
        rows=rows,
        memory_limit=memory_limit,
        outputs=None if known is None else known.outputs,
    )
    with closing(source):
        for done, name in enumerate(missing, start=1 + len(found)):
            mask = masks[f"{name}.weight"]
            how = (fits or {}).get(name, fit)
            # Least squares looks at no input that the layer does not read any more.
            read = _read_channels(model, name, mask) if how is least_squares else None
            moments = source.at(name, read)
            new, result = repair_one(
                model, name, moments=moments, mask=mask, fit=how, edit=current, read=read
            )
            source.repaired(new)
            current.update(new)
            found[name] = new, result
            if known is not None and name in keys:
                known.put(keys[name], found[name])
            if progress is not None:
                progress(done, len(calls))
    return Repair(edit=current, layers=tuple(found[name][1] for name in calls), skipped=skipped)


@strict
def repair_one(
    model: nn.Module,
    name: str,
    *,
    moments: Moments,
    mask: Tensor,
    fit: Fit,
    edit: Mapping[str, Tensor] | None = None,
    read: Tensor | None = None,
) -> tuple[dict[str, Tensor], LayerRepair]:
    """Repair one layer from moments that may serve many masks.

    Args:
        model: The dense model.
        name: The layer.
        moments: Its moments.
        mask: Boolean mask of the weight in the module's layout, True = keep.
        fit: How it is fitted.
        edit: Tensors of the pruned model; the layer's bias is taken from it if it is there.
        read: Input channels that the moments are of, all that the mask keeps; None: all there are.

    Returns:
        The layer's new tensors by fully qualified name, and the errors before and after.
    """
    module = find_layer(model, name)
    parameter = module.get_parameter("weight").detach()
    weight = to_output_first(parameter, module)
    keep = to_output_first(mask, module)
    whole = weight
    if read is not None:
        weight, keep = weight[:, read], keep[:, read]
    bias = _bias(module, name, edit or {})
    before = moments.error(weight * keep, bias)
    new_weight, new_bias = fit(moments, weight, bias, mask=keep)
    result = LayerRepair(name, before, moments.error(new_weight, new_bias))
    if read is not None:
        new_weight = torch.zeros_like(whole).index_copy_(1, read, new_weight)
    new = {f"{name}.weight": to_native(new_weight, module)}
    if new_bias is not None and new_bias is not bias:
        new[f"{name}.bias"] = new_bias
    return new, result


def _read_channels(model: nn.Module, name: str, mask: Tensor) -> Tensor | None:
    """Return the input channels that a masked layer reads; None: all of them, or who knows."""
    module = find_layer(model, name)
    if conv_groups(module) > 1:
        return None
    is_read = to_output_first(mask, module).transpose(0, 1).flatten(1).any(1)
    return is_read.nonzero().flatten() if is_read.any() and not is_read.all() else None


def _bias(module: nn.Module, name: str, edit: Mapping[str, Tensor]) -> Tensor | None:
    own = dict(module.named_parameters(recurse=False)).get("bias")
    return None if own is None else edit.get(f"{name}.bias", own).detach()


def _repairable(
    model: nn.Module, batches: Batches, weights: Sequence[str]
) -> tuple[dict[str, LayerCalls], dict[str, str]]:
    """Return the layers to repair in the order of execution, and why others are left."""
    first = next(iter(batches), None)
    if first is None:
        raise InputError("a repair needs calibration data; there is none")
    skipped = {}
    candidates = []
    for weight in weights:
        name, _, attribute = weight.rpartition(".")
        module = model.get_submodule(name)
        if isinstance(module, nn.MultiheadAttention):
            skipped[name] = "its outputs inside of the attention are not visible"
        elif attribute != "weight" or not is_layer(module):
            # A tied head, a parameter of the model's own, or another module's weight.
            skipped[weight.removesuffix(".weight")] = (
                "code reads it outside of a layer that can be watched"
            )
        else:
            candidates.append(name)
    calls = layer_calls(model, first[0], layers=candidates)
    for name in candidates:
        if name not in calls:
            skipped[name] = "the model does not call it as a module"
    return calls, skipped
