"""What commands print: tables for people, JSON for machines, progress and errors beside it."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO, cast

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from analysis.records import Document

if TYPE_CHECKING:
    from analysis.tasks import Words


# Exit codes.
FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
MAX_LINE = 2000


def say_error(error: object, *, code: int) -> int:
    """Print one line to the standard error and return the exit code."""
    line = " ".join(str(error).split())
    if len(line) > MAX_LINE:
        # What was asked may be repeated at any length; what is wrong with it stands at the end.
        line = f"{line[: MAX_LINE // 2]} ... {line[-MAX_LINE // 2 :]}"
    print(f"prunescope: {line}", file=sys.stderr)
    return code


def say(text: str) -> None:
    """Print a remark for people, beside what a machine may read."""
    Console(stderr=True, highlight=False, emoji=False).print(text, markup=False, soft_wrap=True)


def say_notes(notes: Iterable[str]) -> None:
    """Print what a person should know, a line each."""
    for note in notes:
        say(note)


class _Answer:
    """The command's answer.

    Attributes:
        is_printed: Whether its object is printed: there is one only, also after Ctrl-C.
        stream: Where it goes while what others print does not; None for the standard output.
    """

    is_printed = False
    stream: TextIO | None = None


class _Beside:
    """The standard error for who prints to the standard output; closing it closes nothing."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)

    def close(self) -> None:
        """Leave the standard error open."""


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Keep the standard output for the answer: what users' code prints goes beside it."""
    _Answer.stream = sys.stdout
    try:
        with contextlib.redirect_stdout(cast("TextIO", _Beside())):
            yield
    finally:
        _Answer.stream = None


def new_answer() -> None:
    """Begin a command: nothing is printed yet."""
    _Answer.is_printed = False


def answer(text: str) -> None:
    """Print what the command was asked for, for people or machines."""
    print(text, file=_Answer.stream or sys.stdout, flush=True)


def is_answered() -> bool:
    """Return whether the command has printed its object."""
    return _Answer.is_printed


def print_json(value: Document | dict[str, Any]) -> None:
    """Print one JSON object; what is not a number becomes null."""
    given = value.to_dict() if isinstance(value, Document) else value
    text = json.dumps(_finite(given), allow_nan=False)
    _Answer.is_printed = True
    answer(text)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        # + 0.0: a change of -0.0 is none.
        return value + 0.0 if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: str = ""
) -> None:
    """Print a table.

    Args:
        title: Above it.
        columns: Headings.
        rows: Cells.
        right: Headings of right-aligned columns, joined by commas.
    """
    table = Table(box=None, pad_edge=False)
    numbers = set(filter(None, right.split(",")))
    for name in columns:
        table.add_column(
            name, justify="right" if name in numbers else "left", no_wrap=name in numbers
        )
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    # In a pipe there is no width to fit in; cut names would be of no use to anyone.
    stream = _Answer.stream or sys.stdout
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(file=stream, highlight=False, markup=False, emoji=False, width=200)
    # A title of the table itself would be wrapped at the width of a narrow one.
    console.print(title, style="italic")
    console.print(table)


def duration(seconds: float | None) -> str:
    """Write a time: ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds is None or not math.isfinite(seconds):
        return "unknown"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def progress_bar() -> Progress:
    """Return a progress bar with the expected time left, drawn on terminals only."""
    console = Console(stderr=True, emoji=False)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}", markup=False),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def score_columns(words: Words) -> tuple[str, str, str]:
    """Return the titles of score, interval and drop."""
    return words.label, "interval", f"{words.drop_noun} {words.drop_unit}".rstrip()


def right_columns(words: Words) -> str:
    """Return those of them that are numbers, for `print_table`."""
    score, _, drop = score_columns(words)
    return f"{score},{drop}"


def drop_text(words: Words, drop: float, low: float, high: float) -> str:
    """Return a drop with its interval."""
    return f"{words.drop(drop)} ({words.drop(low)} to {words.drop(high)})"
