"""Time on a device, without waiting for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Span:
    """Time between two moments.

    Args:
        device: Where the work is done. A CPU has done it when a call returns; other devices only
            have it in their queue then, so the moments are marked there.
    """

    def __init__(self, device: torch.device) -> None:
        self._marks: tuple[torch.Event, torch.Event] | None = None
        if device.type != "cpu":
            timed = torch.Event(device, enable_timing=True), torch.Event(device, enable_timing=True)
            self._marks = timed
        self._wall = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure a ``with`` block."""
        start = time.perf_counter()
        if self._marks is not None:
            self._marks[0].record()
        try:
            yield
        finally:
            if self._marks is not None:
                self._marks[1].record()
            self._wall = time.perf_counter() - start

    @property
    def seconds(self) -> float:
        """Seconds; the device must have done the work: whoever asks has read a result of it."""
        if self._marks is None:
            return self._wall
        start, end = self._marks
        return float(start.elapsed_time(end)) / 1e3


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was given; a CPU has when a call returns."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
