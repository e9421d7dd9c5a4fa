"""Torch-Pruning's history: which channels of which layer are removed, in order."""

from __future__ import annotations

import json

import torch
from torch import nn

from analysis import plans
from analysis.edits import PreparedSubject
from analysis.files import write_text
from analysis.interop.formats.smaller_model import export_model
from analysis.interop.request import Exported, ExportRequest
from analysis.records import PlanEntry
from pruners.errors import InputError, UnsupportedError
from pruners.granularity import parse

FILE = "history.json"
ATTRIBUTES = "attributes.json"


def export_history(request: ExportRequest) -> Exported:
    """Write ``history.json`` beside the smaller model.

    Raises:
        UnsupportedError: Torch-Pruning would remove something else at a group.
        InputError: The plan removes no channels.
    """
    plan = plans.resolve(request.prepared, request.chosen)
    entries = plans.pruned_entries(plan)
    removed = [entry for entry in entries if parse(entry.granularity).is_structured]
    if not removed:
        raise InputError(
            "a pruning history lists removed channels, and the plan removes none; export masks"
        )
    history = [_step(request.prepared, entry) for entry in removed]
    done = export_model(request)
    path = write_text(request.directory / FILE, json.dumps(history) + "\n")
    notes = list(done.notes)
    if len(removed) < len(entries) or request.recovery is not None:
        notes.append(
            "the history says shapes; load model.safetensors behind it for the weights as they are"
        )
    files = [(path, f"Torch-Pruning's history of {len(history)} steps"), *done.files]
    changed = _attributes(request.prepared.model, request.model())
    if changed:
        text = json.dumps(changed, indent=1) + "\n"
        about = "sizes that modules hold, such as numbers of heads: set them after the history"
        files.append((write_text(request.directory / ATTRIBUTES, text), about))
    stale = done.stale if changed else (*done.stale, ATTRIBUTES)
    return Exported(files=tuple(files), notes=tuple(notes), stale=stale)


def _attributes(dense: nn.Module, small: nn.Module) -> dict[str, dict[str, int]]:
    """Return whole numbers of modules that removal changes, those of torch's own modules aside."""
    before = dict(dense.named_modules())
    changed: dict[str, dict[str, int]] = {}
    for name, module in small.named_modules():
        if name not in before or type(module).__module__.startswith("torch."):
            continue
        old = vars(before[name])
        for key, value in vars(module).items():
            if type(value) is int and type(old.get(key)) is int and value != old[key]:
                changed.setdefault(name, {})[key] = value
    return changed


def _step(prepared: PreparedSubject, entry: PlanEntry) -> list[object]:
    """Return ``[layer, True, removed output channels]``: one layer, the others are coupled."""
    assert entry.group is not None
    group = prepared.group(entry.group)
    _refuse(prepared, entry)
    producer = group.producers[0]
    kept = torch.zeros(group.units, dtype=torch.bool)
    kept[torch.tensor(entry.indices)] = True
    index = producer.index
    gone = (index >= 0) & ~kept[index.clamp_min(0)].to(index.device)
    return [producer.layer, True, torch.nonzero(gone).flatten().tolist()]


def _refuse(prepared: PreparedSubject, entry: PlanEntry) -> None:
    """Refuse what Torch-Pruning 1.6.1 was seen to remove otherwise."""
    group = prepared.group(entry.name)
    if group.branches:
        raise UnsupportedError(
            f"Torch-Pruning removes channels, and the plan takes {entry.granularity} {entry.layer} "
            "as a whole; export the smaller model (model, onnx)"
        )
    layers = {layer.name: layer for layer in prepared.require_structure().layers}
    for member in (*group.producers, *group.consumers):
        layer = layers.get(member.layer)
        if layer is None or layer.groups == 1 or member.role == "depthwise":
            continue
        raise UnsupportedError(
            f"Torch-Pruning takes in- and outputs of the grouped convolution {layer.name} for two "
            f"groups, {entry.name} is one; leave it whole, or export the smaller model"
        )
    producer = group.producers[0]
    if bool((producer.index < 0).any()) or len(group.producers) > len(
        {member.layer for member in group.producers}
    ):
        raise UnsupportedError(
            f"{producer.layer} makes the channels of several groups at once, which one entry of a "
            f"pruning history cannot say ({entry.name}); export the smaller model (model, onnx)"
        )
