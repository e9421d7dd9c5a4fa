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
import safetensors.torch
import torch

from analysis.edits import Edit, PreparedSubject, digest
from analysis.files import atomic
from analysis.plans import require_fit, resolve
from analysis.records import OnProgress, Plan, Seconds, decode_json
from analysis.recovery.plan_repair import Recovery, Repairer, pruned_targets
from analysis.repairs import NO_REPAIR
from pruners.reconstruction import LayerRepair

# To be raised when a change of the program changes what a repair gives.
VERSION = 1
IN_MEMORY = 8
# The tensors of larger models take longer to read than people wait for a repair.
MAX_BYTES = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What a file says beside its tensors; see `Recovery`."""

    plan: str
    kept: dict[str, tuple[int, ...]]
    layers: tuple[tuple[str, float, float], ...]
    skipped: dict[str, str]
    method: str
    seconds: Seconds


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
    """Return a plan repaired as it says, made now only if it was not before.

    Args:
        prepared: The subject; its model is left as found.
        plan: What is pruned, and how that is repaired.
        progress: As in `Repairer.repair`.

    Returns:
        None where the plan says that nothing is repaired, or prunes nothing.

    Raises:
        PruneScopeError: As `Repairer.repair`.
    """
    if plan.repair == NO_REPAIR or not any(item.kept < item.total for item in plan.entries):
        return None
    plan = resolve(prepared, require_fit(prepared, plan))
    key = repair_key(prepared, plan)
    memory = prepared.once(_Memory, _Memory)
    with memory.turn(key):
        found = memory.get(key) or _read(prepared, key)
        if found is None:
            found = _repairer(prepared, plan.repair).repair(plan, progress=progress)
            _write(prepared, key, found)
        memory.put(key, found)
    # Notes and names of a plan change nothing of its repair.
    entries = found.plan.entries
    return dataclasses.replace(found, plan=dataclasses.replace(plan, entries=entries))


def _repairer(prepared: PreparedSubject, method: str) -> Repairer:
    return prepared.once(("repairer", method), lambda: Repairer(prepared, method))


def repair_key(prepared: PreparedSubject, plan: Plan) -> str:
    """Return what identifies a repaired plan by all that it depends on, as hexadecimal digits."""
    subject = prepared.subject
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
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _file(prepared: PreparedSubject, key: str) -> Path | None:
    folder = prepared.cache_folder
    return None if folder is None else folder.parent / "repairs" / f"{key}.safetensors"


def _write(prepared: PreparedSubject, key: str, recovery: Recovery) -> None:
    """Keep a repaired plan; a folder that cannot be written means that it is made again."""
    path = _file(prepared, key)
    tensors = {
        name: item.detach().cpu().contiguous() for name, item in recovery.edit.tensors.items()
    }
    if path is None or sum(item.nbytes for item in tensors.values()) > MAX_BYTES:
        return
    facts = _Facts(
        plan=recovery.plan.to_json(),
        kept=dict(recovery.edit.kept),
        layers=tuple((i.layer, i.error_before, i.error_after) for i in recovery.layers),
        skipped=dict(recovery.skipped),
        method=recovery.method,
        seconds=recovery.seconds,
    )
    metadata = {"repair": json.dumps(dataclasses.asdict(facts))}
    with contextlib.suppress(OSError, safetensors.SafetensorError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as partial:
            safetensors.torch.save_file(tensors, str(partial), metadata=metadata)


def _read(prepared: PreparedSubject, key: str) -> Recovery | None:
    """Return a kept plan; a damaged file is no more than a missing one."""
    path = _file(prepared, key)
    if path is None or not path.is_file():
        return None
    device = prepared.subject.example.device
    try:
        with safetensors.safe_open(str(path), framework="pt", device="cpu") as file:
            facts = decode_json(_Facts, file.metadata()["repair"], name="its metadata")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        plan = Plan.from_json(facts.plan)
    except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError):
        return None
    state = prepared.evaluator.state
    if any(name not in state or item.shape != state[name].shape for name, item in tensors.items()):
        return None
    with torch.no_grad():
        placed = {name: item.to(device) for name, item in tensors.items()}
    return Recovery(
        plan,
        Edit(placed, facts.kept),
        tuple(LayerRepair(*item) for item in facts.layers),
        facts.skipped,
        facts.method,
        facts.seconds,
    )
