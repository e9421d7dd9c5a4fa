"""Do the criteria of a sweep remove the same channels? Scores of every layer, compared in pairs."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analysis.edits import PreparedSubject, scores, targets
from analysis.records import SweepSpec
from pruners.errors import InputError, UnsupportedError
from pruners.granularity import parse
from pruners.selection import keep_mask, num_kept


def removed_agreement(prepared: PreparedSubject, spec: SweepSpec, *, ratio: float) -> pd.DataFrame:
    """Compare what the criteria of a sweep remove from each of its layers.

    Args:
        prepared: The subject.
        spec: Names criteria, granularity, layers and how scores of coupled layers join.
        ratio: Fraction removed, 0..1.

    Returns:
        As `analysis.comparison.agreement`. Layers that a criterion does not score are
        left out of its pairs.

    Raises:
        InputError: A criterion needs data that the subject lacks.
    """
    prepared.prepare(spec.criteria)
    found: dict[str, dict[str, Tensor]] = {criterion: {} for criterion in spec.criteria}
    for target in targets(prepared, spec.granularity, spec.layers):
        if not target.prunable:
            continue
        for criterion in spec.criteria:
            with contextlib.suppress(UnsupportedError):
                found[criterion][target.layer] = scores(
                    prepared, target, criterion, reduction=spec.reduction
                )
    return agreement(found, ratio=ratio, keep_one=parse(spec.granularity).keep_one)


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
    table = pd.DataFrame({"first": _flat(first), "second": _flat(second)}).rank()
    return float(torch.corrcoef(torch.tensor(table.to_numpy().T))[0, 1])


def _flat(scores: Tensor) -> np.ndarray:
    return scores.detach().reshape(-1).to("cpu", torch.float64).numpy()


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
