"""Compare criteria: who lets each layer lose most, and do they remove the same channels?"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analysis.curves import NOT_PRUNABLE, criteria_of, curve_arrays, is_known, tolerated
from pruners.errors import InputError
from pruners.masks import keep_mask, num_kept

WIN_COLUMNS = ["layer", "criterion", "tolerated", "low", "high", "outcome", "partial"]


def comparability(points: pd.DataFrame) -> list[str]:
    """Say why criteria of this table must not be compared; empty when they may.

    Criteria are comparable when all known points were measured on the same number of samples (one
    run evaluates all on one subset) at one granularity.
    """
    reasons = []
    known = points[is_known(points)]
    granularities = sorted(known["granularity"].unique())
    if len(granularities) > 1:
        reasons.append(f"granularities differ: {', '.join(granularities)}")
    samples = known.groupby("criterion", sort=False)["samples"].max()
    if samples.nunique() > 1:
        reasons.append(
            "sample counts differ: "
            + ", ".join(f"{name} {int(count)}" for name, count in samples.items())
        )
    return reasons


def win_matrix(points: pd.DataFrame, *, tolerance: float) -> pd.DataFrame:
    """Say for each layer which criteria let it lose most within the tolerance.

    Args:
        points: The points table.
        tolerance: Largest accepted drop, as a fraction.

    Returns:
        One row per layer and criterion: ``layer, criterion, tolerated, low, high, outcome,
        partial``. Outcome is ``best`` (surely more than every other), ``tied`` (no other is surely
        more), ``worse`` (another is surely more) or ``n/a`` (no point measured). A layer with one
        measured criterion has no contest: its outcome is ``only``.
    """
    table = tolerated(points, tolerance=tolerance)
    criteria = criteria_of(points)
    by_layer: dict[str, dict[str, dict[Hashable, Any]]] = {}
    for row in table[table["status"] != NOT_PRUNABLE].to_dict("records"):
        known = by_layer.setdefault(row["layer"], {})
        if row["measured"]:
            known[row["criterion"]] = row
    rows = []
    for layer, found in by_layer.items():
        for criterion in criteria:
            if criterion not in found:
                rows.append([layer, criterion, np.nan, np.nan, np.nan, "n/a", True])
                continue
            row = found[criterion]
            others = [other for name, other in found.items() if name != criterion]
            ends = [row["tolerated"], row["low"], row["high"]]
            rows.append([layer, criterion, *ends, _outcome(row, others), row["partial"]])
    return pd.DataFrame(rows, columns=WIN_COLUMNS)


def _outcome(row: Mapping[Hashable, Any], others: Sequence[Mapping[Hashable, Any]]) -> str:
    if not others:
        return "only"
    if any(other["low"] > row["high"] for other in others):
        return "worse"
    return "best" if all(row["low"] > other["high"] for other in others) else "tied"


def best_or_tied(wins: pd.DataFrame) -> dict[str, list[str]]:
    """Return the criteria of each layer that no other surely beats, highest tolerated first."""
    winners = wins[wins["outcome"].isin(["best", "tied", "only"])]
    ordered = winners.sort_values("tolerated", ascending=False, kind="stable")
    result: dict[str, list[str]] = {layer: [] for layer in dict.fromkeys(wins["layer"])}
    for layer, criterion in zip(ordered["layer"], ordered["criterion"], strict=True):
        result[layer].append(criterion)
    return result


def leading(table: pd.DataFrame, *, most: int, first: Sequence[str] = ()) -> list[str]:
    """Return the criteria to show where not all fit.

    Args:
        table: Rows of what `analysis.curves.tolerated` returned.
        most: How many.
        first: Those to show in any case.

    Returns:
        ``first``, then those that tolerate most on average; in the order of the table.
    """
    means = table.groupby("criterion", sort=False)["tolerated"].mean()
    ranked = means.sort_values(ascending=False, kind="stable").index
    names = [name for name in (*first, *ranked) if name in means.index]
    chosen = list(dict.fromkeys(names))[:most]
    return [str(name) for name in means.index if name in chosen]


def summary(
    points: pd.DataFrame, *, tolerance: float, weights: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """Summarise each criterion over the layers.

    Args:
        points: The points table.
        tolerance: Largest accepted drop, as a fraction.
        weights: Parameters by layer, for the weighted means; None weighs layers alike.

    Returns:
        One row a criterion: ``criterion, layers, mean_tolerated, weighted_tolerated, mean_drop``
        (weighted mean over the layers of the area under the drop curve between its first and last
        ratio, divided by that width: a mean drop as a fraction, lower is better), ``best, tied,
        worse, missing`` (numbers of layers), ``seconds`` (evaluation time).
    """
    wins = win_matrix(points, tolerance=tolerance)
    measured = points[is_known(points)]
    areas = {
        (key[0], key[2]): mean_drop(curve["ratio_achieved"], curve["accuracy_drop"])
        for key, curve in curve_arrays(measured, ["ratio_achieved", "accuracy_drop"])
    }
    rows = []
    for criterion in criteria_of(points):
        own = wins[wins["criterion"] == criterion]
        count = own["outcome"].value_counts()
        found = own[own["outcome"] != "n/a"]
        weight = np.array([float((weights or {}).get(name, 1)) for name in found["layer"]])
        area = np.array([areas[criterion, name] for name in found["layer"]])
        rows.append(
            {
                "criterion": criterion,
                "layers": len(found),
                "mean_tolerated": _mean(found["tolerated"].to_numpy(dtype=float)),
                "weighted_tolerated": _mean(found["tolerated"].to_numpy(dtype=float), weight),
                "mean_drop": _mean(area, weight),
                "best": int(count.get("best", 0)),
                "tied": int(count.get("tied", 0)),
                "worse": int(count.get("worse", 0)),
                "missing": int(count.get("n/a", 0)),
                "seconds": float(points.loc[points["criterion"] == criterion, "seconds"].sum()),
            }
        )
    return pd.DataFrame(rows)


def mean_drop(ratios: np.ndarray, drops: np.ndarray) -> float:
    """Return the mean drop of one curve from ratio 0 to its last point, by the trapezoid rule."""
    ratios = np.concatenate([[0.0], ratios.astype(float)])
    drops = np.concatenate([[0.0], drops.astype(float)])
    width = ratios[-1] - ratios[0]
    area = ((drops[1:] + drops[:-1]) / 2 * np.diff(ratios)).sum()
    return float(area / width) if width > 0 else float("nan")


def _mean(values: np.ndarray, weights: np.ndarray | None = None) -> float:
    if weights is None:
        weights = np.ones_like(values)
    known = ~np.isnan(values)
    total = float(weights[known].sum())
    return float((values[known] * weights[known]).sum() / total) if total > 0 else float("nan")


def jaccard(first: Tensor, second: Tensor) -> float:
    """Return |both| / |either| of two boolean tensors; 1 when both are empty."""
    either = int((first | second).sum())
    return int((first & second).sum()) / either if either else 1.0


def expected_jaccard(removed: int, total: int) -> float:
    """Return the Jaccard index of two independent random choices of ``removed`` of ``total``.

    Exact: the overlap of two random choices is hypergeometric.
    """
    if removed == 0:
        return 1.0
    first = max(0, 2 * removed - total)
    overlaps = torch.arange(first, removed + 1, dtype=torch.float64)
    log_ways = _log_choose(removed, overlaps) + _log_choose(total - removed, removed - overlaps)
    chances = torch.softmax(log_ways, dim=0)
    return float((chances * overlaps / (2 * removed - overlaps)).sum())


def _log_choose(total: int, chosen: Tensor) -> Tensor:
    count = torch.tensor(float(total), dtype=torch.float64)
    return torch.lgamma(count + 1) - torch.lgamma(chosen + 1) - torch.lgamma(count - chosen + 1)


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Return Spearman's rank correlation of two score tensors; ties take their mean rank.

    NaN when one of them does not vary.
    """
    ranks = torch.stack([_mean_ranks(first), _mean_ranks(second)])
    centred = ranks - ranks.mean(dim=1, keepdim=True)
    norms = centred.norm(dim=1)
    if bool((norms == 0).any()):
        return float("nan")
    return float((centred[0] @ centred[1]) / (norms[0] * norms[1]))


