"""A share of a sweep in another process: plain data goes there, and sums come back."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from analysis.edits import NestedMasks, prepare, targets
from analysis.engine import Way
from analysis.measuring import Measured, Slices, Slicing
from analysis.records import Identity, Sums, SweepSpec
from analysis.subjects import load_subject
from analysis.sweeps.executors.local import LocalExecutor
from analysis.sweeps.grid import Item
from analysis.sweeps.planned import require_data
from pruners.errors import InputError, PruneScopeError, as_plain, from_plain, one_line
from pruners.user_code import exits_told, is_library


def packed(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Return items as plain data."""
    return [
        {
            "target": item.target.name,
            "levels": item.masks.levels.cpu().numpy(),
            "counts": item.masks.kept,
            "kept": item.kept,
            "names": sorted(item.names),
        }
        for item in items
    ]


def unpacked(result: Mapping[str, Any], items: Sequence[Item]) -> Measured[Item]:
    """Return what `ShardWorker.measure` found.

    Args:
        result: What it returned.
        items: The items, in the order in which they were packed.

    Raises:
        PruneScopeError: The worker could not measure: its error, of the same kind.
    """
    if "error" in result:
        raise from_plain(result["error"])
    return Measured(
        Sums.from_dict(result["baseline"]),
        {items[at]: Sums.from_dict(sums) for at, sums in result["sums"].items()},
        {items[at]: reason for at, reason in result["failed"].items()},
        probe=result["probe"] and result["probe"].named(lambda at: [items[at]]),
    )


def _is_known_everywhere(kind: type[Exception]) -> bool:
    """Return whether any process knows a class of errors: one of users' code would be lost."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return file is None or is_library(file)


class ShardWorker:
    """Measures jobs in a process of its own.

    Args:
        spec: The sweep as a dictionary.
        items: What `packed` returned.
        identity: Fingerprints of the weights and the data.
        slicing: How the evaluation set is cut; see `Slices.slicing`.
        ways: How programs are compiled, so that numbers are the same whoever finds them.
        threads: Threads of the processor that it may use.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        items: Sequence[dict[str, Any]],
        identity: Identity,
        slicing: Slicing,
        ways: Sequence[Way | None],
        *,
        threads: int = 1,
    ) -> None:
        torch.set_num_threads(threads)
        self._problem: Exception | None = None
        try:
            with exits_told():
                self._open(SweepSpec.from_dict(spec), items, identity, slicing, ways)
        except Exception as error:
            # A process that does not come up would be taken for lost.
            self._problem = error

    def _open(
        self,
        spec: SweepSpec,
        items: Sequence[dict[str, Any]],
        identity: Identity,
        slicing: Slicing,
        ways: Sequence[Way | None],
    ) -> None:
        prepared = prepare(load_subject(spec.subject))
        if what := identity.change(prepared.identity):
            raise InputError(f"another process finds different {what} at the same addresses")
        prepared.evaluator_at(spec.precision).follow(ways)
        by_name = {item.name: item for item in targets(prepared, spec.granularity, spec.layers)}
        self._items = [
            Item(
                by_name[item["target"]],
                NestedMasks(torch.tensor(item["levels"]), tuple(item["counts"])),
                item["kept"],
                [],
                frozenset(item["names"]),
            )
            for item in items
        ]
        slices = Slices(require_data(prepared), **slicing)
        self._executor = LocalExecutor(prepared, spec, self._items, slices)

    def pid(self) -> int:
        """Return the process."""
        return os.getpid()

    def measure(self, number: int, positions: Sequence[int]) -> dict[str, Any]:
        """Measure items, given by their positions, on a slice; return plain data."""
        try:
            with exits_told():
                return self._measured(number, positions)
        except PruneScopeError as error:
            return {"error": as_plain(error)}
        except Exception as error:
            if _is_known_everywhere(type(error)):
                raise
            return {"error": as_plain(PruneScopeError(one_line(error)))}

    def _measured(self, number: int, positions: Sequence[int]) -> dict[str, Any]:
        if self._problem is not None:
            raise self._problem
        chosen = [self._items[at] for at in positions]
        measured = self._executor.measure([(number, chosen)], lambda: False)
        assert measured is not None
        found = measured[0]
        at = {id(item): position for position, item in zip(positions, chosen, strict=True)}
        return {
            "baseline": found.baseline.to_dict(),
            "sums": {at[id(item)]: sums.to_dict() for item, sums in found.sums.items()},
            "failed": {at[id(item)]: reason for item, reason in found.failed.items()},
            "probe": found.probe and found.probe.named(lambda item: [at[id(item)]]),
        }
