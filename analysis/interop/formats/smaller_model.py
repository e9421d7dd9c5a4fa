"""The physically smaller model: weights as safetensors, a script that rebuilds it, a card."""

from __future__ import annotations

import json

import safetensors.torch

from analysis.files import atomic, sha256, write_text
from analysis.interop.formats.script import SCRIPT, WEIGHTS, write_script
from analysis.interop.request import Exported, ExportRequest
from analysis.records import Evaluation
from analysis.tasks import Task
from pruners.batches import shape_of
from pruners.errors import CaptureError, UnsupportedError
from pruners.semantics import SEMANTICS

CARD = "model.json"
CARD_VERSION = 1


def export_model(request: ExportRequest) -> Exported:
    """Write ``model.safetensors``, ``rebuild.py`` and ``model.json``."""
    model = request.model()
    example = request.prepared.subject.example
    params = sum(item.numel() for item in model.parameters())
    files = [(request.directory / WEIGHTS, f"the weights: {params:,} parameters")]
    notes = model_notes(request)
    script = request.directory / SCRIPT
    try:
        write_script(model, example, request.directory)
        files.append((script, "rebuilds and runs the model; needs torch alone"))
    except (CaptureError, UnsupportedError) as error:
        script.unlink(missing_ok=True)
        with atomic(request.directory / WEIGHTS) as partial:
            safetensors.torch.save_model(model, str(partial))
        notes += (f"no script that rebuilds the model, load the weights in your own code: {error}",)
    card = request.directory / CARD
    text = json.dumps(_card(request, params=params, is_scripted=len(files) == 2), indent=1)
    write_text(card, text + "\n")
    # safetensors writes files that only their owner may read.
    (request.directory / WEIGHTS).chmod(card.stat().st_mode & 0o777)
    files.append((card, "what the model is and what it was measured to do"))
    stale = () if len(files) == 3 else (SCRIPT,)
    return Exported(files=tuple(files), notes=notes, stale=stale)


def _card(request: ExportRequest, *, params: int, is_scripted: bool) -> dict[str, object]:
    subject = request.prepared.subject
    card: dict[str, object] = {
        "schema_version": CARD_VERSION,
        "model": subject.spec.model,
        "data": subject.spec.data,
        "fingerprint_of_dense": subject.fingerprint,
        "input_shape": list(shape_of(subject.example)),
        "class_names": list(subject.class_names),
        "params": params,
        "repair": request.repair,
        "trained": request.trained,
        "weights": WEIGHTS,
        "weights_sha256": sha256(request.directory / WEIGHTS),
        "script": SCRIPT if is_scripted else None,
    }
    if request.evaluation is not None:
        card["measured"] = _measured(request.evaluation, subject.task)
    return card


def _measured(found: Evaluation, task: Task) -> dict[str, object]:
    removed, dense, words = found.removed, found.dense, task.words
    low, high = sorted(map(words.in_files, (removed.low, removed.high)))
    of_dense = task.facts(dense.sums)
    return {
        "samples": found.samples,
        "labelled": found.labelled,
        **task.facts(removed.sums),
        f"{words.column}_low": low,
        f"{words.column}_high": high,
        # The counts say all of a share.
        **{f"dense_{name}": of_dense[name] for name in (task.right or words.column,)},
        "macs": removed.macs,
        "dense_params": dense.params,
        "dense_macs": dense.macs,
    }


def model_notes(request: ExportRequest) -> tuple[str, ...]:
    """Say in what the exported model is not the one that a user may take it for."""
    notes = []
    if not SEMANTICS.get(request.plan.semantics).removes:
        notes.append(
            "the plan was measured with masked weights; the exported model has the channels "
            "removed, which is not the same"
        )
    if request.recovery is not None:
        count = len(request.prepared.subject.calibration or ())
        on = "" if request.trained else f" on {count} calibration samples"
        notes.append(f"the weights are {request.recovery_words}{on}")
        skipped = request.recovery.skipped.items()
        notes += [f"layer {name} was not repaired: {reason}" for name, reason in skipped]
    return tuple(notes)
