"""Evaluate edits of a model: only what lies downstream of an edit is computed again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from analysis.engine.program import Program, Values
from analysis.engine.weights import State
from analysis.memory import DEFAULT_MEMORY_LIMIT
from pruners.calls import call_with
from pruners.capture import Graph, device_of, named_state
from pruners.errors import UnsupportedError

# Relative to the largest logit; a wrong program is off by far more, rounding by far less.
SELF_CHECK_TOLERANCE = 1e-3
# On a CPU, a batch runs in tiles whose largest value stays in the cache of a core.
TILE_BYTES = 5 * 2**20
# Below this, the fixed cost of a call shows.
MIN_SAMPLES = 4


@dataclass(frozen=True, slots=True, eq=False)
class DenseBatch:
    """What the evaluator keeps of a batch.

    Attributes:
        inputs: The batch.
        logits: Dense logits.
        known: Dense values that edits read, by step, of each tile of the batch.
        margin: What a reduced precision holds for a close answer; see `analysis.engine.bf16`.
    """

    inputs: Tensor
    logits: Tensor
    known: tuple[Values, ...]
    margin: float = 0.0

    @property
    def nbytes(self) -> int:
        """Bytes of the inputs and the kept values."""
        values = (value for known in self.known for value in known.values())
        return self.inputs.nbytes + sum(
            value.nbytes for value in values if isinstance(value, Tensor)
        )


class Evaluator:
    """Runs a model and edited versions of it on one batch after another.

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
        tolerance: How far the program's logits may be from the model's own, relative to the
            largest.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: Graph | None,
        *,
        example: Tensor | None = None,
        fallback_reason: str = "",
        channels_last: bool = True,
        fold_batch_norm: bool = True,
        memory_limit: int | None = DEFAULT_MEMORY_LIMIT,
        dtype: torch.dtype | None = None,
        tolerance: float = SELF_CHECK_TOLERANCE,
    ) -> None:
        self.model = model
        self._dtype = dtype
        self._tolerance = tolerance
        self.fallback_reason = fallback_reason
        self.memory_limit = memory_limit
        self.program: Program | None = None
        self.state: dict[str, Tensor] = dict(named_state(model))
        self._aliases = _aliases(self.state)
        self._known: tuple[Values, ...] = ()
        self._inputs: Tensor | None = None
        self._logits: Tensor | None = None
        self._example = example
        self._sample_bytes: dict[int, int] = {}
        if graph is not None:
            self._compile(graph, example, channels_last, fold_batch_norm)
        elif not fallback_reason:
            self.fallback_reason = "the model was not captured"

    def _compile(
        self, graph: Graph, example: Tensor | None, channels_last: bool, fold: bool
    ) -> None:
        """Take the fastest program that gives the model's own logits on the example."""
        graph = graph.on(device_of(self.model))
        tensors = graph.tensors(self.model)
        options = dict.fromkeys([(channels_last, fold), (False, fold), (False, False)])
        for layout, folding in options:
            try:
                program = Program(
                    graph,
                    tensors,
                    channels_last=layout,
                    fold_batch_norm=folding,
                    dtype=self._dtype,
                )
                if example is None or self._agrees(program, example):
                    self.program = program
                    return
                self.fallback_reason = "the captured graph does not give the model's own logits"
            except (RuntimeError, UnsupportedError, TypeError) as error:
                self.fallback_reason = f"the captured graph cannot be run: {_first_line(error)}"

    @torch.inference_mode()
    def _agrees(self, program: Program, example: Tensor) -> bool:
        expected = self.model(example)
        known = program.prepare(example)
        values = program.run(program.whole(), known)
        # As it is run later: what no step reads any more is overwritten.
        again = program.run(program.whole(), known, keep=frozenset())
        self._sample_bytes = {
            index: value.nbytes // len(example)
            for index, value in values.items()
            if isinstance(value, Tensor)
        }
        scale = expected.abs().max().clamp_min(1e-12)
        errors = [(item[program.output] - expected).abs().max() / scale for item in (values, again)]
        return all(bool(error < self._tolerance) for error in errors)

    @property
    def is_incremental(self) -> bool:
        """Whether edits recompute only what is downstream of them."""
        return self.program is not None

    def max_samples(self, names: Iterable[str] | None = None) -> int | None:
        """Return how many samples' cached values fit the memory limit; None without a limit.

        Args:
            names: State names that will be edited; None if any may be.
        """
        if self.program is None or self.memory_limit is None or not self._sample_bytes:
            return None
        needed = self._border([[name] for name in names] if names is not None else None)
        # Beside the cache, an edit holds a few values of its own: count the three largest.
        transient = sum(sorted(self._sample_bytes.values())[-3:])
        size = sum(self._sample_bytes.get(index, 0) for index in needed) + transient
        return max(1, self.memory_limit // max(size, 1))

    def values_bytes(self, samples: int) -> int | None:
        """Return the bytes of all values of a batch; None where that is not known."""
        if self.program is None or not self._sample_bytes:
            return None
        return samples * sum(self._sample_bytes.values())

    def share(self, names: Iterable[str]) -> float:
        """Return the fraction of the dense pass' time that an edit of these names costs.

        Measured on the example's shape; 1.0 without a captured graph.
        """
        if self.program is None:
            return 1.0
        seconds = self._profile()
        part = self.program.part(self._resolved(names))
        return sum(seconds[index] for index in part.steps) / max(sum(seconds), 1e-12)

    def _profile(self) -> list[float]:
        """Return seconds a step, measured once; equal shares without an example."""
        assert self.program is not None
        if not hasattr(self, "_seconds"):
            self._seconds = [1.0] * len(self.program.steps)
            if self._example is not None:
                inputs = self._example.repeat(8, *[1] * (self._example.dim() - 1))
                for _ in range(2):
                    self._seconds = self._timed(inputs)
        return self._seconds

    @torch.inference_mode()
    def _timed(self, inputs: Tensor) -> list[float]:
        assert self.program is not None
        seconds = [0.0] * len(self.program.steps)
        last = time.perf_counter()

        def observe(index: int, value: object) -> None:
            nonlocal last
            now = time.perf_counter()
            seconds[index] = now - last
            last = now

        program = self.program
        program.run(program.whole(), program.prepare(inputs), keep=frozenset(), observer=observe)
        return seconds

    # --- running -----------------------------------------------------------------------------

    @torch.inference_mode()
    def dense(self, inputs: Tensor, *, edits: Iterable[Iterable[str]] | None = None) -> Tensor:
        """Run the model as it is, and keep what edits of this batch will need.

        Args:
            inputs: ``(N, ...)`` on the model's device.
            edits: The sets of names that will be edited; what they do not need is freed. None
                keeps everything.

        Returns:
            Logits ``(N, classes)``.
        """
        self.release()
        self._inputs = inputs
        if self.program is None:
            self._logits = self.model(inputs)
            return self._logits
        program, needed = self.program, self._border(edits)
        known: list[Values] = []
        for tile in self.tiles(inputs):
            start = program.prepare(tile)
            known.append({**start, **program.run(program.whole(), start, keep=needed)})
        self._known = tuple(known)
        self._logits = torch.cat([values[program.output] for values in known])
        return self._logits

    def tiles(self, inputs: Tensor) -> Sequence[Tensor]:
        """Cut a batch into tiles of about the same size that a CPU computes best."""
        if self.tile_samples is None or inputs.device.type != "cpu":
            return (inputs,)
        return inputs.tensor_split(-(-len(inputs) // self.tile_samples))

    @property
    def tile_samples(self) -> int | None:
        """Samples whose values a CPU core keeps in its cache; None where that is not known."""
        if self.program is None or not self._sample_bytes:
            return None
        return max(MIN_SAMPLES, TILE_BYTES // max(self._sample_bytes.values()))

    def _border(self, edits: Iterable[Iterable[str]] | None) -> frozenset[int]:
        assert self.program is not None
        if edits is None:
            return frozenset(range(len(self.program.steps)))
        needed: set[int] = set()
        for names in {frozenset(self._resolved(item)) for item in edits}:
            needed |= self.program.part(names).border
        return frozenset(needed)

    def edited(self, edits: Iterable[State]) -> Iterator[Tensor]:
        """Yield the logits ``(N, classes)`` of each edit on the current batch."""
        for edit in edits:
            yield self.evaluate(edit)

    @torch.inference_mode()
    def evaluate(self, edit: State) -> Tensor:
        """Return the logits ``(N, classes)`` of one edit on the current batch.

        Raises:
            UnsupportedError: The edit names no parameter or buffer of the model, or changes a
                shape.
        """
        assert self._inputs is not None, "dense() comes first"
        self._check(edit)
        if self.program is None:
            return self.forward(self._inputs, edit)
        full = self.spread(edit)
        part = self.program.part(full)
        if self.program.output not in part.steps:
            assert self._logits is not None
            return self._logits
        weights = self.program.edited(full)
        results = []
        for known in self._known:
            missing = part.border - known.keys()
            border = {**known, **self._recomputed(missing, known)} if missing else known
            values = self.program.run(part, border, weights, keep=frozenset())
            results.append(values[self.program.output])
        return torch.cat(results)

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

    @torch.inference_mode()
    def logits(self, inputs: Tensor, edit: State) -> Tensor:
        """Return the logits of one edit on any samples; nothing is kept.

        Args:
            inputs: ``(N, ...)``.
            edit: The edit; empty for the dense model.
        """
        if self.program is None:
            return self.forward(inputs, edit)
        program, weights = self.program, self.program.edited(self.spread(edit))
        return torch.cat(
            [
                program.run(program.whole(), program.prepare(tile), weights, keep=frozenset())[
                    program.output
                ]
                for tile in self.tiles(inputs)
            ]
        )

    @torch.inference_mode()
    def forward(self, inputs: Tensor, edit: State) -> Tensor:
        """Return the logits of one edit by a full forward pass of the model itself."""
        logits: Tensor = call_with(self.model, edit, inputs)
        return logits

    def current(self) -> DenseBatch:
        """Return the current batch, to come back to it later."""
        assert self._inputs is not None
        assert self._logits is not None
        return DenseBatch(self._inputs, self._logits, self._known)

    def restore(self, batch: DenseBatch) -> Tensor:
        """Make a batch the current one again without running the model; return its logits."""
        self._inputs, self._logits, self._known = batch.inputs, batch.logits, batch.known
        return batch.logits

    def release(self) -> None:
        """Forget the current batch."""
        self._known, self._inputs, self._logits = (), None, None

    @contextlib.contextmanager
    def batch(self, inputs: Tensor) -> Iterator[Tensor]:
        """Yield the dense logits of a batch, and forget the batch in the end."""
        try:
            yield self.dense(inputs)
        finally:
            self.release()

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


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
