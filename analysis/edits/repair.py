"""Repairs of pruned models without training, for points of a sweep and for plans.

The formulas are in `pruners.reconstruction.lsq`, `pruners.reconstruction.batch_norm` and
`pruners.reconstruction.mask_search`; here they meet targets, edits and the calibration set.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace

import torch
from torch import Tensor, nn

from analysis.edits.edit import Edit
from analysis.edits.prepared import CALIBRATION_BATCH, PreparedSubject
from analysis.edits.target import Target
from pruners.errors import InputError, UnknownNameError, UnsupportedError
from pruners.groups import consumer_masks
from pruners.layers import (
    conv_groups,
    find_layer,
    native_weight,
    to_native,
    weight_name,
)
from pruners.reconstruction import METHOD_HELP as LAYER_HELP
from pruners.reconstruction import Moments, batch_norm_buffers, capture_moments, repair_one
from pruners.statistics import column_length

REPAIR_HELP = {
    "none": "no repair",
    "bn": "batch-norm statistics are estimated anew on the calibration set",
    **LAYER_HELP,
    "tune": "a factor for each kept unit instead of new weights (mask tuning of Kwon et al.)",
}
REPAIRS = tuple(REPAIR_HELP)
SWEEP_REPAIRS = ("none", "bn", "lsq")
# Repaired tensors of a sweep's points, and moments of layers, are kept up to this size each.
CACHE_BYTES = 512 * 2**20
Batches = list[tuple[Tensor, Tensor | None]]


def calibration_batches(prepared: PreparedSubject) -> Batches:
    """Return the calibration set as a list of batches.

    Raises:
        InputError: The subject has no calibration data.
    """
    split = prepared.subject.calibration
    if split is None:
        raise InputError("a repair needs calibration data; give a data address")
    return list(split.batches(CALIBRATION_BATCH))


def check_repair(name: str, *, semantics: str = "removal", known: tuple[str, ...] = REPAIRS) -> str:
    """Return ``name`` if it is a repair that fits the semantics.

    Raises:
        UnknownNameError: No such repair there.
        UnsupportedError: It fits layers to what removal leaves, and semantics is ``weights``.
    """
    if name not in known:
        raise UnknownNameError("repair", name, known)
    if semantics == "weights" and name not in ("none", "bn"):
        raise UnsupportedError(
            f"repair {name} fits the next layers to removed channels; with semantics 'weights' "
            "only bn applies"
        )
    return name


def weight_masks(prepared: PreparedSubject, target: Target, mask: Tensor) -> dict[str, Tensor]:
    """Return which weights a repair may fit after a target is pruned (semantics ``removal``).

    Args:
        prepared: The subject.
        target: What is pruned.
        mask: True = keep: ``(units,)``, or the weight's output-first shape.

    Returns:
        Weight name -> boolean mask in the module's layout, True = keep.
    """
    if target.group is not None:
        return consumer_masks(prepared.group(target.group), ~mask, prepared.evaluator.state)
    module = find_layer(prepared.model, target.layer)
    attribute = weight_name(module, name=target.layer)
    name = f"{target.layer}.{attribute}" if target.layer else attribute
    return {name: to_native(mask, module)}


class PointRepairer:
    """Repairs single points of a sweep: one target pruned, everything else dense.

    Only the target is pruned, so layers read what they read in the dense model and one pass over
    the calibration set serves all ratios and criteria of a target. (In a group whose consumers
    follow each other, the later ones' inputs are taken as dense.)

    Args:
        prepared: The subject.
        method: One of `SWEEP_REPAIRS`.
        semantics: ``removal`` or ``weights``.
    """

    def __init__(
        self, prepared: PreparedSubject, *, method: str, semantics: str = "removal"
    ) -> None:
        self._method = check_repair(method, semantics=semantics, known=SWEEP_REPAIRS)
        self._prepared = prepared
        self._batches = calibration_batches(prepared) if method != "none" else []
        self._moments: OrderedDict[str, Moments] = OrderedDict()
        self._cache: OrderedDict[Hashable, Edit] = OrderedDict()

    def names(self, target: Target, mask: Tensor) -> frozenset[str]:
        """Return which tensors a repair of the target may change."""
        if self._method == "bn":
            return frozenset(
                name
                for name in self._prepared.evaluator.state
                if name.endswith(("running_mean", "running_var"))
            )
        if self._method == "none":
            return frozenset()
        weights = weight_masks(self._prepared, target, mask)
        biases = {f"{name.rpartition('.')[0]}.bias" for name in weights}
        return frozenset(weights) | (biases & set(self._prepared.evaluator.state))

    def repaired(self, target: Target, mask: Tensor, edit: Edit, *, key: Hashable) -> Edit:
        """Return the repaired edit of a point.

        Args:
            target: What is pruned.
            mask: True = keep.
            edit: The point's edit.
            key: What identifies the point, to compute it once.

        Raises:
            UnsupportedError: The point is only exact by physical removal.
        """
        if self._method == "none" or edit.is_dense:
            return edit
        if edit.kept:
            raise UnsupportedError(
                f"group {target.name} is evaluated by physical removal, which has no repair"
            )
        if key not in self._cache:
            with torch.inference_mode(mode=False):
                self._cache[key] = self._repair(target, mask, edit)
            self._trim()
        self._cache.move_to_end(key)
        return self._cache[key]

    def _repair(self, target: Target, mask: Tensor, edit: Edit) -> Edit:
        if self._method == "bn":
            buffers = batch_norm_buffers(self._prepared.model, self._batches, edit=edit.tensors)
            return replace(edit, tensors={**edit.tensors, **buffers})
        tensors = dict(edit.tensors)
        for weight, keep in weight_masks(self._prepared, target, mask).items():
            name = weight.rpartition(".")[0]
            if is_visible(self._prepared.model, name):
                new, _ = repair_one(
                    self._prepared.model,
                    name,
                    moments=self._moments_at(name),
                    mask=keep,
                    method=self._method,
                )
                tensors.update(new)
        return replace(edit, tensors=tensors)

    def _moments_at(self, layer: str) -> Moments:
        """Return a layer's dense moments; those of all layers come from one pass if they fit."""
        if layer not in self._moments:
            model = self._prepared.model
            together = [name for name in self._prepared.layers() if is_visible(model, name)]
            if sum(_moment_bytes(model, name) for name in together) > CACHE_BYTES:
                together = [layer]
            self._moments.update(capture_moments(model, self._batches, layers=together))
            while len(self._moments) > 1 and self._moments_bytes() > CACHE_BYTES:
                self._moments.popitem(last=False)
        return self._moments[layer]

    def _moments_bytes(self) -> int:
        return sum(item.gram.nbytes + item.cross.nbytes for item in self._moments.values())

    def _trim(self) -> None:
        while len(self._cache) > 1 and self._bytes() > CACHE_BYTES:
            self._cache.popitem(last=False)

    def _bytes(self) -> int:
        return sum(
            tensor.nbytes for edit in self._cache.values() for tensor in edit.tensors.values()
        )


def _moment_bytes(model: nn.Module, layer: str) -> int:
    module = find_layer(model, layer)
    groups, length = conv_groups(module), column_length(module) + 1
    weight = native_weight(module, name=layer)
    return 8 * (groups * length * length + weight.numel())


def is_visible(model: nn.Module, layer: str) -> bool:
    """Return whether the layer's inputs and outputs can be seen: not inside of attention."""
    if isinstance(find_layer(model, layer), nn.MultiheadAttention):
        return False
    parent = model.get_submodule(layer.rpartition(".")[0])
    return not isinstance(parent, nn.MultiheadAttention)
