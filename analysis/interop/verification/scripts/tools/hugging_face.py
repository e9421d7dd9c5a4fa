"""The folder ``hf`` in Transformers, offline."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch

try:
    import torchvision  # noqa: F401  # Transformers imports it where it is there
except RuntimeError:
    # Compiled for another torch: its operators are missing, which nothing here calls.
    _library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for _name in ("nms", "qnms"):
        _library.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import transformers


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Read the folder, with AutoModel as well; compare the outputs in the user's own code."""
    folder = str(case.folder / "hf")
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    kind = getattr(transformers, config.architectures[0])
    for reader in (transformers.AutoModel, kind):
        model, info = reader.from_pretrained(
            folder, local_files_only=True, output_loading_info=True
        )
        wrong = ("mismatched_keys",) if reader is transformers.AutoModel else tuple(info)
        keys = {name: len(info[name]) for name in wrong if name.endswith("_keys")}
        yield case.counts(f"keys of {reader.__name__}", keys, dict.fromkeys(keys, 0))
    dense = case.model("dense")
    inner = next(item for item in dense.modules() if isinstance(item, transformers.PreTrainedModel))
    with torch.no_grad():
        whole = copy.deepcopy(dense, {id(inner): model.eval()})
        yield case.near(
            "outputs", [whole(part) for part in case.inputs], case.outputs("smaller"), 1e-5
        )
