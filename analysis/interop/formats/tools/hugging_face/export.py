"""The smaller model as Transformers saves it: a configuration and weights (extra ``hf``)."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from analysis import runtimes
from analysis.interop.formats.smaller_model import model_notes
from analysis.interop.formats.tools.hugging_face.sizes import smaller_config
from analysis.interop.request import Exported, ExportRequest
from pruners.capture import on_cpu
from pruners.errors import UnsupportedError

NAME = "hf"
FOLDER = "hf"


def require_transformers() -> None:
    """Check that Transformers is installed.

    Raises:
        UnsupportedError: It is not; the message says how to install it.
    """
    runtimes.require("transformers", extra=NAME)


def export_hugging_face(request: ExportRequest) -> Exported:
    """Write the folder ``hf``, which ``from_pretrained`` reads.

    Raises:
        UnsupportedError: Transformers is missing, the model holds none of its models, or no
            configuration says the sizes.
        PruneScopeError: What it reads back computes something else.
    """
    require_transformers()
    model, folder = request.model(), request.directory / FOLDER
    inner = _inner(model)
    config = smaller_config(inner)
    with torch.random.fork_rng(), _quiet():
        rebuilt: Any = type(inner)(config)
        rebuilt.load_state_dict(inner.state_dict())
        rebuilt.to(next(inner.parameters()).dtype).save_pretrained(folder)
        loaded = _loaded(type(inner), folder)
    # The caller's own code around it, with what was read in its place.
    whole = on_cpu(copy.deepcopy(model, {id(inner): loaded}))
    example = request.prepared.subject.example
    difference = runtimes.check_outputs("Transformers", whole, model, example)
    about = {
        "generation_config.json": "how Transformers generates text with it",
        "config.json": f"{type(config).__name__} of the smaller model",
        "model.safetensors": f"weights of {type(inner).__name__} under Transformers' own names; "
        f"read back, the outputs {runtimes.difference_words(difference)}",
    }
    files = tuple(
        (path, about.get(path.name, "of Transformers")) for path in sorted(folder.iterdir())
    )
    note = f"read it with {type(inner).__name__}.from_pretrained('{FOLDER}'), not load_state_dict"
    return Exported(files=files, notes=(note, *model_notes(request)))


def _inner(model: nn.Module) -> Any:
    """Return the outermost model of Transformers."""
    # Where its models are not loaded, none is held; loading them takes what some machines lack.
    library = sys.modules.get("transformers.modeling_utils")
    kind = getattr(library, "PreTrainedModel", ())
    found = [name for name, item in model.named_modules() if isinstance(item, kind)]
    outer = [name for name in found if not any(_is_below(name, other) for other in found)]
    if len(outer) != 1:
        raise UnsupportedError(
            f"the format {NAME} writes the configuration of one model of Transformers, and "
            f"{type(model).__name__} holds {len(outer) or 'none'}; export the smaller model "
            "(model, onnx)"
        )
    return model.get_submodule(outer[0])


def _is_below(name: str, other: str) -> bool:
    return name != other and (other == "" or name.startswith(f"{other}."))


def _loaded(kind: Any, folder: Path) -> nn.Module:
    """Return the model of a folder; a tensor that does not fit would be made at random."""
    found, info = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[what]:
            names = ", ".join(str(item) for item in list(info[what])[:3])
            raise UnsupportedError(f"Transformers reads the folder with {what}: {names}")
    model: nn.Module = found.eval().requires_grad_(False)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Have Transformers draw no progress bars."""
    logging: Any = runtimes.require("transformers.utils.logging", extra=NAME)
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
