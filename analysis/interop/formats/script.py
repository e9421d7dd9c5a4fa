"""A model as a script that needs torch alone: generated code and a safetensors file.

The model is captured, and each node of its graph becomes one line of Python. The script reads the
weights with a few lines of its own, without pickle and without the safetensors package.
"""

from __future__ import annotations

import json
import keyword
import math
import operator
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, fx, nn

from analysis.files import atomic, write_text
from analysis.interop.formats.template import TEMPLATE
from pruners.batches import Inputs, Lengths, Tensors, length_words, like_parts, names_of, parts_of
from pruners.capture import Graph, capture, first_names, named_state
from pruners.errors import UnsupportedError, one_line
from pruners.tracing import module_of

SCRIPT = "rebuild.py"
WEIGHTS = "model.safetensors"
# Outputs that a script checks; a vocabulary at each position would be more numbers than weights.
MOST_CHECKED = 2**12
_SYMBOLS = {
    operator.add: "+",
    operator.sub: "-",
    operator.mul: "*",
    operator.floordiv: "//",
    operator.truediv: "/",
    operator.mod: "%",
}


def write_script(model: nn.Module, example: Inputs, directory: Path) -> tuple[Path, Path]:
    """Write ``rebuild.py`` and ``model.safetensors``.

    Args:
        model: The model in eval mode; it is left as found.
        example: An input batch of at least two samples; its batch size may change later.
        directory: Where the files go; it is made if it is missing.

    Returns:
        Paths of the script and the weights.

    Raises:
        CaptureError: ``torch.export`` refuses the model.
        UnsupportedError: The graph holds something that cannot be written as code, or the model
            gives no finite outputs in the range of the example.
    """
    directory.mkdir(parents=True, exist_ok=True)
    graph = capture(model, example)
    names = input_names(example)
    taken = dict(zip(graph.inputs, names, strict=True))
    limits = {taken[name]: found for name, found in graph.lengths.items()}
    lengths = {name: low for name, (low, high) in limits.items() if low == high}
    body = "\n".join([*_refusals(limits), *_Writer(graph, names).lines()])
    output, ranges = _reference(model, example)
    script, weights = directory / SCRIPT, directory / WEIGHTS
    _write_weights(weights, model, graph, output)
    text = Template(TEMPLATE).substitute(
        title=_title(type(model).__name__),
        shapes=_shapes(names, example),
        parameters=f"{sum(item.numel() for item in model.parameters()):,}",
        trainable=_wrapped([name for name, _ in model.named_parameters()]),
        forward=textwrap.indent(body, " " * 8),
        names=", ".join(names),
        lengths=repr(lengths),
        inputs="\n".join(
            f"    {name!r}: ({tuple(part.shape[1:])}, {part.dtype}, {middle!r}, {reach!r}),"
            for name, part, (middle, reach) in zip(names, parts_of(example), ranges, strict=True)
        ),
    )
    return write_text(script, text), weights


