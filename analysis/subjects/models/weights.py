"""Read weights files and put them into models. Nothing is unpickled."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from analysis.sentences import listed, plural
from analysis.subjects.allowed_paths import missing
from pruners.errors import AddressError, one_line

# What DataParallel and torch.compile put before every name; each may stand there more than once.
WRAPPERS = ("module.", "_orig_mod.")
# Places of averaged or second networks: taken if there is no other, or if asked for.
SECOND = re.compile(r"ema|swa|averag|teacher|momentum|target", re.IGNORECASE)
# What AveragedModel counts, and what profilers leave in state dicts.
LEFT_BEHIND = ("n_averaged", "total_ops", "total_params")
UNKNOWN_CLASS = re.compile(r"GLOBAL ([\w.]+) was not an allowed global")
MAX_NESTING = 8
LISTED = 8


@dataclass(frozen=True, slots=True, eq=False)
class StateDict:
    """Tensors by name, as they lie somewhere in a file.

    Attributes:
        place: Keys that lead there, joined by ``/``; behind them what stood before every name.
        tensors: By name.
        wrappers: What of wrappers stood before every name, and was taken off.
        others: Names there that are not part of it.
        masked: Tensors that were kept as a weight and a mask.
    """

    place: str
    tensors: dict[str, Tensor]
    wrappers: str = ""
    others: tuple[str, ...] = ()
    masked: int = 0


def load_weights(model: nn.Module, path: Path, *, place: str | None = None) -> tuple[str, ...]:
    """Put a weights file into a model.

    Checkpoints of many trainers are taken: the weights are looked for under all keys, and behind
    whatever stands before all of their names.

    Args:
        model: The model.
        path: A safetensors file or what ``torch.save`` wrote.
        place: Which weights to take of several, as messages call them; None where one set fits.

    Returns:
        What a person should know of where they were.

    Raises:
        AddressError: The file cannot be read, no weights in it fit, which the message lists, or
            several do.
    """
    found = list(_state_dicts(_content(path), path))
    if not found:
        raise AddressError(f"{path} holds no tensors")
    own = model.state_dict()
    known = [_named_as(own, item) for item in found]
    inner = [part for item in known for part in _parts(own, item)]
    fitting = [item for item in (*known, *inner) if not _problems(own, item)]
    if place is not None:
        known = [item for item in (*known, *inner) if item.place == place]
        fitting = [item for item in fitting if item.place == place]
        if not known:
            places = listed((item.place or "the top" for item in found), most=LISTED)
            raise AddressError(f"{path} holds no weights at {place}; it holds some at {places}")
    if not fitting:
        closest = max(known, key=lambda item: len(own.keys() & item.tensors.keys()))
        raise AddressError(_misfit(model, path, closest))
    chosen, rest = _chosen(fitting, path)
    model.load_state_dict(chosen.tensors, strict=False)
    return _notes(chosen, rest)


def _content(path: Path) -> Any:
    if not path.is_file():
        raise AddressError(missing(path, kind="weights file"))
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise AddressError(f"{path} is not a safetensors file: {one_line(error)}") from None
    except Exception as error:
        # Damaged and foreign files make torch.load raise a dozen types, with pages of advice.
        unknown = UNKNOWN_CLASS.search(str(error))
        why = f" (it holds a {unknown[1]}, which is code)" if unknown else ""
        raise AddressError(
            f"{path} is not a state dict that loads with weights_only=True{why}; save the model's "
            "state_dict() with torch.save or as safetensors"
        ) from None


def _state_dicts(content: Any, path: Path, place: str = "", depth: int = 0) -> Iterator[StateDict]:
    """Yield what holds tensors by name, wherever it lies in a file."""
    if not isinstance(content, Mapping):
        raise AddressError(f"{path} holds a {type(content).__name__}, not a state dict")
    if depth > MAX_NESTING:
        # A file may even hold a dict that contains itself.
        raise AddressError(
            f"{path} nests state_dict or model more than {MAX_NESTING} deep; save the model's "
            "state_dict() itself"
        )
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if tensors:
        yield StateDict(place, tensors)
    for name, value in content.items():
        if isinstance(name, str) and isinstance(value, Mapping):
            yield from _state_dicts(value, path, f"{place}/{name}".lstrip("/"), depth + 1)


def _named_as(own: Mapping[str, Tensor], found: StateDict) -> StateDict:
    """Take off what wrappers add to names, and put masks of ``prune`` into their weights."""
    left = [name for name in found.tensors if name.rpartition(".")[2] in LEFT_BEHIND]
    tensors = {n: item for n, item in found.tensors.items() if n not in left or n in own}
    wrappers = ""
    while prefix := next((p for p in WRAPPERS if all(n.startswith(p) for n in tensors)), None):
        if not tensors:
            break
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
        wrappers += prefix
    masked = 0
    for name in own:
        original, mask = f"{name}_orig", f"{name}_mask"
        if name not in tensors and {original, mask} <= tensors.keys() - own.keys():
            tensors[name] = tensors.pop(original) * tensors.pop(mask)
            masked += 1
    return replace(found, tensors=tensors, wrappers=wrappers, masked=masked)


def _parts(own: Mapping[str, Tensor], found: StateDict) -> Iterator[StateDict]:
    """Yield what stands behind one prefix, such as the network in a Lightning module."""
    last = next(iter(own), None)
    for name in found.tensors:
        if last is None or not name.endswith(f".{last}"):
            continue
        prefix = name.removesuffix(last)
        inside = {n: item for n, item in found.tensors.items() if n.startswith(prefix)}
        part = StateDict(
            f"{found.place}/{prefix.rstrip('.')}".lstrip("/"),
            {name.removeprefix(prefix): item for name, item in inside.items()},
            others=tuple(name for name in found.tensors if name not in inside),
        )
        yield _named_as(own, part)


def _problems(own: Mapping[str, Tensor], found: StateDict) -> dict[str, list[str]]:
    """Return what keeps weights from fitting, by kind; empty if nothing does."""
    tensors = found.tensors
    odd = {name: what for name, item in tensors.items() if name in own and (what := _oddity(item))}
    both = [name for name in own if name in tensors and name not in odd]
    problems = {
        # Only training reads this counter, and many files leave it out.
        "missing": [n for n in own if n not in tensors and not n.endswith("num_batches_tracked")],
        "unexpected": [name for name in tensors if name not in own],
        "not plain": [f"{name} is {what}" for name, what in odd.items()],
        "other shape": [
            f"{name} {tuple(tensors[name].shape)} instead of {tuple(own[name].shape)}"
            for name in both
            if tensors[name].shape != own[name].shape
        ],
        "other type": [
            f"{name} {tensors[name].dtype} instead of {own[name].dtype}"
            for name in both
            if own[name].is_floating_point() and not tensors[name].is_floating_point()
        ],
    }
    return {kind: names for kind, names in problems.items() if names}


def _oddity(tensor: Tensor) -> str:
    """Return what keeps a tensor from being copied into a weight; empty if nothing does."""
    if tensor.is_nested:
        return "nested"
    if tensor.is_meta:
        return "on the meta device, without values"
    return "" if tensor.layout == torch.strided else "sparse"


def _misfit(model: nn.Module, path: Path, found: StateDict) -> str:
    problems = _problems(model.state_dict(), found)
    parts = [f"{kind}: {listed(names, most=LISTED)}" for kind, names in problems.items()]
    where = f" (under {found.place})" if found.place else ""
    return f"{path}{where} does not fit {type(model).__name__}: {'; '.join(parts)}"


def _chosen(fitting: list[StateDict], path: Path) -> tuple[StateDict, list[StateDict]]:
    """Choose of weights that fit; those of second networks come second.

    Raises:
        AddressError: Several are as good.
    """
    first = [item for item in fitting if not SECOND.search(item.place)] or fitting
    chosen = first[0]
    if any(not _equal(chosen, item) for item in first[1:]):
        places = listed((item.place or "the top" for item in first), most=LISTED)
        raise AddressError(
            f"{path} holds weights that fit at {places}; say which by #key=, such as "
            f"#key={first[-1].place}"
        )
    return chosen, [item for item in fitting if not _equal(chosen, item)]


def _equal(one: StateDict, other: StateDict) -> bool:
    return one is other or (
        one.tensors.keys() == other.tensors.keys()
        and all(torch.equal(item, other.tensors[name]) for name, item in one.tensors.items())
    )


def _notes(chosen: StateDict, rest: list[StateDict]) -> tuple[str, ...]:
    notes = []
    if chosen.place or chosen.wrappers:
        at = f" at {chosen.place}" if chosen.place else ""
        less = f", without {chosen.wrappers} before their names" if chosen.wrappers else ""
        notes.append(f"The weights are those{at} in the file{less}.")
    if chosen.masked:
        count = plural(chosen.masked, "tensor")
        notes.append(f"The masks of torch.nn.utils.prune on {count} are kept as zeros.")
    if rest:
        places = listed((item.place for item in rest), most=LISTED)
        notes.append(f"Other weights in the file fit, too: {places} (#key={rest[0].place}).")
    if chosen.others:
        count = plural(len(chosen.others), "other tensor")
        notes.append(f"Left out, {count} of the file: {listed(chosen.others, most=LISTED)}.")
    return tuple(notes)
