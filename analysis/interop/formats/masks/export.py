"""Masks by parameter name, and one script a library that takes them."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch

from analysis.files import atomic, write_text
from analysis.interop.formats.smaller_model import model_notes
from analysis.interop.masked import masks, write_masked
from analysis.interop.request import Exported, ExportRequest
from pruners.errors import InputError

FILE = "masks.safetensors"
WEIGHTS = "masked.safetensors"
CONSUMERS = Path(__file__).with_name("consumers")


def export_masks(request: ExportRequest) -> Exported:
    """Write ``masks.safetensors`` and its scripts; of a recovered plan its weights as well.

    Raises:
        UnsupportedError: A norm mixes removed channels with others, which zeros cannot say.
        InputError: The plan prunes nothing.
    """
    found = masks(request)
    if not found:
        raise InputError("the plan prunes nothing, so there are no masks to export")
    folder = request.directory
    kept = sum(int(item.sum()) for item in found.values())
    total = sum(item.numel() for item in found.values())
    files = [(folder / FILE, f"masks of {len(found)} parameters: {kept:,} of {total:,} stay")]
    with atomic(folder / FILE) as partial:
        tensors = {name: item.byte() for name, item in sorted(found.items())}
        safetensors.torch.save_file(tensors, str(partial))
    # safetensors writes files that only their owner may read.
    (folder / FILE).chmod(0o644)
    if request.recovery is not None:
        write_masked(request, found, folder / WEIGHTS)
        files.append((folder / WEIGHTS, f"weights of the dense shapes, {request.recovery_words}"))
    for script in sorted(CONSUMERS.glob("[!_]*.py")):
        path = folder / f"masks_{script.name}"
        text = script.read_text(encoding="utf-8")
        files.append((write_text(path, text), text.split('"""')[1].splitlines()[0].rstrip(".")))
    stale = () if request.recovery is not None else (WEIGHTS,)
    return Exported(files=tuple(files), notes=model_notes(request), stale=stale)
