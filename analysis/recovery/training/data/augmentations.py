"""The registry of augmentations.

Names and help are known without torch: what the entries do is looked up when they do it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.recovery.training import data
from analysis.subjects import parse_function
from pruners.errors import InputError, UnknownNameError
from pruners.registry import Registry

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from analysis.recovery.training.data.sampler import Augment

NONE = "none"
FUNCTION = "function"
MAX_SHIFT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """What is augmented.

    Attributes:
        shape: Of one input.
        blank: What pixels of zeros are after normalisation, broadcasting to an input; None where
            that is not known.
        roots: Folders below which a user's files must lie; None allows everything.
    """

    shape: tuple[int, ...]
    blank: Tensor | None = None
    roots: Sequence[Path] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """A random change of training inputs.

    Attributes:
        name: Name in commands and files; of a user's function only a name.
        label: Name on pages.
        help: What it does, in plain words.
        form: How it is written.
        make: Returns it for what follows ``=`` (or for a function's address), with one sentence
            for people where there is something to say.
        number: The number that counts where none follows ``=``; None where none may follow.
    """

    name: str
    label: str
    help: str
    form: str
    make: Callable[[str, Images], tuple[Augment, str]]
    number: int | None = None


AUGMENTATIONS = Registry(
    "augmentation",
    (
        Augmentation(
            name=NONE,
            label="None",
            help="inputs as they are",
            form="none",
            make=lambda value, images: (lambda inputs, chance: inputs, ""),
        ),
        Augmentation(
            name="flip",
            label="Mirror",
            help="every second image, by chance, is mirrored left to right",
            form="flip",
            make=lambda value, images: data.flipped(images.shape),
        ),
        Augmentation(
            name="shift",
            label="Shift",
            help="images move by up to N pixels (2 unless told otherwise) in each direction",
            form="shift[=N]",
            make=lambda value, images: data.shifted(int(value), images.shape, images.blank),
            number=2,
        ),
        Augmentation(
            name=FUNCTION,
            label="Python function",
            help="a function of yours: inputs and a generator in, inputs of the same shape out",
            form="file.py:function",
            make=lambda value, images: data.user_transform(value, images.roots),
        ),
    ),
)


def augment_of(texts: Sequence[str], images: Images) -> tuple[Augment | None, tuple[str, ...]]:
    """Return what does several augmentations one after another, and what to say of them.

    Args:
        texts: As `check_augmentations` takes them.
        images: What is augmented.

    Raises:
        InputError: One does not fit the inputs, or a user's function cannot be used.
    """
    steps, words = [], []
    for entry, value in check_augmentations(texts):
        step, sentence = entry.make(value, images)
        steps.append(step)
        words += [sentence] if sentence else []

    def augment(inputs: Tensor, chance: Generator) -> Tensor:
        for step in steps:
            inputs = step(inputs, chance)
        return inputs

    return (augment if steps else None), tuple(words)


def check_augmentations(texts: Sequence[str]) -> tuple[tuple[Augmentation, str], ...]:
    """Return the entry behind each text, with what follows ``=`` (or the function's address).

    Raises:
        UnknownNameError: No such augmentation.
        InputError: A number is missing or out of range, one is asked for twice, or ``none`` stands
            beside others.
        AddressError: A function's address is malformed.
    """
    found = tuple(map(_parsed, texts))
    names = [entry.name if entry.name != FUNCTION else value for entry, value in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"augmentation {name!r} is asked for {names.count(name)} times; once")
        if name == NONE and len(names) > 1:
            others = ", ".join(item for item in names if item != NONE)
            raise InputError(f"augmentation none cannot stand beside {others}; leave one out")
    return tuple(item for item in found if item[0].name != NONE)


def _parsed(text: str) -> tuple[Augmentation, str]:
    if ":" in text:
        return AUGMENTATIONS.get(FUNCTION), parse_function(text, "augmentation").text
    name, equals, value = text.strip().partition("=")
    if name == FUNCTION or name not in AUGMENTATIONS:
        known = [entry.form for entry in AUGMENTATIONS]
        raise UnknownNameError("augmentation", text, known)
    entry = AUGMENTATIONS.get(name)
    if not equals:
        return entry, "" if entry.number is None else str(entry.number)
    if entry.number is None:
        raise InputError(f"augmentation {name} takes no number; found {text!r}")
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= MAX_SHIFT):
        raise InputError(
            f"augmentation {entry.form} takes a whole number from 1 to {MAX_SHIFT}; found {text!r}"
        )
    return entry, value
