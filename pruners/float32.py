"""How float32 is multiplied: in full (IEEE), or in a faster format with a shorter mantissa.

torch keeps this in flags of the whole process, and its defaults let cuDNN round the inputs of
convolutions to TF32 (10 bits of mantissa). Numbers that people compare across devices must not
hang on that, so everything here multiplies in full unless it is asked not to, whatever the flags
are, and leaves them as it found them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal, ParamSpec, TypeVar

import torch
from torch import backends

Float32 = Literal["ieee", "tf32"]
Given = ParamSpec("Given")
Result = TypeVar("Result")

# What holds one of torch's flags: CUDA's, and those of the processor.
FLAGS: tuple[Any, ...] = (
    backends.cuda.matmul,
    *(getattr(backends.cudnn, name) for name in ("conv", "rnn")),
    *(getattr(backends.mkldnn, name) for name in ("matmul", "conv", "rnn")),
)


@dataclass(frozen=True, slots=True)
class _State:
    """The flags of the process, and the two older ones that torch itself still reads.

    torch refuses to read an older flag that contradicts a newer one, so both are always set.

    Attributes:
        flags: What `FLAGS` hold.
        cudnn: Whether cuDNN may use TF32; None where torch refuses to say.
        matmul: The precision of matrix products, as `torch.set_float32_matmul_precision` has it;
            None where torch refuses to say.
    """

    flags: tuple[str, ...]
    cudnn: bool | None
    matmul: str | None

    @classmethod
    def found(cls) -> _State:
        cudnn: bool | None = None
        matmul: str | None = None
        with suppress(RuntimeError):
            cudnn = backends.cudnn.allow_tf32
        with suppress(RuntimeError):
            matmul = torch.get_float32_matmul_precision()
        return cls(tuple(flag.fp32_precision for flag in FLAGS), cudnn, matmul)

    def set(self) -> None:
        if self.cudnn is not None:
            backends.cudnn.allow_tf32 = self.cudnn
        if self.matmul is not None:
            torch.set_float32_matmul_precision(self.matmul)
        for flag, value in zip(FLAGS, self.flags, strict=True):
            flag.fp32_precision = value


MODES: dict[Float32, _State] = {
    "ieee": _State(("ieee",) * len(FLAGS), cudnn=False, matmul="highest"),
    "tf32": _State(("tf32",) * len(FLAGS), cudnn=True, matmul="high"),
}


class _Flags:
    """The flags of the process, held by any number of threads that want the same."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holders = 0
        self._mode: Float32 | None = None
        self._found = MODES["ieee"]

    def hold(self, mode: Float32) -> None:
        """Set the flags; wait while other threads hold them at something else."""
        with self._changed:
            self._changed.wait_for(lambda: self._mode in (None, mode))
            if self._mode is None:
                self._found = _State.found()
                MODES[mode].set()
                self._mode = mode
            self._holders += 1

    def release(self) -> None:
        """Put the flags back when nobody holds them any more."""
        with self._changed:
            self._holders -= 1
            if not self._holders:
                self._found.set()
                self._mode = None
                self._changed.notify_all()


class _Held(threading.local):
    """What this thread asked for, the innermost last."""

    def __init__(self) -> None:
        self.modes: list[Float32] = []


_FLAGS = _Flags()
_HELD = _Held()


@contextmanager
def float32(mode: Float32 = "ieee") -> Iterator[None]:
    """Multiply float32 in a mode within a ``with`` block; also a decorator.

    Threads that ask for different modes at once take turns. A block within a block of another mode
    gives up the outer one while it runs.

    Args:
        mode: ``ieee`` in full; ``tf32`` with CUDA's short mantissa where the device has it.
    """
    modes = _HELD.modes
    outer = modes[-1] if modes else None
    if outer != mode:
        if outer is not None:
            _FLAGS.release()
        _FLAGS.hold(mode)
    modes.append(mode)
    try:
        yield
    finally:
        modes.pop()
        if outer != mode:
            _FLAGS.release()
            if outer is not None:
                _FLAGS.hold(outer)


def strict(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Let a function multiply float32 in full; see `float32`."""

    @functools.wraps(function)
    def wrapped(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        with float32():
            return function(*args, **kwargs)

    return wrapped
