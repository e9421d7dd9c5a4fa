"""Evaluate edits of a model: only what lies downstream of an edit is computed again.

The evaluator keeps nothing between calls: `Evaluator.dense` returns what it knows of a batch, and
`Evaluator.evaluate` takes it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from analysis.engine.compiling import Compiled, Way, compiled, fastest
from analysis.engine.execution import Values
from analysis.engine.kept import KeptBatch
from analysis.engine.profile import Profile
from analysis.engine.program import Program
from analysis.engine.recording import Recorder
from analysis.engine.steps import Part
from analysis.engine.weights import State, Weights, changed
from analysis.memory import DEFAULT_MEMORY_LIMIT
from pruners.batches import Inputs, repeated
from pruners.calls import as_batch, call_with
from pruners.capture import Graph, device_of, named_state
from pruners.errors import UnsupportedError
from pruners.float32 import Float32, float32

Given = ParamSpec("Given")
Result = TypeVar("Result")

# Relative to the largest logit; a wrong program is off by far more, rounding by far less.
SELF_CHECK_TOLERANCE = 1e-3
# On a CPU, a batch runs in tiles whose largest value stays in the cache of a core.
TILE_BYTES = 5 * 2**20
# Below this, the fixed cost of a call shows.
MIN_SAMPLES = 4


def _computing(
    method: Callable[Concatenate[Evaluator, Given], Result],
) -> Callable[Concatenate[Evaluator, Given], Result]:
    """Run a method without gradients, with float32 multiplied as the evaluator says."""

    def wrapped(self: Evaluator, /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        with torch.inference_mode(), float32(self._float32):
            return method(self, *args, **kwargs)

    functools.update_wrapper(wrapped, method)
    return wrapped


class Evaluator:
    """Runs a model and edited versions of it on batches; keeps nothing between calls.

    An edit is ``{name of a parameter or buffer: tensor that replaces it}``. The model itself is
    never changed. Where it could not be captured, every edit costs a full forward pass, with the
    same results; `fallback_reason` then says why.

    Args:
        model: The model in eval mode; its weights must not change while the evaluator lives.
        graph: The captured model, or None.
        example: Inputs ``(2, ...)`` on which the compiled program is checked against the model.
        fallback_reason: Why there is no graph.
        channels_last: Keep images in channels-last layout.
        fold_batch_norm: Fold batch norms into convolutions.
        memory_limit: Bytes that the cached values of a batch may take; see `max_samples`.
        dtype: Type that the values are computed in; None is the model's own.
        float32_mode: How float32 is multiplied; see `pruners.float32`.
        tolerance: How far the program's logits may be from the model's own, relative to the
            largest.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: Graph | None,
        *,
        example: Inputs | None = None,
        fallback_reason: str = "",
        channels_last: bool = True,
        fold_batch_norm: bool = True,
        memory_limit: int | None = DEFAULT_MEMORY_LIMIT,
        dtype: torch.dtype | None = None,
        float32_mode: Float32 = "ieee",
        tolerance: float = SELF_CHECK_TOLERANCE,
    ) -> None:
        self.model = model
        self._float32 = float32_mode
        self.fallback_reason = fallback_reason
        self.memory_limit = memory_limit
        self.program: Program | None = None
        self.state: dict[str, Tensor] = dict(named_state(model))
        self._aliases = _aliases(self.state)
        self._profile = Profile()
        self._recorder: Recorder | None = None
        self._untimed: Compiled | None = None
        self._way: Way | None = None
        self._choosing = threading.Lock()
        if graph is None:
            self.fallback_reason = fallback_reason or "the model was not captured"
            return
        graph = graph.on(device_of(model))
        with float32(self._float32):
            self._untimed = compiled(
                model,
                graph,
                graph.tensors(model),
                example=example,
                channels_last=channels_last,
                fold_batch_norm=fold_batch_norm,
                dtype=dtype,
                tolerance=tolerance,
            )
        self._take(self._untimed)
        self.fallback_reason = fallback_reason or self._untimed.reason

    def _take(self, found: Compiled) -> None:
        self.program, self._profile, self._way = found.program, found.profile, found.way
        if found.program is not None and device_of(self.model).type == "cuda":
            self._recorder = Recorder(found.program, sample_bytes=found.profile.total_bytes)

    @_computing
    def ways(self) -> list[Way | None]:
        """Return how the programs are compiled, for `follow`; those are chosen if none was yet."""
        self._choose_way()
        return [self._way]

    @_computing
    def follow(self, ways: Sequence[Way | None]) -> None:
        """Compile in the ways of another evaluator of this model, so that all numbers are its own.

        Where this device has no such way, one is chosen here.
        """
        self._choose_way(ways[0])

    def _choose_way(self, known: Way | None = None) -> None:
        """Choose between programs by time, before the first batch: opening does not wait for it."""
        with self._choosing:
            found, self._untimed = self._untimed, None
            if found is not None:
                self._take(found.in_way(known) or fastest(found))

    @property
    def is_incremental(self) -> bool:
        """Whether edits recompute only what is downstream of them."""
        return self.program is not None

    def max_samples(self, names: Iterable[str] | None = None) -> int | None:
        """Return how many samples' cached values fit the memory limit; None without a limit.

        Args:
            names: State names that will be edited; None if any may be.
        """
        if self.program is None or self.memory_limit is None or not self._profile.is_known:
            return None
        return max(1, self.memory_limit // max(self._kept_bytes(names), 1))

    def _kept_bytes(self, names: Iterable[str] | None) -> int:
        """Return the bytes that the cached values of a sample take."""
        needed = self._border([[name] for name in names] if names is not None else None)
        return self._profile.bytes_of(needed)

    def values_bytes(self, samples: int) -> int | None:
        """Return the bytes of all values of a batch; None where that is not known."""
        return samples * self._profile.total_bytes if self._profile.is_known else None

    def share(self, names: Iterable[str]) -> float:
        """Return the fraction of the dense pass' time that an edit of these names costs.

        Measured on the example's shape; 1.0 without a captured graph.
        """
        if self.program is None:
            return 1.0
        seconds = self._profile.seconds
        part = self.program.part(self._resolved(names))
        return sum(seconds[index] for index in part.steps) / max(sum(seconds), 1e-12)

    @property
    def tile_samples(self) -> int | None:
        """Samples whose values a CPU core keeps in its cache; None where that is not known."""
        known, largest = self._profile.is_known, self._profile.largest_bytes
        return max(MIN_SAMPLES, TILE_BYTES // max(largest, 1)) if known else None

    # --- running -----------------------------------------------------------------------------

    @_computing
    def dense(self, inputs: Inputs, *, edits: Iterable[Iterable[str]] | None = None) -> KeptBatch:
        """Run the model as it is, and return what edits of this batch will need.

        Args:
            inputs: ``(N, ...)`` on the model's device.
            edits: The sets of names that will be edited; what they do not need is not kept. None
                keeps everything.
        """
        if self.program is None:
            return KeptBatch(inputs, as_batch(self.model, inputs))
        self._choose_way()
        program, needed = self.program, self._border(edits)
        known: list[Values] = []
        for tile in self.tiles(inputs):
            start = program.prepare(tile)
            known.append({**start, **program.run(program.whole(), start, keep=needed)})
        outputs = torch.cat([values[program.output] for values in known])
        return KeptBatch(inputs, outputs[: len(inputs)], tuple(known))

    def evaluate(self, batch: KeptBatch, edit: State) -> Tensor:
        """Return the outputs ``(N, classes)`` of one edit on a batch; see `provisional`."""
        return self.settled(batch, [edit], [self.provisional(batch, edit)])[0]

    def settled(
        self, batch: KeptBatch, edits: Sequence[State], outputs: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return what the provisional outputs of some edits amount to, in their order.

        In full precision they are final.
        """
        return list(outputs)

    @property
    def is_final(self) -> bool:
        """Whether provisional outputs are final."""
        return True

    @_computing
    def provisional(self, batch: KeptBatch, edit: State) -> Tensor:
        """Return the outputs ``(N, classes)`` of one edit on a batch, in this precision.

        Args:
            batch: What `dense` or `moved` returned.
            edit: Tensors by name, against the dense model.

        Raises:
            UnsupportedError: The edit names no parameter or buffer of the model, or changes a
                shape.
        """
        self._check(edit)
        if self.program is None:
            return self.forward(batch.inputs, edit)
        full = self.spread(edit)
        part = self.program.part(changed(batch.edit, full))
        if self.program.output not in part.steps:
            return batch.outputs
        weights = self.program.edited(full)
        results = []
        for known in batch.known:
            missing = frozenset(part.border - known.keys())
            if missing or self._recorder is None:
                border = {**known, **self._recomputed(missing, known)} if missing else known
                results.append(self._run(part, border, weights))
            else:
                samples = len(batch.inputs)
                results.append(self._recorder.run(part, known, full, owner=batch, samples=samples))
        return (torch.cat(results) if len(results) > 1 else results[0])[: len(batch.inputs)]

    def _run(self, part: Part, known: Values, weights: Weights) -> Tensor:
        assert self.program is not None
        values = self.program.run(part, known, weights, keep=frozenset())
        output: Tensor = values[self.program.output]
        return output

    @_computing
    def chosen(self, batch: KeptBatch, samples: Tensor, edit: State) -> Tensor:
        """Return the outputs ``(K, classes)`` of one edit on some samples of a batch.

        Args:
            batch: What `dense` or `moved` returned.
            samples: Their places in the batch ``(K,)``, in ascending order, on its device.
            edit: Tensors by name, against the dense model.
        """
        full = self.spread(edit)
        if self.program is None:
            return self.forward(batch.inputs[samples], full)
        part = self.program.part(changed(batch.edit, full))
        if self.program.output not in part.steps:
            return batch.outputs[samples]
        weights = self.program.edited(full)
        results = []
        for some in self.tiles(samples):
            assert isinstance(some, Tensor)
            size = None if self._recorder is None else self._recorder.padded(len(some))
            known = batch.values_of(some, part.border, self.program.sizes, at_least=size or 0)
            if known is None:
                return self.outputs(batch.inputs[samples], full)
            if size is None or self._recorder is None:
                found = self._run(part, known, weights)
            else:
                found = self._recorder.run(part, known, full, owner=None, samples=size)
            results.append(found[: len(some)])
        return torch.cat(results)[: len(samples)]

    @_computing
    def moved(self, batch: KeptBatch, edit: State) -> KeptBatch:
        """Return the batch with all values under another edit: the next one may be close to it.

        Args:
            batch: With everything kept (`dense` without ``edits``).
            edit: Tensors by name, against the dense model.

        Raises:
            UnsupportedError: As `evaluate`.
        """
        self._check(edit)
        if self.program is None:
            return KeptBatch(batch.inputs, self.forward(batch.inputs, edit), edit=edit)
        program, full = self.program, self.spread(edit)
        part, weights = program.part(changed(batch.edit, full)), program.edited(full)
        known = tuple({**old, **program.run(part, old, weights)} for old in batch.known)
        outputs = torch.cat([values[program.output] for values in known])
        return KeptBatch(batch.inputs, outputs[: len(batch.inputs)], known, full)

    def tiles(self, inputs: Inputs) -> Sequence[Inputs]:
        """Cut a batch into tiles of about the same size that a CPU computes best.

        A single sample is there twice, as in `pruners.calls.as_batch`.
        """
        if len(inputs) == 1:
            return (repeated(inputs, 2),)
        if self.tile_samples is None or inputs.device.type != "cpu":
            return (inputs,)
        return inputs.tensor_split(-(-len(inputs) // self.tile_samples))

    def _border(self, edits: Iterable[Iterable[str]] | None) -> frozenset[int]:
        assert self.program is not None
        if edits is None:
            return frozenset(range(len(self.program.steps)))
        needed: set[int] = set()
        for names in {frozenset(self._resolved(item)) for item in edits}:
            needed |= self.program.part(names).border
        return frozenset(needed)

    def _recomputed(self, missing: frozenset[int], known: Values) -> Values:
        """Return dense values of a tile that were not kept."""
        assert self.program is not None
        wanted: set[int] = set()
        pending = list(missing)
        while pending:
            index = pending.pop()
            if index not in wanted and index not in known:
                wanted.add(index)
                pending += self.program.steps[index].reads
        return self.program.run(self.program.part_of(wanted), known, keep=missing)

    @_computing
    def outputs(self, inputs: Inputs, edit: State) -> Tensor:
        """Return the outputs of one edit on any samples; nothing is kept.

        Args:
            inputs: ``(N, ...)``.
            edit: The edit; empty for the dense model.
        """
        if self.program is None:
            return self.forward(inputs, edit)
        self._choose_way()
        program, full = self.program, self.spread(edit)
        few = None if self._recorder is None else self._recorder.whole(inputs, full)
        if few is not None:
            return few
        part, weights = program.whole(), program.edited(full)
        found = [self._run(part, program.prepare(tile), weights) for tile in self.tiles(inputs)]
        return torch.cat(found)[: len(inputs)]

    @_computing
    def forward(self, inputs: Inputs, edit: State) -> Tensor:
        """Return the outputs of one edit by a full forward pass of the model itself."""
        return as_batch(lambda batch: call_with(self.model, edit, batch), inputs)

    # --- names -------------------------------------------------------------------------------

    def _check(self, edit: State) -> None:
        for name, tensor in edit.items():
            if name not in self.state:
                raise UnsupportedError(f"an edit names {name}, which the model does not have")
            if tensor.shape != self.state[name].shape:
                raise UnsupportedError(
                    f"an edit of {name} has shape {tuple(tensor.shape)}, the model's is "
                    f"{tuple(self.state[name].shape)}"
                )

    def _resolved(self, names: Iterable[str]) -> frozenset[str]:
        """Return all names of the tensors with these names (tied weights have several)."""
        return frozenset(alias for name in names for alias in self._aliases.get(name, (name,)))

    def spread(self, edit: State) -> dict[str, Tensor]:
        """Return the edit under all names of its tensors (tied weights have several)."""
        return {
            alias: tensor
            for name, tensor in edit.items()
            for alias in self._aliases.get(name, (name,))
        }


def _aliases(state: Mapping[str, Tensor]) -> dict[str, Sequence[str]]:
    names: dict[int, list[str]] = {}
    for name, tensor in state.items():
        names.setdefault(id(tensor), []).append(name)
    return {name: names[id(tensor)] for name, tensor in state.items()}
