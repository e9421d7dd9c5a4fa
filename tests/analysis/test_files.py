"""Files come whole or not at all, and messages word counts and names in one way."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from analysis.files import atomic, write_text
from analysis.sentences import listed, plural
from pruners.errors import first_line, one_line


def test_a_file_is_replaced_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_text(path, "old")
    with atomic(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
        assert partial.parent == path.parent
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_text(path, "old")

    def write_half() -> None:
        with atomic(path) as partial:
            partial.write_text("half")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    with atomic(path) as first, atomic(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"


def test_words() -> None:
    assert (plural(1, "layer"), plural(3000, "layer")) == ("1 layer", "3,000 layers")
    assert plural(2, "axis", "axes") == "2 axes"
    assert listed("abc") == "a, b, c"
    assert listed("abcde") == "a, b, c and 2 more"
    assert listed(iter("ab"), most=1) == "a and 1 more"


def test_lines_of_exceptions() -> None:
    error = ValueError("\n  first \nsecond")
    assert (first_line(error), one_line(error)) == ("first", "ValueError: first")
    assert one_line(KeyError()) == "KeyError: no reason"


@pytest.mark.parametrize("path", [".", "/", ""])
def test_a_file_needs_a_name(path: str) -> None:
    """``--out .`` was a traceback."""
    with pytest.raises(IsADirectoryError):
        write_text(Path(path), "x")


def test_devices_and_links_stay_what_they_are(tmp_path: Path) -> None:
    """``--out /dev/null`` put a file in its place, for all programs."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    with ThreadPoolExecutor() as pool:
        read = pool.submit((tmp_path / "pipe").read_text)
        write_text(tmp_path / "pipe", "through")
        assert read.result() == "through"
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["link", "pipe", "real"]
