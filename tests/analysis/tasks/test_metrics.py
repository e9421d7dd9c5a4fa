"""Counts of a batch against a loop over samples."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from analysis.records.sums import Sums
from analysis.tasks import CLASSIFICATION, is_finite


def batch_sums(dense: Tensor, logits: Tensor, labels: Tensor | None) -> Sums:
    return CLASSIFICATION.sums(CLASSIFICATION.vector(dense, logits, labels).tolist())


def reference_sums(dense: Tensor, logits: Tensor, labels: Tensor | None) -> dict[str, float]:
    sums = dict.fromkeys(["correct", "gained", "lost", "agree", "loss", "kl"], 0.0)
    for row, (was, now) in enumerate(zip(dense.tolist(), logits.tolist(), strict=True)):
        top_was, top_now = was.index(max(was)), now.index(max(now))
        label = top_was if labels is None else int(labels[row])
        sums["correct"] += top_now == label
        sums["gained"] += top_now == label and top_was != label
        sums["lost"] += top_now != label and top_was == label
        sums["agree"] += top_now == top_was
        log_was, log_now = reference_log_softmax(was), reference_log_softmax(now)
        sums["kl"] += sum(math.exp(p) * (p - q) for p, q in zip(log_was, log_now, strict=True))
        if labels is not None:
            sums["loss"] -= log_now[label]
    return sums


def reference_log_softmax(row: list[float]) -> list[float]:
    total = math.log(math.fsum(math.exp(value) for value in row))
    return [value - total for value in row]


@pytest.mark.parametrize("labelled", [True, False])
def test_sums_equal_a_loop(labelled: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(50, 7, generator=generator) * 3
    logits = dense + torch.randn(50, 7, generator=generator)
    labels = torch.randint(0, 7, (50,), generator=generator) if labelled else None
    found = batch_sums(dense, logits, labels)
    dense_right = batch_sums(dense, dense, labels)["correct"]
    assert found.samples == 50
    for name, value in reference_sums(dense, logits, labels).items():
        assert found[name] == pytest.approx(value, abs=1e-9)
    assert found["correct"] == dense_right + found["gained"] - found["lost"]


def test_identical_logits_have_no_divergence() -> None:
    logits = torch.tensor([[80.0, -80.0, 0.0], [1.0, 2.0, 3.0]])
    assert batch_sums(logits, logits, None) == Sums(
        samples=2,
        terms={"correct": 2, "gained": 0, "lost": 0, "agree": 2, "loss": 0.0, "kl": 0.0},
    )


def test_a_certain_dense_answer_has_a_finite_divergence() -> None:
    dense = torch.tensor([[1000.0, -1000.0]])
    vector = CLASSIFICATION.vector(dense, torch.tensor([[0.0, 0.0]]), None).tolist()
    assert is_finite(vector)
    assert CLASSIFICATION.sums(vector)["kl"] == pytest.approx(math.log(2))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("labels", [torch.tensor([0, 1]), None])
def test_logits_that_are_not_finite_show(bad: float, labels: Tensor | None) -> None:
    dense = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    logits = torch.tensor([[1.0, bad], [3.0, 4.0]])
    assert not is_finite(CLASSIFICATION.vector(dense, logits, labels).tolist())


def test_shards_add_up() -> None:
    generator = torch.Generator().manual_seed(0)
    dense, logits = torch.randn(2, 9, 4, generator=generator)
    labels = torch.randint(0, 4, (9,), generator=generator)
    whole = batch_sums(dense, logits, labels)
    parts = batch_sums(dense[:5], logits[:5], labels[:5]) + batch_sums(
        dense[5:], logits[5:], labels[5:]
    )
    assert parts.samples == whole.samples
    assert (parts["correct"], parts["lost"]) == (whole["correct"], whole["lost"])
    assert parts["loss"] == pytest.approx(whole["loss"])
    assert CLASSIFICATION.score(whole) == whole["correct"] / 9
    assert CLASSIFICATION.drop(whole) == (whole["lost"] - whole["gained"]) / 9
    assert math.isnan(CLASSIFICATION.score(Sums()))
    assert math.isnan(CLASSIFICATION.drop(Sums()))
