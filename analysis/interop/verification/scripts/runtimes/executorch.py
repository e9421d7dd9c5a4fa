"""``model.pte`` in ExecuTorch's runtime."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from executorch.runtime import Runtime
from torch import Tensor


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare the outputs with the smaller model's; the program takes one sample at a time."""
    program = Runtime.get().load_program(str(case.folder / "model.pte"))
    method = program.load_method("forward")
    found: list[Tensor] = []
    for batch in case.inputs:
        samples = list(zip(*(part.split(1) for part in batch), strict=True))
        try:
            found.append(torch.cat([method.execute(list(one))[0].clone() for one in samples]))
        except RuntimeError:
            # Programs of texts of one length take no shorter ones.
            if len(found) < 2:
                raise
    yield case.near("outputs", found, case.outputs("smaller", range(len(found))), 1e-5)
