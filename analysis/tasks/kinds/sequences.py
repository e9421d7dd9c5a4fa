"""A class for each position of a sequence; vocabularies are looked at in slices of positions."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from analysis.tasks.kinds.adding import SummedTask, checked, reduced, softened_divergence
from analysis.tasks.kinds.entities import Entities
from analysis.tasks.kinds.targets import IGNORED, class_maps, first_class_out_of_range
from analysis.tasks.meanings import NextTokens, Perplexity, RightTokens, TokenScore
from analysis.tasks.task import Reduction, Task
from pruners.statistics import drawn_labels

# Values of a slice: a vocabulary of 50,000 in float32 at some 80 positions.
SLICE_VALUES = 2**22
# Share of positions that rounding may change.
ROUNDED = 1e-2


class SequenceTask(TokenScore, SummedTask):
    """Outputs are logits ``(N, T, C)``, targets classes ``(N, T)``; -100 does not count."""

    def check(self, outputs: object, samples: int, *, model: str) -> Tensor:
        """Return logits ``(samples, positions, classes)``; see `Task.check`."""
        form = "logits (samples, positions, classes)"
        return checked(outputs, samples, model=model, form=form, dims=(3,))

    def as_targets(self, values: Tensor) -> Tensor | None:
        """Return classes, int64 ``(N, T)``."""
        return class_maps(values)

    def own_targets(self, dense: Tensor) -> Tensor:
        """Return the dense model's likeliest classes."""
        return dense.argmax(-1)

    def target_problem(self, targets: Tensor, form: tuple[int, ...]) -> tuple[int, str] | None:
        """Return the first sample of another length, or with a class that there is not."""
        if tuple(targets.shape[1:]) != form[:1]:
            shape = tuple(targets.shape[1:])
            return 0, f"has a target of shape {shape}, but the model gives {form[0]} positions"
        return first_class_out_of_range(targets, form[1])

    def no_score(self, targets: Tensor) -> str:
        """Say that no token counts."""
        is_empty = bool((targets == IGNORED).all())
        return (
            f"each token that is evaluated is of class {IGNORED}, which does not count" * is_empty
        )

    def scores(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Tensor:
        """Return the mean loss of a position, negative, ``(N,)``."""
        return -self.loss(outputs, self.own_targets(dense) if targets is None else targets, "none")

    def agree(self, outputs: Tensor, others: Tensor) -> Tensor:
        """Return which samples get the same likeliest classes, but for a position in a hundred."""
        other = (outputs.argmax(-1) != others.argmax(-1)).float().mean(1)
        return other <= ROUNDED

    def distance(self, dense: Tensor, outputs: Tensor) -> Tensor:
        """Return the mean divergence of a position from dense in nats, ``(N,)``."""
        parts = [_divergence(dense[:, part], outputs[:, part]) for part in _slices(outputs)]
        return torch.cat(parts, 1).mean(1)

    def loss(self, outputs: Tensor, targets: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Return the mean cross-entropy of a position in nats."""
        truth = targets.to(outputs.device)
        count = (truth != IGNORED).sum(1).clamp_min(1)
        return reduced(_nats(outputs, truth).sum(1) / count, reduction)

    def distillation(self, outputs: Tensor, dense: Tensor, *, temperature: float) -> Tensor:
        """Return the divergence of softened answers from the dense ones."""
        return softened_divergence(outputs, dense, temperature=temperature, dim=-1)

    def drawn(self, outputs: Tensor, generator: Generator) -> Tensor:
        """Draw a class for each position from the softmax of its logits."""
        parts = [
            drawn_labels(outputs[:, part].detach().flatten(0, 1), generator).reshape(
                len(outputs), -1
            )
            for part in _slices(outputs)
        ]
        return torch.cat(parts, 1)

    def shared_terms(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return positions with a target."""
        return (truth != IGNORED).sum(1, keepdim=True)

    def own_terms(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return right positions and the sum of their losses."""
        right = (outputs.argmax(-1) == truth).sum(1)
        return torch.stack([right.double(), _nats(outputs, truth).double().sum(1)], 1)

    def extra_terms(self, dense: Tensor, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return positions answered as by dense, and the divergence from it."""
        counts = truth != IGNORED
        same = ((outputs.argmax(-1) == dense.argmax(-1)) & counts).sum(1)
        gaps = [_divergence(dense[:, part], outputs[:, part]) for part in _slices(outputs)]
        kl = torch.where(counts, torch.cat(gaps, 1), 0.0).double().sum(1)
        return torch.stack([same.double(), kl], 1)


class LanguageModelling(NextTokens, SequenceTask):
    """The next token at each position; targets are shifted by the data."""

    name = "language_modelling"
    _bytes: Tensor | None = None

    def of_data(self, class_names: Sequence[str], token_bytes: Tensor | None) -> Task:
        """Return the task of data of which the bytes of each token are known."""
        found = copy.copy(self)
        found._bytes = token_bytes
        return found

    def extra_terms(self, dense: Tensor, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return what all sequences have, and bytes of targets; 0 where they are not known."""
        if self._bytes is None:
            sizes = torch.zeros_like(truth)
        else:
            table = self._bytes.to(truth.device, non_blocking=True)
            sizes = table[truth.clamp(0, len(table) - 1)] * (truth != IGNORED)
        return torch.cat(
            [super().extra_terms(dense, outputs, truth), sizes.sum(1, keepdim=True)], 1
        )


class MaskedLM(Perplexity, SequenceTask):
    """The token behind each mask; all other positions are -100 in the targets."""

    name = "masked_lm"


class TokenClassification(RightTokens, SequenceTask):
    """A class of each token."""

    name = "token_classification"
    _entities: Entities | None = None

    def of_data(self, class_names: Sequence[str], token_bytes: Tensor | None) -> Task:
        """Return the task of data whose classes are named ``O``, ``B-PER``, ``I-PER``, ...."""
        found = copy.copy(self)
        found._entities = Entities.named(class_names)
        return found

    def extra_terms(self, dense: Tensor, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return what all sequences have, and entities; 0 where classes name none."""
        own = super().extra_terms(dense, outputs, truth)
        counts = truth != IGNORED
        if self._entities is None:
            return torch.cat([own, torch.zeros_like(own[:, :1]).expand(-1, 3)], 1)
        return torch.cat([own, self._entities.counted(truth, outputs.argmax(-1), counts)], 1)


def _slices(outputs: Tensor) -> Iterator[slice]:
    """Yield positions, few enough at a time."""
    step = max(1, SLICE_VALUES // max(1, outputs.shape[0] * outputs.shape[2]))
    for first in range(0, outputs.shape[1], step):
        yield slice(first, first + step)


def _nats(outputs: Tensor, truth: Tensor) -> Tensor:
    """Return the loss of each position ``(N, T)``; 0 where there is no target."""
    parts = [
        F.cross_entropy(
            outputs[:, part].float().flatten(0, 1),
            truth[:, part].flatten(),
            ignore_index=IGNORED,
            reduction="none",
        ).reshape(len(outputs), -1)
        for part in _slices(outputs)
    ]
    return torch.cat(parts, 1)


def _divergence(dense: Tensor, outputs: Tensor) -> Tensor:
    """Return KL(dense || outputs) of each position in nats, ``(N, T)``."""
    before, after = F.log_softmax(dense.float(), -1), F.log_softmax(outputs.float(), -1)
    shares = before.exp()
    # Where the dense model gives no chance at all, 0 * (-inf) is 0.
    return torch.where(shares > 0, shares * (before - after), 0.0).sum(-1)


LANGUAGE_MODELLING, MASKED_LM = LanguageModelling(), MaskedLM()
TOKEN_CLASSIFICATION = TokenClassification()
