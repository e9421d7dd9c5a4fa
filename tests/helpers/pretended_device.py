"""A CUDA device that is not there: tensors that say they are on it and compute on the processor.

Tensors of the device and of the processor cannot be mixed, as on a real one, and what would make
the processor wait for the device is counted.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch._C import _functorch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

from analysis.engine import profile, recording

CARD = torch.device("cuda:0")
WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2")
INDEXING = ("index", "index_put_", "index_put")
VIEWED = (Tensor.device.__get__, Tensor.is_cuda.__get__, Tensor.is_cpu.__get__)  # type: ignore[attr-defined]


def _inner(item: Any) -> Any:
    return item.inner if isinstance(item, OnDevice) else item


def _placed(item: Any) -> Any:
    is_plain = isinstance(item, Tensor) and not isinstance(item, OnDevice)
    return OnDevice(item) if is_plain else item


class OnDevice(Tensor):
    """A tensor of the device.

    Args:
        inner: Its values.
    """

    inner: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnDevice:
        # One that is made in inference mode could not be viewed outside of it.
        with torch.inference_mode(False):
            made: OnDevice = Tensor._make_wrapper_subclass(
                cls,
                inner.shape,
                strides=inner.stride(),
                storage_offset=inner.storage_offset(),
                dtype=inner.dtype,
            )
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = str(func).split(".")[1]
        tensors = [item for item in tree_leaves((args, kwargs)) if isinstance(item, Tensor)]
        _note_waits(name, args, tensors)
        _check_device(name, func, args, tensors)
        found = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
        if name == "_local_scalar_dense":
            return found
        if func._schema.is_mutable:
            owner = {id(item.inner): item for item in tensors if isinstance(item, OnDevice)}
            return tree_map(lambda item: owner.get(id(item), _placed(item)), found)
        placed = tree_map(_placed, found)
        if not func.is_view or torch.is_inference_mode_enabled():
            return placed
        return return_and_correct_aliasing(func, args, kwargs, placed)


def _note_waits(name: str, args: Any, tensors: list[Tensor]) -> None:
    by_mask = name in INDEXING and any(
        item is not None and item.dtype == torch.bool for item in args[1]
    )
    crosses = name == "copy_" and not all(isinstance(item, OnDevice) for item in tensors[:2])
    if name in WAITING or by_mask or crosses:
        COUNTS[name] += 1


def _check_device(name: str, func: Any, args: Any, tensors: list[Tensor]) -> None:
    plain = [item for item in tensors if item.dim() and not isinstance(item, OnDevice)]
    allowed = name == "copy_" or (name in INDEXING and isinstance(args[0], OnDevice))
    # Those that an operator makes on its way are its own affair.
    given = GIVEN[-1] if GIVEN else set()
    if not allowed and any(id(item) in given for item in plain):
        raise RuntimeError(f"Expected all tensors to be on the same device: {func}")


# What waited, and the tensors that functions which run were given.
COUNTS: Counter[str] = Counter()
GIVEN: list[set[int]] = []


class _Placing(TorchFunctionMode):
    """Puts tensors on the device, takes them from there, and lets them say where they are."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        leaves = [item for item in tree_leaves((args, kwargs)) if isinstance(item, Tensor)]
        GIVEN.append({id(item) for item in leaves})
        try:
            return self._run(func, args, kwargs, leaves)
        finally:
            GIVEN.pop()

    def _run(self, func: Any, args: Any, kwargs: Any, leaves: list[Tensor]) -> Any:
        if func in VIEWED:
            return self._told(func, args)
        if func is Tensor.pin_memory:
            assert not isinstance(args[0], OnDevice)
            return args[0]
        if func is Tensor.to:
            return self._moved(args[0], args[1:], kwargs)
        if isinstance(leaves[0] if leaves else None, OnDevice):
            if func is Tensor.cpu:
                return _taken(args[0])
            if func is Tensor.tolist:
                return _taken(args[0]).tolist()
            assert func is not Tensor.numpy, "can't convert cuda:0 device type tensor to numpy"
        if _is_card(kwargs.get("device")):
            del kwargs["device"]
            if func in (torch.tensor, torch.as_tensor):
                COUNTS["to"] += 1
            return _placed(func(*args, **kwargs))
        return func(*args, **kwargs)

    def _told(self, func: Any, args: Any) -> Any:
        item = args[0]
        while _functorch.is_batchedtensor(item):
            item = _functorch.get_unwrapped(item)
        if not isinstance(item, OnDevice):
            return func(*args)
        if func == VIEWED[0]:
            return CARD
        return func == VIEWED[1]

    def _moved(self, item: Tensor, rest: Any, kwargs: Any) -> Any:
        where = [*rest, *kwargs.values()]
        like = [other for other in where if isinstance(other, Tensor)]
        to_card = any(map(_is_card, where)) or any(isinstance(other, OnDevice) for other in like)
        named = [torch.device(other) for other in where if isinstance(other, str | torch.device)]
        to_cpu = (named or like) and not to_card
        dtype = next((other for other in where if isinstance(other, torch.dtype)), None)
        dtype = like[0].dtype if like else dtype
        waits = not any(item is True for item in where)
        if to_card and not isinstance(item, OnDevice):
            COUNTS["to"] += waits
            item = OnDevice(item.detach().clone()).requires_grad_(item.requires_grad)
        elif to_cpu and isinstance(item, OnDevice):
            item = _taken(item)
        layout = {name: kwargs[name] for name in ("copy", "memory_format") if name in kwargs}
        return item.to(dtype or item.dtype, **layout)


def _is_card(device: Any) -> bool:
    return isinstance(device, str | torch.device) and torch.device(device).type == "cuda"


def _taken(item: Any) -> Tensor:
    COUNTS["cpu"] += 1
    found: Tensor = item.inner.clone()
    return found


class _Event:
    def __init__(self, *_: Any, **__: Any) -> None:
        self.at = 0.0

    def record(self) -> None:
        self.at = time.perf_counter()

    def query(self) -> bool:
        return True

    def elapsed_time(self, other: _Event) -> float:
        return 1e3 * (other.at - self.at)


class _Tape:
    """Records a function that does the work again."""

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        output = work()

        def replay() -> None:
            output.copy_(work())

        return replay, output

    def timed(self, work: Callable[[], Tensor]) -> tuple[Tensor, Any]:
        return work(), recording._Use(1.0, _Event(), _Event())  # type: ignore[arg-type]


@contextlib.contextmanager
def pretended_device() -> Iterator[Counter[str]]:
    """Let there be a CUDA device within the block; returns what waited for it, which grows."""
    state = torch.zeros(1, dtype=torch.uint8)
    fakes: dict[Any, dict[str, Any]] = {
        torch.cuda: {
            "is_available": lambda: True,
            "is_current_stream_capturing": lambda: False,
            "mem_get_info": lambda *_: (2**34, 2**34),
            "memory_reserved": lambda *_: 0,
            "memory_allocated": lambda *_: 0,
            "get_rng_state_all": lambda: [state],
            "set_rng_state_all": lambda _: None,
            "get_rng_state": lambda *_: state,
            "set_rng_state": lambda *_: None,
        },
        torch.accelerator: {"synchronize": lambda *_: COUNTS.update(["synchronize"])},
        torch: {"Event": _Event},
        recording: {"Tape": _Tape},
        profile: {"TIMED_BYTES": 2**16},
    }
    COUNTS.clear()
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    with contextlib.ExitStack() as stack:
        for module, named in fakes.items():
            for name, fake in named.items():
                stack.enter_context(mock.patch.object(module, name, fake))
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwrites)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.enter_context(_Placing())
        yield COUNTS
