"""Run edits on a batch: incrementally, or by removal where only that is exact."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from analysis.edits import Edit, PreparedSubject, edited_model
from analysis.engine import Evaluator, KeptBatch
from analysis.measuring.slices import Slice
from pruners.calls import as_batch

# Removed models are built again for each batch if they do not fit.
REMOVED_MODELS_BYTES = 512 * 2**20
# An edit, or a model that stands for one.
Runnable = Edit | nn.Module
Names = frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class OpenSlice:
    """A part of a slice that the dense model has run on.

    Attributes:
        first: Number of its first sample in the evaluation set.
        dense: The dense model's outputs ``(N, ...)``.
        batch: What the evaluator knows of it.
    """

    first: int
    dense: Tensor
    batch: KeptBatch


class EditRunner:
    """Runs edits on batches, and keeps what is used again.

    Args:
        prepared: The subject.
        evaluator: Runs what need not be removed physically; the subject's own by default.
        names: The sets of state names that edits will change, all edits together; None if any.
        keep_bytes: Memory for dense values of batches that come back.

    Attributes:
        evaluator: Runs what need not be removed physically.
        setup_seconds: Wall time spent on building models for the first time: later batches find
            them built.
        max_samples: Samples whose values fit the memory limit; None without a limit.
    """

    def __init__(
        self,
        prepared: PreparedSubject,
        evaluator: Evaluator | None = None,
        *,
        names: Iterable[Names] | None = None,
        keep_bytes: int = 0,
    ) -> None:
        self._prepared = prepared
        self.evaluator = prepared.evaluator if evaluator is None else evaluator
        self._names = None if names is None else frozenset(names)
        self._keep_bytes = keep_bytes
        self._kept: dict[int, KeptBatch] = {}
        self._models: OrderedDict[tuple[tuple[str, tuple[int, ...]], ...], nn.Module] = (
            OrderedDict()
        )
        self._built: set[tuple[tuple[str, tuple[int, ...]], ...]] = set()
        self.setup_seconds = 0.0
        single = None if self._names is None else frozenset().union(*self._names)
        self.max_samples = self.evaluator.max_samples(single)

    def open(self, part: Slice) -> OpenSlice:
        """Run the dense model on a part of a slice, or take what an earlier call kept."""
        if part.first in self._kept:
            batch = self._kept[part.first]
            return OpenSlice(part.first, batch.outputs, batch)
        batch = self.evaluator.dense(part.inputs, edits=self._names)
        used = sum(kept.nbytes for kept in self._kept.values())
        if self._keep_bytes and used + batch.nbytes <= self._keep_bytes:
            self._kept[part.first] = batch
        return OpenSlice(part.first, batch.outputs, batch)

    def outputs(self, opened: OpenSlice, edit: Runnable | Callable[[], Runnable]) -> Tensor:
        """Return the outputs ``(N, ...)`` of an edit, of a model, or of what a function makes."""
        if isinstance(edit, nn.Module):
            return self._run(edit, opened.batch.inputs)
        if not isinstance(edit, Edit):
            return self.outputs(opened, edit())
        if not edit.kept:
            return self.edited(opened, edit)
        return self._run(self._removed(edit), opened.batch.inputs)

    def edited(self, opened: OpenSlice, edit: Edit) -> Tensor:
        """Return the outputs of an edit that needs no removal."""
        return self.evaluator.evaluate(opened.batch, edit.tensors)

    @torch.inference_mode()
    def _run(self, model: nn.Module, inputs: Tensor) -> Tensor:
        return as_batch(model, inputs)

    def _removed(self, edit: Edit) -> nn.Module:
        if edit.tensors:
            return edited_model(self._prepared, edit)
        key = tuple(sorted(edit.kept.items()))
        if key not in self._models:
            start = time.perf_counter()
            self._models[key] = edited_model(self._prepared, edit)
            if key not in self._built:
                self._built.add(key)
                self.setup_seconds += time.perf_counter() - start
            while len(self._models) > 1 and self._bytes() > REMOVED_MODELS_BYTES:
                self._models.popitem(last=False)
        self._models.move_to_end(key)
        return self._models[key]

    def _bytes(self) -> int:
        return sum(
            tensor.nbytes
            for model in self._models.values()
            for tensor in model.state_dict().values()
        )
