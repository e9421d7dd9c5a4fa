"""``masks.safetensors`` in NNI's ModelSpeedup, by the script that was exported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare shapes, weights and outputs of the model that NNI cuts with the smaller one."""
    others = {item["granularity"] for item in case.facts["entries"]} - {"channel"}
    if others:
        raise NotImplementedError(
            f"ModelSpeedup cuts channels; the plan has {', '.join(sorted(others))}"
        )
    case.masks()
    if isinstance(case.given(case.inputs[0]), dict):
        names = ", ".join(case.facts["inputs"])
        raise NotImplementedError(f"ModelSpeedup gives inputs in order; the model takes {names}")
    model = case.script("masks_nni.py").apply(case.model("full"), case.given(case.inputs[0]))
    # NNI runs the model to trace it, which batch norms count.
    found, expected = (
        {name: item for name, item in state.items() if not name.endswith("num_batches_tracked")}
        for state in (model.state_dict(), case.state("smaller"))
    )
    yield case.same("weights", found, expected)
    outputs = case.answers(model)
    yield case.near("outputs of the smaller model", outputs, case.outputs("smaller"), 1e-5)
