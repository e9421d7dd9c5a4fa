"""What edits change of the outputs of the first samples: a sweep keeps it to predict plans."""

from __future__ import annotations

from collections.abc import Container, Hashable, Sequence
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from analysis.measuring.slices import Slice
from analysis.records import Change, ProbePart, columns_digests
from analysis.tasks import Task

Key = TypeVar("Key", bound=Hashable)
# No change that a prediction could use is larger; float16 ends at 65504.
LARGEST = 6e4
OUTPUT_BYTES = 2
# Samples of a probe that nobody gave a number: few tell too little of what layers do together, more
# than this many hardly more. In between the changes of a run take up to so many bytes.
LEAST_SAMPLES, MOST_SAMPLES = 512, 2048
PROBE_BYTES = 2**25


def probe_samples(total: int, *, outputs: int, points: int) -> int:
    """Return how many samples a probe has that nobody gave a number.

    Args:
        total: Samples of the evaluation set.
        outputs: Outputs that are kept of each; 0 where none are.
        points: Points whose changes are kept.

    >>> probe_samples(10_000, outputs=10, points=250)
    2048
    >>> probe_samples(10_000, outputs=20, points=1000)
    838
    >>> probe_samples(10_000, outputs=20, points=10_000)
    512
    """
    if not outputs:
        return 0
    fitting = PROBE_BYTES // (OUTPUT_BYTES * outputs * max(1, points))
    return min(total, max(LEAST_SAMPLES, min(MOST_SAMPLES, fitting)))


class PartProbe(Generic[Key]):
    """The probe's share of a part of a slice; on its device, which nobody waits for.

    Args:
        part: The part.
        dense: The dense model's outputs of it.
        task: Says which outputs are kept.
        samples: Samples of the probe, the first ones of the evaluation set.
    """

    def __init__(self, part: Slice, dense: Tensor, task: Task, *, samples: int) -> None:
        self._count = max(0, min(len(part), samples - part.first))
        self.first = part.first
        kept = self._kept(part, dense, task) if self._count else None
        self.is_empty = kept is None
        self.changes: dict[Key, Tensor] = {}
        if kept is not None:
            self.columns, self.truth = kept
            self.dense = dense[: self._count].gather(1, self.columns).float()

    def _kept(self, part: Slice, dense: Tensor, task: Task) -> tuple[Tensor, Tensor] | None:
        targets = None if part.targets is None else part.targets[: self._count]
        return task.kept_outputs(dense[: self._count], targets)

    def add(self, key: Key, outputs: Tensor) -> None:
        """Keep what an edit changes."""
        if not self.is_empty:
            kept = outputs[: self._count].gather(1, self.columns).float()
            self.changes[key] = (kept - self.dense).clamp(-LARGEST, LARGEST).half()


def joined(parts: Sequence[PartProbe[Key]], measured: Container[Key]) -> ProbePart[Key] | None:
    """Join the parts of a slice, with the changes of what was measured; waits for the device."""
    parts = [part for part in parts if not part.is_empty]
    if not parts:
        return None
    keys = [key for key in parts[0].changes if key in measured]
    # One copy for all of them.
    changes = [torch.cat([part.changes[key] for part in parts]) for key in keys]
    arrays = torch.stack(changes).cpu().numpy() if changes else ()
    return ProbePart(
        parts[0].first,
        torch.cat([part.columns for part in parts]).int().cpu().numpy(),
        torch.cat([part.dense for part in parts]).cpu().numpy(),
        torch.cat([part.truth for part in parts]).int().cpu().numpy(),
        dict(zip(keys, arrays, strict=True)),
    )


def change_in(parts: Sequence[ProbePart[Key]], key: Key) -> Change | None:
    """Return what an edit changes, from the parts of all slices; None where none have it.

    Args:
        parts: In the order of the samples.
        key: The edit.
    """
    if not parts or not all(key in part.changes for part in parts):
        return None
    columns = np.concatenate([part.columns for part in parts])
    return Change(columns_digests(columns), np.concatenate([part.changes[key] for part in parts]))
