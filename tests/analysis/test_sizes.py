from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import numpy as np
import pytest
import torch

from analysis.memory import is_out_of_memory, parse_bytes
from analysis.subjects.subject import _moved
from pruners.errors import InputError


@pytest.mark.parametrize(
    ("text", "size"),
    [("1GiB", 2**30), ("512 mib", 2**29), (" 1.5GB ", 1_500_000_000), ("2KiB", 2048)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "1", "GiB", "-1GiB", "1TiB", "1GiB2", "one GiB"])
def test_what_is_no_size_is_one_line(text: str) -> None:
    with pytest.raises(InputError, match="written like 512MiB") as caught:
        parse_bytes(text)
    assert "\n" not in str(caught.value)


def raised(call: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        call()
    return caught.value


def wrapped() -> None:
    try:
        torch.empty(2**50)
    except RuntimeError as error:
        raise InputError("the data raised in batch 3 of 4") from error


def replaced() -> None:
    try:
        torch.empty(2**50)
    except RuntimeError:
        raise InputError("the data raised in batch 3 of 4") from None


def test_lack_of_memory_is_known_whoever_says_so() -> None:
    """The processor's is the real one of this version of torch, for its words are all it has."""
    for call in (lambda: torch.empty(2**50), lambda: np.empty(2**50), wrapped, replaced):
        assert is_out_of_memory(raised(call))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    for text in (
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "MPS backend out of memory (MPS allocated: 18.04 GB, other allocations: 94.67 MB)",
    ):
        assert is_out_of_memory(RuntimeError(text))
        assert not is_out_of_memory(KeyError(text))
    for other in (KeyError("memory"), InputError("out of memory"), RuntimeError("memory format")):
        assert not is_out_of_memory(other)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUDA error: out of memory")],
)
def test_a_model_that_does_not_fit_is_told_with_its_size(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = torch.nn.Linear(2**14, 2**13, bias=False, device="meta")
    full = mock.Mock(side_effect=error)
    monkeypatch.setattr(model, "to", full)
    with pytest.raises(InputError, match=r"takes 0\.5 GiB and does not fit on device 'cpu'"):
        _moved(model, torch.device("cpu"))
    full.assert_called_once()
