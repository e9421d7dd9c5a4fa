"""Run edits on a batch: incrementally, or by removal where only that is exact."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from analysis.edits import Edit, PreparedSubject, edited_model
from analysis.engine import Evaluator, KeptBatch
from analysis.measuring.slices import Slice
from analysis.memory import free_cached_memory
from pruners.batches import Inputs
from pruners.calls import as_batch
from pruners.float32 import strict

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


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a model or an edit answers to a part of a slice.

    Attributes:
        outputs: ``(N, ...)``.
        edit: Where a reduced precision leaves something to be settled: the edit.
    """

    outputs: Tensor
    edit: Mapping[str, Tensor] | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing is left to be settled."""
        return self.edit is None

    @property
    def nbytes(self) -> int:
        """Bytes of the outputs and the edit."""
        return self.outputs.nbytes + sum(item.nbytes for item in (self.edit or {}).values())


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
        known, most = self.evaluator.max_samples(single), prepared.subject.output_samples
        self.max_samples = most if known is None or most < known else known

    def shrink(self, samples: int) -> None:
        """Hand out smaller parts from now on, and free what can be made again: memory ran out."""
        self.max_samples = samples
        self._kept.clear()
        self._models.clear()
        free_cached_memory()

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

    def answer(self, opened: OpenSlice, edit: Runnable | Callable[[], Runnable]) -> Answer:
        """Run an edit, a model, or what a function makes; see `settled`."""
        if isinstance(edit, nn.Module):
            return Answer(self._run(edit, opened.batch.inputs))
        if not isinstance(edit, Edit):
            return self.answer(opened, edit())
        if edit.kept:
            return Answer(self._run(self._removed(edit), opened.batch.inputs))
        return self.edited(opened, edit)

    def edited(self, opened: OpenSlice, edit: Edit) -> Answer:
        """Run an edit that needs no removal."""
        outputs = self.evaluator.provisional(opened.batch, edit.tensors)
        return Answer(outputs, None if self.evaluator.is_final else edit.tensors)

    def settled(self, opened: OpenSlice, answers: Sequence[Answer]) -> list[Tensor]:
        """Return the outputs ``(N, ...)`` of answers that are not final, in their order."""
        edits = [answer.edit or {} for answer in answers]
        outputs = [answer.outputs for answer in answers]
        return self.evaluator.settled(opened.batch, edits, outputs) if answers else []

    @torch.inference_mode()
    @strict
    def _run(self, model: nn.Module, inputs: Inputs) -> Tensor:
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
