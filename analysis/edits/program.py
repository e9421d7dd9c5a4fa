"""What a model computes beside its weights, as a digest: for keys of caches and for runs."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from analysis.subjects import Subject, factory_files, parse_model
from analysis.subjects.data import hash_bytes
from pruners.capture import Graph
from pruners.user_code import PREFIX, code_digest

# Namespaces of operators whose code is torch's own.
KNOWN = {"aten", "prims", "prim", "higher_order", "torchvision"}
# What a setting of a file of code may be.
PLAIN = (bool, int, float, complex, str, bytes, list, tuple, dict, Tensor, np.ndarray, Path)
# What prints all of itself, and nothing but itself.
SAYING = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    range,
    slice,
    torch.dtype,
    torch.device,
)
# Values that hold values that hold values: enough for settings, and an end for circles.
MAX_DEPTH = 10
# Attributes of every module; what the state dict holds is told by the fingerprint of the weights.
COMMON = frozenset(vars(nn.Module()))
PYTHON = f"py{sys.version_info.major}.{sys.version_info.minor}"


def program_digest(subject: Subject, graph: Graph | None) -> str:
    """Return a digest of what a subject's model computes beside its weights.

    Modules that print alike with equal weights may compute different things. A captured graph says
    what, but for operators of the user's own and buffers that no state dict holds. A model without
    one is told by the code of the user's files, helpers too, by the source of its modules' classes,
    and by what its modules hold. Such a digest begins with a mark and a hyphen.
    """
    parts: list[bytes] = []
    if graph is None or _has_own_operators(graph):
        parts += [_code(subject), *_held(subject.model)]
    parts += [item for pair in _loose_buffers(subject.model) for item in pair]
    if graph is not None and not parts:
        return graph.digest
    known = "" if graph is None else graph.digest
    content = hashlib.sha256(known.encode())
    for part in parts:
        content.update(hashlib.sha256(part).digest())
    return f"{PYTHON}-{content.hexdigest()}"


def _has_own_operators(graph: Graph) -> bool:
    """Return whether a graph calls operators that say nothing of what they do."""
    return any(
        getattr(node.target, "namespace", "aten") not in KNOWN
        for module in graph.module.modules()
        if isinstance(module, fx.GraphModule)
        for node in module.graph.nodes
    )


def _code(subject: Subject) -> bytes:
    sources = sorted({_source(type(module)) for module in subject.model.modules()})
    files = code_digest(factory_files(parse_model(subject.spec.model)))
    return "".join([files, *sources]).encode()


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return kind.__qualname__


def _loose_buffers(model: nn.Module) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of the buffers that no state dict holds."""
    for place, module in model.named_modules():
        for name in sorted(module._non_persistent_buffers_set):
            tensor = module._buffers.get(name)
            if tensor is not None:
                yield f"{place}.{name}".encode(), b"".join(_values(tensor, 0))


def _held(model: nn.Module) -> Iterator[bytes]:
    """Yield what modules hold beside weights, and the globals of the files of their classes."""
    for place, module in model.named_modules():
        yield f"{place}|{type(module).__qualname__}".encode()
        own = {name: value for name, value in vars(module).items() if name not in COMMON}
        yield b"".join(_values(own, 0))
    for name in sorted({type(module).__module__ for module in model.modules()}):
        if name.startswith(PREFIX):
            settings = {
                key: value
                for key, value in vars(sys.modules[name]).items()
                if not key.startswith("__") and isinstance(value, PLAIN)
            }
            yield b"".join(_values(settings, 0))


def _values(value: Any, depth: int) -> Iterator[bytes]:
    """Yield what a value holds, never where it lies in memory."""
    yield type(value).__qualname__.encode()
    if depth > MAX_DEPTH or isinstance(value, nn.Module | ModuleType):
        # Modules have their own turn.
        return
    if isinstance(value, Tensor | np.ndarray):
        yield hash_bytes(torch.as_tensor(value))
    elif isinstance(value, SAYING):
        yield repr(value).encode()
    elif isinstance(value, type):
        yield f"{value.__module__}.{value.__qualname__}".encode()
    elif isinstance(value, set | frozenset):
        yield from sorted(b"".join(_values(item, depth + 1)) for item in value)
    else:
        for part in _contents(value):
            yield from _values(part, depth + 1)


def _contents(value: Any) -> Sequence[Any]:
    """Return the values that a value is made of."""
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, Mapping):
        return [item for key in sorted(value, key=str) for item in (str(key), value[key])]
    if isinstance(value, partial):
        return value.func, value.args, value.keywords
    if isinstance(value, MethodType):
        return (value.__func__,)
    if isinstance(value, CodeType):
        return value.co_code, value.co_names, value.co_consts
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or () if cell != CellType()]
        return value.__code__, value.__defaults__, value.__kwdefaults__, cells
    return (vars(value),) if hasattr(value, "__dict__") else ()
