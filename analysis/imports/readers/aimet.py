"""AIMET's compression scores: a pickle of ``{layer: {ratio: score}}``; ratios are cost kept."""

from __future__ import annotations

from analysis.imports.raw import RawResult, ResultFormat, gathered
from analysis.imports.readers.pickles import Pairs, asks_for, is_pickle, read_pickle
from analysis.imports.readers.walking import curves_of
from pruners.errors import InputError

WHAT = "the AIMET file"


def recognises(content: bytes) -> bool:
    """Say whether it is a pickled dictionary with decimals."""
    return (
        is_pickle(content)
        and asks_for(content, "Decimal")
        and isinstance(read_pickle(content), Pairs)
    )


def read(content: bytes) -> RawResult:
    """Read the file.

    Raises:
        InputError: It asks for what is not needed, or is not as AIMET writes it.
    """
    found = read_pickle(content)
    if type(found) is list:
        raise InputError(
            f"{WHAT} is a list of layers with chosen ratios, a plan and no scores: import it as "
            "--format aimet-pairs"
        )
    rows = [(layer, level, {"value": value}) for layer, level, value in curves_of(found, WHAT)]
    return RawResult(gathered(rows, WHAT), {"value": {}}, {"share": "kept"})


# AIMET keeps int(channels * ratio) of them, and one at least.
AIMET = ResultFormat(
    "aimet",
    "AIMET (pickle)",
    "What AIMET keeps of its candidates' scores: by layer and by the ratio of the cost that stays.",
    (".pkl", ".pickle"),
    recognises,
    read,
    removed=lambda share, units: units - max(1, int(units * (1 - share))),
)
