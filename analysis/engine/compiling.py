"""Find the fastest program that gives a model's own outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import nn

from analysis.engine.convolutions import Fusing, can_fuse
from analysis.engine.operators import CONVOLUTIONS, IMAGES
from analysis.engine.profile import Profile
from analysis.engine.program import Program
from analysis.engine.weights import State
from pruners.batches import Inputs, parts_of
from pruners.capture import Graph, answered, device_of
from pruners.errors import UnsupportedError, one_line


@dataclass(frozen=True, slots=True)
class Way:
    """How a graph is compiled.

    Attributes:
        channels_last: Whether images are in that layout.
        fold_batch_norm: Whether norms are folded into convolutions.
        fuse: What convolutions are run with in one kernel.
    """

    channels_last: bool
    fold_batch_norm: bool
    fuse: Fusing


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A program with what it takes.

    Attributes:
        way: How it is compiled.
        program: The program; None where it does not give the model's outputs.
        profile: What its steps take.
        reason: Why there is none.
        others: Compile the same in other ways, where only time can tell which is faster; see
            `fastest`.
    """

    way: Way
    program: Program | None = None
    profile: Profile = field(default_factory=Profile)
    reason: str = ""
    others: Mapping[Way, Callable[[], Compiled]] = field(default_factory=dict)

    def in_way(self, way: Way | None) -> Compiled | None:
        """Return it compiled in one of its ways; None where that is none of them."""
        if way == self.way:
            return self
        compile_other = None if way is None else self.others.get(way)
        found = None if compile_other is None else compile_other()
        return None if found is None or found.program is None else found


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
    another device hangs on the precision, too: that is left to `fastest`.

    Args:
        model: The model.
        graph: The graph, on the model's device.
        tensors: The state that it reads.
        example: Inputs ``(2, ...)``; on them and one more, programs are compared with the model.
            Without any, nothing is compared, and nothing to be timed.
        channels_last: Whether that layout may be used.
        fold_batch_norm: Whether norms may be folded.
        dtype: Type of the values; None is the model's own.
        tolerance: How far outputs may be from the model's own, relative to the largest.
    """
    source = _Source(model, graph, tensors, example, dtype, tolerance)
    kinds = reversed(Fusing) if can_fuse(device_of(model)) else (Fusing.NOTHING,)
    usual = [Way(channels_last, fold_batch_norm, fuse) for fuse in kinds]
    rest = [Way(False, folds, Fusing.NOTHING) for folds in (fold_batch_norm, False)]
    for way in dict.fromkeys([*usual, *rest]):
        found = source.compiled(way)
        if found.program is not None:
            return replace(found, others=source.others(found.program, way))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """What is compiled; the arguments of `compiled`."""

    model: nn.Module
    graph: Graph
    tensors: State
    example: Inputs | None
    dtype: torch.dtype | None
    tolerance: float

    def compiled(self, way: Way) -> Compiled:
        """Compile it in one way; without a program where that does not give its outputs."""
        try:
            program = Program(
                self.graph,
                self.tensors,
                channels_last=way.channels_last,
                fold_batch_norm=way.fold_batch_norm,
                fuse=way.fuse,
                dtype=self.dtype,
            )
            profile = (
                Profile(program)
                if self.example is None
                else _checked(self.model, program, self.example, self.tolerance)
            )
        except (RuntimeError, UnsupportedError, TypeError) as error:
            return Compiled(way, reason=f"the captured graph cannot be run: {one_line(error)}")
        if profile is None:
            reason = "the captured graph does not give the model's own outputs"
            return Compiled(way, reason=reason)
        return Compiled(way, program, profile)

    def others(self, program: Program, way: Way) -> Mapping[Way, Callable[[], Compiled]]:
        """Return what compiles it in the ways that may be faster than that of a program."""
        if self.example is None or self.example.device.type == "cpu":
            return {}
        ways = []
        if _has_two_layouts(program, self.tensors, self.example):
            ways.append(replace(way, channels_last=False))
        if any(step.added for step in program.steps):
            ways.append(replace(way, fuse=Fusing.RECTIFIERS))
        return {other: partial(self.compiled, other) for other in ways}


def _has_two_layouts(program: Program, tensors: State, example: Inputs) -> bool:
    """Return whether a program in channels-last layout differs from one that is not."""
    convolutions = (step for step in program.steps if step.body.target in CONVOLUTIONS)
    weights = (tensors[name] for step in convolutions for name in step.state)
    return program.channels_last and any(
        item.dim() == IMAGES for item in (*parts_of(example), *weights)
    )


def fastest(found: Compiled) -> Compiled:
    """Return the way that is fastest on its device: all are timed for a moment."""
    others = (compile_other() for compile_other in found.others.values())
    ways = [found, *(other for other in others if other.program is not None)]
    if len(ways) == 1:
        return found
    # One with fewer steps has fewer values to count, and would be given more samples.
    copies = min(way.profile.copies for way in ways)
    return min(ways, key=lambda way: way.profile.pass_seconds(copies))


@torch.inference_mode()
def _checked(
    model: nn.Module, program: Program, example: Inputs, tolerance: float
) -> Profile | None:
    """Return what the program's steps take; None if it does not give the model's outputs."""
    inputs, expected = answered(model, example)
    values = program.run(program.whole(), program.prepare(inputs))
    profile, first = Profile.of(program, values, inputs), values[program.output]
    del values  # There may be no room for more beside all of them.
    # As it is run later: what no step reads any more is overwritten.
    again = program.run(program.whole(), program.prepare(inputs), keep=frozenset())
    scale = expected.abs().max().clamp_min(1e-12)
    errors = [(found - expected).abs().max() / scale for found in (first, again[program.output])]
    return profile if all(bool(error < tolerance) for error in errors) else None
