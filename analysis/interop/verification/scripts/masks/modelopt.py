"""``masks.safetensors`` in ModelOpt, by the script that was exported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import modelopt.torch.sparsity as mts


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare outputs before and after ModelOpt's export, and all weights, zeros included."""
    case.masks()
    model = case.script("masks_modelopt.py").apply(case.model("full"))
    found, expected = case.answers(model), case.answers(case.model("masked"))
    yield case.near("outputs of the masked model", found, expected, 0.0)
    model = mts.export(model)
    yield case.same("weights with zeros", model.state_dict(), case.state("masked"))
    found = case.answers(model)
    yield case.near("outputs of the smaller model", found, case.outputs("smaller"), 1e-5)
