"""The accepted drop: in the address in the task's unit, everywhere else not scaled."""

from __future__ import annotations

from analysis.sentences import capital
from analysis.tasks import Words, scoring_of
from pages.components.state import url_state

NAME = "tolerance"


def words_of(task: str) -> Words:
    """Return how score and drop of a task are written."""
    return scoring_of(task).words


def accepted(task: str) -> float:
    """Return the largest drop that this session accepts."""
    words, chosen = words_of(task), url_state.value(NAME)
    return words.tolerance if chosen is None else float(chosen) / words.drop_scale


def ask(task: str, *, width: int, help: str) -> None:
    """Draw the field for it; the help begins with what a drop is called."""
    words = words_of(task)
    url_state.number(
        NAME,
        f"Tolerance ({words.drop_unit})" if words.drop_unit else "Tolerance",
        unset=words.tolerance * words.drop_scale,
        min_value=0.0,
        max_value=100.0,
        step=0.25,
        width=width,
        help=f"{capital(words.drop_label)} {help}",
    )
