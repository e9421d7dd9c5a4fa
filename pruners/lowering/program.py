"""Write an exported program without in-place operators and those that may return their argument.

``ExportedProgram.run_decompositions({})`` does so by tracing the whole program a second time, which
takes longer than the export. Nearly all operators stay as they are, so here only the others are
traced, one at a time, and the graph is written anew around them. Whatever is not known to be safe
is left to torch: `lower` then says so and changes nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, fx
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from pruners.lowering.operators import (
    ATEN,
    PARTS,
    Calls,
    UnknownError,
    decomposition_of,
    is_composite,
    is_fresh,
    is_kept_composite,
    is_known,
    is_plain,
    layout,
    without_writing,
    writes,
)

SIZE = ATEN.sym_size.int
NORM = ATEN._native_batch_norm_legit_no_training.default
NUMBERS = (torch.SymInt, torch.SymFloat, torch.SymBool)


def lower(program: torch.export.ExportedProgram) -> bool:
    """Rewrite a program as ``run_decompositions({})`` would; in place.

    Args:
        program: What ``torch.export.export`` made of a model in eval mode, without gradients.

    Returns:
        Whether it could be rewritten; if not, it is as it was but for idle operators.
    """
    if not is_known():
        return False
    try:
        _drop_idle(program)
        if _viewers(program.graph):
            return False
        before, graph = _result(program.graph), Lowering(program.graph).graph
        after = _result(graph)
    except Exception:
        # An `UnknownError`, or one of a torch whose inner parts are others.
        return False
    program.graph_module.graph = graph
    program.graph_signature.replace_all_uses(before, after)
    return True


def decompositions(program: torch.export.ExportedProgram) -> dict[Any, Any]:
    """Return what torch's own lowering must take apart besides, as ``run_decompositions`` takes it.

    Of the composites that it keeps, some return a view, as an `einsum` of one tensor does; torch
    takes that for a copy, so what is written into the one would be missing in the other.

    Args:
        program: What `lower` did not rewrite.
    """
    if decomposition_of is None:
        return {}
    return {target: decomposition_of(target) for target in _viewers(program.graph)}


def _viewers(graph: fx.Graph) -> set[Any]:
    """Return the kept composites that yield views, of a graph that writes in place."""
    if not is_known() or not any(writes(node.target) for node in graph.nodes):
        return set()
    kept = [node for node in graph.nodes if is_kept_composite(node.target)]
    return {node.target for node in kept if _is_viewer(node)}


def _is_viewer(node: fx.Node) -> bool:
    if not _tensors(node.meta.get("val")):
        return False
    try:
        inputs, result = _of_example(node)
    except UnknownError:
        return False
    return not _memory(list(inputs.values())).isdisjoint(_memory(result))


def _of_example(node: fx.Node) -> tuple[dict[fx.Node, Any], Any]:
    """Return what an operator reads and what its kernel yields, in the sizes of the example.

    Kernels of composites ask for numbers: free sizes would become those of the example for good.
    """
    mode, found = FakeTensorMode(), {}

    def size(value: Any) -> Any:
        return value.node.hint if isinstance(value, NUMBERS) else value

    try:
        for item in node.all_input_nodes:
            value = item.meta["val"]
            if isinstance(value, Tensor):
                forms = (value.shape, value.stride())
                sizes, strides = ([size(one) for one in form] for form in forms)
                with mode:
                    found[item] = torch.empty_strided(
                        sizes, strides, dtype=value.dtype, device=value.device
                    )
            else:
                found[item] = size(value)
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda item: found[item])
        assert callable(node.target)
        with mode:
            return found, node.target(*args, **kwargs)
    except Exception as error:  # Sizes that the data decide, or what torch will say itself.
        raise UnknownError from error


def _memory(values: Any) -> set[int]:
    return {item.untyped_storage()._cdata for item in _tensors(values)}


def _tensors(values: Any) -> list[Tensor]:
    several = values if isinstance(values, list | tuple) else [values]
    return [item for item in several if isinstance(item, Tensor)]


def _drop_idle(program: torch.export.ExportedProgram) -> None:
    """Take operators that return their argument out of a program that writes in place.

    What is written into the one is written into the other, but torch takes what dropout of eval
    mode, `type_as` and other composites that it keeps return for a copy.
    """
    graph = program.graph
    if not any(writes(node.target) for node in graph.nodes):
        return
    for node in list(graph.nodes):
        argument = _returned(node) if is_kept_composite(node.target) else None
        if argument is not None:
            node.replace_all_uses_with(argument)
            program.graph_signature.replace_all_uses(node.name, argument.name)
            graph.erase_node(node)
    program.graph_module.recompile()


def _returned(node: fx.Node) -> fx.Node | None:
    """Return the argument that an operator returns, if it does."""
    value = node.meta.get("val")
    if not isinstance(value, FakeTensor):
        return None
    inputs = [item for item in node.all_input_nodes if isinstance(item.meta.get("val"), Tensor)]
    alike = [item for item in inputs if layout(item.meta["val"]) == layout(value)]
    if not alike:
        return None
    try:
        # torch's own decomposition of dropout copies, its kernel does not.
        found, result = _of_example(node)
    except UnknownError:
        return None
    return next((item for item in alike if found[item] is result), None)


def _result(graph: fx.Graph) -> str:
    """Return the name of the one tensor that a program returns."""
    (results,) = graph.output_node().args
    if not isinstance(results, Sequence) or len(results) != 1:
        raise UnknownError
    if not isinstance(results[0], fx.Node):
        raise UnknownError
    return results[0].name


class Lowering:
    """A graph written anew, node by node.

    Attributes:
        graph: The new graph.
    """

    def __init__(self, graph: fx.Graph) -> None:
        self.graph = fx.Graph()
        # Old node -> the new one that by now holds its value.
        self._now: dict[fx.Node, fx.Node] = {}
        # Expression of a size -> the new node that is this number.
        self._sizes: dict[Any, fx.Node] = {}
        # New node for what an in-place operator wrote -> those of the same memory, oldest last.
        self._earlier: dict[fx.Node, list[fx.Node]] = {}
        self._mode = _mode_of(graph)
        nodes = list(graph.nodes)
        inputs = [node for node in nodes if node.op == "placeholder"]
        for node in inputs:
            self._now[node] = self._copied(node)
        self._ask_sizes(nodes, inputs)
        for node in nodes[len(inputs) :]:
            self._now[node] = self._lowered(node)
        self.graph.eliminate_dead_code()

    def _ask_sizes(self, nodes: Sequence[fx.Node], inputs: Sequence[fx.Node]) -> None:
        """Ask for the free sizes that the program does not ask for; those unused go again."""
        known = {_expression(node.meta.get("val")) for node in nodes if node.target is SIZE}
        asked: dict[Any, tuple[fx.Node, int, Any]] = {}
        for node in inputs:
            value = node.meta.get("val")
            for dim, size in enumerate(value.shape if isinstance(value, Tensor) else ()):
                expression = _expression(size)
                if getattr(expression, "is_Symbol", False) and expression not in known:
                    asked.setdefault(expression, (self._now[node], dim, size))
        # torch asks twice and reads the second answers: their names are in the digest of a graph.
        for _ in range(2):
            for expression, (node, dim, size) in asked.items():
                self._sizes[expression] = self._new(SIZE, (node, dim), {}, {"val": size})

    def _lowered(self, node: fx.Node) -> fx.Node:
        """Write what becomes of a node; return the node that holds its value."""
        target = node.target
        if isinstance(target, torch._ops.OpOverload) and target.namespace == "aten":
            return self._operator(target, node)
        if node.op == "output" or target is operator.getitem or _is_of_numbers(node):
            return self._copied(node)
        raise UnknownError

    def _operator(self, target: torch._ops.OpOverload, node: fx.Node) -> fx.Node:
        call = (*self._arguments(node), node.meta)
        if target is ATEN.batch_norm.default:
            return self._normed(*call)
        if target is ATEN.detach_.default:  # There are no gradients.
            return self._now[node.all_input_nodes[0]]
        if target is ATEN.lift_fresh_copy.default:
            return self._new(ATEN.clone.default, *call)
        if is_composite(target):
            return self._in_parts(target, *call)
        if writes(target):
            return self._out_of_place(target, *call)
        return self._new(target, *call)

    def _copied(self, node: fx.Node) -> fx.Node:
        args, kwargs = self._arguments(node)
        if node.op == "call_function":
            return self._new(node.target, args, kwargs, node.meta)
        new = self.graph.create_node(node.op, node.target, args, kwargs, node.name)
        # The graph gives another name where one is that of a builtin, as `input` is.
        new.name, new.meta = node.name, dict(node.meta)
        return new

    def _arguments(self, node: fx.Node) -> tuple[Any, Any]:
        found: tuple[Any, Any] = fx.node.map_arg((node.args, node.kwargs), self._now.__getitem__)
        return found

    def _new(self, target: Any, args: Any, kwargs: Any, meta: Mapping[str, Any]) -> fx.Node:
        packet = getattr(target, "overloadpacket", target)
        name = "sym_size_int" if target is SIZE else packet.__name__
        node = self.graph.create_node("call_function", target, tuple(args), kwargs, name)
        node.meta = dict(meta)
        if isinstance(node.meta.get("val"), torch.SymInt):
            self._sizes.setdefault(_expression(node.meta["val"]), node)
        return node

    def _normed(self, args: Any, kwargs: Any, meta: Mapping[str, Any]) -> fx.Node:
        """Normalize by the statistics that a layer holds, which is an operator of its own."""
        if len(args) != 9 or kwargs or args[5] is not False or None in args[3:5]:
            raise UnknownError
        if meta["val"].device.type != "cpu":
            raise UnknownError
        own = (*args[:5], *args[6:8])
        values = values_of(self._mode, NORM, own, {})
        norm = self._new(NORM, own, {}, {**meta, "val": values})
        found, *_ = [
            self._new(operator.getitem, (norm, at), {}, {**meta, "val": value})
            for at, value in enumerate(values)
        ]
        return found

    def _out_of_place(
        self, target: Any, args: Any, kwargs: Any, meta: Mapping[str, Any]
    ) -> fx.Node:
        """Let an operator yield what it writes, and all that read the memory later read that.

        Only where nothing else looks into the memory: no view of it was taken so far.
        """
        target, written = without_writing(target), args[0]
        if not isinstance(written, fx.Node):
            raise UnknownError
        memory = [written, *self._earlier.get(written, ())]
        readers = [reader for node in memory for reader in node.users]
        if not is_fresh(memory[-1]) or not all(is_plain(reader.target) for reader in readers):
            raise UnknownError
        value = values_of(self._mode, target, args, kwargs)
        if layout(value) != layout(written.meta["val"]):
            raise UnknownError
        new = self._new(target, args, kwargs, {**meta, "val": value})
        self._earlier[new] = memory
        self._now.update({old: new for old, now in self._now.items() if now is written})
        return new

    def _in_parts(self, target: Any, args: Any, kwargs: Any, meta: Mapping[str, Any]) -> fx.Node:
        """Write the operators that one calls; none where it returns its argument."""
        given = _by_value((args, kwargs))
        calls = Calls()
        value = values_of(self._mode, target, args, kwargs, calls)
        for called, *own, result in calls.noted:
            part = (*self._as_nodes(own, given), {**meta, "val": result})
            if called in PARTS:
                given[_key(result)] = self._new(called, *part)
            elif writes(called):
                given[_key(result)] = self._out_of_place(called, *part)
            else:
                raise UnknownError
        if _key(value) not in given:
            raise UnknownError
        return given[_key(value)]

    def _as_nodes(self, item: Any, given: Mapping[Any, fx.Node]) -> Any:
        """Return arguments with nodes in the place of values."""
        if isinstance(item, Tensor):
            if _key(item) not in given:
                raise UnknownError
            return given[_key(item)]
        if isinstance(item, torch.SymInt):
            return self._number(_expression(item))
        if isinstance(item, list | tuple):
            return [self._as_nodes(each, given) for each in item]
        if isinstance(item, dict):
            return {name: self._as_nodes(each, given) for name, each in item.items()}
        return item

    def _number(self, expression: Any) -> fx.Node | int:
        """Return a size, computed from others if need be."""
        if expression.is_Integer:
            return int(expression)
        if expression in self._sizes:
            return self._sizes[expression]
        if not (expression.is_Mul or expression.is_Add):
            raise UnknownError
        function = operator.mul if expression.is_Mul else operator.add
        parts = [self._number(item) for item in expression.as_two_terms()]
        first, second = (item.meta["val"] if isinstance(item, fx.Node) else item for item in parts)
        return self._new(function, parts, {}, {"val": function(first, second)})


def values_of(
    mode: FakeTensorMode,
    target: Any,
    args: Any,
    kwargs: Any,
    listener: AbstractContextManager[Any] | None = None,
) -> Any:
    """Return what an operator yields, without numbers; taken apart by Python."""
    args, kwargs = fx.node.map_arg((args, kwargs), lambda node: node.meta["val"])
    try:
        with mode, enable_python_dispatcher(), listener or nullcontext():
            return target(*args, **kwargs)
    except Exception as error:  # torch will say it, of the whole program.
        raise UnknownError from error


def _mode_of(graph: fx.Graph) -> FakeTensorMode:
    for node in graph.nodes:
        value = node.meta.get("val")
        if isinstance(value, FakeTensor):
            mode: FakeTensorMode = value.fake_mode
            return mode
    raise UnknownError


def _is_of_numbers(node: fx.Node) -> bool:
    """Say whether a node computes a number, such as a size, from others."""
    is_call = node.op == "call_function" and not isinstance(node.target, torch._ops.OperatorBase)
    return is_call and isinstance(node.meta.get("val"), NUMBERS)


def _expression(size: Any) -> Any:
    return size.node.expr if isinstance(size, torch.SymInt) else size


def _by_value(arguments: Any) -> dict[Any, fx.Node]:
    """Return the nodes among arguments by the tensor that each stands for."""
    nodes: list[fx.Node] = []
    fx.node.map_arg(arguments, nodes.append)
    found: dict[Any, fx.Node] = {}
    for node in nodes:
        value = node.meta.get("val")
        if isinstance(value, Tensor) and found.setdefault(_key(value), node) is not node:
            raise UnknownError
    return found


def _key(value: Any) -> Any:
    """Tell tensors apart, and lists of them, which each call of an operator makes anew."""
    return tuple(map(id, value)) if isinstance(value, list | tuple) else id(value)
