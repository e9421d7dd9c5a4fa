"""Find the fastest program that gives a model's own outputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from analysis.engine.profile import Profile
from analysis.engine.program import Program
from analysis.engine.weights import State
from pruners.batches import Inputs
from pruners.capture import Graph
from pruners.errors import UnsupportedError, one_line


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A program with what it takes.

    Attributes:
        program: The program; None where none gives the model's outputs.
        profile: What its steps take.
        reason: Why there is none.
    """

    program: Program | None
    profile: Profile
    reason: str = ""


def compiled(
    model: nn.Module,
    graph: Graph,
    tensors: State,
    *,
    example: Inputs | None,
    channels_last: bool,
    fold_batch_norm: bool,
    dtype: torch.dtype | None,
    tolerance: float,
) -> Compiled:
    """Compile a graph on the model's device.

    A CPU is fastest with folded norms and images in channels-last layout. What is fastest on
    another device hangs on the precision, too, so it is timed there, for a moment.

    Args:
        model: The model.
        graph: The graph, on the model's device.
        tensors: The state that it reads.
        example: Inputs ``(2, ...)`` on which programs are compared with the model; without any,
            nothing is compared, and nothing timed.
        channels_last: Whether that layout may be used.
        fold_batch_norm: Whether norms may be folded.
        dtype: Type of the values; None is the model's own.
        tolerance: How far outputs may be from the model's own, relative to the largest.
    """
    options = dict.fromkeys(
        [(channels_last, fold_batch_norm), (False, fold_batch_norm), (False, False)]
    )
    is_timed = example is not None and example.device.type != "cpu"
    reason = ""
    fitting: list[Compiled] = []
    for layout, folding in options:
        if fitting and (not is_timed or folding is not fold_batch_norm):
            break
        try:
            program = Program(
                graph, tensors, channels_last=layout, fold_batch_norm=folding, dtype=dtype
            )
            profile = (
                Profile(program)
                if example is None
                else _checked(model, program, example, tolerance)
            )
        except (RuntimeError, UnsupportedError, TypeError) as error:
            reason = f"the captured graph cannot be run: {one_line(error)}"
            continue
        if profile is None:
            reason = "the captured graph does not give the model's own outputs"
        else:
            fitting.append(Compiled(program, profile))
    if not fitting:
        return Compiled(None, Profile(), reason)
    return min(fitting, key=lambda item: item.profile.pass_seconds()) if is_timed else fitting[0]


@torch.inference_mode()
def _checked(
    model: nn.Module, program: Program, example: Inputs, tolerance: float
) -> Profile | None:
    """Return what the program's steps take; None if it does not give the model's outputs."""
    expected = model(example)
    known = program.prepare(example)
    values = program.run(program.whole(), known)
    # As it is run later: what no step reads any more is overwritten.
    again = program.run(program.whole(), known, keep=frozenset())
    scale = expected.abs().max().clamp_min(1e-12)
    errors = [(item[program.output] - expected).abs().max() / scale for item in (values, again)]
    if not all(bool(error < tolerance) for error in errors):
        return None
    return Profile.of(program, values, example)
