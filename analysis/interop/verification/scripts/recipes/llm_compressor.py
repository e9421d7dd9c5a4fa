"""llm-compressor's recipe, in the session that its ``oneshot`` runs.

``oneshot`` itself takes models of Transformers alone.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare kept counts with those that the recipe's table says the tool keeps."""
    case.ready_torchvision()
    session = importlib.import_module("llmcompressor.core").active_session()
    pipeline = importlib.import_module("llmcompressor.pipelines.basic").BasicPipeline()
    model, recipe = case.model("full").requires_grad_(True), "recipe_llm_compressor.yaml"
    names = inspect.signature(model.forward).parameters
    given = [case.given(batch) for batch in case.inputs]
    rows = [item if isinstance(item, tuple | dict) else (item,) for item in given]
    # It gives all inputs by name.
    batches = [
        row if isinstance(row, dict) else dict(zip(names, row, strict=False)) for row in rows
    ]
    session.reset()
    path = str(case.folder / recipe)
    # Without targets it asks a model of Transformers for its blocks.
    session.initialize(
        model=model, start=-1, recipe=path, calib_data=batches, sequential_targets=[]
    )
    pipeline(model, batches, None)
    session.finalize()
    yield case.kept(model, recipe)