def reference_input(
    shape: tuple[int, ...],
    *,
    middle: float = 0.0,
    reach: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return the two samples that the script checks itself on ``(2, *shape)``.

    Args:
        shape: Shape of one input.
        middle: Middle of their range.
        reach: Half of its width.
        dtype: float32, or int64 for token numbers.
    """
    waves = torch.sin(torch.arange(2 * math.prod(shape), dtype=torch.float64))
    values = middle + reach * waves
    found = values.round().long() if dtype == torch.int64 else values.float()
    return found.reshape(2, *shape)


def input_names(example: Inputs) -> tuple[str, ...]:
    """Return what the script calls its inputs: ``x``, or of several the names of `names_of`."""
    return tuple(map(_identifier, names_of(example))) if isinstance(example, Tensors) else ("x",)


def _refusals(limits: Mapping[str, Lengths]) -> Iterator[str]:
    """Yield lines that refuse other lengths, for which the model does other things."""
    for name, (low, high) in limits.items():
        size = f"{name}.shape[1]"
        asked = f"{size} >= {low}" if high is None else f"{low} <= {size} <= {high}"
        yield f"if {size} != {low}:" if low == high else f"if not {asked}:"
        yield f'    raise ValueError("{name} takes {length_words((low, high))} a sample")'


def _shapes(names: Sequence[str], example: Inputs) -> str:
    parts = parts_of(example)
    shapes = [f"(N, *{tuple(part.shape[1:])})" for part in parts]
    if not isinstance(example, Tensors):
        return f"a batch {shapes[0]}"
    return ", ".join(f"{name} {shape}" for name, shape in zip(names, shapes, strict=True))


def _reference(model: nn.Module, example: Inputs) -> tuple[Tensor, list[tuple[float, float]]]:
    """Return the outputs that the script checks, with middle and reach of their inputs.

    Real numbers from -1 to 1; a model that gives nothing finite there, as it takes a root or a
    logarithm, is asked within the range of the example, as token numbers are.
    """
    bounds = [(float(part.min()), float(part.max())) for part in parts_of(example)]
    own = [((low + high) / 2, (high - low) / 2) for low, high in bounds]
    real = [part.is_floating_point() for part in parts_of(example)]
    usual = [(0.0, 1.0) if is_real else at for is_real, at in zip(real, own, strict=True)]
    for ranges in [usual, own] if usual != own else [own]:
        output = _answer(model, example, ranges)
        if bool(torch.isfinite(output).all()):
            return output, ranges
    told = ", ".join(f"from {low:g} to {high:g}" for low, high in bounds)
    raise UnsupportedError(
        f"the model's outputs are not finite for inputs {told}, so that a script could not be "
        "checked"
    )


def _answer(model: nn.Module, example: Inputs, ranges: Sequence[tuple[float, float]]) -> Tensor:
    parts = [
        reference_input(tuple(part.shape[1:]), middle=middle, reach=reach, dtype=part.dtype)
        for part, (middle, reach) in zip(parts_of(example), ranges, strict=True)
    ]
    inputs = like_parts(example, parts).to(example.device)
    try:
        with torch.no_grad():
            output: Tensor = model(inputs)
    except Exception as error:  # Whatever code that asks for certain tokens raises.
        raise UnsupportedError(
            f"the model does not take the inputs that a script is checked with: {one_line(error)}"
        ) from error
    return output.float().cpu()


def _title(name: str) -> str:
    """Return the name of a class for a docstring: `type` makes classes of any name."""
    return name if name.isidentifier() else "A model"


def _wrapped(names: list[str]) -> str:
    return "\n".join(f"    {name!r}," for name in names)


def _write_weights(path: Path, model: nn.Module, graph: Graph, output: Tensor) -> None:
    """Write all tensors of the model, shared ones once, and what the script checks."""
    first = first_names(model)
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in {**named_state(model), **graph.constants}.items()
        if first.get(name, name) == name
    }
    # Of many outputs some from all over: as text they may be larger than the weights. The step is
    # odd, so that it passes through all columns of a picture.
    step = -(-output.numel() // MOST_CHECKED) | 1
    metadata = {
        "format": "pt",
        # Nine digits are all that a float32 has.
        "reference_output": json.dumps(
            [float(f"{x:.9g}") for x in output.flatten()[::step].tolist()]
        ),
        "reference_step": str(step),
    }
    with atomic(path) as partial:
        safetensors.torch.save_file(tensors, str(partial), metadata=metadata)
        _sort_metadata(partial)


def _sort_metadata(path: Path) -> None:
    """Put the metadata of a safetensors file in order, in place.

    The library writes them in the order of a hash table: equal content gave unequal bytes.
    """
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        # Compact JSON as the library writes it: the same characters in another order.
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= size:
            file.seek(8)
            file.write(text.ljust(size))


class _Writer:
    """Turns the nodes of a graph into lines of Python."""

    def __init__(self, graph: Graph, names: Sequence[str]) -> None:
        self.graph = graph
        self._inputs = dict(zip(graph.inputs, names, strict=True))
        self._names: dict[fx.Node, str] = {}
        self._nodes = [node for node in graph.module.graph.nodes if _is_needed(node)]
        self._last = self._last_uses()

    def _last_uses(self) -> dict[fx.Node, list[fx.Node]]:
        """Return for each node the values that it is the last to read."""
        seen: set[fx.Node] = set()
        last: dict[fx.Node, list[fx.Node]] = {}
        for node in reversed(self._nodes):
            for item in node.all_input_nodes:
                if item not in seen:
                    seen.add(item)
                    last.setdefault(node, []).append(item)
        return last

    def lines(self) -> Iterator[str]:
        place = ""
        for node in self._nodes:
            if node.op == "placeholder":
                self._name_placeholder(node)
            elif node.op == "call_function":
                if (here := module_of(node)) != place:
                    place = here
                    yield f"# {place or 'the model itself'}"
                self._names[node] = self._free(_identifier(node.name))
                yield from self._assignment(node)
            elif node.op != "output":
                raise UnsupportedError(f"the graph holds a sub-graph at {node.name}")
        output = next(node for node in self._nodes if node.name == self.graph.output)
        yield f"return {self._names[output]}"

    def _free(self, name: str) -> str:
        """Return a name that no input has."""
        while name in self._inputs.values():
            name += "_"
        return name

    def _name_placeholder(self, node: fx.Node) -> None:
        if node.name in self.graph.state:
            self._names[node] = f"w[{self.graph.state[node.name]!r}]"
        else:
            self._names[node] = self._inputs[node.name]

    def _assignment(self, node: fx.Node) -> Iterator[str]:
        yield f"{self._names[node]} = {self._call(node)}"
        done = [
            self._names[item]
            for item in self._last.get(node, [])
            if item.op == "call_function" and item.name != self.graph.output
        ]
        if done:
            yield f"del {', '.join(sorted(done))}"

    def _call(self, node: fx.Node) -> str:
        target = node.target
        if target is operator.getitem:
            return f"{self._text(node.args[0])}[{self._text(node.args[1])}]"
        if target is torch.ops.aten.sym_size.int:
            return f"{self._text(node.args[0])}.shape[{self._text(node.args[1])}]"
        if target in _SYMBOLS:
            left, right = (self._text(item) for item in node.args)
            return f"{left} {_SYMBOLS[target]} {right}"
        arguments = [self._text(item) for item in node.args]
        arguments += [f"{name}={self._text(item)}" for name, item in node.kwargs.items()]
        return f"{_function(node)}({', '.join(arguments)})"

    def _text(self, item: Any) -> str:
        if isinstance(item, fx.Node):
            return self._names[item]
        if isinstance(item, list | tuple):
            return f"[{', '.join(self._text(part) for part in item)}]"
        if isinstance(item, torch.device):
            return f"{next(iter(self._inputs.values()))}.device"
        if isinstance(item, float) and not -1e300 < item < 1e300:
            return f'float("{item}")'
        if item is None or isinstance(item, int | float | str):
            return repr(item)
        if isinstance(item, torch.dtype | torch.memory_format | torch.layout):
            return str(item)
        raise UnsupportedError(f"an argument of type {type(item).__name__} cannot be written")


def _function(node: fx.Node) -> str:
    target = node.target
    if target in (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default):
        # Whether a view can be taken depends on the attention kernel that ran before.
        target = torch.ops.aten.reshape.default
    if isinstance(target, torch._ops.OpOverload):
        space, _, rest = str(target).partition(".")
        if space != "aten":
            raise UnsupportedError(f"the operator {target} is not part of torch")
        return f"aten.{rest}"
    module = getattr(target, "__module__", "")
    name = getattr(target, "__name__", "")
    if module in ("torch", "math", "_operator", "operator") and name:
        return f"{module.lstrip('_')}.{name}"
    raise UnsupportedError(f"{target} cannot be written as code")


def _is_needed(node: fx.Node) -> bool:
    """Leave out state that nothing reads and checks of sizes."""
    if node.op == "call_function" and not node.users:
        name = str(node.target)
        return "_assert" not in name and "sym_constrain" not in name and "sym_size" not in name
    return True


def _identifier(name: str) -> str:
    clean = re.sub(r"\W", "_", name)
    reserved = {"w", "aten", "torch", "math", "operator", "self", "float", "dict"}
    return f"{clean}_" if keyword.iskeyword(clean) or clean in reserved else clean
