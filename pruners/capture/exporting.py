"""Export a model by torch.export, quietly, and make a graph of it."""

from __future__ import annotations

import contextlib
import gc
import inspect
import io
import logging
import operator
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import fx, nn

from pruners.batches import Inputs, Tensors, parts_of, text_lengths
from pruners.capture.graph import Graph
from pruners.errors import CaptureError

# torch.export, and what keeps it quiet, change state of the whole process.
EXPORTING = threading.RLock()
# Tells of what the number of samples must be, and where the code says so.
SIZES = logging.getLogger("torch.fx.experimental.symbolic_shapes")
COMPARISONS = (operator.eq, operator.ge, operator.le)


def exported(
    model: nn.Module,
    example: Inputs,
    *,
    most: int | None = None,
    is_any_length: bool = True,
    level: int = logging.CRITICAL,
) -> torch.export.ExportedProgram:
    """Export a model, with in-place operators taken out.

    Args:
        model: The model in eval mode.
        example: An input batch ``(N, ...)`` on its device.
        most: The largest number of samples that it is exported for; None is any.
        is_any_length: Whether token numbers may be of any length where the model allows it.
        level: From which on torch's log of sizes is heard.
    """
    # It brings the compiler, which takes seconds, as the export does.
    from pruners.lowering import decompositions, lower

    with EXPORTING, _quiet(level), _without_collection(), torch.no_grad():
        sizes = free_sizes(model, example, most=most, is_any_length=is_any_length)
        found: torch.export.ExportedProgram = torch.export.export(
            model, (example,), dynamic_shapes=sizes
        )
        return found if lower(found) else found.run_decompositions(decompositions(found))


def free_sizes(
    model: nn.Module,
    example: Inputs,
    *,
    most: int | None = None,
    is_any_length: bool = True,
) -> tuple[Any, ...]:
    """Return what tells torch.export which sizes of the inputs are free.

    Dim 0 is any number of samples, or up to so many. Dim 1 of token numbers, int64 ``(N, T)``, and
    of what is as long, is of any length where the model allows it, unless it shall not be.
    """
    parts, batch = parts_of(example), torch.export.Dim("batch", min=1, max=most)
    lengths = text_lengths(example) if is_any_length else ()
    shapes: list[Any] = [
        {0: batch, 1: torch.export.Dim.AUTO}
        if part.dim() > 1 and part.shape[1] in lengths
        else {0: batch}
        for part in parts
    ]
    shape: Any = shapes if isinstance(example, Tensors) else shapes[0]
    first = next(iter(inspect.signature(model.forward).parameters.values()), None)
    takes_any = first is not None and first.kind is first.VAR_POSITIONAL
    return ((shape,),) if takes_any else (shape,)


@contextlib.contextmanager
def _quiet(level: int) -> Iterator[None]:
    """Keep torch.export from printing what it tried; the error that it raises says enough."""
    before = SIZES.level
    SIZES.setLevel(level)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        SIZES.setLevel(before)


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Put off the search for garbage: an export makes millions of objects and almost none of it.

    Takes a fifth off its time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def graph_of(program: torch.export.ExportedProgram, first: Mapping[str, str]) -> Graph:
    """Return the graph of an exported program.

    Args:
        program: The program; checks are taken out of it.
        first: Name of a parameter or buffer -> the first name of the same tensor.

    Raises:
        CaptureError: It returns several outputs, or changes buffers.
    """
    signature = program.graph_signature
    state = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    if len(signature.user_outputs) != 1:
        raise CaptureError(
            f"a subject returns one tensor; this model returns {len(signature.user_outputs)}"
        )
    mutated = set(signature.buffers_to_mutate.values())
    if mutated:
        raise CaptureError(f"the forward pass changes buffers in eval mode: {sorted(mutated)}")
    constants = {
        name: program.constants[name]
        for name in signature.inputs_to_lifted_tensor_constants.values()
    }
    _drop_checks(program.graph_module)
    return Graph(
        module=program.graph_module,
        inputs=tuple(str(name) for name in signature.user_inputs),
        output=str(signature.user_outputs[0]),
        state={holder: first.get(name, name) for holder, name in state.items()},
        constants=constants,
    )


def _drop_checks(module: fx.GraphModule) -> None:
    """Take out operators that yield nothing; in place.

    In a functional graph they only check: that a tensor has the type that a cast expects, for
    example, which is no longer so where the evaluator computes in another precision.
    """
    checks = [node for node in module.graph.nodes if _yields_nothing(node)]
    for node in checks:
        asked = node.all_input_nodes
        module.graph.erase_node(node)
        for item in asked:
            if not item.users and item.target in COMPARISONS:
                module.graph.erase_node(item)
    if checks:
        module.recompile()


def _yields_nothing(node: fx.Node) -> bool:
    target = node.target
    return isinstance(target, torch._ops.OpOverload) and not target._schema.returns
