"""Say in one line why a model cannot be captured, and which line of its code is to blame."""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
import sysconfig
import traceback
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path

import torch
from torch import nn

from pruners.batches import Inputs
from pruners.capture.exporting import EXPORTING, SIZES, exported
from pruners.errors import CaptureError, one_line

# Whose lines say nothing to whoever wrote the model.
LIBRARIES = (str(Path(torch.__file__).parent), sysconfig.get_path("stdlib"))
OWN = str(Path(__file__).parent)
ADVICE = re.compile(r"\s*For more information, run with TORCH_LOGS=\S*")
NEEDED = re.compile(r"generated guard (.+?)\.?(?:Specializations .*)?$", re.MULTILINE)
# The one thing that is asked of the number of samples: an end.
ENDING = re.compile(r"(?:2 <= L\[\S+ and )?L\[\S+ <= (\d+)")
BATCH = re.compile(r"L\[[^]]+\](\[\d+\])?\.size\(\)\[0\]")


def refusal(model: nn.Module, example: Inputs, error: Exception) -> CaptureError:
    """Say in one line why a model cannot be captured, and which line of its code is to blame."""
    # They cost over a second of processor time, which torch.export has spent before it raises.
    from torch._dynamo.exc import UserError, UserErrorType
    from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

    if isinstance(error, UserError) and error.error_type is UserErrorType.CONSTRAINT_VIOLATION:
        found = NEEDED.search(str(error))
        reason = (
            f"it runs for some numbers of samples only: {BATCH.sub('batch', found[1])}"
            if found
            else "it takes the number of samples for a constant"
        )
        line = _line_of_guard(model, example, most_samples(error))
        if "len(" in line:
            line += "; len() makes it one, .shape[0] does not"
    else:
        # torch.export raises many unrelated types; the first line is the one a person can use.
        reason = (
            "it decides by the values of a tensor"
            if isinstance(error, GuardOnDataDependentSymNode)
            else ADVICE.sub("", one_line(error))
        )
        line = _quoted_line(str(error)) or _last_line(traceback.extract_tb(error.__traceback__))
    return CaptureError(f"torch.export cannot capture {type(model).__name__}: {reason}{line}")


def most_samples(error: Exception) -> int | None:
    """Return up to how many samples a model can be exported for, if only the number ends."""
    found = NEEDED.findall(str(error))
    ending = ENDING.fullmatch(found[0]) if len(found) == 1 else None
    return int(ending[1]) if ending else None


def _quoted_line(message: str) -> str:
    """Return the line of the model's code that torch.export's message quotes, if it does."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    for place, code in itertools.pairwise(lines):
        found = re.fullmatch(r'File "(.+)", line (\d+), in .+', place)
        if found:
            return f" ({Path(found[1]).name}, line {found[2]}: {code})"
    return ""


def _last_line(frames: Sequence[traceback.FrameSummary]) -> str:
    """Return the innermost line that is neither torch's nor this package's."""
    own = max((at for at, frame in enumerate(frames) if frame.filename.startswith(OWN)), default=-1)
    for frame in reversed(frames[own + 1 :]):
        if frame.line and not frame.filename.startswith(LIBRARIES):
            return f" ({Path(frame.filename).name}, line {frame.lineno}: {frame.line})"
    return ""


def _line_of_guard(model: nn.Module, example: Inputs, most: int | None) -> str:
    """Export once more, to learn which line of the model's code asks for a number of samples.

    Of several it is the one that tells the largest number, if there is one.
    """
    lines = []
    ending = rf"\b({most}|{most + 1})\b" if most is not None else ""

    def note(record: logging.LogRecord) -> bool:
        if "[guard added]" in record.msg and "suppressed" not in str(record.args):
            is_other = not re.search(ending, str(record.args))
            lines.append((is_other, _last_line(traceback.extract_stack()[:-1])))
        return False

    with EXPORTING, contextlib.suppress(Exception):
        SIZES.addFilter(note)
        try:
            # Of texts of any length, lines that ask for a length would be heard as well.
            exported(model, example, is_any_length=False, level=logging.INFO)
        finally:
            SIZES.removeFilter(note)
    return next((line for _, line in sorted(lines, key=itemgetter(0)) if line), "")
