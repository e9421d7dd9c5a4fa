"""What the steps of a program take: bytes and time, measured on an example."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from analysis.engine.execution import Values
from analysis.engine.program import Program
from analysis.engine.stopwatch import wait_for
from pruners.batches import Inputs, repeated

# The example is small; a batch of this many copies of it is timed on a CPU, ...
COPIES = 5
# ... and on other devices one that makes values of about this size, which keeps them busy for
# longer than handing the steps over takes, if what is held at a time fits.
TIMED_BYTES, HELD_BYTES = 2**33, 2**30


@dataclass(eq=False)
class Profile:
    """What the steps of a program take.

    Attributes:
        program: The program; None where the model was not captured.
        example: Inputs ``(N, ...)``, few, on which time is measured.
        sample_bytes: Bytes of a sample's value by step.
    """

    program: Program | None = None
    example: Inputs | None = None
    sample_bytes: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, program: Program, values: Values, example: Inputs) -> Profile:
        """Return the profile of a program from all values of an example."""
        sizes = {
            index: value.nbytes // len(example)
            for index, value in values.items()
            if isinstance(value, Tensor)
        }
        return cls(program, example, sizes)

    @property
    def is_known(self) -> bool:
        """Whether the sizes of the values are known."""
        return bool(self.sample_bytes)

    @property
    def total_bytes(self) -> int:
        """Bytes of all values of a sample."""
        return sum(self.sample_bytes.values())

    @property
    def largest_bytes(self) -> int:
        """Bytes of the largest value of a sample."""
        return max(self.sample_bytes.values(), default=0)

    def bytes_of(self, kept: Collection[int]) -> int:
        """Return the bytes a sample takes while an edit runs, if the values of these steps stay."""
        # Beside what is kept, an edit holds a few values of its own: count the three largest.
        transient = sum(sorted(self.sample_bytes.values())[-3:])
        return sum(self.sample_bytes.get(index, 0) for index in kept) + transient

    @cached_property
    def seconds(self) -> list[float]:
        """Seconds a step, measured once; equal shares without an example."""
        assert self.program is not None
        if self.example is None:
            return [1.0] * len(self.program.steps)
        inputs = repeated(self.example, self.copies)
        self._timed(self.program, inputs)
        return self._timed(self.program, inputs)

    @torch.inference_mode()
    def pass_seconds(self, copies: int, *, passes: int = 3) -> float:
        """Return the seconds of a pass of the whole program, the best of some.

        Args:
            copies: How often the example is there.
            passes: How many are timed, after a first one.
        """
        assert self.program is not None
        assert self.example is not None
        program, inputs = self.program, repeated(self.example, copies)
        best = float("inf")
        for _ in range(1 + passes):
            wait_for(inputs.device)
            start = time.perf_counter()
            program.run(program.whole(), program.prepare(inputs), keep=frozenset())
            wait_for(inputs.device)
            best = min(best, time.perf_counter() - start)
        return best

    @property
    def copies(self) -> int:
        """How many copies of the example are timed."""
        assert self.example is not None
        if self.example.device.type == "cpu":
            return COPIES
        # A few of the largest values are held at a time.
        samples = min(
            TIMED_BYTES // max(1, self.total_bytes),
            HELD_BYTES // max(1, self.largest_bytes),
        )
        return max(1, samples // len(self.example))

    @torch.inference_mode()
    def _timed(self, program: Program, inputs: Inputs) -> list[float]:
        seconds = [0.0] * len(program.steps)
        last = time.perf_counter()

        def observe(index: int, value: object) -> None:
            nonlocal last
            wait_for(inputs.device)
            now = time.perf_counter()
            seconds[index] = now - last
            last = now

        program.run(program.whole(), program.prepare(inputs), keep=frozenset(), observer=observe)
        return seconds
