"""Every registered task keeps what `Task` promises."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from analysis.records import Sums
from analysis.subjects import load_subject
from analysis.tasks import CLASSIFICATION, TASKS, Task, is_finite, task_named
from pruners.errors import InputError, UnknownNameError
from tests.helpers.contexts import sample_context, sample_spec

SAMPLES, CLASSES = 60, 7


@pytest.fixture(params=TASKS.names())
def task(request: pytest.FixtureRequest) -> Task:
    return task_named(request.param)


@pytest.fixture
def answers() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    dense = 3 * torch.randn(SAMPLES, CLASSES, generator=generator)
    outputs = dense + torch.randn(SAMPLES, CLASSES, generator=generator)
    return dense, outputs, torch.randint(0, CLASSES, (SAMPLES,), generator=generator)


def sums_of(task: Task, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Sums:
    return task.sums(task.vector(dense, outputs, targets).tolist())


def test_a_task_knows_its_name(task: Task) -> None:
    assert TASKS.get(task.name).load() is task
    assert task.terms
    assert "samples" not in task.terms


@pytest.mark.parametrize("labelled", [True, False])
def test_the_score_is_the_mean_of_the_samples_scores(
    task: Task, answers: tuple[Tensor, Tensor, Tensor], labelled: bool
) -> None:
    dense, outputs, targets = answers
    truth = targets if labelled else None
    found = sums_of(task, dense, outputs, truth)
    assert found.samples == SAMPLES
    scores = [float(value) for value in task.scores(dense, outputs, truth)]
    before = [float(value) for value in task.scores(dense, dense, truth)]
    assert task.score(found) == pytest.approx(math.fsum(scores) / SAMPLES)
    lost = (math.fsum(before) - math.fsum(scores)) / SAMPLES
    assert task.drop(found) == pytest.approx(lost, abs=1e-12)
    assert task.drop(sums_of(task, dense, dense, truth)) == 0.0


def test_intervals_hold_their_estimate(task: Task, answers: tuple[Tensor, Tensor, Tensor]) -> None:
    found = sums_of(task, *answers)
    score, drop = task.score_interval(found), task.drop_interval(found)
    assert score.low <= task.score(found) <= score.high
    assert drop.low <= task.drop(found) <= drop.high
    wide = task.drop_interval(found, 0.99)
    assert wide.low < drop.low
    assert wide.high > drop.high


def test_slices_add_up(task: Task, answers: tuple[Tensor, Tensor, Tensor]) -> None:
    dense, outputs, targets = answers
    whole, total = sums_of(task, dense, outputs, targets), Sums()
    for part in torch.arange(SAMPLES).split(17):
        total += sums_of(task, dense[part], outputs[part], targets[part])
    assert task.score(total) == pytest.approx(task.score(whole))
    assert task.drop(total) == pytest.approx(task.drop(whole))
    assert task.counts(total).samples == SAMPLES


def test_the_loss_has_three_forms(task: Task, answers: tuple[Tensor, Tensor, Tensor]) -> None:
    _, outputs, targets = answers
    each = task.loss(outputs, targets, "none")
    assert each.shape == (SAMPLES,)
    assert float(task.loss(outputs, targets, "sum")) == pytest.approx(float(each.sum()), rel=1e-5)
    assert float(task.loss(outputs, targets)) == pytest.approx(float(each.mean()), rel=1e-5)


def test_drawn_targets_are_targets_and_repeat(
    task: Task, answers: tuple[Tensor, Tensor, Tensor]
) -> None:
    outputs = answers[1]
    first, again = (task.drawn(outputs, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, again)
    assert task.target_problem(first, CLASSES) is None
    problem = task.target_problem(torch.tensor([0, CLASSES, -1]), CLASSES)
    assert problem is not None
    assert problem[0] == 1
    assert "labels 0..6); 2 of 3 labels are out of range" in problem[1]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_outputs_that_are_not_finite_show(
    task: Task, answers: tuple[Tensor, Tensor, Tensor], bad: float
) -> None:
    dense, outputs, targets = answers
    outputs[5, 2] = bad
    assert not is_finite(task.vector(dense, outputs, targets).tolist())
    assert not is_finite(task.vector(dense, outputs, None).tolist())


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        (torch.zeros(3, 4, 5), "returned (3, 4, 5)"),
        ({"logits": torch.zeros(3, 4)}, "returned dict"),
        (torch.zeros(2, 4), "for 3 samples"),
        (torch.zeros(3, 4, dtype=torch.int64), "real logits"),
        (torch.full((3, 4), math.nan), "not finite"),
        (torch.zeros(3, 1), "has 1 class"),
    ],
)
def test_classification_refuses_other_outputs(outputs: object, words: str) -> None:
    with pytest.raises(InputError) as found:
        CLASSIFICATION.check(outputs, 3, model="file:mine.py:net")
    assert words in str(found.value)
    assert "file:mine.py:net" in str(found.value)


def test_counts_by_class_are_those_of_a_loop(answers: tuple[Tensor, Tensor, Tensor]) -> None:
    dense, outputs, targets = answers
    expected = [[0, 0, 0, 0] for _ in range(CLASSES)]
    for was, now, truth in zip(dense, outputs, targets.tolist(), strict=True):
        before, after = int(was.argmax()) == truth, int(now.argmax()) == truth
        expected[truth][0] += 1
        expected[truth][1] += before
        expected[truth][2] += before and not after
        expected[truth][3] += after and not before
    assert CLASSIFICATION.by_class(dense, outputs, targets).tolist() == expected


def test_a_subject_names_its_task_and_an_unknown_one_is_refused() -> None:
    assert sample_context("lenet5").subject.task is CLASSIFICATION
    with pytest.raises(UnknownNameError, match="task"):
        load_subject(dataclasses.replace(sample_spec("lenet5"), task="chess"))
