"""The size of a weights file is told without writing it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from analysis.measuring.file_size import DTYPES, file_bytes, safetensors_bytes
from tests.helpers.contexts import sample_context


def size_of(tensors: dict[str, Tensor], folder: Path) -> int:
    path = folder / "weights.safetensors"
    save_file({name: item.detach().contiguous() for name, item in tensors.items()}, str(path))
    return path.stat().st_size


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "vit_tiny"])
def test_samples(name: str, tmp_path: Path) -> None:
    model = sample_context(name).model
    assert file_bytes(model) == size_of(model.state_dict(), tmp_path)


def test_shared_and_non_contiguous_tensors(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(12, 12), nn.Linear(12, 12, bias=False), nn.BatchNorm1d(12))
    model[1].weight = model[0].weight
    model[2].weight = nn.Parameter(torch.ones(24)[::2])
    model[0].weight.data = model[0].weight.data.T
    assert not model[0].weight.is_contiguous()
    state = {name: item for name, item in model.state_dict().items() if name != "1.weight"}
    assert file_bytes(model) == size_of(state, tmp_path)


@pytest.mark.parametrize("seed", range(5))
def test_any_type_shape_and_name(seed: int, tmp_path: Path) -> None:
    """Offsets take one to seven digits, so the order of the tensors counts."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for dtype in (*DTYPES, torch.float32, torch.float32, torch.int64, torch.bool):
        dims = int(torch.randint(0, 4, (), generator=generator))
        shape = torch.randint(0, 30, (dims,), generator=generator)
        name = f'{"layér" if seed % 2 else "a.b"}."{len(tensors)}"' + "z" * seed
        tensors[name] = torch.zeros(shape.tolist()).to(dtype)
    assert safetensors_bytes(tensors) == size_of(tensors, tmp_path)
    assert safetensors_bytes({}) == size_of({}, tmp_path)


def test_a_type_that_the_format_does_not_know_is_counted() -> None:
    assert safetensors_bytes({"a": torch.zeros(100, dtype=torch.complex128)}) > 1600


def test_the_weights_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole model was serialised in memory to count its bytes."""
    big = nn.Linear(3000, 1000)
    monkeypatch.setattr(Tensor, "contiguous", lambda *_: pytest.fail("a tensor is copied"))
    tracemalloc.start()
    try:
        found = file_bytes(big)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found > 12_000_000
    assert peak < 1_000_000
