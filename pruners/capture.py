"""Capture a model once as a functional ATen graph with a free batch size and length of text.

The graph is what groups are found in and what the incremental evaluator runs. In-place operators
are decomposed away, so every value of the graph may be cached. Whatever the model's device, it is
captured on the CPU: there, no kernel adds a bound on the batch. `Graph.on` gives the graph for
another device.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import hashlib
import inspect
import io
import itertools
import logging
import operator
import re
import sysconfig
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from pruners.batches import Inputs, Lengths, Tensors, lengths_of, parts_of, text_lengths
from pruners.errors import CaptureError, one_line

# torch.export, and what keeps it quiet, change state of the whole process.
_EXPORTING = threading.RLock()
# Tells of what the number of samples must be, and where the code says so.
_SIZES = logging.getLogger("torch.fx.experimental.symbolic_shapes")
# Whose lines say nothing to whoever wrote the model.
LIBRARIES = (str(Path(torch.__file__).parent), sysconfig.get_path("stdlib"))
ADVICE = re.compile(r"\s*For more information, run with TORCH_LOGS=\S*")
NEEDED = re.compile(r"generated guard (.+)")
BATCH = re.compile(r"L\[[^]]+\](\[\d+\])?\.size\(\)\[0\]")
COMPARISONS = (operator.eq, operator.ge, operator.le)


@dataclass(frozen=True, slots=True)
class Graph:
    """A captured model.

    Attributes:
        module: The functional graph. Its placeholders are the state (in any order) and the
            inputs; its output is the model's.
        inputs: Names of the placeholders that take the input batch ``(N, ...)``, one a tensor, in
            order.
        output: Name of the node that yields the output ``(N, ...)``.
        state: Placeholder name -> fully qualified name of the parameter, buffer or constant; a
            shared tensor has its first name everywhere.
        constants: Tensors that the capture lifted out of the code, by fully qualified name; on the
            CPU.
        is_of_several: Whether the model takes `Tensors`, be it of one.
        lengths: Placeholder name -> fewest and most tokens a sample, None for no end, of text for
            which the graph is what the model computes; those of any length are left out.
    """

    module: fx.GraphModule
    inputs: tuple[str, ...]
    output: str
    state: Mapping[str, str]
    constants: Mapping[str, Tensor] = field(default_factory=dict)
    is_of_several: bool = False
    lengths: Mapping[str, Lengths] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What the model computes, as a SHA-256; weights do not count, constants do."""
        content = hashlib.sha256(self.module.code.encode())
        for name, tensor in sorted(self.constants.items()):
            content.update(f"{name}{tensor.tolist()}".encode())
        return content.hexdigest()

    def on(self, device: torch.device | str) -> Graph:
        """Return the graph with all tensors that it makes on a device."""
        device = torch.device(device)
        if device.type == "cpu":
            return self
        module = copy.deepcopy(self.module)
        # A copy renames what has the name of a builtin, as the argument of nn.Sequential has.
        for node, own in zip(module.graph.nodes, self.module.graph.nodes, strict=True):
            node.name = own.name
        make_on(module, device)
        return replace(self, module=module)

    def tensors(self, model: nn.Module) -> dict[str, Tensor]:
        """Return the state of ``model`` that the graph reads, by fully qualified name.

        All of it is on the model's device.
        """
        own, device = named_state(model), device_of(model)
        return {
            name: own[name] if name in own else self.constants[name].to(device)
            for name in self.state.values()
        }


def named_state(model: nn.Module) -> dict[str, Tensor]:
    """Return all parameters and buffers by name, shared ones under each of their names."""
    state: dict[str, Tensor] = dict(model.named_parameters(remove_duplicate=False))
    state.update(model.named_buffers(remove_duplicate=False))
    return state


