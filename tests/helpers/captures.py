"""Captures of networks whose code is that of a package are made once a process and copied.

Most tests open the same few sample networks, and torch.export takes up to three seconds to find the
same graph again, which holds no weights. Tests of the capture itself make their own.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from torch import Tensor, nn

PACKAGES = ("torch.nn.", "sample_models.")
PLAIN = (bool, int, float, str, tuple, list, type(None))
_KEPT: dict[Hashable, Any] = {}


@contextmanager
def kept_captures() -> Iterator[None]:
    """Let `pruners.capture.capture` export a network that it exported before from memory."""
    from pruners.capture import exporting

    export = exporting.exported

    def exported(model: nn.Module, example: Tensor, **options: Any) -> Any:
        key = _key(model, example, options)
        if key not in _KEPT:
            found = export(model, example, **options)
            if key is None:
                return found
            _KEPT[key] = found
        found = _KEPT[key]
        return SimpleNamespace(
            graph_module=copy.deepcopy(found.graph_module),
            graph_signature=found.graph_signature,
            constants=found.constants,
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "exported", exported)
        yield


def _key(model: nn.Module, example: Tensor, options: dict[str, Any]) -> Hashable | None:
    """Return all that a graph hangs on; None where its code may be any."""
    if not type(model).__module__.startswith("sample_models."):
        return None
    modules = list(model.named_modules(remove_duplicate=False))
    if not all(_is_plain(module) for _, module in modules):
        return None
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return (
        tuple((name, type(module), repr(_own(module))) for name, module in modules),
        tuple((name, item.shape, item.dtype, item.device) for name, item in tensors.items()),
        (example.shape, example.dtype, example.device),
        tuple(sorted(options.items())),
    )


def _is_plain(module: nn.Module) -> bool:
    """Say whether a module's class and own attributes tell what it computes."""
    has_hooks = bool(module._forward_hooks or module._forward_pre_hooks)
    is_known = type(module).__module__.startswith(PACKAGES)
    return is_known and not has_hooks and all(isinstance(item, PLAIN) for _, item in _own(module))


def _own(module: nn.Module) -> list[tuple[str, Any]]:
    return sorted((name, item) for name, item in vars(module).items() if name[0] != "_")
