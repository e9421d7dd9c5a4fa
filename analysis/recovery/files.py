"""Repaired and trained plans as files: tensors and facts in one safetensors file, never pickled."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from analysis.edits import Edit, PreparedSubject
from analysis.files import atomic
from analysis.records import Plan, Seconds, decode_json
from analysis.recovery.plan_repair import Recovery
from pruners.errors import InputError
from pruners.preserve import raw_bytes
from pruners.reconstruction import LayerRepair


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What a file says beside its tensors; see `Recovery`."""

    plan: str
    kept: dict[str, tuple[int, ...]]
    layers: tuple[tuple[str, float, float], ...]
    skipped: dict[str, str]
    method: str
    seconds: Seconds
    # Earlier versions wrote none.
    digest: str = ""


def tensor_bytes(recovery: Recovery) -> int:
    """Return the size of what a file would hold."""
    return sum(item.nbytes for item in recovery.edit.tensors.values())


def write_recovery(path: Path, recovery: Recovery) -> None:
    """Write a repaired or trained plan, whole or not at all.

    Raises:
        OSError: The file cannot be written.
        safetensors.SafetensorError: As well.
    """
    tensors = {
        name: item.detach().cpu().contiguous() for name, item in recovery.edit.tensors.items()
    }
    facts = _Facts(
        plan=recovery.plan.to_json(),
        kept=dict(recovery.edit.kept),
        layers=tuple((i.layer, i.error_before, i.error_after) for i in recovery.layers),
        skipped=dict(recovery.skipped),
        method=recovery.method,
        seconds=recovery.seconds,
        digest=weights_digest(recovery),
    )
    metadata = {"repair": json.dumps(dataclasses.asdict(facts))}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as partial:
        safetensors.torch.save_file(tensors, str(partial), metadata=metadata)


def read_recovery(path: Path, prepared: PreparedSubject) -> Recovery:
    """Read a repaired or trained plan for a subject.

    Raises:
        InputError: There is no such file, it is damaged, or it does not fit the subject.
    """
    device = prepared.subject.example.device
    try:
        with safetensors.safe_open(str(path), framework="pt", device="cpu") as file:
            facts = decode_json(_Facts, file.metadata()["repair"], name="its metadata")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        plan = Plan.from_json(facts.plan)
    except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    state = prepared.evaluator.state
    if any(name not in state or item.shape != state[name].shape for name, item in tensors.items()):
        raise InputError(f"{path} holds other tensors than the subject has")
    with torch.no_grad():
        placed = {name: item.to(device) for name, item in tensors.items()}
    found = Recovery(
        plan,
        Edit(placed, facts.kept),
        tuple(LayerRepair(*item) for item in facts.layers),
        facts.skipped,
        facts.method,
        facts.seconds,
    )
    if facts.digest and facts.digest != weights_digest(found):
        raise InputError(f"{path} is damaged: it holds other weights than were written")
    return found


def weights_digest(recovery: Recovery) -> str:
    """Return what identifies weights and what is removed from them, as hexadecimal digits."""
    found = hashlib.sha256(json.dumps(sorted(recovery.edit.kept.items())).encode())
    for name, item in sorted(recovery.edit.tensors.items()):
        found.update(f"{name} {item.dtype} {tuple(item.shape)}".encode())
        found.update(raw_bytes(item))
    return found.hexdigest()
