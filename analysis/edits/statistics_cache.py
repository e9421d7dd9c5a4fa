"""Calibration statistics on disk, so that another process need not collect them again.

One safetensors file per statistic, named by everything that it depends on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from analysis.files import atomic
from analysis.records import Count, decode_json
from pruners.statistics import Statistics

# To be raised when a change of the program changes what is collected.
VERSION = 2
# Larger statistics (Gram matrices of large models) cost more to read than to collect again.
MAX_BYTES = 256 * 2**20
_SEPARATOR = "|"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What a file says beside its tensors; see `Statistics`."""

    layers: tuple[str, ...]
    reasons: dict[str, str]
    samples: Count
    batches: Count
    seed: int
    labelled: bool
    fisher_block: Count


class StatisticsCache:
    """A folder of statistics of one subject.

    Args:
        folder: Where the files lie; made when the first is written.
        identity: What the statistics depend on beside their name: fingerprints, seed, batch size.
    """

    def __init__(self, folder: Path, identity: dict[str, str | int]) -> None:
        self._folder = folder
        self._identity = {**identity, "torch": torch.__version__, "version": VERSION}

    def path(self, need: str) -> Path:
        """Return the file of a statistic."""
        content = json.dumps({**self._identity, "need": need}, sort_keys=True)
        return self._folder / f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.safetensors"

    def save(self, need: str, statistics: Statistics) -> None:
        """Write one statistic of all layers, unless it is very large.

        A folder that cannot be written only means that it is collected again another time.
        """
        tensors = {
            f"{layer}{_SEPARATOR}{need}": found[need].detach().cpu().contiguous()
            for layer, found in statistics.layers.items()
            if need in found
        }
        if sum(item.nbytes for item in tensors.values()) > MAX_BYTES:
            return
        reasons = statistics.reasons.items()
        facts = _Facts(
            layers=tuple(statistics.layers),
            reasons={layer: found[need] for layer, found in reasons if need in found},
            samples=statistics.samples,
            batches=statistics.batches,
            seed=statistics.seed,
            labelled=statistics.labelled,
            fisher_block=statistics.fisher_block,
        )
        metadata = {"statistics": json.dumps(dataclasses.asdict(facts))}
        path = self.path(need)
        with contextlib.suppress(OSError, safetensors.SafetensorError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(path) as partial:
                safetensors.torch.save_file(tensors, str(partial), metadata=metadata)

    def load(self, need: str, *, device: torch.device) -> Statistics | None:
        """Return one statistic of all layers; None if it is not there or cannot be read."""
        path = self.path(need)
        if not path.is_file():
            return None
        try:
            with safetensors.safe_open(str(path), framework="pt", device="cpu") as file:
                facts = decode_json(_Facts, file.metadata()["statistics"], name="its metadata")
                layers: dict[str, dict[str, Tensor]] = {name: {} for name in facts.layers}
                for key in file.keys():  # noqa: SIM118 (no dict)
                    layer, _, found = key.rpartition(_SEPARATOR)
                    layers[layer][found] = file.get_tensor(key).to(device)
        except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError):
            # A damaged file is no more than a missing one: it is collected and written again.
            return None
        return Statistics(
            layers=layers,
            reasons={name: {need: why} for name, why in facts.reasons.items()},
            samples=facts.samples,
            batches=facts.batches,
            seed=facts.seed,
            labelled=facts.labelled,
            fisher_block=facts.fisher_block,
        )
