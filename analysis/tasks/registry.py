"""The registry of tasks; names and help are known without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis import tasks
from pruners.registry import Registry

if TYPE_CHECKING:
    from analysis.tasks.scoring import Scoring
    from analysis.tasks.task import Task


@dataclass(frozen=True, slots=True)
class TaskKind:
    """A registered task.

    Attributes:
        name: As in subjects and on the command line.
        label: Name on pages.
        help: What an answer is, and what its score is.
        load: Returns the task.
        scoring: Returns what its sums mean without torch; the task itself by default.
    """

    name: str
    label: str
    help: str
    load: Callable[[], Task]
    scoring: Callable[[], Scoring] | None = None


TASKS = Registry(
    "task",
    (
        TaskKind(
            "classification",
            "Classification",
            "One of several classes a sample; the score is the share of right top-1 answers.",
            lambda: tasks.CLASSIFICATION,
            lambda: tasks.RIGHT_ANSWERS,
        ),
        TaskKind(
            "binary",
            "Yes or no",
            "One logit a sample, yes above 0; the score is the share of right answers.",
            lambda: tasks.BINARY,
            lambda: tasks.YES_OR_NO,
        ),
        TaskKind(
            "multi_label",
            "Several labels",
            "Each of several labels is there or not; the score is micro F1.",
            lambda: tasks.MULTI_LABEL,
            lambda: tasks.MICRO_F1,
        ),
        TaskKind(
            "regression",
            "Regression",
            "Numbers; the score is R2, with MAE and RMSE beside it.",
            lambda: tasks.REGRESSION,
            lambda: tasks.EXPLAINED_SHARE,
        ),
        TaskKind(
            "segmentation",
            "Segmentation",
            "A class for each pixel; the score is mIoU, with pixel accuracy and Dice beside it.",
            lambda: tasks.SEGMENTATION,
            lambda: tasks.MEAN_OVERLAP,
        ),
        TaskKind(
            "detection",
            "Detection",
            "Boxes with a class each; the score is F1 at IoU 0.5, with mAP on Evaluate.",
            lambda: tasks.DETECTION,
            lambda: tasks.DETECTED_BOXES,
        ),
        TaskKind(
            "language_modelling",
            "Language modelling",
            "The next token at each position; the score is perplexity.",
            lambda: tasks.LANGUAGE_MODELLING,
            lambda: tasks.NEXT_TOKENS,
        ),
        TaskKind(
            "masked_lm",
            "Masked language modelling",
            "The token behind each mask; the score is the perplexity of these.",
            lambda: tasks.MASKED_LM,
            lambda: tasks.PERPLEXITY,
        ),
        TaskKind(
            "token_classification",
            "Token classification",
            "A class of each token; the score is the share of right ones.",
            lambda: tasks.TOKEN_CLASSIFICATION,
            lambda: tasks.RIGHT_TOKENS,
        ),
        TaskKind(
            "embedding",
            "Embedding",
            "A vector a sample; the score is its cosine to the dense model's. Labels are not used.",
            lambda: tasks.EMBEDDING,
            lambda: tasks.COSINE,
        ),
        TaskKind(
            "image_to_image",
            "Image to image",
            "An image for an image; the score is PSNR, with SSIM beside it.",
            lambda: tasks.IMAGE_TO_IMAGE,
            lambda: tasks.PEAK_RATIO,
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """What the numbers of an imported file are.

    Attributes:
        name: As in runs.
        label: Name on pages.
        help: What it is.
        scoring: Returns what its sums mean.
    """

    name: str
    label: str
    help: str
    scoring: Callable[[], Scoring]


QUANTITIES = Registry(
    "quantity",
    (
        Quantity(
            "accuracy",
            "Accuracy",
            "A share of right answers.",
            lambda: tasks.IMPORTED_ACCURACY,
        ),
        Quantity(
            "loss",
            "Loss",
            "A loss or divergence, the lower the better.",
            lambda: tasks.IMPORTED_LOSS,
        ),
        Quantity(
            "psnr",
            "PSNR",
            "A signal-to-noise ratio in dB, the higher the better.",
            lambda: tasks.IMPORTED_PSNR,
        ),
    ),
)


def task_named(name: str) -> Task:
    """Return a task.

    Raises:
        UnknownNameError: There is none of this name.
    """
    return TASKS.get(name).load()


def scoring_of(name: str) -> Scoring:
    """Return what the sums of a task mean, or those of an imported quantity.

    Raises:
        UnknownNameError: There is none of this name.
    """
    if name in QUANTITIES:
        return QUANTITIES.get(name).scoring()
    kind = TASKS.get(name)
    return kind.load() if kind.scoring is None else kind.scoring()
