"""Where layer-by-layer repairs take each layer's moments from."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pruners.capture import named_state
from pruners.layers import find_layer
from pruners.reconstruction.known import DenseOutputs
from pruners.reconstruction.moments import (
    Batches,
    LayerCalls,
    Moments,
    capture_moments,
    moments_of,
)
from pruners.reconstruction.walk import Replay, Walk


class MomentSource:
    """Moments of one layer after the other, with all layers before it repaired already.

    One pass of the dense and one of the pruned model over each batch are gone on with from layer
    to layer, so that each layer's inputs are computed once. The values of all batches are then
    held at once. Where they do not fit the memory limit, where a layer is called several times, and
    after a batch that takes layers in another order, a layer costs two whole passes.

    Args:
        model: The model that is pruned, in eval mode; left as found.
        batches: Calibration batches that can be iterated again and again.
        calls: The layers in the order in which they will be asked for.
        edit: Tensors of the pruned model by fully qualified name.
        teacher: The dense model if ``model`` is a smaller one; see `capture_moments`.
        rows: Output channels of the teacher's layers that the smaller ones have.
        memory_limit: Bytes.
        outputs: What the dense model answered before: where it knows all layers, that model does
            not run, and else it learns them.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Batches,
        calls: Mapping[str, LayerCalls],
        *,
        edit: Mapping[str, Tensor],
        teacher: nn.Module | None,
        rows: Mapping[str, Tensor] | None,
        memory_limit: int,
        outputs: DenseOutputs | None = None,
    ) -> None:
        self._model, self._batches, self._rows = model, batches, rows or {}
        self._edit, self._teacher = dict(edit), teacher
        self._outputs = DenseOutputs(max_bytes=0) if outputs is None else outputs
        once = [name for name, found in calls.items() if found.count == 1]
        self._walks: list[tuple[Walk, Walk | Replay]] = []
        self._streamed: Sequence[str] = ()
        held = 2 * len(list(batches)) * max((item.nbytes for item in calls.values()), default=0)
        if len(once) > 1 and held <= memory_limit:
            self._streamed = once
            self._open(once)

    def _open(self, names: Sequence[str]) -> None:
        self._copy = copy.deepcopy(self._model)
        self._state = named_state(self._copy)
        self._write(self._edit)
        dense = self._model if self._teacher is None else self._teacher
        layers = {name: find_layer(self._copy, name) for name in names}
        sources = {name: find_layer(dense, name) for name in names}
        for number, (inputs, _) in enumerate(self._batches):
            known = self._outputs.of(number, names)
            answers = Walk(dense, inputs, sources, before=False) if known is None else Replay(known)
            self._walks.append((Walk(self._copy, inputs, layers, before=True), answers))

    @torch.no_grad()
    def _write(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            self._state[name].copy_(tensor)

    def at(self, name: str, read: Tensor | None = None) -> Moments:
        """Return the moments of the next layer; `moments_of` says what is read."""
        if name in self._streamed:
            found = self._next(name, read)
            if found is not None:
                return found
            self.close()
        return capture_moments(
            self._model,
            self._batches,
            layers=[name],
            edit=self._edit,
            teacher=self._teacher,
            rows=self._rows,
            read={} if read is None else {name: read},
        )[name]

    def _next(self, name: str, read: Tensor | None) -> Moments | None:
        """Go on to a layer in all passes; None where one of them comes to another layer."""
        layer, total = find_layer(self._copy, name), None
        for number, (pruned, dense) in enumerate(self._walks):
            stop, answer = pruned.next(), dense.next()
            if stop is None or answer is None or not stop[0] == answer[0] == name:
                return None
            self._outputs.put(number, name, answer[1])
            for part in moments_of(layer, stop[1], answer[1], self._rows.get(name), read):
                total = part if total is None else total + part
        return total

    def repaired(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the new tensors of the layer that was asked for last."""
        self._edit.update(tensors)
        if self._streamed:
            self._write(tensors)

    def close(self) -> None:
        """Leave all passes."""
        for walks in self._walks:
            for walk in walks:
                walk.close()
        self._walks, self._streamed = [], ()
