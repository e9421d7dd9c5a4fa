"""Flips and changed confusion against a plain loop over the samples."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from analysis.evaluation.answers import MAX_FLIPS, AnswerTally
from analysis.records.answers import Answers
from analysis.tasks import CLASSIFICATION

NAMES = tuple("abcde")
SAMPLES = 200


def outputs(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    dense = torch.randn(SAMPLES, len(NAMES), generator=generator)
    pruned = dense + torch.randn(SAMPLES, len(NAMES), generator=generator)
    targets = torch.randint(len(NAMES), (SAMPLES,), generator=generator)
    return dense, pruned, targets


def tallied(
    dense: torch.Tensor, pruned: torch.Tensor, targets: torch.Tensor | None, batches: Sequence[int]
) -> Answers:
    tally = AnswerTally(CLASSIFICATION, NAMES)
    first = 0
    for size in batches:
        part = slice(first, first + size)
        tally.add(dense[part], pruned[part], None if targets is None else targets[part])
        first += size
    found = tally.result()
    assert found is not None
    return found


@pytest.mark.parametrize("batches", [(SAMPLES,), (1, 120, 79)])
@pytest.mark.parametrize("is_labelled", [True, False])
def test_answers_are_those_of_a_loop(batches: tuple[int, ...], is_labelled: bool) -> None:
    dense, pruned, targets = outputs(3)
    found = tallied(dense, pruned, targets if is_labelled else None, batches)
    kinds: dict[str, list[int]] = {"lost": [], "gained": [], "changed": []}
    before = [[0] * len(NAMES) for _ in NAMES]
    after = [[0] * len(NAMES) for _ in NAMES]
    for place in range(SAMPLES):
        was, now = int(dense[place].argmax()), int(pruned[place].argmax())
        truth = int(targets[place]) if is_labelled else was
        before[truth][was] += 1
        after[truth][now] += 1
        if was != now:
            is_lost, is_gained = is_labelled and was == truth, is_labelled and now == truth
            kinds["lost" if is_lost else "gained" if is_gained else "changed"].append(place)
    assert (found.lost, found.gained, found.changed) == tuple(map(len, kinds.values()))
    assert [flip.place for flip in found.flips] == [
        place for places in kinds.values() for place in places[:MAX_FLIPS]
    ]
    for flip in found.flips:
        row, other = dense[flip.place].softmax(0), pruned[flip.place].softmax(0)
        assert (flip.dense, flip.pruned) == (NAMES[row.argmax()], NAMES[other.argmax()])
        assert flip.dense_confidence == pytest.approx(float(row.max()))
        assert flip.pruned_confidence == pytest.approx(float(other.max()))
        assert flip.label == (NAMES[targets[flip.place]] if is_labelled else "")
    expected = {
        (NAMES[i], NAMES[j]): after[i][j] - before[i][j]
        for i in range(len(NAMES))
        for j in range(len(NAMES))
        if i != j and after[i][j] != before[i][j]
    }
    assert {(item.label, item.answer): item.change for item in found.confusion} == expected
    sizes = [abs(item.change) for item in found.confusion]
    assert sizes == sorted(sizes, reverse=True)


def test_equal_models_change_nothing() -> None:
    dense, _, targets = outputs(0)
    found = tallied(dense, dense, targets, (SAMPLES,))
    assert (found.total, found.flips, found.confusion) == (0, (), ())
    assert found.confusion == ()
