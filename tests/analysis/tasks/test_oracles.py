"""Scores against torchmetrics, and every number that is summed against a loop over samples."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from torch import Tensor

from analysis.records import Sums
from analysis.subjects import torchvision
from analysis.tasks import task_named
from analysis.tasks.detecting import Boxes, bootstrapped, kept_boxes
from analysis.uncertainty import GROUPS
from tests.helpers.task_answers import FORMS, LABELS, known_task, task_answers

# Where torchvision's compiled part does not fit, only this import of it works.
torchvision()
tm = importlib.import_module("torchmetrics.functional")

# From this score on boxes count: it suits the dense model of `task_answers` best.
FROM_SCORE = 0.7
Values = dict[str, Tensor | float]


def of_labels(outputs: Tensor, targets: Tensor) -> Values:
    truth = targets.long()
    return {
        "score": tm.classification.multilabel_f1_score(outputs, truth, 5, average="micro"),
        "exact": tm.classification.multilabel_exact_match(outputs, truth, 5),
        "macro_f1": tm.classification.multilabel_f1_score(outputs, truth, 5, average="macro"),
    }


def of_numbers(outputs: Tensor, targets: Tensor) -> Values:
    return {
        "score": tm.r2_score(outputs, targets, multioutput="variance_weighted"),
        "mae": tm.mean_absolute_error(outputs, targets),
        "rmse": tm.mean_squared_error(outputs, targets, squared=False),
    }


def of_pixels(outputs: Tensor, targets: Tensor) -> Values:
    def of(name: str, average: str) -> Tensor:
        metric = getattr(tm.classification, name)
        return metric(outputs, targets, 4, average=average, ignore_index=-100)

    return {
        "score": of("multiclass_jaccard_index", "macro"),
        "pixel_accuracy": of("multiclass_accuracy", "micro"),
        "dice": of("multiclass_f1_score", "macro"),
    }


def of_next_tokens(outputs: Tensor, targets: Tensor) -> Values:
    flat, truth = outputs.flatten(0, 1), targets.flatten()
    nats = F.cross_entropy(flat, truth, ignore_index=-100, reduction="sum")
    # Token t of the data is t bytes long.
    size = sum(int(item) for item in truth if item >= 0)
    return {
        "score": -tm.text.perplexity(outputs, targets, ignore_index=-100),
        "bits_per_byte": nats / math.log(2) / size,
    }


def of_masked_tokens(outputs: Tensor, targets: Tensor) -> Values:
    return {"score": -tm.text.perplexity(outputs, targets, ignore_index=-100)}


def of_tokens(outputs: Tensor, targets: Tensor) -> Values:
    flat, truth = outputs.flatten(0, 1), targets.flatten()
    options = {"average": "micro", "ignore_index": -100}
    there = given = right = 0
    for row, labels in zip(outputs.argmax(-1).tolist(), targets.tolist(), strict=True):
        kept = [(one, other) for one, other in zip(row, labels, strict=True) if other >= 0]
        found, known = (
            entities([LABELS[item] for item in side]) for side in zip(*kept, strict=True)
        )
        there, given, right = there + len(known), given + len(found), right + len(known & found)
    return {
        "score": tm.classification.multiclass_accuracy(flat, truth, 4, **options),
        "entity_f1": 2 * right / (there + given),
    }


def entities(labels: list[str]) -> set[tuple[int, int, str]]:
    """Return first and last place and kind of each, as the CoNLL tasks count them."""
    found, first, kind = set(), 0, ""
    for at, label in enumerate([*labels, "O"]):
        goes_on = label == f"I-{kind}"
        if kind and not goes_on:
            found.add((first, at - 1, kind))
        if not goes_on:
            first, kind = at, label[2:]
    return found


def of_images(outputs: Tensor, targets: Tensor) -> Values:
    psnr = tm.image.peak_signal_noise_ratio(
        outputs, targets, data_range=1.0, reduction="none", dim=(1, 2, 3)
    )
    _, ssim = tm.image.structural_similarity_index_measure(
        outputs, targets, data_range=1.0, return_full_image=True
    )
    # The library mirrors the borders; Wang et al. leave out where the window is not inside.
    ssim = ssim[..., 5:-5, 5:-5].mean()
    return {"score": psnr.mean(), "ssim": ssim, "mse": tm.mean_squared_error(outputs, targets)}


def of_yes(outputs: Tensor, targets: Tensor) -> Values:
    return {"score": tm.classification.binary_accuracy(outputs, targets.long())}


def of_boxes(outputs: Tensor, targets: Tensor) -> Values:
    hits = given = there = 0
    for candidates, truth in zip(outputs, targets, strict=True):
        left = [row.tolist() for row in truth if row[4] >= 0]
        there += len(left)
        kept: list[list[float]] = []
        for row in sorted(candidates.tolist(), key=lambda row: -max(row[4:])):
            box = [*row[:4], row[4:].index(max(row[4:])), max(row[4:])]
            rivals = [item for item in kept if item[4] == box[4]]
            if not any(overlap(box, item) > 0.5 for item in rivals):
                kept.append(box)
        for box in kept:
            if box[5] < FROM_SCORE:
                continue
            given += 1
            known = [item for item in left if item[4] == box[4]]
            best = max(known, key=lambda item: overlap(box, item), default=None)
            if best is not None and overlap(box, best) >= 0.5:
                hits += 1
                left.remove(best)
    return {
        "score": 2 * hits / (given + there),
        "precision": hits / given,
        "recall": hits / there,
        "from_score": FROM_SCORE,
    }


def overlap(one: list[float], other: list[float]) -> float:
    wide, high = (
        max(0.0, min(one[at + 2], other[at + 2]) - max(one[at], other[at])) for at in (0, 1)
    )
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return wide * high / (sum(areas) - wide * high)


ORACLES: dict[str, Callable[[Tensor, Tensor], Values]] = {
    "binary": of_yes,
    "multi_label": of_labels,
    "regression": of_numbers,
    "segmentation": of_pixels,
    "detection": of_boxes,
    "language_modelling": of_next_tokens,
    "masked_lm": of_masked_tokens,
    "token_classification": of_tokens,
    "image_to_image": of_images,
    "embedding": lambda outputs, dense: {"score": tm.cosine_similarity(outputs, dense, "mean")},
}


def alone(name: str, dense: Tensor, outputs: Tensor, targets: Tensor) -> list[Sums]:
    """Return the sums of each sample by itself, in the group that it is of."""
    task = known_task(name)
    return [
        task.sums(
            task.vector(
                dense[at : at + 1],
                outputs[at : at + 1],
                targets[at : at + 1],
                torch.tensor([at % GROUPS]),
            ).tolist()
        )
        for at in range(len(dense))
    ]


@pytest.mark.parametrize("name", ORACLES)
def test_scores_are_those_of_the_library(name: str) -> None:
    task = known_task(name)
    dense, outputs, targets = task_answers(name)
    truth = task.own_targets(dense) if name == "embedding" else targets
    sums = task.sums(task.vector(dense, outputs, truth, torch.arange(len(dense)) % 32).tolist())
    values = task.values(sums, sums, has_labels=True) | {"score": task.score(sums)}
    expected = ORACLES[name](outputs, truth)
    for key, value in expected.items():
        assert values[key] == pytest.approx(float(value), rel=2e-5), key
    before = float(ORACLES[name](dense, truth)["score"])
    lost = task.words.before(task.score(sums), task.drop(sums))
    assert lost == pytest.approx(before, rel=2e-5)


@pytest.mark.parametrize("name", FORMS)
def test_sums_are_those_of_a_loop(name: str) -> None:
    """Also by group, which is how intervals are told."""
    task = known_task(name)
    dense, outputs, targets = task_answers(name, samples=40)
    whole = task.sums(task.vector(dense, outputs, targets, torch.arange(40) % GROUPS).tolist())
    each = alone(name, dense, outputs, targets)
    for term, value in whole.terms.items():
        expected = math.fsum(item.terms[term] for item in each)
        assert value == pytest.approx(expected, rel=1e-5, abs=1e-5), term


def test_areas_under_curves_are_those_of_the_library_but_for_pairs_in_a_bin() -> None:
    """Off by half the share of pairs in one bin at most."""
    task = task_named("binary")
    _, outputs, targets = task_answers("binary", samples=2000)
    outputs[:200] *= 20
    sums = task.sums(task.vector(outputs, outputs, targets).tolist())
    auc = task.values(sums, sums, has_labels=True)["auc"]
    exact = float(tm.classification.binary_auroc(outputs.double(), targets.long()))
    yes, no = ([sums[f"{answer}@{at:03}"] for at in range(128)] for answer in ("is_yes", "is_no"))
    shared = sum(a * b for a, b in zip(yes, no, strict=True)) / (sum(yes) * sum(no))
    assert sum(yes) + sum(no) == 2000
    assert 0 < abs(auc - exact) <= shared / 2 < 0.005


def test_entities_are_known_by_their_labels_alone() -> None:
    task, answers = task_named("token_classification"), task_answers("token_classification")
    for names in (("0", "1", "2", "3"), ("O", "B-A", "I-A", "other"), ("O",) * 4):
        other = task.of_data(names, None)
        sums = other.sums(other.vector(*answers).tolist())
        assert "entity_f1" not in other.values(sums, sums, has_labels=True)


def test_classes_that_no_pixel_has_are_told() -> None:
    """Points 1 and 3: both scores leave them out, and somebody says so."""
    task, (dense, outputs, targets) = task_named("segmentation"), task_answers("segmentation")
    names = ("ground", "tree", "roof", "car")
    sums = task.sums(task.vector(dense, outputs, targets).tolist())
    assert task.left_out(sums, names) == ""
    sums = task.sums(task.vector(dense, outputs, targets.masked_fill(targets == 3, 0)).tolist())
    assert task.left_out(sums, names) == "mIoU leaves out 1 class that no pixel has: car"


def test_overlaps_of_classes_are_those_of_the_library_and_changes_are_paired() -> None:
    """The mean alone was told; intervals against a loop over the groups that are left out."""
    count = 2 * GROUPS
    task, (dense, outputs, targets) = (
        task_named("segmentation"),
        task_answers("segmentation", count),
    )
    targets = targets.masked_fill(targets == 2, 1)
    sums = sum(alone("segmentation", dense, outputs, targets), Sums())
    found = {item.class_name: item for item in task.class_changes(sums, ("a", "b", "c", "d"))}
    assert list(found) == ["a", "b", "d"]

    def library(answers: Tensor, samples: Tensor) -> Tensor:
        overlap = tm.classification.multiclass_jaccard_index
        return overlap(answers[samples], targets[samples], 4, average="none", ignore_index=-100)

    at = torch.arange(count)
    before, after = library(dense, at), library(outputs, at)
    rests = [at[at % GROUPS != group] for group in range(GROUPS)]
    changes = torch.stack([library(outputs, rest) - library(dense, rest) for rest in rests])
    errors = (changes.double().var(0, correction=0) * (GROUPS - 1)).sqrt()
    for place, item in zip((0, 1, 3), found.values(), strict=True):
        assert item.samples == int((targets == place).sum())
        assert item.dense == pytest.approx(float(before[place]), abs=1e-6)
        assert item.pruned == pytest.approx(float(after[place]), abs=1e-6)
        assert item.change == pytest.approx(item.pruned - item.dense, abs=1e-9)
        half = scipy.stats.t.ppf(0.975, GROUPS - 1) * float(errors[place])
        ends = (item.change - half, item.change + half)
        assert (item.change_low, item.change_high) == pytest.approx(ends, rel=1e-3)
        assert item.clear == (abs(item.change) > half)


def test_average_precision_is_that_of_the_library() -> None:
    """The same images drawn for both models, by a loop over draws."""
    pytest.importorskip("pycocotools", reason="oracle of average precision")
    task, (dense, outputs, targets) = task_named("detection"), task_answers("detection", 40)
    metric = importlib.import_module("torchmetrics.detection").MeanAveragePrecision()
    boxes = [kept_boxes(item) for item in (dense, outputs)]
    truth = [
        {"boxes": row[:, :4], "labels": row[:, 4].long()}
        for row in (item[item[:, 4] >= 0] for item in targets)
    ]

    def library(found: Boxes, images: list[int]) -> dict[str, float]:
        metric.reset()
        given = []
        for at in images:
            is_box = found.scores[at] > 0
            given.append(
                {
                    "boxes": found.corners[at][is_box],
                    "scores": found.scores[at][is_box],
                    "labels": found.classes[at][is_box],
                }
            )
        metric.update(given, [truth[at] for at in images])
        values = metric.compute()
        return {"mAP": float(values["map"]), "AP at IoU 0.5": float(values["map_50"])}

    rows = [task.whole_rows(item, targets) for item in (dense, outputs)]
    expected = [library(item, [*range(40)]) for item in boxes]
    for item in task.whole(*rows, 0.95):
        assert item.dense == pytest.approx(expected[0][item.label], abs=1e-6)
        assert item.pruned == pytest.approx(expected[1][item.label], abs=1e-6)
        assert item.drop_low < item.drop < item.drop_high
    tables = [[part.double().numpy() for part in item] for item in rows]
    draws = bootstrapped(tables[0][0], tables[1][0], tables[0][1], draws=2)
    generator = np.random.default_rng(0)
    for draw in draws:
        images = generator.integers(40, size=40).tolist()
        lost = library(boxes[0], images)["mAP"] - library(boxes[1], images)["mAP"]
        assert float(draw.mean()) == pytest.approx(lost, abs=2e-3)


def test_neighbours_that_stay_are_those_of_a_loop() -> None:
    """Of each sample the ten nearest of all others."""
    dense, outputs, _ = task_answers("embedding", 40)
    near = [
        [
            set(
                sorted(
                    set(range(40)) - {at},
                    key=lambda other: (
                        -tm.cosine_similarity(rows[at : at + 1], rows[other : other + 1], "mean")
                    ),
                )[:10]
            )
            for at in range(40)
        ]
        for rows in (dense, outputs)
    ]
    kept = sum(len(a & b) / 10 for a, b in zip(*near, strict=True)) / 40
    (found,) = task_named("embedding").whole((dense,), (outputs,), 0.95)
    assert found.pruned == pytest.approx(kept)
    assert found.drop_low < found.drop == pytest.approx(1 - kept)


def test_slices_of_a_vocabulary_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of a large vocabulary is computed a few positions at a time."""
    task = task_named("language_modelling")
    answers = task_answers("language_modelling")
    whole = task.vector(*answers)
    monkeypatch.setattr("analysis.tasks.kinds.sequences.SLICE_VALUES", 2 * 60 * 11)
    assert torch.allclose(task.vector(*answers), whole, rtol=1e-6)
    assert torch.allclose(task.loss(*answers[1:]), task.loss(*answers[1:]))
