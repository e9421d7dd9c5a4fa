"""Neural Compressor's configuration, in its pruning, by the script that was exported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare kept counts."""
    model = case.model("full")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    case.script("recipe_neural_compressor.py").prune(model, optimizer)
    yield case.kept(model, "recipe_neural_compressor.py")
