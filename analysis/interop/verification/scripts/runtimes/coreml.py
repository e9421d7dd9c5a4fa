"""``model.mlpackage.zip`` as coremltools reads it, which runs on Apple's systems alone."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

from coremltools.proto import Model_pb2

PROGRAM = "model.mlpackage/Data/com.apple.CoreML/model.mlmodel"


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare the shapes of convolutions and linear layers with the smaller model's."""
    spec = Model_pb2.Model()
    with zipfile.ZipFile(case.folder / "model.mlpackage.zip") as package:
        spec.ParseFromString(package.read(PROGRAM))
    found: Counter[str] = Counter()
    for function in spec.mlProgram.functions.values():
        for block in function.block_specializations.values():
            found.update(_shapes(block.operations))
    state = case.state("smaller")
    expected = Counter(
        "x".join(map(str, item.shape))
        for name, item in state.items()
        if name.endswith(".weight") and item.dim() > 1 and name not in case.facts["tables"]
    )
    done = case.counts("shapes", found, expected)
    done["text"] += "; outputs are not compared: Core ML runs on Apple's systems alone"
    yield done


def _shapes(operations: Any) -> Iterator[str]:
    shapes = {
        item.name: "x".join(str(size.constant.size) for size in item.type.tensorType.dimensions)
        for operation in operations
        for item in operation.outputs
    }
    for operation in operations:
        if operation.type in ("conv", "conv_transpose", "linear"):
            yield shapes[operation.inputs["weight"].arguments[0].name]
