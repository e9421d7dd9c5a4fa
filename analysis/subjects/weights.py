"""Read weights files and put them into models. Nothing is unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from analysis.sentences import listed
from analysis.subjects.allowed_paths import missing
from pruners.errors import AddressError, one_line

NESTINGS = ("state_dict", "model")
PREFIXES = ("module.", "_orig_mod.")
MAX_NESTING = 8
LISTED = 8


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file or a state dict that ``torch.save`` wrote.

    Tensors nested under ``state_dict`` or ``model`` are found, and what DataParallel and
    ``torch.compile`` put before every name is taken off.

    Raises:
        AddressError: The file is missing, damaged, or holds something else.
    """
    if not path.is_file():
        raise AddressError(missing(path, kind="weights file"))
    try:
        if path.suffix == ".safetensors":
            content: Any = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise AddressError(f"{path} is not a safetensors file: {one_line(error)}") from None
    except Exception:
        # Damaged and foreign files make torch.load raise a dozen types, with pages of advice.
        raise AddressError(
            f"{path} is not a state dict that loads with weights_only=True; save the model's "
            "state_dict() with torch.save or as safetensors"
        ) from None
    return _flat(content, path)


def _flat(content: Any, path: Path) -> dict[str, Tensor]:
    for _ in range(MAX_NESTING + 1):
        if not isinstance(content, Mapping):
            break
        nested = next((n for n in NESTINGS if isinstance(content.get(n), Mapping)), None)
        if nested is None:
            break
        content = content[nested]
    else:
        # A file may even hold a dict that contains itself.
        raise AddressError(
            f"{path} nests {' or '.join(NESTINGS)} more than {MAX_NESTING} deep; save the model's "
            "state_dict() itself"
        )
    if not isinstance(content, Mapping):
        raise AddressError(f"{path} holds a {type(content).__name__}, not a state dict")
    state = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not state:
        raise AddressError(f"{path} holds no tensors")
    while prefix := next((p for p in PREFIXES if all(n.startswith(p) for n in state)), None):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def load_weights(model: nn.Module, path: Path) -> None:
    """Put a weights file into a model.

    Raises:
        AddressError: Names or shapes do not fit; the message lists them.
    """
    state = read_weights(path)
    own = model.state_dict()
    # Only training reads this counter, and many files leave it out.
    missing = [n for n in own if n not in state and not n.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in own]
    shapes = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    problems = {"missing": missing, "unexpected": unexpected, "other shape": shapes}
    parts = [f"{kind}: {listed(names, most=LISTED)}" for kind, names in problems.items() if names]
    if parts:
        raise AddressError(f"{path} does not fit {type(model).__name__}: {'; '.join(parts)}")
    model.load_state_dict(state, strict=False)
