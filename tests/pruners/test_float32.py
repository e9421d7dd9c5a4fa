"""How float32 is multiplied: in full, whatever the flags of the process are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import backends

from pruners.float32 import FLAGS, float32, strict


def flags() -> tuple[Any, ...]:
    older: list[object] = []
    for read in (
        lambda: backends.cudnn.allow_tf32,
        lambda: backends.cuda.matmul.allow_tf32,
        torch.get_float32_matmul_precision,
    ):
        try:
            older.append(read())
        except RuntimeError:
            older.append("refused")
    return (*(flag.fp32_precision for flag in FLAGS), *older)


def assert_left(found: tuple[Any, ...]) -> None:
    """What torch refused to read before, for it contradicts a newer flag, may be anything."""
    now = flags()
    assert [a for a, b in zip(now, found, strict=True) if b != "refused"] == [
        item for item in found if item != "refused"
    ]


@pytest.fixture(params=["usual", "high", "medium", "newer", "mixed"])
def found(request: pytest.FixtureRequest) -> Iterator[tuple[Any, ...]]:
    """Flags as some program may have set them."""
    before = [flag.fp32_precision for flag in FLAGS]
    if request.param in ("high", "medium"):
        torch.set_float32_matmul_precision(request.param)
    elif request.param == "newer":
        for flag in FLAGS:
            flag.fp32_precision = "tf32"
    elif request.param == "mixed":
        torch.set_float32_matmul_precision("medium")
        backends.cudnn.conv.fp32_precision = "ieee"
        backends.cuda.matmul.fp32_precision = "ieee"
    yield flags()
    torch.set_float32_matmul_precision("highest")
    backends.cudnn.allow_tf32 = True
    for flag, value in zip(FLAGS, before, strict=True):
        flag.fp32_precision = value


def test_flags_are_strict_inside_and_left_as_found(found: tuple[Any, ...]) -> None:
    with float32():
        # What torch itself reads does not raise either.
        assert flags() == (*["ieee"] * len(FLAGS), False, False, "highest")
        with float32("tf32"):
            assert flags() == (*["tf32"] * len(FLAGS), True, True, "high")
            with float32():
                assert set(flags()[: len(FLAGS)]) == {"ieee"}
            assert set(flags()[: len(FLAGS)]) == {"tf32"}
        assert set(flags()[: len(FLAGS)]) == {"ieee"}
    assert_left(found)


def test_threads_that_want_the_same_share_and_others_wait(found: tuple[Any, ...]) -> None:
    inside, leave = threading.Event(), threading.Event()
    seen: list[str] = []

    def hold() -> None:
        with float32():
            inside.set()
            leave.wait(10)

    def wait() -> None:
        with float32("tf32"):
            seen.append(FLAGS[0].fp32_precision)

    first = threading.Thread(target=hold)
    first.start()
    inside.wait(10)
    with float32():
        other = threading.Thread(target=wait)
        other.start()
        assert FLAGS[0].fp32_precision == "ieee"
    # The first thread is still at work, so the other one waits.
    assert FLAGS[0].fp32_precision == "ieee"
    assert not seen
    leave.set()
    first.join(10)
    other.join(10)
    assert seen == ["tf32"]
    assert_left(found)


def test_two_threads_that_change_their_mode_inside_do_not_block_each_other() -> None:
    done: list[int] = []
    together = threading.Barrier(2)

    def change(number: int) -> None:
        for step in range(50):
            with float32("tf32"):
                if step == 0:
                    together.wait(10)
                with float32():
                    assert FLAGS[0].fp32_precision == "ieee"
        done.append(number)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(done) == [0, 1]


def test_as_a_decorator() -> None:
    @strict
    def inner(value: int, *, add: int) -> tuple[int, str]:
        """Say something."""
        return value + add, FLAGS[1].fp32_precision

    assert inner(1, add=2) == (3, "ieee")
    assert inner.__doc__ == "Say something."
