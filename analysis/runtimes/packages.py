"""Packages that are not part of every installation: imported where they are used."""

from __future__ import annotations

import importlib
from importlib import metadata
from types import ModuleType

from pruners.errors import UnsupportedError


def require(name: str, *, extra: str) -> ModuleType:
    """Import a package of an extra.

    Args:
        name: Of the module; a submodule is named by its path.
        extra: What installs it.

    Raises:
        UnsupportedError: It is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UnsupportedError(
            f"{extra} needs {name.partition('.')[0]}, which is not installed: "
            f"pip install 'prunescope[{extra}]'"
        ) from None


def require_onnx() -> None:
    """Import the packages of the extra ``onnx``.

    Raises:
        UnsupportedError: One is not installed; the message says how to install it.
    """
    for name in ("onnxruntime", "onnx", "onnxscript"):
        require(name, extra="onnx")


def version_of(package: str) -> str:
    """Return a package with its version, ``onnxruntime 1.32.0``, as it is installed."""
    return f"{package} {metadata.version(package)}"
