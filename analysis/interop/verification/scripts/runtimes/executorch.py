"""``model.pte`` in ExecuTorch's runtime."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from executorch.runtime import Runtime


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare the outputs with the smaller model's; the program takes one sample at a time."""
    program = Runtime.get().load_program(str(case.folder / "model.pte"))
    method = program.load_method("forward")
    found = [
        torch.cat([method.execute([one])[0].clone() for one in part.split(1)])
        for part in case.inputs
    ]
    yield case.near("outputs", found, case.outputs("smaller"), 1e-5)
