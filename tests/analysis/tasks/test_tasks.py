"""Every registered task keeps what `Task` promises."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from analysis.edits import prepare
from analysis.measuring import Slices, measure
from analysis.records import SubjectSpec, Sums
from analysis.subjects import load_subject, parse_data
from analysis.subjects.data import Split, load_data
from analysis.tasks import CLASSIFICATION, TASKS, Task, is_finite, scoring_of
from analysis.uncertainty import GROUPS
from pruners.errors import InputError, UnknownNameError
from tests.helpers import task_subjects
from tests.helpers.contexts import sample_context, sample_spec
from tests.helpers.task_answers import known_task, task_answers

SAMPLES = 60
# Tasks whose score is the mean of those of samples.
MEANS = {"classification", "binary", "embedding", "image_to_image"}


@pytest.fixture(params=TASKS.names())
def task(request: pytest.FixtureRequest) -> Task:
    return known_task(request.param)


@pytest.fixture
def answers(task: Task) -> tuple[Tensor, Tensor, Tensor]:
    return task_answers(task.name, SAMPLES)


def groups_of(first: int, last: int) -> Tensor:
    return torch.arange(first, last) % GROUPS


def sums_of(
    task: Task, dense: Tensor, outputs: Tensor, targets: Tensor | None, first: int = 0
) -> Sums:
    groups = groups_of(first, first + len(dense))
    return task.sums(task.vector(dense, outputs, targets, groups).tolist())


def test_a_task_knows_its_name(task: Task) -> None:
    assert isinstance(task, type(TASKS.get(task.name).load()))
    assert "samples" not in task.terms


def test_the_share_of_same_answers_is_that_of_a_count(
    task: Task, answers: tuple[Tensor, Tensor, Tensor]
) -> None:
    """Sums by group had none for several labels; `recover` ended in a traceback."""
    dense, outputs, targets = answers
    share = task.same_share(sums_of(task, dense, outputs, targets))
    if not task.same:
        assert share is None
        return
    assert 0 < share < 1
    assert share == pytest.approx(float(task.agree(dense, outputs).float().mean()))


def test_meaning_and_task_agree(task: Task) -> None:
    """Lists of runs read sums without torch; the task reads them alike."""
    scoring, sums = scoring_of(task.name), sums_of(task, *task_answers(task.name))
    assert scoring.words == task.words
    assert scoring.score(sums) == task.score(sums)
    assert scoring.drop_interval(sums) == task.drop_interval(sums)
    assert set(scoring.values(sums, sums, has_labels=True)) == set(scoring.columns)
    assert {item.column for item in scoring.metrics.values()} <= set(scoring.columns)
    assert scoring.words.tolerance > 0


@pytest.mark.parametrize("labelled", [True, False])
def test_the_score_is_the_mean_of_the_samples_scores(
    task: Task, answers: tuple[Tensor, Tensor, Tensor], labelled: bool
) -> None:
    dense, outputs, targets = answers
    truth = targets if labelled else None
    found = sums_of(task, dense, outputs, truth)
    assert found.samples == SAMPLES
    same = sums_of(task, dense, dense, truth)
    assert task.drop(same) == 0.0
    lost = task.words.before(task.score(found), task.drop(found))
    assert lost == pytest.approx(task.score(same), rel=1e-6)
    scores = [float(value) for value in task.scores(dense, outputs, truth)]
    assert len(scores) == SAMPLES
    if task.name in MEANS:
        assert task.score(found) == pytest.approx(math.fsum(scores) / SAMPLES, rel=1e-6)


def test_intervals_hold_their_estimate(task: Task, answers: tuple[Tensor, Tensor, Tensor]) -> None:
    found = sums_of(task, *answers)
    score, drop = task.score_interval(found), task.drop_interval(found)
    assert score.low <= task.score(found) <= score.high
    assert drop.low <= task.drop(found) <= drop.high
    wide = task.drop_interval(found, 0.99)
    assert wide.low < drop.low
    assert wide.high > drop.high


def test_runs_without_groups_of_further_terms_have_no_interval_of_them(
    task: Task, answers: tuple[Tensor, Tensor, Tensor]
) -> None:
    """Older runs summed them over all samples alone, and go on with sums by group."""
    if not (extras := getattr(task, "extras", ())):
        return
    found = sums_of(task, *answers)

    def is_further(name: str) -> bool:
        return any(re.fullmatch(extra.replace("*", "[0-9]+"), name) for extra in extras)

    older: dict[str, float] = {}
    for term, value in found.terms.items():
        stem = term.partition("/")[0]
        term = stem if is_further(stem) else term
        older[term] = older.get(term, 0.0) + value
    old = Sums(samples=SAMPLES, terms=older)
    now, then = (task.values(item, None, has_labels=True) for item in (found, old))
    assert then == {name: pytest.approx(now[name]) for name in then}
    assert {name for name in now if not name.endswith(("_low", "_high"))} <= set(then)
    assert len(then) < len(now)
    both = task.values(old + found, None, has_labels=True)
    assert set(both) == set(then)
    assert task.drop_interval(old) == task.drop_interval(found)


def test_slices_add_up(task: Task, answers: tuple[Tensor, Tensor, Tensor]) -> None:
    dense, outputs, targets = answers
    whole, total = sums_of(task, dense, outputs, targets), Sums()
    for part in torch.arange(SAMPLES).split(17):
        total += sums_of(task, dense[part], outputs[part], targets[part], int(part[0]))
    assert task.score(total) == pytest.approx(task.score(whole))
    assert task.drop(total) == pytest.approx(task.drop(whole))
    one, other = (task.drop_interval(item) for item in (total, whole))
    assert (one.low, one.high) == pytest.approx((other.low, other.high))
    assert task.look(total, total, 0.99).samples == SAMPLES


def test_the_loss_has_three_forms(task: Task, answers: tuple[Tensor, Tensor, Tensor]) -> None:
    _, outputs, targets = answers
    each = task.loss(outputs, targets, "none")
    assert each.shape == (SAMPLES,)
    assert float(task.loss(outputs, targets, "sum")) == pytest.approx(float(each.sum()), rel=1e-5)
    mean = task.loss(outputs.requires_grad_(), targets)
    assert mean.item() == pytest.approx(float(each.mean()), rel=1e-5)
    mean.backward()
    assert outputs.grad is not None
    assert float(outputs.grad.abs().sum()) > 0


def test_drawn_targets_are_targets_and_repeat(
    task: Task, answers: tuple[Tensor, Tensor, Tensor]
) -> None:
    outputs = answers[1]
    first, again = (task.drawn(outputs, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, again)
    assert task.target_problem(first, tuple(outputs.shape[1:])) is None
    assert float(task.loss(outputs, first)) > 0
    assert bool(task.agree(outputs, outputs).all())
    assert not bool(task.agree(outputs, answers[0]).all())
    assert float(task.distance(outputs, outputs).abs().max()) < 1e-5
    assert float(task.distance(answers[0], outputs).min()) > 0


def test_a_label_out_of_range_is_named() -> None:
    problem = CLASSIFICATION.target_problem(torch.tensor([0, 7, -1]), (7,))
    assert problem is not None
    assert problem[0] == 1
    assert "labels 0..6); 2 of 3 labels are out of range" in problem[1]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_outputs_that_are_not_finite_show(
    task: Task, answers: tuple[Tensor, Tensor, Tensor], bad: float
) -> None:
    dense, outputs, targets = answers
    outputs[5].view(-1)[0] = bad
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


def test_counts_by_class_are_those_of_a_loop() -> None:
    dense, outputs, targets = task_answers("classification")
    expected = [[0, 0, 0, 0] for _ in range(7)]
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


def test_usual_targets_give_a_score(task: Task, answers: tuple[Tensor, Tensor, Tensor]) -> None:
    assert task.no_score(answers[2]) == ""


@pytest.mark.parametrize(
    ("name", "targets", "words"),
    [
        ("regression", torch.ones(5, 2), "are equal, so that R2 is not defined"),
        ("segmentation", torch.full((3, 4, 4), -100), "each pixel that is evaluated is of class"),
        ("language_modelling", torch.full((3, 4), -100), "each token that is evaluated is of"),
        ("multi_label", torch.zeros(3, 4), "has a label, so that F1 is 0 for any model"),
        ("detection", torch.full((3, 2, 5), -1.0), "has a box, so that F1 is 0 for any model"),
    ],
)
def test_targets_without_a_score_are_told(name: str, targets: Tensor, words: str) -> None:
    """Found by newcomers: a drop of NaN, or of 0 for any plan, was measured to the end."""
    assert words in known_task(name).no_score(targets)


@pytest.mark.parametrize("last", [1.0, 2.0])
def test_large_data_without_a_score_are_refused_once_all_are_read(
    tmp_path: Path, last: float
) -> None:
    """Each part says the same of itself; all together they may differ."""
    labels = np.ones((30, 2), np.float32)
    labels[20:] = last
    np.savez(tmp_path / "d.npz", images=np.ones((30, 6), np.float32), labels=labels)
    task = known_task("regression")
    source = load_data(parse_data(f"npz:{tmp_path / 'd.npz'}"), task=task).evaluation
    split = Split(source, range(30), task=task, form=(2,), preload_bytes=0)
    split.require_score()
    for _ in range(2):
        read = split.batches(10)
        next(read), next(read)
        if last == 2:
            next(read)
            continue
        with pytest.raises(InputError, match="R2 is not defined; evaluate other samples"):
            next(read)


def test_data_without_a_score_are_refused(tmp_path: Path) -> None:
    inputs = torch.randn(30, 6, generator=torch.Generator().manual_seed(0)).numpy()
    np.savez(tmp_path / "same.npz", images=inputs, labels=np.ones((30, 2), np.float32))
    spec = SubjectSpec(
        model=f"{task_subjects.WHERE}:regression",
        data=f"npz:{tmp_path / 'same.npz'}",
        task="regression",
        calibration_samples=0,
    )
    with pytest.raises(InputError, match=r"R2 is not defined; evaluate other samples"):
        load_subject(spec)


def test_a_huge_target_is_to_blame_not_the_model(tmp_path: Path) -> None:
    """Found by newcomers: each pruned model's outputs were said not to be finite."""
    inputs = torch.randn(30, 6, generator=torch.Generator().manual_seed(0)).numpy()
    labels = inputs[:, :2].copy()
    labels[11] = 1e30
    np.savez(tmp_path / "huge.npz", images=inputs, labels=labels)
    spec = SubjectSpec(
        model=f"{task_subjects.WHERE}:regression",
        data=f"npz:{tmp_path / 'huge.npz'}",
        task="regression",
        calibration_samples=0,
    )
    prepared = prepare(load_subject(spec))
    split = prepared.subject.evaluation
    assert split is not None
    with pytest.raises(InputError, match=r"on sample 11 of .* its target is huge"):
        list(measure(prepared, {}, Slices(split, 10), prepared.subject.task))


