from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from analysis.memory import is_out_of_memory, parse_bytes
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
    for other in (KeyError("memory"), InputError("out of memory"), RuntimeError("memory format")):
        assert not is_out_of_memory(other)
