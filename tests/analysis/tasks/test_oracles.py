"""Scores against torchmetrics, and every number that is summed against a loop over samples."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from analysis.records import Sums
from analysis.subjects import torchvision
from analysis.tasks import task_named
from analysis.uncertainty import GROUPS
from tests.helpers.task_answers import FORMS, task_answers

# Where torchvision's compiled part does not fit, only this import of it works.
torchvision()
tm = importlib.import_module("torchmetrics.functional")

Values = dict[str, Tensor | float]


def of_labels(outputs: Tensor, targets: Tensor) -> Values:
    truth = targets.long()
    return {
        "score": tm.classification.multilabel_f1_score(outputs, truth, 5, average="micro"),
        "exact": tm.classification.multilabel_exact_match(outputs, truth, 5),
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
    return {"score": -tm.text.perplexity(outputs, targets, ignore_index=-100)}


def of_tokens(outputs: Tensor, targets: Tensor) -> Values:
    flat, truth = outputs.flatten(0, 1), targets.flatten()
    options = {"average": "micro", "ignore_index": -100}
    return {"score": tm.classification.multiclass_accuracy(flat, truth, 4, **options)}


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


ORACLES: dict[str, Callable[[Tensor, Tensor], Values]] = {
    "binary": of_yes,
    "multi_label": of_labels,
    "regression": of_numbers,
    "segmentation": of_pixels,
    "language_modelling": of_next_tokens,
    "masked_lm": of_next_tokens,
    "token_classification": of_tokens,
    "image_to_image": of_images,
    "embedding": lambda outputs, dense: {"score": tm.cosine_similarity(outputs, dense, "mean")},
}


def alone(name: str, dense: Tensor, outputs: Tensor, targets: Tensor) -> list[Sums]:
    """Return the sums of each sample by itself, in the group that it is of."""
    task = task_named(name)
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
    """Point 1 of issue 14."""
    task = task_named(name)
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
    task = task_named(name)
    dense, outputs, targets = task_answers(name, samples=40)
    whole = task.sums(task.vector(dense, outputs, targets, torch.arange(40) % GROUPS).tolist())
    each = alone(name, dense, outputs, targets)
    for term, value in whole.terms.items():
        expected = math.fsum(item.terms[term] for item in each)
        assert value == pytest.approx(expected, rel=1e-5, abs=1e-5), term


def test_slices_of_a_vocabulary_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Point 3 of issue 14: the loss of a large vocabulary is computed a few positions at a time."""
    task = task_named("language_modelling")
    answers = task_answers("language_modelling")
    whole = task.vector(*answers)
    monkeypatch.setattr("analysis.tasks.kinds.sequences.SLICE_VALUES", 2 * 60 * 11)
    assert torch.allclose(task.vector(*answers), whole, rtol=1e-6)
    assert torch.allclose(task.loss(*answers[1:]), task.loss(*answers[1:]))
