"""What an answer is, for everything that measures: a task scores outputs and adds the scores up.

A task is one object that follows `Task`, registered by its name. The rest of the program knows
sums of named terms, a score and its drop (`analysis.tasks.scoring`), and never what an output
means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from torch import Generator, Tensor

from analysis.records import Sums, WholeScore
from analysis.tasks.scoring import Scoring

Reduction = Literal["mean", "sum", "none"]


class Task(Scoring, Protocol):
    """What an answer is, and what its sums mean.

    Outputs are what the model returns for a batch, ``(N, ...)``; targets are what the data says of
    it, or None without labels: then the dense model's own answers take their place. All tensors
    stay on their device, and nothing here waits for it but `check` and `target_problem`.

    Attributes:
        name: As in addresses and files.
        takes_targets: Whether data may say what is right; else the dense model alone does.
    """

    name: str
    takes_targets: bool = True

    def of_data(self, class_names: Sequence[str], token_bytes: Tensor | None) -> Task:
        """Return the task as it is of some data; itself where that tells it nothing.

        Args:
            class_names: One a class.
            token_bytes: Bytes of text that each token stands for, int64 ``(tokens,)``, where known.
        """
        return self

    def packed(self, outputs: Any) -> Any:
        """Return what a model returns as the one tensor that the task reads, if it can be that.

        Part of the captured graph: no values are looked at.

        Raises:
            InputError: It cannot, and the message says what to return instead.
        """
        return outputs

    def joined(self, value: Mapping[Any, Any]) -> Tensor:
        """Return the target of a sample that a data set gives as a dict, for `as_targets`.

        Raises:
            ValueError: The task takes no such targets; for behind "the target".
        """
        raise ValueError("is a dict, not numbers")

    def check(self, outputs: object, samples: int, *, model: str) -> Tensor:
        """Return the outputs of a batch if they are of the form that the task needs.

        Args:
            outputs: What the model returned.
            samples: Samples of the batch.
            model: The model's address, for messages.

        Raises:
            InputError: They are not; the message says what was expected and what was found.
        """

    def notes(self, outputs: Tensor) -> tuple[str, ...]:
        """Say what is odd about the dense model's outputs, one sentence each."""

    def classes(self, outputs: Tensor) -> int:
        """Return the number of classes that outputs tell apart; 0 where there are none."""

    def as_targets(self, values: Tensor) -> Tensor | None:
        """Return targets as data sets give them, ``(N, ...)``, in the type that the task takes.

        Returns:
            The targets; None where the task asks for none.

        Raises:
            ValueError: They are no targets; the message says why, for behind "the target".
        """

    def own_targets(self, dense: Tensor) -> Tensor:
        """Return the targets that the dense model's own answers are, where the data has none."""

    def target_problem(self, targets: Tensor, form: tuple[int, ...]) -> tuple[int, str] | None:
        """Return the first bad target's position and what is wrong with it, or None.

        Args:
            targets: Targets of some samples.
            form: Shape of the model's outputs for one sample.
        """

    def no_score(self, targets: Tensor) -> str:
        """Return why targets ``(N, ...)`` give no score that models differ in; empty if they do."""
        return ""

    def scores(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Tensor:
        """Return the score of each sample ``(N,)``, the higher the better."""

    def agree(self, outputs: Tensor, others: Tensor) -> Tensor:
        """Return which samples get the same answer from two models, bool ``(N,)``."""

    def distance(self, dense: Tensor, outputs: Tensor) -> Tensor:
        """Return how far each sample's output is from the dense model's, ``(N,)``: 0 if equal.

        Smooth where `scores` jumps, so that few samples tell which of two plans is better.
        """

    def loss(self, outputs: Tensor, targets: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Return the loss that training lowers: of each sample ``(N,)``, its mean, or its sum."""

    def distillation(self, outputs: Tensor, dense: Tensor, *, temperature: float) -> Tensor:
        """Return what training by the dense model's outputs lowers: a mean over samples.

        Args:
            outputs: Of the trained model.
            dense: Of the dense one.
            temperature: Softens both, where outputs are logits.
        """

    def drawn(self, outputs: Tensor, generator: Generator) -> Tensor:
        """Draw targets from the model's own predictions, on the CPU."""

    def kept_count(self, classes: int) -> int:
        """Return how many outputs of a sample `kept_outputs` keeps; 0 where it keeps none."""
        return 0

    def kept_outputs(self, dense: Tensor, targets: Tensor | None) -> tuple[Tensor, Tensor] | None:
        """Return which outputs tell the scores of samples when layers are pruned together.

        `scores` takes them as outputs ``(N, K)``, and which of them is right as targets ``(N,)``.

        Args:
            dense: The dense model's outputs.
            targets: Their targets.

        Returns:
            Their positions, int64 ``(N, K)``, with a ``K`` of a few dozen at most, and which of
            them is the right one ``(N,)``. None where outputs ``(N, outputs)`` are not what is
            scored: then plans are predicted from drops alone.
        """
        return None

    def likely_scores(
        self, dense: Tensor, outputs: Tensor, targets: Tensor, *, spread: Tensor
    ) -> Tensor:
        """Return the scores to expect where outputs are only about known.

        Args:
            dense: Those of the dense model that `kept_outputs` keeps, ``(N, K)``.
            outputs: What is expected of the pruned one's, ``(N, K)``.
            targets: Which of them are right, ``(N,)``.
            spread: Standard deviations of a sample's outputs, ``(N, 1)`` or ``(1, 1)``; where it is
                0 scores are those of `scores`.

        Returns:
            Expected scores, ``(N,)``. A task that keeps no outputs is not asked.
        """
        return self.scores(dense, outputs, targets)

    def vector(
        self,
        dense: Tensor,
        outputs: Tensor,
        targets: Tensor | None,
        groups: Tensor | None = None,
    ) -> Tensor:
        """Return what is summed over a batch, ``(1 + terms,)``: samples first, then terms.

        Not finite where an output is not.

        Args:
            dense: The dense model's outputs.
            outputs: The pruned model's.
            targets: What the data says, or None.
            groups: The group of each sample, int64 ``(N,)`` from 0 up to but not
                `analysis.uncertainty.GROUPS`; so many more where samples belong to documents. None
                where nobody asks for an interval.
        """

    def whole_rows(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        """Return what `whole` reads of a batch, each ``(N, ...)``; none where there is nothing.

        Args:
            outputs: Of one model.
            targets: What the data says, or what the dense model answers.
        """
        return ()

    def whole(
        self, dense: Sequence[Tensor], pruned: Sequence[Tensor], confidence: float
    ) -> tuple[WholeScore, ...]:
        """Return scores that hang on all samples at once, for Evaluate.

        Args:
            dense: `whole_rows` of all samples, on the CPU.
            pruned: Those of the pruned model.
            confidence: Of intervals of drops.
        """
        return ()

    def sums(self, row: Sequence[float], *, seconds: float = 0.0) -> Sums:
        """Turn the values of one `vector` into a record."""

    def answers(self, outputs: Tensor) -> Tensor | None:
        """Return the class that each output answers, int64 ``(N,)``; None without classes."""

    def chance(self, classes: int, targets: Tensor | None) -> float | None:
        """Return the score of whoever always gives the same answer; None if that means nothing.

        Args:
            classes: As `classes` says of the model's outputs.
            targets: All targets, where they are at hand.
        """

    def gaps(self, outputs: Tensor, ranking: Tensor) -> Tensor:
        """Return by how much the first answer of ``ranking`` leads the second in ``outputs``.

        Reduced precision may swap answers only where this is small. ``(N,)``.
        """

    def by_class(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Tensor:
        """Return counts of samples, dense right, lost and gained by class, int64 ``(classes, 4)``.

        A task without classes returns no rows.
        """


def is_finite(row: Sequence[float]) -> bool:
    """Return whether the outputs behind the values of a `Task.vector` were finite."""
    return all(value == value and abs(value) != float("inf") for value in row)
