"""Models of Transformers from a local folder: nothing is downloaded, and no code of it runs."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from analysis.sentences import listed
from analysis.subjects.address import Address
from analysis.subjects.allowed_paths import Roots, check_links, check_path, missing
from analysis.subjects.torchvision_import import torchvision
from pruners.errors import AddressError, one_line

if TYPE_CHECKING:
    from analysis.subjects.schemes import Built

LISTED = 4


def build_hugging_face(address: Address, roots: Roots) -> Built:
    """Load the model that a folder's ``config.json`` describes, with its safetensors, in float32.

    Raises:
        AddressError: Transformers or a file is missing, the folder needs code of its own, or
            weights are missing.
    """
    folder = check_path(Path(address.name), roots=roots)
    if not folder.is_dir():
        raise AddressError(f"{address.text!r}: {missing(Path(address.name), kind='folder')}")
    check_links(folder, roots=roots)
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise AddressError(
            f"{address.text!r}: a model of Transformers is a folder with config.json and "
            "*.safetensors, as save_pretrained writes it; nothing else is read"
        )
    library = _transformers(address.text)
    try:
        with _quiet(library):
            config = library.AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            config.use_cache = False
            kind = _class_of(library, config)
            model, report = kind.from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as error:
        # What is wrong with a folder raises a dozen types, with advice on downloads.
        raise AddressError(
            f"{address.text!r}: Transformers cannot load it: {one_line(error)}"
        ) from error
    lacking = sorted({*report["missing_keys"], *map(str, report["mismatched_keys"])})
    if lacking:
        raise AddressError(
            f"{address.text!r}: the files lack weights of {kind.__name__}, or they do not fit: "
            f"{listed(lacking, most=LISTED)}"
        )
    return model, _image_shape(config)


def _class_of(library: ModuleType, config: Any) -> Any:
    """Return the class that the configuration names, else the bare model of its kind."""
    for name in getattr(config, "architectures", None) or ():
        found = getattr(library, name, None)
        if isinstance(found, type) and issubclass(found, library.PreTrainedModel):
            return found
        raise ValueError(f"Transformers has no class {name}; code of the folder is never run")
    return library.AutoModel


def _image_shape(config: Any) -> tuple[int, ...] | None:
    size, channels = getattr(config, "image_size", None), getattr(config, "num_channels", None)
    return (channels, size, size) if isinstance(size, int) and channels else None


def _transformers(text: str) -> ModuleType:
    # Transformers imports torchvision by itself, which needs the schemas of its operators first.
    torchvision()
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise AddressError(
            f"{text!r} needs transformers ({error}): pip install 'prunescope[hf]'"
        ) from None


@contextmanager
def _quiet(library: ModuleType) -> Iterator[None]:
    """Keep Transformers from printing bars and warnings; what matters is said in one line."""
    log = library.utils.logging
    level, has_bar = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if has_bar:
            log.enable_progress_bar()
