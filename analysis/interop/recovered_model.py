"""Write a repaired, or trained, smaller model."""

from __future__ import annotations

from pathlib import Path

from analysis.edits import PreparedSubject
from analysis.files import whole_folder
from analysis.interop.formats.script import write_script
from analysis.plans import write_plan
from analysis.recovery import Recovery, recovered_model


def write_recovered(prepared: PreparedSubject, recovery: Recovery, directory: Path) -> None:
    """Write the recovered, physically smaller model with a script that rebuilds it, and the plan.

    All of it is written, or nothing.

    Args:
        prepared: The subject.
        recovery: What a repair or a training gave.
        directory: Where ``model.safetensors``, ``rebuild.py`` and ``plan.json`` go.

    Raises:
        CaptureError: The model cannot be captured.
        UnsupportedError: Its graph cannot be written as code.
        StoreError: The files cannot be written.
    """
    model = recovered_model(prepared, recovery)
    with whole_folder(directory) as place:
        write_script(model, prepared.subject.example, place)
        write_plan(recovery.plan, place / "plan.json")
