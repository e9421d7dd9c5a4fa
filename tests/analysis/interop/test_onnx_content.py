"""What an ONNX file holds beside the model: nothing, and names for its free sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from analysis import interop, plans, runtimes
from tests.analysis.interop.test_export import paths_of, request, some_plan
from tests.helpers.contexts import sample_context


def test_an_onnx_file_tells_nothing_of_the_machine_and_its_code(tmp_path: Path) -> None:
    """Each node had lines of the user's code with their paths.

    A small model's file was larger by them than the dense model's weights.
    """
    pytest.importorskip("onnxruntime")
    done = interop.export("onnx", request(tmp_path / "out"))
    content = paths_of(done)[0].read_bytes()
    for word in (b"forward", str(Path(torch.__file__).parent).encode(), b"lenet", b"nn.modules"):
        assert word not in content
    weights = sum(
        item.numel() * item.element_size()
        for item in plans.removed_model(sample_context("lenet5"), some_plan()).parameters()
    )
    assert weights < len(content) < weights + 8_000


def test_branches_of_an_onnx_file_tell_nothing_either() -> None:
    onnx = pytest.importorskip("onnx")

    class Branching(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return torch.cond(inputs.sum() > 0, torch.sin, torch.cos, (inputs,))

    content = runtimes.as_onnx(Branching().eval(), torch.randn(2, 3))
    kinds = [node.op_type for node in onnx.load_from_string(content).graph.node]
    assert "If" in kinds
    for word in (b"stack_trace", b"namespace", str(Path(torch.__file__).parent).encode()):
        assert word not in content


def test_a_free_length_of_an_onnx_file_has_a_name() -> None:
    """It was called s27, or another number."""
    onnx = pytest.importorskip("onnx")
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 3)).eval()
    tokens = torch.arange(16).reshape(2, 8) % 9
    graph = onnx.load_from_string(runtimes.as_onnx(model, tokens)).graph
    sizes = [
        [size.dim_param or size.dim_value for size in item.type.tensor_type.shape.dim]
        for item in (*graph.input, *graph.output, *graph.value_info)
    ]
    assert sizes[:2] == [["batch", "length"], ["batch", "length", 3]]
    names = {size for item in sizes for size in item if isinstance(size, str)}
    assert names == {"batch", "length"}
