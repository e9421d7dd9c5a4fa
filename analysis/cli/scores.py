"""Scores in JSON: under the task's name and the way round that people count them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.tasks import Words

_NAME = "accuracy"
_SCORES = (_NAME, "score", *(f"{model}_{_NAME}" for model in ("dense", "pruned", "repaired")))
# Lower and upper end of a score's interval; the first two only beside a score.
_ENDS = (("low", "high"), (f"{_NAME}_low", f"{_NAME}_high"))


def score_facts(words: Words) -> dict[str, str]:
    """Return what tells a program how to read a score: its name, and which way is better."""
    return {"metric": words.column, "better": "higher" if words.scale > 0 else "lower"}


def with_scores(found: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """Return a document whose scores people can read, and how to read them.

    In PruneScope a score is the higher the better; ``accuracy`` is the score of any task. A
    perplexity of 13.4 is -13.4 there, and here ``perplexity``: 13.4. For classification, whose
    score is an accuracy, names and numbers stay.

    >>> from analysis.tasks import scoring_of
    >>> with_scores({"accuracy": -13.4, "low": -15.0, "high": -12.0, "drop": 0.1},
    ...             scoring_of("language_modelling").words)
    {'perplexity': 13.4, 'low': 12.0, 'high': 15.0, 'drop': 0.1, 'metric': 'perplexity', \
'better': 'lower'}
    """
    return {**_counted(found, words), **score_facts(words)}


def _counted(found: Any, words: Words) -> Any:
    if isinstance(found, Mapping):
        source = _sources(found, words)
        return {
            name.replace(_NAME, words.column) if name in source else name: (
                _turned(found[source[name]], words) if name in source else _counted(item, words)
            )
            for name, item in found.items()
        }
    if isinstance(found, list | tuple):
        return [_counted(item, words) for item in found]
    return found


def _sources(found: Mapping[str, Any], words: Words) -> dict[str, str]:
    """Return the names of scores and of their ends, each with that of the value for it."""
    names = {name: name for name in _SCORES if name in found}
    for low, high in _ENDS if names else _ENDS[1:]:
        if low in found:
            names |= {low: low, high: high} if words.scale > 0 else {low: high, high: low}
    return names


def _turned(score: float | None, words: Words) -> float | None:
    return None if score is None else words.in_files(score)
