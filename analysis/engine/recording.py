"""Parts of a program recorded on a GPU, and replayed with other weights at the cost of one launch.

A small batch keeps a GPU less busy than Python is with handing it the steps. What is used again on
as many samples is therefore recorded at its second use, if the first one was bound by that.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from analysis.engine.execution import Values
from analysis.engine.program import Program
from analysis.engine.steps import Part
from analysis.engine.weights import State
from pruners.batches import Inputs, like_parts, parts_of

# A device that took no longer than this many times what handing the work over took was waiting.
BOUND = 1.25
# Each recording holds memory of the driver.
MAX_RECORDINGS = 1024
# Samples that are padded to a power of two, so that few recordings serve all numbers of them: as
# long as their values take so few bytes, more of them take no longer.
FEW, FEWEST, MOST = 8, 64, 1024
IDLE_BYTES = 2**26

_Key = tuple[Part, int, frozenset[str]]


@dataclass(slots=True)
class _Use:
    """The first use of something that may be recorded."""

    seconds: float
    start: torch.Event
    end: torch.Event

    def was_bound_by_launches(self) -> bool:
        """Return whether the device waited for Python; True while it is at work still."""
        if not self.end.query():
            return False
        return bool(self.start.elapsed_time(self.end) / 1e3 < BOUND * self.seconds)


@dataclass(frozen=True, slots=True)
class _Recording:
    """A recorded run.

    Attributes:
        replay: Runs it again.
        edit: The tensors that it reads in the place of the dense ones.
        output: What it writes.
    """

    replay: Callable[[], None]
    edit: State
    output: Tensor


class _Once:
    """Owns values that are used once."""


class Tape:
    """Records what is given to a CUDA device."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Return what replays some work, and the tensor that it writes.

        Raises:
            RuntimeError: It cannot be recorded: some operators wait for the device.
        """
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            output = work()
        return graph.replay, output

    def timed(self, work: Callable[[], Tensor]) -> tuple[Tensor, _Use]:
        """Do some work, and note how long handing it over took, and the device."""
        start, end = (torch.Event("cuda", enable_timing=True) for _ in range(2))
        begun = time.perf_counter()
        start.record()
        output = work()
        end.record()
        return output, _Use(time.perf_counter() - begun, start, end)


class Recorder:
    """Runs parts of a program: recorded ones where that is faster, with the same result.

    Args:
        program: The program, on a CUDA device.
        tape: Records on the device.
        sample_bytes: Bytes of all values of a sample.
    """

    def __init__(
        self, program: Program, tape: Tape | None = None, *, sample_bytes: int = 0
    ) -> None:
        self._program = program
        idle = IDLE_BYTES // max(sample_bytes, 1)
        self._fewest = max(FEW, min(FEWEST, _power(idle)))
        self._lock = threading.Lock()
        self._tape = Tape() if tape is None else tape
        self._uses: dict[_Key, _Use] = {}
        # None where recording failed.
        self._recordings: dict[_Key, _Recording | None] = {}
        self._fixed: dict[int, Values] = {}
        self._loaded: dict[int, weakref.ref[Any]] = {}

    def padded(self, count: int) -> int | None:
        """Return as how many samples so few are run; None where there are too many."""
        return max(self._fewest, _power(count)) if 0 < count <= MOST else None

    def run(
        self, part: Part, known: Values, edit: State, *, owner: object | None, samples: int
    ) -> Tensor:
        """Return the outputs of an edit.

        Args:
            part: What the edit makes necessary.
            known: Values that the part reads, among others.
            edit: Tensors by name.
            owner: What the values belong to: they do not change while it lives. None where they
                are used once.
            samples: Number of samples.
        """
        key = (part, samples, frozenset(edit))
        with self._lock:
            if self._recordings.get(key) is None:
                return self._first(
                    key, known, edit, lambda: self._load(part, known, owner, samples)
                )
            self._load(part, known, owner, samples)
            return self._replayed(key, edit).clone()

    def whole(self, inputs: Inputs, edit: State) -> Tensor | None:
        """Return the outputs of an edit on few samples, through the whole program.

        Returns:
            ``(N, ...)``; None where there are too many samples.
        """
        count = len(inputs)
        samples = self.padded(count)
        if samples is None:
            return None
        part = self._program.whole()
        key = (part, samples, frozenset(edit))
        with self._lock:
            if -samples not in self._fixed:
                parts = (p.new_zeros(samples, *p.shape[1:]) for p in parts_of(inputs))
                empty = like_parts(inputs, parts)
                self._fixed[-samples] = dict(self._program.prepare(empty))
            start = self._fixed[-samples]
            for at, value in self._program.prepare(inputs).items():
                start[at][:count].copy_(value)
            if self._recordings.get(key) is None:
                return self._first(key, start, edit, lambda: start)[:count].clone()
            return self._replayed(key, edit)[:count].clone()

    # --- recording -----------------------------------------------------------------------

    def _first(
        self, key: _Key, known: Mapping[int, Any], edit: State, fixed: Callable[[], Values]
    ) -> Tensor:
        """Run something that is not recorded yet; record it for the next time if that pays."""
        use = self._uses.get(key)
        is_worth_it = (
            use is not None
            and key not in self._recordings
            and len(self._recordings) < MAX_RECORDINGS
            and use.was_bound_by_launches()
        )
        if is_worth_it:
            self._recordings[key] = self._recorded(key, fixed(), edit)
            if self._recordings[key] is not None:
                return self._replayed(key, edit).clone()
        output, self._uses[key] = self._tape.timed(lambda: self._run(key[0], known, edit))
        return output

    def _run(self, part: Part, known: Mapping[int, Any], edit: State) -> Tensor:
        program = self._program
        values = program.run(part, known, program.edited(edit), keep=frozenset())
        output: Tensor = values[program.output]
        return output

    def _recorded(self, key: _Key, known: Values, edit: State) -> _Recording | None:
        held = {name: tensor.clone() for name, tensor in edit.items()}
        try:
            replay, output = self._tape.record(lambda: self._run(key[0], known, held))
        except RuntimeError:
            # Such parts are run step by step.
            return None
        return _Recording(replay, held, output)

    def _replayed(self, key: _Key, edit: State) -> Tensor:
        recording = self._recordings[key]
        assert recording is not None
        _copy([(recording.edit[name], tensor) for name, tensor in edit.items()])
        recording.replay()
        return recording.output

    def _load(self, part: Part, known: Values, owner: object | None, samples: int) -> Values:
        """Copy values to where recordings read them, unless they are there already."""
        fixed = self._fixed.setdefault(samples, {})
        loaded = self._loaded.get(samples)
        if loaded is None or owner is None or loaded() is not owner:
            # What is no tensor is a size, the same for every batch of so many samples.
            tensors = [i for i, value in fixed.items() if i in known and isinstance(value, Tensor)]
            _copy([(fixed[i], known[i]) for i in tensors])
            self._loaded[samples] = weakref.ref(_Once() if owner is None else owner)
        for index in part.border:
            if index not in fixed:
                value = known[index]
                fixed[index] = value.clone() if isinstance(value, Tensor) else value
        return fixed


def _power(count: int) -> int:
    """Return the smallest power of two that is no smaller."""
    return 1 << (count - 1).bit_length()


def _copy(pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
    if pairs:
        torch._foreach_copy_([into for into, _ in pairs], [source for _, source in pairs])
