"""What an export is compared with, as files that another process reads with torch alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from analysis import plans, runtimes
from analysis.edits import PreparedSubject
from analysis.interop.masked import full_state, masks
from analysis.interop.request import ExportRequest
from analysis.interop.verification.dense_model import dense_model
from analysis.subjects import USUAL_OUTPUTS, parse_model
from analysis.tasks import Task
from pruners.batches import Inputs, Tensors, joined, names_of, parts_of
from pruners.errors import UnsupportedError

# Two batch sizes, so that a size that was frozen shows.
BATCHES = (2, 5)


def write_reference(request: ExportRequest, folder: Path) -> None:
    """Write inputs, expected outputs, masks, weights, counts and indices.

    Args:
        request: What was exported.
        folder: Gets ``reference.json`` and, as safetensors, ``tensors`` (inputs at two batch sizes,
            and texts of another length, and the outputs of the dense, masked and smaller models on
            them), ``masks`` (uint8), and the weights ``dense``, ``full`` and ``masked`` (of the
            plan, in dense shapes) and ``smaller``.

    Raises:
        PlanError: The plan does not fit the subject.
    """
    prepared = request.prepared
    dense, small = prepared.model, request.model()
    batches, task = _batches(prepared, small), prepared.subject.task
    example, output = prepared.subject.example, parse_model(prepared.subject.spec.model)
    form = example.form if isinstance(example, Tensors) else None
    facts: dict[str, object] = {
        "threads": torch.get_num_threads(),
        "batches": [len(item) for item in batches],
        "sparse": request.sparse,
        "tables": [
            f"{name}.weight"
            for name, module in dense.named_modules()
            if isinstance(module, nn.Embedding)
        ],
        "inputs": list(names_of(example)),
        "form": None if form is None else pytree.treespec_dumps(form),
        "output": output.options.get("output", ""),
        "packs": "" if type(task).packed is Task.packed else task.name,
        "usual_outputs": list(USUAL_OUTPUTS),
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
    _save(folder / "tensors.safetensors", _outputs(prepared, small, models, batches))
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
    prepared: PreparedSubject,
    small: nn.Module,
    models: Mapping[str, Mapping[str, Tensor] | None],
    batches: Sequence[Inputs],
) -> dict[str, Tensor]:
    device = prepared.subject.example.device
    found: dict[str, Tensor] = {}
    for at, inputs in enumerate(batches):
        parts = enumerate(parts_of(inputs))
        found |= {f"inputs.{at}.{number}": part for number, part in parts}
        with torch.no_grad():
            found[f"smaller.{at}"] = small(inputs)
            for name, state in models.items():
                here = {key: item.to(device) for key, item in (state or {}).items()}
                found[f"{name}.{at}"] = torch.func.functional_call(prepared.model, here, (inputs,))
    return found


def _batches(prepared: PreparedSubject, small: nn.Module) -> list[Inputs]:
    """Return batches of both sizes: of the evaluation, else of the example; then shorter texts."""
    count, example = sum(BATCHES), prepared.subject.example
    split = prepared.subject.evaluation
    first = next(iter(split.batches(count)))[0] if split is not None else example
    pool = joined([first, *[example.flip(0)] * count])
    found = [pool[: BATCHES[0]], pool[BATCHES[0] : count]]
    shorter = runtimes.shorter_text(small, found[0])
    return found if shorter is None else [*found, shorter]


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    plain = {name: item.detach().cpu().clone().contiguous() for name, item in tensors.items()}
    safetensors.torch.save_file(plain, str(path))
