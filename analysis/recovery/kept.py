"""Repaired plans, computed once: kept by content, in memory and in the workspace.

Live accuracy, evaluation and export speak of the same weights, so a repair is done once and its
result is found again by everything that it depends on: weights, forward pass, masks, method, and
the calibration samples.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import safetensors

from analysis.edits import PreparedSubject, digest
from analysis.plans import pruned_entries, require_fit, resolve
from analysis.records import OnProgress, Plan
from analysis.recovery.files import read_recovery, tensor_bytes, write_recovery
from analysis.recovery.plan_repair import Recovery, Repairer, pruned_targets
from analysis.recovery.trained import trained_plan
from analysis.repairs import REPAIRS
from pruners.errors import InputError

# To be raised when a change of the program changes what a repair gives.
VERSION = 2
IN_MEMORY = 8
# The tensors of larger models take longer to read than people wait for a repair.
MAX_BYTES = 2**30


@dataclass(eq=False)
class _Memory:
    """The last repaired plans of a subject, and a lock for each that is being made."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    found: OrderedDict[str, Recovery] = field(default_factory=OrderedDict)
    making: dict[str, threading.Lock] = field(default_factory=dict)

    @contextlib.contextmanager
    def turn(self, key: str) -> Iterator[None]:
        """Let one thread at a time make the plan of a key; the others find it made."""
        with self.lock:
            own = self.making.setdefault(key, threading.Lock())
        with own:
            yield

    def get(self, key: str) -> Recovery | None:
        with self.lock:
            if key in self.found:
                self.found.move_to_end(key)
            return self.found.get(key)

    def put(self, key: str, recovery: Recovery) -> None:
        with self.lock:
            self.found[key] = recovery
            while len(self.found) > IN_MEMORY:
                self.making.pop(self.found.popitem(last=False)[0], None)


def repaired_plan(
    prepared: PreparedSubject, plan: Plan, *, progress: OnProgress | None = None
) -> Recovery | None:
    """Return a plan trained or repaired as it says; repaired now only if it was not before.

    Args:
        prepared: The subject; its model is left as found.
        plan: What is pruned, and how that is repaired.
        progress: As in `Repairer.repair`.

    Returns:
        None where the plan says that nothing is repaired, or prunes nothing.

    Raises:
        InputError: The plan was trained, but its workspace has not got the weights.
        PruneScopeError: As `Repairer.repair`.
    """
    if not plan.is_recovered or not any(item.kept < item.total for item in plan.entries):
        return None
    plan = resolve(prepared, require_fit(prepared, plan))
    key = repair_key(prepared, plan)
    memory = prepared.once(_Memory, _Memory)
    with memory.turn(key):
        found = memory.get(key)
        if found is None and plan.training is not None:
            found = trained_plan(prepared, plan)
        elif found is None:
            found = _read(prepared, key)
        if found is None:
            found = _repairer(prepared, plan.repair).repair(plan, progress=progress)
            _write(prepared, key, found)
        memory.put(key, found)
    # Notes, names, locks and criteria of a plan change nothing of its repair: they are its own.
    return dataclasses.replace(found, plan=_as_asked(plan, found.plan))


def _as_asked(plan: Plan, found: Plan) -> Plan:
    """Return a plan with what the repair of it, or of another of the same masks, has chosen."""
    if plan.training is not None:
        return dataclasses.replace(plan, entries=found.entries)
    if not _chooses(plan):
        return plan
    chosen = {(item.granularity, item.name): item for item in pruned_entries(found)}
    pairs = [(item, chosen.get((item.granularity, item.name), item)) for item in plan.entries]
    entries = (
        dataclasses.replace(item, indices=other.indices, criterion=other.criterion)
        for item, other in pairs
    )
    return dataclasses.replace(plan, entries=tuple(entries))


def _chooses(plan: Plan) -> bool:
    return REPAIRS.get(plan.repair).choose is not None


def _repairer(prepared: PreparedSubject, method: str) -> Repairer:
    return prepared.once(("repairer", method), lambda: Repairer(prepared, method))


def repair_key(prepared: PreparedSubject, plan: Plan) -> str:
    """Return what identifies a repaired plan by all that it depends on, as hexadecimal digits.

    Of a trained plan it is the id of the trained weights.
    """
    if plan.training is not None:
        return plan.training
    subject = prepared.subject
    pruned = pruned_entries(plan)
    # Where a repair chooses other units, it says by which criterion; those left keep their own.
    criteria = sorted((item.granularity, item.name, item.criterion) for item in pruned)
    content = {
        "version": VERSION,
        "weights": subject.fingerprint,
        "program": prepared.identity.program,
        "calibration": subject.calibration_fingerprint,
        "seed": subject.spec.seed,
        "task": subject.spec.task,
        "method": plan.repair,
        "semantics": plan.semantics,
        "masks": sorted(
            f"{target.granularity}:{target.name}:{digest(target, mask).hex()}"
            for target, mask in pruned_targets(prepared, plan)
        ),
        **({"criteria": criteria} if _chooses(plan) else {}),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _file(prepared: PreparedSubject, key: str) -> Path | None:
    folder = prepared.cache_folder
    return None if folder is None else folder.parent / "repairs" / f"{key}.safetensors"


def _write(prepared: PreparedSubject, key: str, recovery: Recovery) -> None:
    """Keep a repaired plan; a folder that cannot be written means that it is made again."""
    path = _file(prepared, key)
    if path is None or tensor_bytes(recovery) > MAX_BYTES:
        return
    with contextlib.suppress(OSError, safetensors.SafetensorError):
        write_recovery(path, recovery)


def _read(prepared: PreparedSubject, key: str) -> Recovery | None:
    """Return a kept plan; a damaged file is no more than a missing one."""
    path = _file(prepared, key)
    if path is None or not path.is_file():
        return None
    try:
        return read_recovery(path, prepared)
    except InputError:
        return None
