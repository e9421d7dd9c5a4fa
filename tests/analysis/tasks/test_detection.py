"""Boxes as models and data sets give them: packed, padded, or refused in one line."""

from __future__ import annotations

import pytest
import torch

from analysis.records import SubjectSpec
from analysis.subjects import load_subject
from analysis.tasks import DETECTION
from analysis.tasks.detecting import kept_boxes
from pruners.errors import InputError
from tests.helpers import task_subjects


def test_boxes_and_scores_are_one_tensor() -> None:
    """A dict, a tuple, or scores of the only class."""
    boxes, scores = torch.rand(2, 5, 4), torch.rand(2, 5, 3)
    for found in ({"scores": scores, "boxes": boxes}, (boxes, scores)):
        assert torch.equal(DETECTION.packed(found), torch.cat([boxes, scores], -1))
    assert DETECTION.packed((boxes, scores[..., 0])).shape == (2, 5, 5)
    chosen = [{"boxes": boxes[0], "scores": scores[0, :, 0], "labels": torch.ones(5)}]
    with pytest.raises(InputError, match=r"no graph can be captured; .*\(samples, candidates, 4\)"):
        DETECTION.packed(chosen)
    with pytest.raises(InputError, match="found a dict of boxes, labels"):
        DETECTION.packed({"boxes": boxes, "labels": scores})
    for odd, words in ((boxes, "candidates, 4"), (torch.cat([boxes, 9 * scores], -1), "sigmoid")):
        with pytest.raises(InputError, match=words):
            DETECTION.check(odd, 2, model="file:net.py:make")


def test_candidates_that_overlap_a_better_one_of_their_class_do_not_count() -> None:
    """The third is suppressed by the first alone, so that it suppresses nobody itself."""
    corners = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 14], [0, 0, 10, 21]])
    scores = torch.tensor([[0.9, 0.1], [0.1, 0.8], [0.7, 0.2], [0.6, 0.2]])
    found = kept_boxes(torch.cat([corners, scores], -1)[None])
    assert found.scores[0].tolist() == pytest.approx([0.9, 0.8, 0.6, 0.0])
    assert found.classes[0, :3].tolist() == [0, 1, 0]


def test_targets_are_padded_or_refused() -> None:
    box = [1.0, 2.0, 5.0, 6.0]
    found = DETECTION.as_targets(
        DETECTION.joined({"boxes": torch.tensor([box]), "labels": torch.tensor([1])})[None]
    )
    assert found is not None
    assert found.shape == (1, 100, 5)
    assert found[0, 0].tolist() == [*box, 1.0]
    assert found[0, 1:, 4].eq(-1).all()
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    empty = DETECTION.as_targets(DETECTION.joined(nothing)[None])
    assert empty is not None
    assert empty[0, :, 4].eq(-1).all()
    for bad, words in (
        ({"boxes": torch.tensor([box])}, "without boxes and labels"),
        ({"boxes": torch.tensor([box]), "labels": torch.tensor([1, 2])}, r"labels \(2,\)"),
    ):
        with pytest.raises(ValueError, match=words):
            DETECTION.joined(bad)
    with pytest.raises(ValueError, match="has 101 boxes; at most 100"):
        DETECTION.as_targets(torch.tensor([[[*box, 0.0]] * 101]))
    for row, words in (
        ([*box, 2.0], "has class 2, but the model gives 2"),
        ([5.0, 2, 5, 6, 0], "a box (5, 2, 5, 6) without a size"),
    ):
        problem = DETECTION.target_problem(torch.tensor([[row]]), (9, 6))
        assert problem is not None
        assert words in problem[1]


def test_names_of_labels_come_with_the_data() -> None:
    """Entities are known by names, which no task of sequences counted."""
    where = f"{task_subjects.WHERE}:"
    loaded = load_subject(
        SubjectSpec(
            model=f"{where}language_modelling",
            data=f"{where}entities_data",
            task="token_classification",
        )
    )
    assert loaded.evaluation is not None
    inputs, targets = loaded.evaluation.part(0, 50)
    outputs = loaded.model(inputs)
    sums = loaded.task.sums(loaded.task.vector(outputs, outputs, targets).tolist())
    assert 0 < loaded.task.values(sums, sums, has_labels=True)["entity_f1"] < 1
