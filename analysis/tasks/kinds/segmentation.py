"""Segmentation: a class for each pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from analysis.tasks.kinds.adding import SummedTask, checked, reduced, softened_divergence
from analysis.tasks.kinds.targets import IGNORED, class_maps, first_class_out_of_range
from analysis.tasks.meanings import MeanOverlap
from analysis.tasks.task import Reduction
from pruners.statistics import drawn_labels

# Share of pixels that rounding may change.
ROUNDED = 1e-3


class Segmentation(MeanOverlap, SummedTask):
    """Classes of pixels; outputs are logits ``(N, C, H, W)``, targets classes ``(N, H, W)``.

    Pixels of class -100 do not count.
    """

    name = "segmentation"

    def check(self, outputs: object, samples: int, *, model: str) -> Tensor:
        """Return logits ``(samples, classes, height, width)``; see `Task.check`."""
        form = "logits (samples, classes, height, width)"
        return checked(outputs, samples, model=model, form=form, dims=(4,))

    def as_targets(self, values: Tensor) -> Tensor | None:
        """Return classes, int64 ``(N, H, W)``."""
        found = class_maps(values)
        return found[:, 0] if found.dim() == 4 and found.shape[1] == 1 else found

    def own_targets(self, dense: Tensor) -> Tensor:
        """Return the dense model's classes."""
        return dense.argmax(1)

    def target_problem(self, targets: Tensor, form: tuple[int, ...]) -> tuple[int, str] | None:
        """Return the first sample of another size, or with a class that there is not."""
        if tuple(targets.shape[1:]) != form[1:]:
            shape = tuple(targets.shape[1:])
            return 0, f"has a target of shape {shape}, but the model gives pixels {form[1:]}"
        return first_class_out_of_range(targets, form[0])

    def no_score(self, targets: Tensor) -> str:
        """Say that no pixel counts."""
        is_empty = bool((targets == IGNORED).all())
        return (
            f"each pixel that is evaluated is of class {IGNORED}, which does not count" * is_empty
        )

    def scores(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Tensor:
        """Return the share of right pixels of each sample, ``(N,)``."""
        truth = self.own_targets(dense) if targets is None else targets
        right = (outputs.argmax(1) == truth).flatten(1).sum(1)
        return right.float() / (truth != IGNORED).flatten(1).sum(1).clamp_min(1)

    def agree(self, outputs: Tensor, others: Tensor) -> Tensor:
        """Return which samples get the same classes, but for a pixel in a thousand."""
        other = (outputs.argmax(1) != others.argmax(1)).flatten(1).float().mean(1)
        return other <= ROUNDED

    def distance(self, dense: Tensor, outputs: Tensor) -> Tensor:
        """Return the mean divergence of a pixel from dense in nats, ``(N,)``."""
        before, after = F.log_softmax(dense.float(), 1), F.log_softmax(outputs.float(), 1)
        return (before.exp() * (before - after)).sum(1).flatten(1).mean(1)

    def loss(self, outputs: Tensor, targets: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Return the mean cross-entropy of a pixel in nats."""
        truth = targets.to(outputs.device)
        count = (truth != IGNORED).flatten(1).sum(1).clamp_min(1)
        return reduced(_pixel_loss(outputs, truth) / count, reduction)

    def distillation(self, outputs: Tensor, dense: Tensor, *, temperature: float) -> Tensor:
        """Return the divergence of softened answers from the dense ones."""
        return softened_divergence(outputs, dense, temperature=temperature)

    def drawn(self, outputs: Tensor, generator: Generator) -> Tensor:
        """Draw a class for each pixel from the softmax of its logits."""
        last = outputs.detach().movedim(1, -1)
        return drawn_labels(last.flatten(0, -2), generator).reshape(last.shape[:-1])

    def shared_terms(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the pixels of each class."""
        return _counts(truth, truth != IGNORED, outputs.shape[1])

    def own_terms(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the pixels that are given each class, and rightly so."""
        found, counts = outputs.argmax(1), truth != IGNORED
        given = _counts(found, counts, outputs.shape[1])
        return torch.cat([given, _counts(truth, counts & (found == truth), outputs.shape[1])], 1)

    def extra_terms(self, dense: Tensor, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return pixels that count, those answered as by dense, and their loss."""
        counts = truth != IGNORED
        same = (outputs.argmax(1) == dense.argmax(1)) & counts
        sizes = [item.flatten(1).sum(1).double() for item in (counts, same)]
        return torch.stack([*sizes, _pixel_loss(outputs, truth).double()], 1)


def _pixel_loss(outputs: Tensor, truth: Tensor) -> Tensor:
    """Return the sum over pixels of each sample, ``(N,)``."""
    each = F.cross_entropy(outputs.float(), truth, ignore_index=IGNORED, reduction="none")
    return each.flatten(1).sum(1)


def _counts(classes: Tensor, counts: Tensor, width: int) -> Tensor:
    """Return how many pixels have each class where they count, ``(N, width)``."""
    places = torch.where(counts, classes, width).flatten(1)
    found = torch.zeros(len(places), width + 1, dtype=torch.float32, device=places.device)
    return found.scatter_add(1, places, torch.ones_like(places, dtype=torch.float32))[:, :width]


SEGMENTATION = Segmentation()
