"""Classification: one of several classes a sample; the answer is the class of the largest logit."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from analysis.tasks.kinds.adding import softened_divergence, wide_type
from analysis.tasks.kinds.targets import class_numbers
from analysis.tasks.meanings import RightAnswers
from analysis.tasks.task import Reduction, Task
from pruners.errors import InputError
from pruners.statistics import cross_entropy, drawn_labels

# Rounding of a sum of probabilities, also of bfloat16 and many classes.
SUMS_TO_ONE = 1e-2
# Below it a spread of logits is none.
TINY = 1e-12
# Logits of a sample that a probe keeps.
MAX_KEPT = 20


class Classification(RightAnswers, Task):
    """One of several classes a sample; outputs are logits ``(N, classes)``, targets ``(N,)``."""

    name = "classification"

    def check(self, outputs: object, samples: int, *, model: str) -> Tensor:
        """Return logits ``(samples, classes)``; see `Task.check`."""
        if not isinstance(outputs, Tensor) or outputs.dim() != 2 or len(outputs) != samples:
            found = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
            raise InputError(
                f"the model {model!r} must return logits (samples, classes); for "
                f"{samples} samples it returned {found}. Of another kind of answer name the task, "
                "such as --task regression"
            )
        if not outputs.is_floating_point():
            raise InputError(
                f"the model {model!r} must return real logits; it returned {outputs.dtype}"
            )
        if not bool(torch.isfinite(outputs).all()):
            raise InputError(
                f"the dense model {model!r} gives logits that are not finite; check weights and "
                "the mean and std of the data"
            )
        if outputs.shape[1] < 2:
            raise InputError(f"the model {model!r} has {outputs.shape[1]} class; 2 are needed")
        return outputs

    def notes(self, outputs: Tensor) -> tuple[str, ...]:
        """Say where outputs look like probabilities: loss and divergence take them for logits."""
        outputs = outputs.float()
        is_softmax = (outputs >= 0).all() and ((outputs.sum(1) - 1).abs() < SUMS_TO_ONE).all()
        # What a ReLU gives may lie between 0 and 1, too, but some of it is 0.
        is_sigmoid = ((outputs > 0) & (outputs < 1)).all()
        if not is_softmax and not is_sigmoid:
            return ()
        return (
            "The outputs look like probabilities; the loss and the divergence take a softmax of "
            "them once more. Let the model return what goes into its last softmax or sigmoid.",
        )

    def classes(self, outputs: Tensor) -> int:
        """Return the number of logits."""
        return outputs.shape[1]

    def as_targets(self, values: Tensor) -> Tensor | None:
        """Return class numbers, int64 ``(N,)``."""
        return class_numbers(values)

    def own_targets(self, dense: Tensor) -> Tensor:
        """Return the top-1 answers."""
        return dense.argmax(1)

    def target_problem(self, targets: Tensor, form: tuple[int, ...]) -> tuple[int, str] | None:
        """Return the first label that is no class; see `Task.target_problem`."""
        classes = form[0]
        bad = torch.nonzero((targets < 0) | (targets >= classes)).flatten()
        if not len(bad):
            return None
        at = int(bad[0])
        text = (
            f"has label {int(targets[at])}, but the model gives {classes} logits "
            f"(labels 0..{classes - 1})"
        )
        if len(targets) > 1:
            text += f"; {len(bad)} of {len(targets)} labels are out of range"
        return at, text

    def scores(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Tensor:
        """Return 1 for right top-1 answers and 0 for wrong ones, ``(N,)``."""
        truth = dense.argmax(1) if targets is None else targets
        return (outputs.argmax(1) == truth).float()

    def likely_scores(
        self, dense: Tensor, outputs: Tensor, targets: Tensor, *, spread: Tensor
    ) -> Tensor:
        """Return the probability that the right logit is above the best other one, ``(N,)``.

        Errors of both are taken for independent and normal.
        """
        right = outputs.gather(1, targets[:, None])
        others = outputs.scatter(1, targets[:, None], -torch.inf).amax(1, keepdim=True)
        # The same as `scores` without any error, ties aside.
        gap = (right - others) / (2**0.5 * spread).clamp_min(TINY)
        likely: Tensor = torch.special.ndtr(gap)
        return likely.squeeze(1)

    def agree(self, outputs: Tensor, others: Tensor) -> Tensor:
        """Return which samples get the same top-1 answer, ``(N,)``."""
        return outputs.argmax(1) == others.argmax(1)

    def distance(self, dense: Tensor, outputs: Tensor) -> Tensor:
        """Return the divergence of the softmax from the dense one in nats, ``(N,)``."""
        gaps = _divergence(F.log_softmax(dense.float(), 1), F.log_softmax(outputs.float(), 1))
        return gaps.sum(1)

    def loss(self, outputs: Tensor, targets: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Return the cross-entropy in nats."""
        return cross_entropy(outputs, targets, reduction)

    def distillation(self, outputs: Tensor, dense: Tensor, *, temperature: float) -> Tensor:
        """Return the divergence of softened answers from the dense ones."""
        return softened_divergence(outputs, dense, temperature=temperature)

    def drawn(self, outputs: Tensor, generator: Generator) -> Tensor:
        """Draw a label for each sample from the softmax of the logits."""
        return drawn_labels(outputs, generator)

    def kept_count(self, classes: int) -> int:
        """Return the number of classes, up to a bound; see `Task`."""
        return min(classes, MAX_KEPT)

    def kept_outputs(self, dense: Tensor, targets: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the classes of the largest logits and that of the right one; see `Task`."""
        classes = dense.shape[1]
        truth = dense.argmax(1) if targets is None else targets
        if classes <= MAX_KEPT:
            every = torch.arange(classes, device=dense.device).expand(len(dense), classes)
            return every, truth
        columns = dense.topk(MAX_KEPT, dim=1).indices
        # The right one takes the last place where it is not among them.
        is_among = (columns == truth[:, None]).any(1)
        columns[:, -1] = torch.where(is_among, columns[:, -1], truth)
        return columns, (columns == truth[:, None]).int().argmax(1)

    def vector(
        self,
        dense: Tensor,
        outputs: Tensor,
        targets: Tensor | None,
        groups: Tensor | None = None,
    ) -> Tensor:
        """Return counts and sums of a batch, float64 ``(7,)``; see `Task.vector`.

        Without labels the dense model's top-1 answer takes their place, and the loss is 0.
        """
        wide = wide_type(outputs)
        dense_top, top = dense.argmax(1), outputs.argmax(1)
        truth = dense_top if targets is None else targets
        dense_right, right = dense_top == truth, top == truth
        log_dense = F.log_softmax(dense.to(wide), 1)
        log_pruned = F.log_softmax(outputs.to(wide), 1)
        gaps = _divergence(log_dense, log_pruned)
        if targets is None:
            # Keeps a NaN visible that the missing loss would hide.
            loss = (outputs.to(wide) * 0).sum()
        else:
            loss = -log_pruned.gather(1, targets[:, None]).sum()
        return torch.stack(
            [
                torch.full((), len(outputs), dtype=wide, device=outputs.device),
                right.sum().to(wide),
                (right & ~dense_right).sum().to(wide),
                (dense_right & ~right).sum().to(wide),
                (dense_top == top).sum().to(wide),
                loss,
                gaps.sum().clamp_min(0.0),
            ]
        )

    def answers(self, outputs: Tensor) -> Tensor:
        """Return the class with the largest logit, int64 ``(N,)``."""
        return outputs.argmax(1)

    def chance(self, classes: int, targets: Tensor | None) -> float | None:
        """Return the share of the commonest class; where targets are not at hand, 1 / classes."""
        if targets is None or not len(targets):
            return 1 / classes
        return max(1 / classes, int(torch.bincount(targets).max()) / len(targets))

    def gaps(self, outputs: Tensor, ranking: Tensor) -> Tensor:
        """Return by how much the first class of a ranking leads the second ``(N,)``."""
        first = ranking.topk(min(2, ranking.shape[1]), dim=1).indices
        values = outputs.gather(1, first)
        return values[:, 0] - values[:, -1]

    def by_class(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Tensor:
        """Return counts of samples, dense right, lost and gained, int64 ``(classes, 4)``."""
        truth = dense.argmax(1) if targets is None else targets
        before, after = dense.argmax(1) == truth, outputs.argmax(1) == truth
        flags = torch.stack([torch.ones_like(before), before, before & ~after, after & ~before], 1)
        counts = torch.zeros(dense.shape[1], 4, dtype=torch.int64, device=truth.device)
        return counts.index_add_(0, truth, flags.to(torch.int64))


def _divergence(log_dense: Tensor, log_pruned: Tensor) -> Tensor:
    """Return each class' part of the Kullback-Leibler divergence, ``(N, classes)``."""
    # Where the dense model gives no chance at all, 0 * (-inf) is 0.
    shares = log_dense.exp()
    return torch.where(shares > 0, shares * (log_dense - log_pruned), 0.0)


CLASSIFICATION = Classification()