def first_names(model: nn.Module) -> dict[str, str]:
    """Return for each parameter and buffer name the first name of the same tensor."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(item), name) for name, item in named_state(model).items()}


def capture(model: nn.Module, example: Inputs) -> Graph:
    """Capture ``model`` in eval mode.

    Args:
        model: The model, on any device; it is left as found.
        example: An input batch with at least two samples ``(N, ...)``.

    Returns:
        The graph; on the CPU, unless the model runs on its own device only.

    Raises:
        CaptureError: The model cannot be exported, or its output is not one tensor.
    """
    if any(module.training for module in model.modules()):
        raise CaptureError("a model is captured in eval mode, but some modules are in train mode")
    try:
        exported = _exported(on_cpu(model), example.cpu())
    except Exception as error:
        if device_of(model).type == "cpu":
            raise _refusal(model, example, error) from error
        # Code that names the device, or keeps tensors there that no copy moves, runs only there.
        try:
            exported = _exported(model, example)
        except Exception as other:
            raise _refusal(model, example, other) from other
    graph = _from_program(exported, first_names(model))
    lengths = lengths_of(graph.module, graph.inputs, example)
    return replace(graph, is_of_several=isinstance(example, Tensors), lengths=lengths)


def _exported(
    model: nn.Module, example: Inputs, *, level: int = logging.CRITICAL
) -> torch.export.ExportedProgram:
    # It brings the compiler, which takes seconds, as the export does.
    from pruners.lowering import decompositions, lower

    with _EXPORTING, _quiet(level), _without_collection(), torch.no_grad():
        found: torch.export.ExportedProgram = torch.export.export(
            model, (example,), dynamic_shapes=free_sizes(model, example)
        )
        return found if lower(found) else found.run_decompositions(decompositions(found))


def free_sizes(model: nn.Module, example: Inputs) -> tuple[Any, ...]:
    """Return what tells torch.export which sizes of the inputs are free.

    Dim 0 is any number of samples. Dim 1 of token numbers, int64 ``(N, T)``, and of what is as
    long, is of any length where the model allows it.
    """
    parts, batch = parts_of(example), torch.export.Dim("batch", min=1)
    lengths = text_lengths(example)
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


def on_cpu(model: nn.Module) -> nn.Module:
    """Return a model on the CPU: itself if it is there already, else a copy."""
    if all(item.device.type == "cpu" for item in named_state(model).values()):
        return model
    # The device may have no room for another one.
    memo: dict[int, object] = {}
    for parameter in model.parameters():
        there = parameter.detach().cpu()
        memo[id(parameter)] = nn.Parameter(there, parameter.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = buffer.detach().cpu()
    copied = copy.deepcopy(model, memo).cpu()
    make_on(copied, torch.device("cpu"))
    return copied


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's first parameter or buffer; the CPU if it has none."""
    return next((item.device for item in named_state(model).values()), torch.device("cpu"))


def make_on(model: nn.Module, device: torch.device) -> None:
    """Let the graphs in a model and those within them make their tensors on a device; in place."""

    def moved(item: Any) -> Any:
        return device if isinstance(item, torch.device) else item

    for module in model.modules():
        if isinstance(module, fx.GraphModule):
            for node in module.graph.nodes:
                node.args, node.kwargs = fx.node.map_aggregate((node.args, node.kwargs), moved)
            module.recompile()


@contextlib.contextmanager
def _quiet(level: int) -> Iterator[None]:
    """Keep torch.export from printing what it tried; the error that it raises says enough."""
    before = _SIZES.level
    _SIZES.setLevel(level)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        _SIZES.setLevel(before)


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


def _refusal(model: nn.Module, example: Inputs, error: Exception) -> CaptureError:
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
        line = _line_of_guard(model, example)
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


def _quoted_line(message: str) -> str:
    """Return the line of the model's code that torch.export's message quotes, if it does."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    for place, code in itertools.pairwise(lines):
        found = re.fullmatch(r'File "(.+)", line (\d+), in .+', place)
        if found:
            return f" ({Path(found[1]).name}, line {found[2]}: {code})"
    return ""


def _last_line(frames: Sequence[traceback.FrameSummary]) -> str:
    """Return the innermost line that is neither torch's nor this file's."""
    own = max((at for at, frame in enumerate(frames) if frame.filename == __file__), default=-1)
    for frame in reversed(frames[own + 1 :]):
        if frame.line and not frame.filename.startswith(LIBRARIES):
            return f" ({Path(frame.filename).name}, line {frame.lineno}: {frame.line})"
    return ""


def _line_of_guard(model: nn.Module, example: Inputs) -> str:
    """Export once more, to learn which line of the model's code asks for a number of samples."""
    lines = []

    def note(record: logging.LogRecord) -> bool:
        if "[guard added]" in record.msg:
            lines.append(_last_line(traceback.extract_stack()[:-1]))
        return False

    with _EXPORTING, contextlib.suppress(Exception):
        _SIZES.addFilter(note)
        try:
            _exported(model, example, level=logging.INFO)
        finally:
            _SIZES.removeFilter(note)
    return next((line for line in lines if line), "")


def _from_program(exported: torch.export.ExportedProgram, first: Mapping[str, str]) -> Graph:
    signature = exported.graph_signature
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
        name: exported.constants[name]
        for name in signature.inputs_to_lifted_tensor_constants.values()
    }
    _drop_checks(exported.graph_module)
    return Graph(
        module=exported.graph_module,
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
