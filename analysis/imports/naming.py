"""Layers by name: what a file calls them, and what the model calls them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis.files import read_given
from analysis.sentences import listed, plural
from pruners.errors import InputError, first_line

# What wrappers add: DataParallel and the like, also in the middle of a name.
WRAPPER = "module"


def parse_renames(written: Sequence[str]) -> dict[str, str]:
    """Read names: ``OLD=NEW``, or JSON files of an object from old to new names.

    >>> parse_renames(["conv2d_0.w_0=conv1"])
    {'conv2d_0.w_0': 'conv1'}

    Raises:
        InputError: A part is neither.
    """
    found: dict[str, str] = {}
    for part in written:
        old, equals, new = part.partition("=")
        if equals and old and new:
            found[old.strip()] = new.strip()
        elif part.endswith(".json"):
            found |= _of_file(Path(part))
        else:
            raise InputError(
                f"--rename {part!r}: give OLD=NEW, or a JSON file with an object of old and new "
                "names"
            )
    return found


def _of_file(path: Path) -> dict[str, str]:
    try:
        found = json.loads(read_given(path))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"--rename: {path} cannot be read: {first_line(error)}") from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise InputError(f"--rename: {path} holds no object of old and new names")
    return found


def plain(name: str) -> str:
    """Return a layer's name without what wrappers and parameters add.

    >>> plain("features.module.0.weight"), plain("module.conv1.weight")
    ('features.0', 'conv1')
    """
    parts = [part for part in name.removesuffix(".weight").split(".") if part != WRAPPER]
    return ".".join(parts) or name


def renamed(names: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Return the layer that each name of a file stands for.

    Args:
        names: As the file has them.
        given: New names by old ones; they go before everything else.

    Raises:
        InputError: A name to be replaced is not in the file, or two become one.
    """
    unknown = [old for old in given if old not in names]
    if unknown:
        raise InputError(
            f"--rename: the file has no layer {listed(unknown)}; it has {listed(list(names))}"
        )
    found = {name: given.get(name, plain(name)) for name in names}
    by_layer: dict[str, str] = {}
    for name, layer in found.items():
        other = by_layer.setdefault(layer, name)
        if other != name:
            raise InputError(
                f"{other} and {name} of the file would both be layer {layer}; tell them apart with "
                f"--rename {name}=NAME"
            )
    return found


def require_known(found: Mapping[str, str], known: Sequence[str], model: str) -> tuple[str, ...]:
    """Check that layers of a file are in a model; return what a person should know.

    Args:
        found: Layers by the file's names.
        known: Layers of the model.
        model: Its address.

    Raises:
        InputError: None of them is.
    """
    missing = [name for name, layer in found.items() if layer not in set(known)]
    if len(missing) == len(found):
        raise InputError(
            f"no layer of the file is in {model}: the file has {listed(missing)}, the model "
            f"{listed(list(known))}; say which is which with --rename OLD=NEW"
        )
    if not missing:
        return ()
    return (
        f"{plural(len(missing), 'layer')} of the file left out, which {model} does not have: "
        f"{listed(missing)}.",
    )
