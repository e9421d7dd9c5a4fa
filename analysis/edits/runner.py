"""Run edits on the batch at hand: incrementally, or by removal where only that is exact."""

from __future__ import annotations

import copy
import time
from collections import OrderedDict

import torch
from torch import Tensor, nn

from analysis.edits.edit import Edit
from analysis.edits.prepared import PreparedSubject
from analysis.engine import Evaluator
from pruners.groups import apply_edit, remove

# Removed models are built again for each batch if they do not fit.
REMOVED_MODELS_BYTES = 512 * 2**20


class EditRunner:
    """Evaluates edits on the evaluator's current batch.

    Args:
        prepared: The subject.
        evaluator: Holds the batch; the context's own by default.

    Attributes:
        setup_seconds: Wall time spent on building models for the first time: later batches find
            them built.
    """

    def __init__(self, prepared: PreparedSubject, evaluator: Evaluator | None = None) -> None:
        self._prepared = prepared
        self._evaluator = prepared.evaluator if evaluator is None else evaluator
        self._models: OrderedDict[tuple[tuple[str, tuple[int, ...]], ...], nn.Module] = (
            OrderedDict()
        )
        self.setup_seconds = 0.0
        self._built: set[tuple[tuple[str, tuple[int, ...]], ...]] = set()

    def logits(self, edit: Edit, inputs: Tensor) -> Tensor:
        """Return the logits ``(N, classes)`` of an edit.

        Args:
            edit: The edit.
            inputs: The batch that `Evaluator.dense` was given last.
        """
        if not edit.kept:
            return self._evaluator.evaluate(edit.tensors)
        with torch.inference_mode():
            result: Tensor = self._removed(edit)(inputs)
        return result

    def _removed(self, edit: Edit) -> nn.Module:
        if edit.tensors:
            return removed_model(self._prepared, edit)
        key = tuple(sorted(edit.kept.items()))
        if key not in self._models:
            start = time.perf_counter()
            self._models[key] = removed_model(self._prepared, edit)
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


def removed_model(prepared: PreparedSubject, edit: Edit) -> nn.Module:
    """Return a copy of the model with the edit's tensors, physically smaller where it says so."""
    model = prepared.model
    if edit.tensors or not edit.kept:
        model = copy.deepcopy(model)
        apply_edit(model, edit.tensors)
    return remove(model, prepared.require_structure(), edit.kept).eval() if edit.kept else model
