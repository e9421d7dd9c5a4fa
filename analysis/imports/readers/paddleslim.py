"""PaddleSlim's sensitivities: a pickle of relative drops, as a dictionary or inside a status."""

from __future__ import annotations

from analysis.imports.raw import RawResult, ResultFormat, gathered
from analysis.imports.readers.pickles import (
    Pairs,
    Thing,
    asks_for,
    is_pickle,
    read_pickle,
)
from analysis.imports.readers.walking import curves_of
from pruners.errors import InputError

WHAT = "the PaddleSlim file"
# As PaddleSlim spells it.
FIELD = "sensitivies"


def recognises(content: bytes) -> bool:
    """Say whether it is a pickle of PaddleSlim's status; a plain dictionary may be of others."""
    return is_pickle(content) and asks_for(content, "Status")


def read(content: bytes) -> RawResult:
    """Read the file.

    Raises:
        InputError: It asks for what is not needed, or is not as PaddleSlim writes it.
    """
    found = read_pickle(content)
    if isinstance(found, Thing):
        fields = [value for key, value in found.state if key == FIELD]
        if not fields:
            raise InputError(f"{WHAT}: its status has no {FIELD}")
        found = fields[0]
    if not isinstance(found, Pairs):
        raise InputError(f"{WHAT} holds no dictionary of layers")
    rows = [(layer, level, {"value": value}) for layer, level, value in curves_of(found, WHAT)]
    known = {"share": "pruned", "granularity": "channel"}
    relative = {"unit": "relative-drop", "direction": "lower"}
    return RawResult(gathered(rows, WHAT), {"value": relative}, known)


PADDLESLIM = ResultFormat(
    "paddleslim",
    "PaddleSlim (pickle)",
    "What PaddleSlim's sensitivity analysis keeps: the relative drop of a metric by filters.",
    (".data", ".pickle", ".pkl"),
    recognises,
    read,
    removed=lambda share, units: min(round(share * units), units - 1),
)
