"""The registry of results that can be imported, and which of them a file is."""

from __future__ import annotations

from analysis.imports import readers
from analysis.imports.incoming import PLAN_FORMATS, PlanFormat
from analysis.imports.raw import MAX_BYTES, MAX_WEIGHTS, RawResult, ResultFormat
from pruners.errors import InputError, UnknownNameError
from pruners.registry import Registry, joined

RESULT_FORMATS = Registry(
    "result format",
    (
        readers.DISTILLER,
        readers.NNI,
        readers.SPARSEML,
        readers.PADDLESLIM,
        readers.AIMET,
        readers.POINTS,
    ),
)


def format_of(content: bytes, name: str, asked: str | None = None) -> ResultFormat | PlanFormat:
    """Return the format of a file: the asked one, else the one that its content is of.

    Args:
        content: The file.
        name: Its name, for messages.
        asked: A name of `RESULT_FORMATS` or `PLAN_FORMATS`.

    Raises:
        UnknownNameError: No such format.
        InputError: It is of none, or of several; or a pickle that is not read.
    """
    if not content:
        raise InputError(f"{name} is empty: 0 bytes; the program that wrote it was stopped")
    known: dict[str, ResultFormat | PlanFormat] = {
        **{item.name: item for item in RESULT_FORMATS},
        **{item.name: item for item in PLAN_FORMATS},
    }
    if asked is not None:
        if asked not in known:
            raise UnknownNameError("format of a file", asked, known)
        return _sized(content, name, known[asked])
    if readers.is_pickle(content):
        # One that asks for more than numbers is refused by what it asks for.
        readers.read_pickle(content)
    found = [item for item in known.values() if item.recognises(content)]
    if len(found) != 1:
        are = joined(item.name for item in found) if found else "none that is known"
        raise InputError(f"{name} is of {are}; name what wrote it with --format {joined(known)}")
    return _sized(content, name, found[0])


def _sized(
    content: bytes, name: str, chosen: ResultFormat | PlanFormat
) -> ResultFormat | PlanFormat:
    most = MAX_WEIGHTS if ".safetensors" in chosen.suffixes else MAX_BYTES
    if len(content) > most:
        raise InputError(f"{name} has {len(content):,} bytes; {most:,} are read at most")
    return chosen


def read_result(content: bytes, chosen: ResultFormat, name: str) -> RawResult:
    """Return what a file holds.

    Raises:
        InputError: It is not as its format is.
    """
    try:
        return chosen.read(content)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
