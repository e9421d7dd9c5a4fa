"""``masks.safetensors`` in torch.nn.utils.prune, by the script that was exported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare masks, outputs and zeros with the masked model, outputs with the smaller one."""
    masks, script = case.masks(), case.script("masks_torch.py")
    model = script.apply(case.model("full"))
    state = model.state_dict()
    yield case.same("masks", {name: state[f"{name}_mask"].bool() for name in masks}, masks)
    found, expected = case.answers(model), case.answers(case.model("masked"))
    yield case.near("outputs of the masked model", found, expected, 0.0)
    yield case.near("outputs of the smaller model", found, case.outputs("smaller"), 1e-5)
    model = script.make_permanent(model)
    yield case.same("weights with zeros", model.state_dict(), case.state("masked"))
