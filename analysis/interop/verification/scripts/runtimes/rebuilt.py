"""The exported script, run by torch alone."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import torch


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare weights and outputs of what ``rebuild.py`` loads with the smaller model's."""
    script = case.folder / "rebuild.py"
    if not script.is_file():
        raise NotImplementedError("the model could not be written as a script; see the notes")
    spec = importlib.util.spec_from_file_location("rebuild", script)
    assert spec is not None
    assert spec.loader is not None
    rebuild = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rebuild)
    model = rebuild.load()
    fits = case.fitting([[None, rebuild.LENGTHS.get(name)] for name in rebuild.INPUTS])
    with torch.no_grad():
        found = [model(*case.inputs[at]) for at in fits]
    yield case.near("outputs", found, case.outputs("smaller", fits), 1e-5)
