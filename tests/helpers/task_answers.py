"""Outputs of a dense and a pruned model and targets, for every task."""

from __future__ import annotations

import torch
from torch import Tensor

from analysis.tasks import Task, task_named

# Shape of the outputs of one sample by task.
FORMS: dict[str, tuple[int, ...]] = {
    "classification": (7,),
    "binary": (),
    "multi_label": (5,),
    "regression": (3,),
    "segmentation": (4, 6, 5),
    "detection": (15, 7),
    "language_modelling": (9, 11),
    "masked_lm": (9, 11),
    "token_classification": (9, 4),
    "embedding": (8,),
    "image_to_image": (2, 13, 12),
}


LABELS = ("O", "B-A", "I-A", "I-B")


def known_task(name: str) -> Task:
    """Return a task of data that name entities, and the bytes of each token."""
    return task_named(name).of_data(LABELS, torch.arange(11))


def task_answers(task: str, samples: int = 60, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return dense outputs, pruned ones and targets."""
    generator = torch.Generator().manual_seed(seed)
    form = FORMS[task]
    if task == "detection":
        return _boxes(samples, *form, generator)
    dense = 2 * torch.randn(samples, *form, generator=generator)
    if task == "image_to_image":
        dense = dense.sigmoid()
    spread = 0.1 if task == "image_to_image" else 1.0
    outputs = dense + spread * torch.randn(dense.shape, generator=generator)
    if task == "classification":
        return dense, outputs, torch.randint(form[0], (samples,), generator=generator)
    if task in ("binary", "multi_label"):
        noise = torch.randn(dense.shape, generator=generator)
        return dense, outputs, (dense + 2 * noise > 0).float()
    if task == "segmentation":
        targets = _noisy(dense.argmax(1), form[0], generator)
        return dense, outputs, targets
    if FORMS[task][1:] and task != "image_to_image":
        targets = _noisy(dense.argmax(-1), form[1], generator)
        return dense, outputs, targets
    noise = torch.randn(dense.shape, generator=generator)
    return dense, outputs, dense + spread * noise


def _noisy(truth: Tensor, classes: int, generator: torch.Generator) -> Tensor:
    """Return classes of which some are others, and some do not count."""
    others = torch.randint(classes, truth.shape, generator=generator)
    draws = torch.rand(truth.shape, generator=generator)
    return torch.where(draws < 0.3, others, truth).masked_fill(draws > 0.9, -100)


def _boxes(
    samples: int, candidates: int, width: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return candidates of three classes around up to five boxes, some of them for nothing."""

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    low = 40 * torch.rand(samples, 5, 2, generator=generator)
    sides = 8 + 10 * torch.rand(samples, 5, 2, generator=generator)
    corners = torch.cat([low, low + sides], -1)
    classes = torch.randint(width - 4, (samples, 5), generator=generator)
    near = corners.repeat(1, candidates // 5, 1)
    wanted = torch.nn.functional.one_hot(classes, width - 4).repeat(1, candidates // 5, 1)
    sure = 5 * wanted - 3 + 1.5 * noise(samples, candidates, width - 4)
    dense, outputs = (
        torch.cat(
            [
                near + spread * noise(*near.shape).clamp(-2, 2),
                (sure + spread * noise(*sure.shape)).sigmoid(),
            ],
            -1,
        )
        for spread in (0.8, 1.3)
    )
    classes[torch.rand(samples, 5, generator=generator) < 0.2] = -1
    truth = torch.cat([corners, classes[..., None]], -1)
    targets = task_named("detection").as_targets(truth)
    assert targets is not None
    return dense, outputs, targets
