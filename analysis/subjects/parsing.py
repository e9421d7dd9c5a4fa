"""Model and data addresses: one line of text that says where a subject comes from.

::

    sample:resnet20                          path/file.py:factory#weights=PATH
    torchvision:resnet18#weights=PATH        package.module:factory#weights=PATH
    timm:NAME#weights=PATH                   hf:FOLDER

    sample:fashion-mnist                     torchvision:CIFAR10#root=DIR
    npz:FILE#mean=..&std=..                  path/file.py:factory
    imagefolder:DIR#size=224&mean=..&std=..  package.module:factory
    fashion-mnist:FOLDER                     text:FILE#tokens=TOKENIZER

Options follow ``#`` and are joined by ``&``; a list of numbers is joined by commas. A value may be
percent-encoded (``%26`` for ``&``); in the name of a file or folder ``#`` is ``%23``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import unquote

from analysis.records import DEFAULT_TASK, NO_MODEL, SubjectSpec
from analysis.subjects.address import Address
from analysis.subjects.fields import Field
from analysis.subjects.schemes import DATA_SCHEMES, MODEL_SCHEMES, Scheme, plain_place
from analysis.tasks import scoring_of
from pruners.errors import AddressError
from pruners.registry import Registry

T = TypeVar("T")

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_MODEL_EXAMPLE = "sample:resnet20, torchvision:resnet18#weights=FILE or path/file.py:factory"
_DATA_EXAMPLE = "sample:fashion-mnist, npz:FILE, imagefolder:DIR or path/file.py:factory"
# Calibration samples where each of them has many positions; SparseGPT and Wanda take as many.
FEW_SAMPLES = 128


def parse_model(text: str) -> Address:
    """Parse a model address.

    Raises:
        AddressError: It is malformed; the message gives the forms that are known.
    """
    return _parse(text, "model", MODEL_SCHEMES, _MODEL_EXAMPLE)


def parse_data(text: str) -> Address:
    """Parse a data address.

    Raises:
        AddressError: It is malformed; the message gives the forms that are known.
    """
    return _parse(text, "data", DATA_SCHEMES, _DATA_EXAMPLE)


def usual_task(data: str | None) -> str:
    """Return the task of models of such data, as far as the address tells; else classification.

    Raises:
        AddressError: The address is malformed.
    """
    if data is None:
        return DEFAULT_TASK
    address = parse_data(data)
    return DATA_SCHEMES.get(address.scheme).task(address)


def calibration_of(task: str) -> int:
    """Return how many samples a task is calibrated on, unless somebody says otherwise.

    >>> calibration_of("classification"), calibration_of("language_modelling")
    (512, 128)
    """
    has_positions = scoring_of(task).has_positions
    return FEW_SAMPLES if has_positions else SubjectSpec(model="").calibration_samples


def usual_subject(model: str, data: str | None, *, task: str | None = None) -> SubjectSpec:
    """Return the subject of a model and data of which nothing else is said.

    Args:
        model: Model address.
        data: Data address.
        task: What the model answers; None takes what the data are for.

    Raises:
        AddressError: The data address is malformed.
        UnknownNameError: There is no such task.

    >>> usual_subject("sample:unet_small", "sample:scenes").calibration_samples
    128
    """
    task = usual_task(data) if task is None else task
    return SubjectSpec(model=model, data=data, task=task, calibration_samples=calibration_of(task))


def parse_function(text: str, what: str) -> Address:
    """Parse ``path/file.py:function`` or ``package.module:function``.

    Args:
        text: What was given.
        what: What it should name, for messages: ``"training loop"``.

    Raises:
        AddressError: It is neither.
    """
    found = _function(text.strip())
    if found is None:
        raise AddressError(
            f"{what} {text!r} is no function; give path/file.py:function or package.module:function"
        )
    scheme, place, function = found
    return Address(
        text=text.strip(), scheme=scheme, name=place, factory=function, is_path=scheme == "file"
    )


def _parse(text: str, what: str, known: Registry[Scheme[T]], example: str) -> Address:
    if not isinstance(text, str) or not text.strip():
        raise AddressError(f"the {what} address is empty; give for example {example}")
    if text.startswith(NO_MODEL):
        raise AddressError(
            f"the curves of {text.removeprefix(NO_MODEL)} were imported without a model; import "
            "the file again with a model address"
        )
    body, _, tail = text.strip().partition("#")
    body = plain_place(body)
    scheme, colon, rest = body.partition(":")
    factory = ""
    meant = ""
    if not (colon and scheme in known and not known.get(scheme).is_factory):
        meant = _near(scheme, known) if colon else ""
        scheme, rest, factory = _factory(body, text, what, example, meant=meant)
    if not rest.strip():
        raise AddressError(f"{what} address {text!r} names nothing after {scheme!r}:")
    found = known.get(scheme)
    options = _options(tail, text, what, found.options)
    for option in found.options:
        if option.required and option.name not in options:
            raise AddressError(
                f"{what} address {text!r} needs {option.required}: "
                f"{found.form.replace('NAME', rest)}"
            )
    return Address(
        text=text.strip(),
        scheme=scheme,
        name=rest,
        factory=factory,
        options=options,
        is_path=found.is_path,
        meant=meant,
    )


def _near(scheme: str, known: Registry[Scheme[T]]) -> str:
    """Return the scheme that was perhaps mistyped; empty if none is near."""
    names = [entry.name for entry in known if not entry.is_factory]
    return next(iter(difflib.get_close_matches(scheme, names, n=1)), "")


def _factory(body: str, text: str, what: str, example: str, *, meant: str) -> tuple[str, str, str]:
    """Split ``place:function`` where a Windows drive may bring a colon of its own."""
    found = _function(body)
    if found is not None:
        return found
    if meant:
        scheme, _, rest = body.partition(":")
        raise AddressError(
            f"{what} address {text!r}: unknown scheme {scheme!r}; did you mean {meant}:{rest}?"
        )
    raise AddressError(f"{what} address {text!r} is of no known form; give for example {example}")


def _function(body: str) -> tuple[str, str, str] | None:
    """Return scheme, place and name of a function; None if the text names none."""
    place, colon, name = body.rpartition(":")
    if not (colon and name.isidentifier()):
        return None
    if place.endswith(".py"):
        return "file", place, name
    return ("module", place, name) if _MODULE.fullmatch(place) else None


def _options(tail: str, text: str, what: str, known: Sequence[Field]) -> dict[str, str]:
    fields = {item.name: item for item in known}
    options: dict[str, str] = {}
    for part in tail.split("&") if tail else ():
        name, equals, value = part.partition("=")
        if not equals or not value or name in options:
            raise AddressError(
                f"{what} address {text!r}: after # come options name=value joined by &, each once; "
                f"found {part!r}"
            )
        if name not in fields:
            listed = ", ".join(fields) if fields else "none"
            hint = "; a # in the name of a file is written %23" if "#" in tail else ""
            raise AddressError(
                f"{what} address {text!r}: unknown option {name!r}; known: {listed}{hint}"
            )
        options[name] = unquote(value)
        if problem := fields[name].problem(options[name]):
            raise AddressError(f"{what} address {text!r}: option {name} {problem}")
    return options
