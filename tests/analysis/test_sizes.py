from __future__ import annotations

import pytest

from analysis.memory import parse_bytes
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
