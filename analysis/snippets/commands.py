"""Records as words of a command line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import sweeps
from analysis.sweeps import OPTIONS

if TYPE_CHECKING:
    from analysis.records import SweepSpec

# Numbers do not depend on it, and a number of bytes is no size that the option takes.
_LEFT_OUT = ("memory_limit",)


def command_of(spec: SweepSpec) -> str:
    """Return the command that measures a sweep without what is usual."""
    words = ["sweep"]
    usual = type(spec)(subject=type(spec.subject)(model=""))
    count = sweeps.usual_calibration(spec)
    usual = replace(usual, subject=replace(usual.subject, calibration_samples=count))
    # The subject first.
    for option in sorted(OPTIONS, key=lambda option: not option.is_of_subject):
        value = option.value_in(spec)
        if option.name not in _LEFT_OUT and value != option.value_in(usual):
            words += option.words(value)
    return command(words)


def command(words: Sequence[str], workspace: Path | None = None) -> str:
    """Return a command line.

    Args:
        words: Command and options.
        workspace: The workspace, if it is not the usual one.
    """
    place = [] if workspace is None else ["--workspace", str(workspace)]
    return shlex.join(["prunescope", *words, *place])
