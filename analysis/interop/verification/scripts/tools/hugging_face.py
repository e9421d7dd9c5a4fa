"""The folder ``hf`` in Transformers, offline."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import transformers


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Read the folder, with AutoModel as well; compare the outputs in the user's own code."""
    dense, folder = case.model("dense"), str(case.folder / "hf")
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    kind = getattr(transformers, config.architectures[0])
    for reader in (transformers.AutoModel, kind):
        model, info = reader.from_pretrained(
            folder, local_files_only=True, output_loading_info=True
        )
        wrong = ("mismatched_keys",) if reader is transformers.AutoModel else tuple(info)
        keys = {name: len(info[name]) for name in wrong if name.endswith("_keys")}
        yield case.counts(f"keys of {reader.__name__}", keys, dict.fromkeys(keys, 0))
    inner = next(item for item in dense.modules() if isinstance(item, transformers.PreTrainedModel))
    whole = copy.deepcopy(dense, {id(inner): model.eval()})
    yield case.near("outputs", case.answers(whole), case.outputs("smaller"), 1e-5)
