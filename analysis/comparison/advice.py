"""Advice with its evidence: what the measured curves say to do first, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.comparison.criteria import comparability, win_matrix
from analysis.curves import NOT_PRUNABLE, criteria_of, resolution, tolerated
from analysis.records import DEFAULT_TASK
from analysis.sentences import capital, listed, percent, plural
from analysis.tasks import Words, scoring_of
from pruners.criteria import label_of

EASY = 0.5
FRAGILE = 0.1
LARGE = 0.1


@dataclass(frozen=True, slots=True)
class Advice:
    """One sentence and the layers that it is about.

    Attributes:
        kind: ``first``, ``careful``, ``criterion``, ``samples`` or ``partial``.
        text: What to do, and why.
        layers: The layers, for a selection.
    """

    kind: str
    text: str
    layers: tuple[str, ...] = ()


def advise(
    points: pd.DataFrame,
    *,
    tolerance: float,
    shares: Mapping[str, float] | None = None,
    task: str = DEFAULT_TASK,
) -> list[Advice]:
    """Read the curves of a run for a person.

    Args:
        points: The points table.
        tolerance: Largest accepted drop, as a fraction.
        shares: Share of the model's parameters that removing each curve's whole group saves, by
            layer, 0..1.
        task: Says how drops are written.

    Returns:
        Advice, most useful first; empty without points.
    """
    if points.empty:
        return []
    table = tolerated(points, tolerance=tolerance)
    known = table[(table["status"] != NOT_PRUNABLE) & (table["measured"] > 0)]
    if known.empty:
        return []
    words = scoring_of(task).words
    # Of each layer what its best criterion tolerates.
    best = known.sort_values("low", ascending=False, kind="stable").drop_duplicates("layer")
    found = [
        *_first(best, shares or {}, tolerance=tolerance, words=words),
        *_careful(known, tolerance=tolerance, words=words),
        *_criterion(points, tolerance=tolerance),
        *_samples(points, tolerance=tolerance, words=words),
    ]
    partial = tuple(dict.fromkeys(known.loc[known["partial"].astype(bool), "layer"]))
    if partial:
        found.append(
            Advice("partial", f"{plural(len(partial), 'layer')} measured in part only.", partial)
        )
    return found


def _first(
    best: pd.DataFrame, shares: Mapping[str, float], *, tolerance: float, words: Words
) -> list[Advice]:
    easy = best[best["low"] >= EASY - 1e-9]
    large = [str(name) for name in easy["layer"] if shares.get(name, 0.0) >= LARGE]
    large.sort(key=lambda name: -shares[name])
    if large:
        taken = [f"{name} ({percent(shares[name])})" for name in large]
        taken[0] = f"{large[0]} (takes {percent(shares[large[0]])} of the parameters)"
        return [
            Advice(
                "first",
                f"{_names(taken)} {_tolerate(large)} at least {percent(EASY)} within "
                f"{words.limit(tolerance)}: start there.",
                tuple(large),
            )
        ]
    if len(easy):
        names = list(easy["layer"])
        return [
            Advice(
                "first",
                f"{_names(names)} {_tolerate(names)} at least {percent(EASY)} within "
                f"{words.limit(tolerance)}.",
                tuple(names),
            )
        ]
    return []


def _careful(known: pd.DataFrame, *, tolerance: float, words: Words) -> list[Advice]:
    most = known.groupby("layer", sort=False)["high"].max()
    fragile = [str(name) for name, high in most.items() if high < FRAGILE - 1e-9]
    if not fragile:
        return []
    they = "it does" if len(fragile) == 1 else "they do"
    return [
        Advice(
            "careful",
            f"Leave {_names(fragile)} alone: {they} not tolerate {percent(FRAGILE)} within "
            f"{words.limit(tolerance)} by any criterion.",
            tuple(fragile),
        )
    ]


def _criterion(points: pd.DataFrame, *, tolerance: float) -> list[Advice]:
    criteria = criteria_of(points)
    if len(criteria) < 2 or comparability(points):
        return []
    wins = win_matrix(points, tolerance=tolerance)
    contested = wins[wins["outcome"].isin(["best", "tied", "worse"])]
    if contested.empty:
        return []
    worse = contested[contested["outcome"] == "worse"]
    if worse.empty:
        return [
            Advice(
                "criterion",
                f"No criterion is surely better in any layer: {_labels(criteria)} are tied, so "
                "take the cheapest.",
            )
        ]
    losers = set(worse["criterion"])
    winners = [name for name in criteria if name not in losers]
    if winners:
        return [
            Advice("criterion", f"{_labels(winners)} is best or tied in every layer.")
            if len(winners) == 1
            else Advice("criterion", f"{_labels(winners)} are best or tied in every layer.")
        ]
    layers = tuple(dict.fromkeys(worse["layer"]))
    return [
        Advice(
            "criterion",
            f"No criterion is best everywhere: choosing one per layer matters in {_names(layers)}.",
            layers,
        )
    ]


def _samples(points: pd.DataFrame, *, tolerance: float, words: Words) -> list[Advice]:
    smallest = resolution(points)
    if not smallest > tolerance:
        return []
    return [
        Advice(
            "samples",
            f"{capital(words.drop_noun)}s under {words.amount(smallest)} cannot be told from none "
            f"with {plural(int(points['samples'].max()), 'sample')}; the tolerance is "
            f"{words.limit(tolerance)}, so measure more.",
        )
    ]


def _labels(criteria: Sequence[str]) -> str:
    return _names([label_of(name) for name in criteria])


def _names(names: Sequence[str]) -> str:
    names = list(names)
    if len(names) > 4:
        return listed(names)
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _tolerate(names: Sequence[str]) -> str:
    return "tolerates" if len(names) == 1 else "tolerate"
