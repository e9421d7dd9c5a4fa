"""A few evaluation samples as the network gets them, with their labels and its answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.subjects import Subject
from pruners.batches import parts_of
from pruners.float32 import strict


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A sample.

    Attributes:
        inputs: What the network is fed, float32, on the CPU.
        label: Name of its class; empty without labels or classes.
        answer: Name of the class that the dense model answers; empty without classes.
        is_right: Whether that is right; None without labels, and where no answer is right or wrong.
    """

    inputs: Tensor
    label: str
    answer: str
    is_right: bool | None


@strict
def first_samples(subject: Subject, count: int) -> tuple[Sample, ...]:
    """Return the first samples of the evaluation subset; none without data."""
    if subject.evaluation is None:
        return ()
    inputs, targets = subject.evaluation.part(0, min(count, len(subject.evaluation)))
    with torch.inference_mode():
        outputs = subject.model(inputs)
    task = subject.task
    answers = task.answers(outputs)
    scores = task.scores(outputs, outputs, targets)
    return tuple(
        Sample(
            inputs=parts_of(inputs)[0][number].cpu(),
            label=_name(subject, None if answers is None else targets, number),
            answer=_name(subject, answers, number),
            is_right=float(scores[number]) > 0 if targets is not None and task.right else None,
        )
        for number in range(len(inputs))
    )


def _name(subject: Subject, classes: Tensor | None, number: int) -> str:
    return "" if classes is None else subject.class_names[int(classes[number])]