def _mean_ranks(scores: Tensor) -> Tensor:
    flat = scores.reshape(-1).to(torch.float64).cpu()
    _, places, counts = torch.unique(flat, return_inverse=True, return_counts=True)
    ranks: Tensor = counts.cumsum(0) - (counts - 1) / 2
    return ranks[places].to(torch.float64)


def agreement(
    scores: Mapping[str, Mapping[str, Tensor]], *, ratio: float, keep_one: bool = True
) -> pd.DataFrame:
    """Compare what pairs of criteria remove from each layer.

    Args:
        scores: Criterion -> layer -> scores of its units, higher is kept.
        ratio: Fraction removed, 0..1.
        keep_one: One unit always stays (channels, heads).

    Returns:
        One row per layer and pair: ``layer, first, second, jaccard`` (of the removed sets),
        ``by_chance`` (what two random choices would share), ``spearman, removed, total``. Layers
        that a criterion of the pair did not score are left out.

    Raises:
        InputError: Two criteria score different numbers of units of one layer.
    """
    rows = []
    for first, second in itertools.combinations(scores, 2):
        for layer, one in scores[first].items():
            if layer not in scores[second]:
                continue
            other = scores[second][layer]
            if one.numel() != other.numel():
                raise InputError(
                    f"{layer}: {first} scores {one.numel()} units, {second} {other.numel()}"
                )
            kept = num_kept(ratio, one.numel(), keep_one=keep_one)
            removed = one.numel() - kept
            share = jaccard(
                ~keep_mask(one.reshape(-1), kept).cpu(), ~keep_mask(other.reshape(-1), kept).cpu()
            )
            chance = expected_jaccard(removed, one.numel())
            rho = rank_correlation(one, other)
            rows.append([layer, first, second, share, chance, rho, removed, one.numel()])
    return pd.DataFrame(
        rows,
        columns=[
            "layer",
            "first",
            "second",
            "jaccard",
            "by_chance",
            "spearman",
            "removed",
            "total",
        ],
    )


def agreement_matrix(pairs: pd.DataFrame, *, value: str = "jaccard") -> pd.DataFrame:
    """Average `agreement` over layers to a symmetric criterion x criterion table, diagonal 1."""
    names = list(dict.fromkeys([*pairs["first"], *pairs["second"]]))
    table = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    for (first, second), rows in pairs.groupby(["first", "second"], sort=False):
        table.loc[first, second] = table.loc[second, first] = rows[value].mean()
    return table
