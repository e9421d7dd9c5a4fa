"""``masks.safetensors`` in NNCF, by the script that was exported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare outputs with the masked and the smaller model."""
    case.masks()
    model = case.script("masks_nncf.py").apply(case.model("full"), case.given(case.inputs[0]))
    found, expected = case.answers(model), case.answers(case.model("masked"))
    yield case.near("outputs of the masked model", found, expected, 0.0)
    yield case.near("outputs of the smaller model", found, case.outputs("smaller"), 1e-5)
