"""Write a repaired, or trained, smaller model."""

from __future__ import annotations

from pathlib import Path

from analysis.edits import PreparedSubject
from analysis.interop.formats.script import write_script
from analysis.plans import write_plan
from analysis.recovery import Recovery, recovered_model


def write_recovered(prepared: PreparedSubject, recovery: Recovery, directory: Path) -> None:
    """Write the recovered, physically smaller model with a script that rebuilds it, and the plan.

    Args:
        prepared: The subject.
        recovery: What a repair or a training gave.
        directory: Where ``model.safetensors``, ``rebuild.py`` and ``plan.json`` go.

    Raises:
        CaptureError: The model cannot be captured.
        UnsupportedError: Its graph cannot be written as code.
    """
    write_script(recovered_model(prepared, recovery), prepared.subject.example, directory)
    write_plan(recovery.plan, directory / "plan.json")
