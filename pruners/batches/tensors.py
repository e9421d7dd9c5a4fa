"""Several tensors of a batch that behave like one, and what is the same for one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


class Tensors:
    """Several tensors ``(N, ...)``, each of its own type, that hold the same samples.

    What is asked along the batch is asked of all of them: ``len``, indexing, `to`, `torch.cat` and
    the like. A model that takes several inputs takes one of these.

    Args:
        parts: The tensors, in the order in which the model takes them.
        form: The container that the user's own model takes them from, with a leaf a tensor: its
            dict is given by name, anything else in order. None is one after another.
    """

    def __init__(self, parts: Iterable[Tensor], form: pytree.TreeSpec | None = None) -> None:
        self.parts, self.form = tuple(parts), form

    def _each(self, change: Callable[[Tensor], Tensor]) -> Tensors:
        return Tensors((change(part) for part in self.parts), self.form)

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, index: Any) -> Tensors:
        return self._each(lambda part: part[index])

    def __setitem__(self, index: Any, value: Tensors) -> None:
        for part, new in zip(self.parts, value.parts, strict=True):
            part[index] = new

    def __iter__(self) -> Iterator[Tensors]:
        return (self[number] for number in range(len(self)))

    def __repr__(self) -> str:
        kinds = (f"{part.dtype} {tuple(part.shape)}" for part in self.parts)
        return f"Tensors({', '.join(kinds)})"

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Join each part; other functions of torch know nothing of several."""
        kwargs = kwargs or {}
        if function in (torch.cat, torch.stack):
            columns = zip(*(item.parts for item in args[0]), strict=True)
            parts = (function(list(column), *args[1:], **kwargs) for column in columns)
            return Tensors(parts, args[0][0].form)
        return NotImplemented

    @property
    def device(self) -> torch.device:
        """The device that all of them are on."""
        return self.parts[0].device

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return sum(part.nbytes for part in self.parts)

    def to(self, *args: Any, **kwargs: Any) -> Tensors:
        """Return them on another device."""
        return self._each(lambda part: part.to(*args, **kwargs))

    def cpu(self) -> Tensors:
        """Return them on the CPU."""
        return self._each(Tensor.cpu)

    def pin_memory(self) -> Tensors:
        """Return them in pinned memory."""
        return self._each(lambda part: part.pin_memory())

    def clone(self) -> Tensors:
        """Return copies."""
        return self._each(Tensor.clone)

    def flip(self, dim: int) -> Tensors:
        """Return the samples in reverse order; ``dim`` is 0."""
        return self._each(lambda part: part.flip(dim))

    def split(self, size: int) -> Sequence[Tensors]:
        """Return pieces of so many samples, the last of what is left."""
        cut = (torch.split(part, size) for part in self.parts)
        return tuple(Tensors(parts, self.form) for parts in zip(*cut, strict=True))

    def tensor_split(self, sections: int) -> Sequence[Tensors]:
        """Return pieces of about the same number of samples."""
        cut = (part.tensor_split(sections) for part in self.parts)
        return tuple(Tensors(parts, self.form) for parts in zip(*cut, strict=True))


# The keys of the flattened tree are positions.
pytree.register_pytree_node(
    Tensors,
    lambda item: (list(item.parts), None),
    lambda parts, _: Tensors(parts),
    serialized_type_name="pruners.batches.tensors.Tensors",
    flatten_with_keys_fn=lambda item: (
        [(pytree.SequenceKey(at), part) for at, part in enumerate(item.parts)],
        None,
    ),
)

Inputs: TypeAlias = Tensor | Tensors


def parts_of(inputs: Inputs) -> tuple[Tensor, ...]:
    """Return the tensors of a batch: one, or several."""
    return inputs.parts if isinstance(inputs, Tensors) else (inputs,)


def like_parts(inputs: Inputs, parts: Iterable[Tensor]) -> Inputs:
    """Return other tensors in the form that a batch has."""
    return Tensors(parts, inputs.form) if isinstance(inputs, Tensors) else next(iter(parts))


def shape_of(inputs: Inputs) -> tuple[Any, ...]:
    """Return the shape of one sample: of several tensors, a tuple of shapes."""
    shapes = tuple(tuple(part.shape[1:]) for part in parts_of(inputs))
    return shapes if isinstance(inputs, Tensors) else shapes[0]


def repeated(inputs: Inputs, times: int) -> Inputs:
    """Return a batch several times over, one after another."""
    parts = (part.repeat(times, *[1] * (part.dim() - 1)) for part in parts_of(inputs))
    return like_parts(inputs, parts)


def as_types(inputs: Inputs, like: Inputs) -> Inputs:
    """Return a batch with the types of another."""
    pairs = zip(parts_of(inputs), parts_of(like), strict=True)
    return like_parts(inputs, [part.to(other.dtype) for part, other in pairs])


def joined(batches: Iterable[Inputs]) -> Inputs:
    """Return batches as one, one after another."""
    given = list(batches)
    columns = zip(*(parts_of(item) for item in given), strict=True)
    return like_parts(given[0], [torch.cat(column) for column in columns])


def names_of(inputs: Inputs) -> tuple[str, ...]:
    """Return what the tensors of a batch are called in files of other programs: identifiers.

    One is ``input``. Of several, what the user's container calls them, with the keys of nested
    ones joined by ``_``; those without a name are ``input_0``, ``input_1``, ...
    """
    if not isinstance(inputs, Tensors):
        return ("input",)
    form, parts = inputs.form, inputs.parts
    tree = parts if form is None else pytree.tree_unflatten(parts, form)
    found: list[str] = []
    for path, _ in pytree.tree_flatten_with_path(tree)[0]:
        name = "_".join(re.findall(r"\w+", pytree.keystr(path)))
        name = name if name.isidentifier() else f"input_{name}"
        found.append(name if name not in found else f"{name}_{len(found)}")
    return tuple(found)


def text_lengths(inputs: Inputs) -> frozenset[int]:
    """Return the lengths of text in a batch: of token numbers, int64 ``(N, T)``, over one token."""
    parts = (part for part in parts_of(inputs) if part.dtype == torch.int64 and part.dim() == 2)
    return frozenset(part.shape[1] for part in parts) - {0, 1}


def shortened(inputs: Inputs) -> Inputs | None:
    """Return a batch with texts, and what is as long, of three quarters of their length.

    None where there is no text, or none that could be shorter and still have two tokens.
    """
    lengths = text_lengths(inputs)
    if not lengths or min(lengths) < 3:
        return None
    return like_parts(
        inputs,
        [
            part[:, : max(2, part.shape[1] * 3 // 4)]
            if part.dim() > 1 and part.shape[1] in lengths
            else part
            for part in parts_of(inputs)
        ],
    )
