"""``history.json`` loaded by Torch-Pruning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import torch_pruning


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare the state dict bit for bit with the smaller model's, and outputs."""
    model = case.model("full")
    graph = torch_pruning.DependencyGraph().build_dependency(
        model.requires_grad_(True), case.given(case.inputs[0])
    )
    graph.load_pruning_history(json.loads((case.folder / "history.json").read_text("utf-8")))
    yield case.same("weights", model.state_dict(), case.state("smaller"))
    sizes = case.folder / "attributes.json"
    for name, changed in json.loads(sizes.read_text("utf-8") if sizes.is_file() else "{}").items():
        vars(model.get_submodule(name)).update(changed)
    yield case.near("outputs", case.answers(model), case.outputs("smaller"), 1e-5)
