"""Detection: boxes with a class each, of which candidates at fixed places are scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from analysis.records import WholeScore
from analysis.tasks.detecting import (
    MOST,
    NONE,
    average_precision,
    bootstrapped,
    hits,
    kept_boxes,
    overlaps,
)
from analysis.tasks.kinds.adding import SummedTask, checked, close, reduced
from analysis.tasks.kinds.targets import real_numbers
from analysis.tasks.meanings import SCORES, DetectedBoxes
from analysis.tasks.task import Reduction
from pruners.errors import InputError

IOU = 0.5
# Those of COCO's mAP.
STRICTER = tuple(0.5 + step / 20 for step in range(10))
# From here on the dense model's own boxes are what is there, where the data says nothing.
SURE = 0.5
FORM = "boxes (samples, candidates, 4) and scores (samples, candidates, classes)"
ROUNDING = 1e-2


class Detection(DetectedBoxes, SummedTask):
    """Boxes; outputs are candidates ``(N, K, 4 + C)``: corners in pixels, then scores of 0 to 1.

    Targets are padded to ``(N, MOST, 5)``: corners and class, which is -1 where there is no box.
    What overlaps is suppressed here, and not by the model: its candidates stay at fixed places,
    in any order of scores, so that a graph can be captured and outputs compared.
    """

    name = "detection"

    def packed(self, outputs: Any) -> Any:
        """Return boxes and scores, a dict or two of a tuple, as one tensor."""
        if isinstance(outputs, list | tuple) and outputs and isinstance(outputs[0], Mapping):
            raise InputError(
                "the model returns a list of boxes that it chose by their scores, of which no "
                f"graph can be captured; let the factory return {FORM} as they are before"
            )
        if isinstance(outputs, Mapping):
            missing = [name for name in ("boxes", "scores") if name not in outputs]
            if missing:
                known = ", ".join(map(str, outputs))
                raise InputError(f"the model must return {FORM}; found a dict of {known}")
            parts = [outputs["boxes"], outputs["scores"]]
        elif isinstance(outputs, list | tuple) and len(outputs) == 2:
            parts = list(outputs)
        else:
            return outputs
        if not all(isinstance(part, Tensor) for part in parts):
            raise InputError(f"the model must return {FORM}")
        boxes, scores = parts
        return torch.cat([boxes, scores if scores.dim() == boxes.dim() else scores[..., None]], -1)

    def check(self, outputs: object, samples: int, *, model: str) -> Tensor:
        """Return candidates ``(samples, candidates, 4 + classes)``; see `Task.check`."""
        found = checked(outputs, samples, model=model, form=FORM, dims=(3,))
        if found.shape[2] < 5:
            checked(None, samples, model=model, form=f"{FORM}, not {found.shape[2]}", dims=())
        scores = found[..., 4:]
        if not bool(((scores >= 0) & (scores <= 1)).all()):
            raise InputError(
                f"the model {model!r} gives scores of {float(scores.min()):.3g} to "
                f"{float(scores.max()):.3g}; of boxes they are 0 to 1: take the sigmoid, or the "
                "softmax without the background"
            )
        return found

    def notes(self, outputs: Tensor) -> tuple[str, ...]:
        """Say if no candidate has a score that counts."""
        best = float(outputs[..., 4:].max())
        if best >= SCORES[0]:
            return ()
        return (f"No candidate of the dense model has a score of {SCORES[0]}; at most {best:.2g}.",)

    def joined(self, value: Mapping[Any, Any]) -> Tensor:
        """Return boxes and labels of one sample, as torchvision's data sets give them."""
        if not {"boxes", "labels"} <= set(value):
            raise ValueError(f"is a dict of {', '.join(map(str, value))}, without boxes and labels")
        boxes, labels = (torch.as_tensor(value[name]) for name in ("boxes", "labels"))
        boxes = boxes.reshape(-1, 4) if boxes.numel() % 4 == 0 else boxes
        if boxes.dim() != 2 or labels.shape != boxes.shape[:1]:
            raise ValueError(
                f"has boxes {tuple(boxes.shape)} and labels {tuple(labels.shape)}; (n, 4) and "
                "(n,) are needed"
            )
        return torch.cat([boxes.float(), labels[:, None].float()], 1)

    def as_targets(self, values: Tensor) -> Tensor | None:
        """Return boxes and classes, float32 ``(N, MOST, 5)``."""
        if values.dim() != 3 or values.shape[2] != 5:
            raise ValueError(
                f"has shape {tuple(values.shape[1:])}; boxes and class, (n, 5), are needed"
            )
        found = real_numbers(values)
        has = found[..., 4] != NONE
        if int(has.sum(1).max()) > MOST:
            raise ValueError(f"has {int(has.sum(1).max())} boxes; at most {MOST} are counted")
        order = torch.argsort(~has, dim=1, stable=True)[:, :MOST]
        found = found.gather(1, order[..., None].expand(*order.shape, 5))
        pad = found.new_zeros(len(found), MOST - found.shape[1], 5)
        pad[..., 4] = NONE
        return torch.cat([found, pad], 1)

    def own_targets(self, dense: Tensor) -> Tensor:
        """Return the boxes that the dense model is sure of."""
        boxes = kept_boxes(dense.detach())
        return self._targets(boxes.corners, boxes.classes, boxes.scores >= SURE)

    @staticmethod
    def _targets(corners: Tensor, classes: Tensor, has: Tensor) -> Tensor:
        known = torch.where(has, classes, NONE)[..., None].to(corners.dtype)
        found = torch.cat([torch.where(has[..., None], corners, 0.0), known], -1)
        rest = MOST - found.shape[-2]
        corner = F.pad(found[..., :4], (0, 0, 0, rest))
        return torch.cat([corner, F.pad(found[..., 4:], (0, 0, 0, rest), value=NONE)], -1)

    def target_problem(self, targets: Tensor, form: tuple[int, ...]) -> tuple[int, str] | None:
        """Return the first sample with a class that there is not, or a box without a size."""
        classes, known = targets[..., 4], form[1] - 4
        has = classes != NONE
        odd = has & ((classes < 0) | (classes >= known) | (classes != classes.floor()))
        if bool(odd.any()):
            at = int(odd.any(1).nonzero()[0])
            found = float(classes[at][odd[at]][0])
            return at, f"has class {found:g}, but the model gives {known} (classes 0..{known - 1})"
        flat = has & (targets[..., 2:4] <= targets[..., :2]).any(-1)
        if not bool(flat.any()):
            return None
        at = int(flat.any(1).nonzero()[0])
        box = ", ".join(f"{value:g}" for value in targets[at][flat[at]][0, :4].tolist())
        return at, f"has a box ({box}) without a size; boxes are (x1, y1, x2, y2)"

    def no_score(self, targets: Tensor) -> str:
        """Say that there are no boxes to be found: F1 would be 0 whatever a model answers."""
        is_empty = bool((targets[..., 4] == NONE).all())
        return "no sample that is evaluated has a box, so that F1 is 0 for any model" * is_empty

    def scores(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Tensor:
        """Return the F1 of each sample, over all scores from which boxes may count, ``(N,)``."""
        truth = self.own_targets(dense) if targets is None else targets
        given, right = self.own_terms(outputs, truth).chunk(2, 1)
        both = given.sum(1) + len(SCORES) * (truth[..., 4] != NONE).sum(1)
        return torch.where(both > 0, 2 * right.sum(1) / both.clamp_min(1), 1.0)

    def agree(self, outputs: Tensor, others: Tensor) -> Tensor:
        """Return which samples get the same candidates but for rounding."""
        return close(outputs[..., :4], others[..., :4]) & close(outputs[..., 4:], others[..., 4:])

    def distance(self, dense: Tensor, outputs: Tensor) -> Tensor:
        """Return how far scores and, weighted by them, boxes are from those of dense, ``(N,)``."""
        weights = dense[..., 4:].amax(-1)
        sides = (dense[..., 2:4] - dense[..., :2]).clamp_min(1).repeat(*[1] * (dense.dim() - 1), 2)
        moved = ((outputs[..., :4] - dense[..., :4]).abs() / sides).mean(-1)
        changed = (outputs[..., 4:] - dense[..., 4:]).abs().sum(-1)
        return (changed + weights * moved).sum(-1) / weights.sum(-1).clamp_min(1)

    def loss(self, outputs: Tensor, targets: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Return focal loss of scores, and 1 - IoU of the candidate that suits each box best.

        A model's own loss knows which anchor is for which box; this one takes the candidate with
        the highest sum of overlap and score.
        """
        truth = targets.to(outputs.device)
        classes, has = truth[..., 4].long().clamp_min(0), truth[..., 4] != NONE
        scores = outputs[..., 4:].float()
        fit = overlaps(outputs[..., :4].float(), truth[..., :4].float())
        of_class = scores.gather(-1, classes[..., None, :].expand(*fit.shape))
        best = (fit + of_class).detach().argmax(-2)
        count = has.sum(-1).clamp_min(1)
        apart = torch.where(has, 1 - fit.gather(-2, best[..., None, :])[..., 0, :], 0.0).sum(-1)
        # 1 where a candidate is the one for a box of the class.
        candidate = F.one_hot(best, scores.shape[-2]) * has[..., None]
        wanted = candidate.transpose(-1, -2).to(scores.dtype) @ F.one_hot(
            classes, scores.shape[-1]
        ).to(scores.dtype)
        wanted = wanted.clamp_max(1)
        sure = scores.clamp(1e-4, 1 - 1e-4)
        nats = F.binary_cross_entropy(sure, wanted, reduction="none")
        focal = (nats * (sure - wanted).abs().square()).sum((-1, -2))
        return reduced((focal + apart) / count, reduction)

    def drawn(self, outputs: Tensor, generator: Generator) -> Tensor:
        """Draw boxes by their scores from those of the model."""
        boxes = kept_boxes(outputs.detach().float().cpu())
        has = torch.bernoulli(boxes.scores, generator=generator) > 0
        return self._targets(boxes.corners, boxes.classes, has)

    def whole_rows(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        """Return score, class and hits of boxes, and how many of each class are there."""
        boxes = kept_boxes(outputs.float())
        right = hits(boxes, targets.float(), STRICTER)
        found = torch.cat([boxes.scores[..., None], boxes.classes[..., None], right], -1)
        classes, width = targets[..., 4].long(), outputs.shape[2] - 4
        there = F.one_hot(torch.where(classes == NONE, width, classes), width + 1)[..., :width]
        return found, there.sum(1)

    def whole(
        self, dense: Sequence[Tensor], pruned: Sequence[Tensor], confidence: float
    ) -> tuple[WholeScore, ...]:
        """Return COCO's mAP and AP at IoU 0.5, with intervals by the paired bootstrap."""
        (before, there), (after, _) = (
            [item.double().numpy() for item in rows] for rows in (dense, pruned)
        )
        both = [average_precision(item, there) for item in (before, after)]
        if not there.sum():
            return ()
        draws = bootstrapped(before, after, there)
        ends = [(1 - confidence) / 2, (1 + confidence) / 2]
        parts = {"mAP": slice(None), "AP at IoU 0.5": slice(1)}
        found = []
        for label, part in parts.items():
            was, now = (float(item[part].mean()) for item in both)
            low, high = np.nanquantile(draws[:, part].mean(1), ends).tolist()
            found.append(
                WholeScore(
                    label=label,
                    dense=was,
                    pruned=now,
                    drop=was - now,
                    drop_low=low,
                    drop_high=high,
                    method="paired bootstrap",
                )
            )
        return tuple(found)

    def shared_terms(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the boxes that are there."""
        return (truth[..., 4] != NONE).sum(-1, keepdim=True)

    def own_terms(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return boxes given, and rightly given, from each score on."""
        boxes = kept_boxes(outputs.float())
        right = hits(boxes, truth.float(), (IOU,))[..., 0]
        limits = torch.tensor(SCORES).to(outputs.device, non_blocking=True)
        given = boxes.scores[..., None] >= limits
        counts = [given.sum(-2), (given & right[..., None]).sum(-2)]
        # No comparison shows what is not finite.
        odd = outputs.double().sum((-1, -2))[..., None] * 0
        return torch.cat(counts, -1) + odd

    def extra_terms(self, dense: Tensor, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return none."""
        return outputs.new_zeros((len(outputs), 0))


DETECTION = Detection()
