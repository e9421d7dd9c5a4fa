"""The one place that imports torchvision, also where its compiled operators do not load.

Beside a CPU build of torch, a torchvision that was compiled for CUDA fails on import because the
schema of its ``nms`` operator is missing. Models, transforms and data sets do not need the
operators: declaring their schemas lets the import pass. Where the plain import works, nothing is
declared.
"""

from __future__ import annotations

import importlib
from types import ModuleType

import torch

from pruners.errors import InputError

# A Library takes its schemas back when it is collected, so it stays referenced here.
_declared: list[torch.library.Library] = []


def torchvision() -> ModuleType:
    """Return the torchvision package with models, transforms and datasets importable.

    Raises:
        InputError: torchvision is not installed or cannot be imported.
    """
    try:
        return _imported()
    except ImportError as error:
        raise InputError(f"torchvision cannot be imported ({error}); install torchvision") from None
    except RuntimeError as error:
        raise InputError(f"torchvision cannot be imported: {error}") from None


def mended(error: BaseException) -> bool:
    """Declare torchvision's operators if an error came of missing ones; say whether it did.

    Other packages, such as Transformers, import torchvision by themselves; then the same import
    passes the second time.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RuntimeError) and "operator torchvision::" in str(cause):
            torchvision()
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _imported() -> ModuleType:
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        if hasattr(torch.ops.torchvision, "nms"):
            raise
        _declare_operators()
    return importlib.import_module("torchvision")


def _declare_operators() -> None:
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        library.define(schema)  # type: ignore[no-untyped-call]
    _declared.append(library)
