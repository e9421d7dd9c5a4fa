"""What makes a subject's numbers mean less than they seem: said before anything is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analysis.records import Sums
from analysis.sentences import plural
from analysis.subjects import RANDOM_WEIGHTS, Subject, has_random_weights, parse_model
from pruners.batches import Tensors

Kind = Literal[
    "random weights", "no labels", "chance level", "input scale", "left out", "few samples"
]

# Inputs that networks are fed have a mean near 0 and a spread near 1; plain values of 0 to 1, too.
MAX_MEAN, MIN_SPREAD, MAX_SPREAD = 5.0, 0.05, 5.0
LOOKED_AT = 32
# With fewer, each sample weighs more than most drops that anybody accepts.
FEW = 20


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason to doubt a subject's numbers.

    Attributes:
        kind: In two words.
        text: In one or two sentences: what was found, what to do.
    """

    kind: Kind
    text: str


def find_doubts(subject: Subject, baseline: Sums | None = None) -> tuple[Doubt, ...]:
    """Return what is doubtful about a subject.

    Args:
        subject: The subject.
        baseline: The dense model's sums over the evaluation subset, if they are known.
    """
    found = [_random_weights(subject), _no_labels(subject), _input_scale(subject)]
    found.append(_few_samples(subject))
    if baseline is not None and subject.has_labels:
        found.append(_chance(subject, baseline))
    if baseline is not None and baseline.samples:
        found.append(_left_out(subject, baseline))
    return tuple(item for item in found if item is not None)


def _random_weights(subject: Subject) -> Doubt | None:
    if not has_random_weights(parse_model(subject.spec.model)):
        return None
    return Doubt(
        "random weights",
        f"{RANDOM_WEIGHTS} Sizes are right; {subject.task.words.label}, drops and what layers "
        "tolerate say nothing.",
    )


def _no_labels(subject: Subject) -> Doubt | None:
    if subject.evaluation is None or subject.has_labels:
        return None
    task = subject.task
    itself = "is 100 % for the dense model itself and " if task.right else ""
    return Doubt(
        "no labels",
        f"{task.words.without_labels} That {itself}says nothing of right and wrong.",
    )


def _input_scale(subject: Subject) -> Doubt | None:
    if subject.evaluation is None:
        return None
    inputs = subject.evaluation.part(0, LOOKED_AT)[0]
    # Tokens have no scale, and sound has that of its samples.
    if isinstance(inputs, Tensors) or not inputs.is_floating_point() or inputs.dim() == 3:
        return None
    mean, spread = float(inputs.mean()), float(inputs.std())
    if abs(mean) <= MAX_MEAN and MIN_SPREAD <= spread <= MAX_SPREAD:
        return None
    return Doubt(
        "input scale",
        f"What the network is fed has a mean of {mean:.3g} and a spread of {spread:.3g}; usual "
        "are 0 and 1. Check mean and std of the data address.",
    )


def _few_samples(subject: Subject) -> Doubt | None:
    split = subject.evaluation
    if split is None or len(split) >= FEW or subject.task.has_positions:
        return None
    return Doubt(
        "few samples",
        f"Only {plural(len(split), 'sample')} evaluated: a single one decides what is best, and "
        "intervals say little of other data. Evaluate some hundreds.",
    )


def _chance(subject: Subject, baseline: Sums) -> Doubt | None:
    task, labels = subject.task, None
    evaluation = subject.evaluation
    if evaluation is not None and evaluation.is_small:
        labels = evaluation.part(0, len(evaluation))[1]
    chance = task.chance(subject.num_classes, labels)
    interval, words = task.score_interval(baseline), task.words
    if chance is None or not baseline.samples or interval.low > chance:
        return None
    return Doubt(
        "chance level",
        f"The dense model is not surely better than one that always gives the same answer: "
        f"{words.score(task.score(baseline), space=' ')} "
        f"({words.interval(interval.low, interval.high, space=' ')}) against "
        f"{words.score(chance, space=' ')}. Check weights, mean, std, size and the order of the "
        "classes.",
    )


def _left_out(subject: Subject, baseline: Sums) -> Doubt | None:
    text = subject.task.left_out(baseline, subject.class_names)
    return Doubt("left out", f"{text}.") if text else None
