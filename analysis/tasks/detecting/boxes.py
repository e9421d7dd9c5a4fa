"""Boxes of a batch, padded: ``(x1, y1, x2, y2)``, their classes and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Boxes of a sample that count, given or there, as in COCO's evaluation.
MOST = 100
# Candidates of a sample that are looked at before overlapping ones are suppressed.
CANDIDATES = 200
# Of two candidates of a class that overlap by more, the one with the lower score is suppressed.
SAME_OBJECT = 0.5
# The class of no box.
NONE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Boxes that a model gives, the highest score first.

    Attributes:
        corners: ``(N, D, 4)``.
        classes: int64 ``(N, D)``.
        scores: ``(N, D)``; 0 where there is no box.
    """

    corners: Tensor
    classes: Tensor
    scores: Tensor


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Return intersection over union ``(N, D, M)`` of boxes ``(N, D, 4)`` and ``(N, M, 4)``."""
    one, other = boxes[..., :, None, :], others[..., None, :, :]
    low = torch.maximum(one[..., :2], other[..., :2])
    high = torch.minimum(one[..., 2:], other[..., 2:])
    both = (high - low).clamp_min(0).prod(-1)
    areas = [(item[..., 2:] - item[..., :2]).clamp_min(0).prod(-1) for item in (one, other)]
    union = areas[0] + areas[1] - both
    return both / union.clamp_min(torch.finfo(union.dtype).tiny)


def kept_boxes(outputs: Tensor) -> Boxes:
    """Return the boxes of candidates ``(N, K, 4 + C)`` that no better one suppresses.

    A candidate is of the class with its largest score.
    """
    scores, classes = outputs[..., 4:].max(-1)
    found = _best(Boxes(outputs[..., :4], classes, scores), CANDIDATES)
    same = found.classes[..., :, None] == found.classes[..., None, :]
    places = torch.arange(found.scores.shape[-1], device=outputs.device)
    is_later = places > places[:, None]
    rivals = (overlaps(found.corners, found.corners) > SAME_OBJECT) & same & is_later
    # One after another, the best first: who is suppressed suppresses nobody.
    kept = found.scores > 0
    for place in range(found.scores.shape[-1]):
        # More than false: kept and not. A device is handed one step less.
        kept = kept > (rivals[..., place, :] & kept[..., place, None])
    shown = torch.where(kept, found.scores, 0.0)
    return _best(Boxes(found.corners, found.classes, shown), MOST)


def _best(boxes: Boxes, count: int) -> Boxes:
    """Return the boxes with the highest scores."""
    count = min(count, boxes.scores.shape[-1])
    scores, order = boxes.scores.sort(dim=-1, descending=True, stable=True)
    order = order[..., :count]
    corners = boxes.corners.gather(-2, order[..., None].expand(*order.shape, 4))
    return Boxes(corners, boxes.classes.gather(-1, order), scores[..., :count])


def hits(boxes: Boxes, truth: Tensor, thresholds: Sequence[float]) -> Tensor:
    """Return which boxes are right, bool ``(N, D, thresholds)``.

    The best box comes first and takes the box of its class that it overlaps most and that none
    took before it, if that is by a threshold at least.

    Args:
        boxes: What a model gives.
        truth: Boxes and classes that are there ``(N, M, 5)``; class -1 is none.
        thresholds: Of intersection over union.
    """
    there = truth[..., 4].long()
    same = (boxes.classes[..., :, None] == there[..., None, :]) & (there != NONE)[..., None, :]
    may_hit = same & (boxes.scores > 0)[..., None]
    apart = torch.where(may_hit, overlaps(boxes.corners, truth[..., :4]), -1.0)
    # Not made on the device: that would wait for it.
    limits = torch.tensor(list(thresholds), dtype=apart.dtype).to(apart.device, non_blocking=True)
    numbers = torch.arange(there.shape[-1], device=apart.device)
    taken = torch.zeros_like(there, dtype=torch.bool)[..., None, :].expand(
        *there.shape[:-1], len(limits), there.shape[-1]
    )
    found = []
    for place in range(apart.shape[-2]):
        best, at = torch.where(taken, -1.0, apart[..., place, None, :]).max(-1)
        is_hit = best >= limits
        taken = taken | ((numbers == at[..., None]) & is_hit[..., None])
        found.append(is_hit)
    return torch.stack(found, -2)
