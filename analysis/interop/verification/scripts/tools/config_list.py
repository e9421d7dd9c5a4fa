"""NNI's config lists in the pruners of the version that the list is for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

try:
    from nni.compression.pruning import L1NormPruner, LevelPruner
except ImportError:  # before NNI 3
    from nni.compression.pytorch.pruning import L1NormPruner, LevelPruner


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare the kept counts of each layer with those that the plan asks for."""
    facts = json.loads((case.folder / "nni.json").read_text("utf-8"))
    configs = json.loads(case.file.read_text("utf-8"))
    found: dict[str, int] = {}
    for kind, pruner in (("channel", L1NormPruner), ("element", LevelPruner)):
        chosen = [item for item in configs if facts[item["op_names"][0]]["granularity"] == kind]
        if not chosen:
            continue
        _, masks = pruner(case.model("full"), chosen).compress()
        for item in chosen:
            layer = item["op_names"][0]
            mask = masks[layer]["weight"].bool()
            kept = mask.flatten(1).any(1) if kind == "channel" else mask
            found[layer] = int(kept.sum())
    yield case.counts("kept", found, {name: item["kept"] for name, item in facts.items()})
