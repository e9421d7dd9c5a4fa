"""Binary classification by one logit a sample: yes above 0."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from analysis.tasks.kinds.adding import WithoutClasses, checked, reduced, wide_type
from analysis.tasks.kinds.targets import zeros_and_ones
from analysis.tasks.meanings import BINS, YesOrNo
from analysis.tasks.task import Reduction


class Binary(YesOrNo, WithoutClasses):
    """Yes or no; outputs are logits ``(N,)`` or ``(N, 1)``, targets 0 or 1 ``(N,)``."""

    name = "binary"

    def check(self, outputs: object, samples: int, *, model: str) -> Tensor:
        """Return one logit a sample; see `Task.check`."""
        form = "one logit a sample, (samples,) or (samples, 1)"
        found = checked(outputs, samples, model=model, form=form, dims=(1, 2))
        if found.dim() == 2 and found.shape[1] != 1:
            # Two logits are two classes.
            checked(None, samples, model=model, form=f"{form}, not {found.shape[1]}", dims=())
        return found

    def as_targets(self, values: Tensor) -> Tensor | None:
        """Return 0 and 1, float32 ``(N,)``."""
        found = zeros_and_ones(values)
        if found.numel() != len(found):
            raise ValueError(f"has shape {tuple(found.shape[1:])}; 0 or 1 is needed")
        return found.reshape(len(found))

    def own_targets(self, dense: Tensor) -> Tensor:
        """Return the dense model's answers."""
        return _yes(dense).float()

    def target_problem(self, targets: Tensor, form: tuple[int, ...]) -> tuple[int, str] | None:
        """Return None: they are 0 and 1."""
        return None

    def chance(self, classes: int, targets: Tensor | None) -> float | None:
        """Return the share of the commoner answer."""
        if targets is None or not len(targets):
            return 0.5
        share = float(targets.mean())
        return max(share, 1 - share)

    def scores(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Tensor:
        """Return 1 for right answers and 0 for wrong ones, ``(N,)``."""
        truth = self.own_targets(dense) if targets is None else targets
        return (_yes(outputs).float() == truth).float()

    def agree(self, outputs: Tensor, others: Tensor) -> Tensor:
        """Return which samples get the same answer, ``(N,)``."""
        return _yes(outputs) == _yes(others)

    def distance(self, dense: Tensor, outputs: Tensor) -> Tensor:
        """Return the divergence from the dense answers in nats, ``(N,)``."""
        return bernoulli_divergence(_flat(dense).float(), _flat(outputs).float())

    def gaps(self, outputs: Tensor, ranking: Tensor) -> Tensor:
        """Return how far each logit is on the side that ``ranking`` is on."""
        return torch.where(_yes(ranking), _flat(outputs), -_flat(outputs))

    def loss(self, outputs: Tensor, targets: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Return the cross-entropy in nats."""
        truth = targets.to(outputs.device).float()
        each = F.binary_cross_entropy_with_logits(_flat(outputs).float(), truth, reduction="none")
        return reduced(each, reduction)

    def drawn(self, outputs: Tensor, generator: Generator) -> Tensor:
        """Draw answers from the sigmoid of the logits."""
        return torch.bernoulli(_flat(outputs).detach().float().cpu().sigmoid(), generator=generator)

    def vector(
        self,
        dense: Tensor,
        outputs: Tensor,
        targets: Tensor | None,
        groups: Tensor | None = None,
    ) -> Tensor:
        """Return counts and sums of a batch, float64; see `Task.vector`."""
        wide = wide_type(outputs)
        truth = self.own_targets(dense) if targets is None else targets
        before, after = (_yes(item).float() == truth for item in (dense, outputs))
        loss = self.loss(outputs, truth, "none").to(wide)
        columns = [
            torch.ones_like(after),
            after,
            after & ~before,
            before & ~after,
            self.agree(dense, outputs),
        ]
        counts = torch.stack([item.to(wide) for item in columns]).sum(1)
        gaps = bernoulli_divergence(_flat(dense).to(wide), _flat(outputs).to(wide))
        shown = loss.sum() if targets is not None else (loss * 0).sum()
        rest = [shown[None], gaps.sum()[None].clamp_min(0.0)]
        bins = _bins(outputs).to(wide)
        return torch.cat(
            [counts, *rest, *(answer.to(wide) @ bins for answer in (truth, 1 - truth))]
        )


def bernoulli_divergence(dense: Tensor, outputs: Tensor) -> Tensor:
    """Return KL(dense || outputs) of the sigmoids of logits in nats, one by one."""
    yes = dense.sigmoid()
    sure = F.logsigmoid(dense) - F.logsigmoid(outputs)
    other = F.logsigmoid(-dense) - F.logsigmoid(-outputs)
    return yes * sure + (1 - yes) * other


def _bins(outputs: Tensor) -> Tensor:
    """Return the bin of each logit, one-hot ``(N, BINS)``.

    Of equal width in ``logit / (1 + |logit|)``: narrow around 0, and none holds all sure answers.
    """
    logits = _flat(outputs).double() if outputs.device.type != "mps" else _flat(outputs)
    places = (logits / (1 + logits.abs()) + 1) / 2 * BINS
    # What is not finite shows in the loss.
    return F.one_hot(places.nan_to_num().long().clamp(0, BINS - 1), BINS)


def _flat(outputs: Tensor) -> Tensor:
    return outputs[:, 0] if outputs.dim() == 2 else outputs


def _yes(outputs: Tensor) -> Tensor:
    return _flat(outputs) > 0


BINARY = Binary()
