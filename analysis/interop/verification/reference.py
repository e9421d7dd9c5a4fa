"""What an export is compared with, as files that another process reads with torch alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from analysis import plans
from analysis.edits import PreparedSubject
from analysis.interop.masked import full_state, masks
from analysis.interop.request import ExportRequest
from analysis.interop.verification.dense_model import dense_model
from pruners.batches import single
from pruners.errors import UnsupportedError

# Two batch sizes, so that a size that was frozen shows.
BATCHES = (2, 5)


def write_reference(request: ExportRequest, folder: Path) -> None:
    """Write inputs, expected outputs, masks, weights, counts and indices.

    Args:
        request: What was exported.
        folder: Gets ``reference.json`` and, as safetensors, ``tensors`` (inputs at two batch sizes
            and the outputs of the dense, masked and smaller models on them), ``masks`` (uint8),
            and the weights ``dense``, ``full`` and ``masked`` (of the plan, in dense shapes) and
            ``smaller``.

    Raises:
        PlanError: The plan does not fit the subject.
    """
    prepared = request.prepared
    dense, small = prepared.model, request.model()
    facts: dict[str, object] = {
        "threads": torch.get_num_threads(),
        "batches": list(BATCHES),
        "sparse": request.sparse,
    }
    full = full_state(request)
    states = {"dense": dense.state_dict(), "full": full, "smaller": small.state_dict()}
    models: dict[str, Mapping[str, Tensor] | None] = {"dense": None}
    try:
        found = masks(request)
        states["masked"] = models["masked"] = {
            name: item * found[name] if name in found else item for name, item in full.items()
        }
        _save(folder / "masks.safetensors", {name: item.byte() for name, item in found.items()})
    except UnsupportedError as error:
        facts["no_masks"] = str(error)
    for name, state in states.items():
        _save(folder / f"{name}.safetensors", state)
    _save(folder / "tensors.safetensors", _outputs(prepared, small, models))
    try:
        facts["model"] = dense_model(prepared).to_dict()
    except UnsupportedError as error:
        facts["no_model"] = str(error)
    facts["entries"] = [
        {
            "layer": entry.layer,
            "group": entry.group,
            "granularity": entry.granularity,
            "kept": entry.kept,
            "total": entry.total,
            "indices": entry.indices,
        }
        for entry in plans.pruned_entries(plans.resolve(prepared, request.chosen))
    ]
    (folder / "reference.json").write_text(json.dumps(facts), encoding="utf-8")


def _outputs(
    prepared: PreparedSubject, small: nn.Module, models: Mapping[str, Mapping[str, Tensor] | None]
) -> dict[str, Tensor]:
    device = prepared.subject.example.device
    found: dict[str, Tensor] = {}
    for at, inputs in enumerate(torch.split(_inputs(prepared), list(BATCHES))):
        found[f"inputs.{at}"] = inputs
        with torch.no_grad():
            found[f"smaller.{at}"] = small(inputs)
            for name, state in models.items():
                here = {key: item.to(device) for key, item in (state or {}).items()}
                found[f"{name}.{at}"] = torch.func.functional_call(prepared.model, here, (inputs,))
    return found


def _inputs(prepared: PreparedSubject) -> Tensor:
    """Return as many samples as both batches take: of the evaluation, else of the example."""
    count, example = sum(BATCHES), prepared.subject.example
    split = prepared.subject.evaluation
    first = next(iter(split.batches(count)))[0] if split is not None else example
    pool = [single(item, "references") for item in (first, *[example.flip(0)] * count)]
    return torch.cat(pool)[:count]


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    plain = {name: item.detach().cpu().clone().contiguous() for name, item in tensors.items()}
    safetensors.torch.save_file(plain, str(path))
