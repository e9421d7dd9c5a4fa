"""Repairs of single points of a sweep; the formulas are in `pruners.reconstruction`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor, nn

from analysis.edits import Edit, PreparedSubject, Target
from analysis.repairs.layers import Batches, calibration_batches, is_visible, weight_masks
from analysis.repairs.method import RepairMethod
from pruners.errors import UnsupportedError
from pruners.layers import conv_groups, find_layer, native_weight
from pruners.preserve import twin
from pruners.reconstruction import (
    Fit,
    Moments,
    batch_norm_buffers,
    capture_moments,
    least_squares,
    repair_one,
)
from pruners.statistics import column_length

# Repaired tensors of a sweep's points, and moments of layers, are kept up to this size each.
CACHE_BYTES = 512 * 2**20


class PointRepairer:
    """Repairs single points of a sweep: one target pruned, everything else dense.

    Only the target is pruned, so layers read what they read in the dense model and one pass over
    the calibration set serves all ratios and criteria of a target. (In a group whose consumers
    follow each other, the later ones' inputs are taken as dense.)

    Args:
        prepared: The subject.
        method: How; see `sweep_repairs` and `check_repair`.

    Attributes:
        prepared: The subject.
        batches: The calibration set; empty where nothing is repaired.
    """

    def __init__(self, prepared: PreparedSubject, method: RepairMethod) -> None:
        self._method = method.in_sweeps
        self.prepared = prepared
        self.batches: Batches = calibration_batches(prepared) if method.in_sweeps else []
        self._moments: OrderedDict[str, Moments] = OrderedDict()
        self._cache: OrderedDict[Hashable, Edit] = OrderedDict()

    @cached_property
    def watched(self) -> nn.Module:
        """The model, as modules that no other thread runs while they are watched or changed."""
        return twin(self.prepared.model)

    def names(self, target: Target, mask: Tensor) -> frozenset[str]:
        """Return which tensors a repair of the target may change."""
        if self._method is None:
            return frozenset()
        return self._method.names(self.prepared, target, mask)

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
        if self._method is None or edit.is_dense:
            return edit
        if edit.kept:
            raise UnsupportedError(
                f"group {target.name} is evaluated by physical removal, which has no repair"
            )
        if key not in self._cache:
            with torch.inference_mode(mode=False):
                self._cache[key] = self._method.fn(self, target, mask, edit)
            self._trim()
        self._cache.move_to_end(key)
        return self._cache[key]

    def moments_at(self, layer: str) -> Moments:
        """Return a layer's dense moments; those of all layers come from one pass if they fit."""
        if layer not in self._moments:
            model = self.prepared.model
            together = [name for name in self.prepared.layers() if is_visible(model, name)]
            if sum(_moment_bytes(model, name) for name in together) > CACHE_BYTES:
                together = [layer]
            self._moments.update(capture_moments(self.watched, self.batches, layers=together))
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


def batch_norm_names(prepared: PreparedSubject, target: Target, mask: Tensor) -> frozenset[str]:
    """Return the names of all running statistics."""
    return frozenset(
        name for name in prepared.evaluator.state if name.endswith(("running_mean", "running_var"))
    )


def batch_norm_point(repairer: PointRepairer, target: Target, mask: Tensor, edit: Edit) -> Edit:
    """Return the edit with batch-norm statistics estimated anew."""
    buffers = batch_norm_buffers(repairer.watched, repairer.batches, edit=edit.tensors)
    return replace(edit, tensors={**edit.tensors, **buffers})


def weight_names(prepared: PreparedSubject, target: Target, mask: Tensor) -> frozenset[str]:
    """Return the names of the weights that are fitted after the target is pruned, and biases."""
    weights = weight_masks(prepared, target, mask)
    biases = {f"{name.rpartition('.')[0]}.bias" for name in weights}
    return frozenset(weights) | (biases & set(prepared.evaluator.state))


def least_squares_point(repairer: PointRepairer, target: Target, mask: Tensor, edit: Edit) -> Edit:
    """Return the edit with the layers that read the target fitted by least squares."""
    return fitted_point(repairer, target, mask, edit, fit=least_squares)


def fitted_point(
    repairer: PointRepairer, target: Target, mask: Tensor, edit: Edit, *, fit: Fit
) -> Edit:
    """Return the edit with the layers that read the target fitted to the dense ones."""
    model, tensors = repairer.prepared.model, dict(edit.tensors)
    for weight, keep in weight_masks(repairer.prepared, target, mask).items():
        name = weight.rpartition(".")[0]
        if is_visible(model, name):
            moments = repairer.moments_at(name)
            tensors.update(repair_one(model, name, moments=moments, mask=keep, fit=fit)[0])
    return replace(edit, tensors=tensors)


def _moment_bytes(model: nn.Module, layer: str) -> int:
    module = find_layer(model, layer)
    groups, length = conv_groups(module), column_length(module) + 1
    weight = native_weight(module, name=layer)
    return 8 * (groups * length * length + weight.numel())