@pytest.mark.parametrize(
    ("name", "dim", "told"),
    [
        ("classification", 1, "of {n} samples"),
        ("segmentation", 1, "% of the pixels"),
        ("language_modelling", -1, "% of the tokens"),
        ("regression", None, ""),
        ("embedding", None, ""),
        ("image_to_image", None, ""),
    ],
)
def test_two_models_agree_in_the_units_of_the_task(name: str, dim: int | None, told: str) -> None:
    """Found by newcomers: no map of pixels, or window, of two plans is quite the same one."""
    task = known_task(name)
    dense, outputs, _ = task_answers(name)
    groups = torch.arange(len(dense)) % GROUPS
    own = task.own_targets(dense)
    share = task.agreement(task.sums(task.vector(dense, outputs, own, groups).tolist()))
    said = task.told_agreement(share, len(dense))
    if dim is None:
        assert (share, said) == (None, "")
        return
    same = dense.argmax(dim) == outputs.argmax(dim)
    assert share == pytest.approx(float(same.double().mean()))
    assert said.endswith(told.format(n=len(dense)))


def test_expected_scores_are_those_of_outputs_with_errors() -> None:
    """Of two outputs exactly, of more about; without an error they are the scores."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 2, (40,), generator=generator)
    outputs = torch.randn(40, 2, generator=generator)
    spread = torch.rand(40, 1, generator=generator) + 0.1
    found = CLASSIFICATION.likely_scores(outputs, outputs, truth, spread=spread)
    errors = spread * torch.randn(20_000, 40, 2, generator=generator)
    drawn = ((outputs + errors).argmax(2) == truth).float().mean(0)
    torch.testing.assert_close(found, drawn, atol=0.02, rtol=0)
    many = torch.randn(200, 10, generator=generator)
    right = torch.randint(0, 10, (200,), generator=generator)
    exact = CLASSIFICATION.likely_scores(many, many, right, spread=torch.zeros(1, 1))
    assert torch.equal(exact, CLASSIFICATION.scores(many, many, right))
