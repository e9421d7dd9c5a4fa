"""What is counted on a batch, as one small tensor, so that a GPU is asked only once a batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from analysis.records import Sums

COUNTS = ("samples", "correct", "gained", "lost", "agree")


def batch_vector(dense_logits: Tensor, logits: Tensor, labels: Tensor | None) -> Tensor:
    """Return the counts and sums of a batch without waiting for the device.

    Without labels the dense model's top-1 answer takes their place, and the loss is 0.

    Args:
        dense_logits: Logits of the dense model ``(N, classes)``.
        logits: Logits of the pruned model ``(N, classes)``.
        labels: Class indices int64 ``(N,)`` or None.

    Returns:
        Float64 ``(7,)``: samples, correct, gained, lost, agree, loss, KL(dense || pruned) in nats.
        Not finite where a logit is not.
    """
    # MPS knows no float64; its sums of a batch are exact enough in float32.
    wide = torch.float32 if logits.device.type == "mps" else torch.float64
    dense_top, top = dense_logits.argmax(1), logits.argmax(1)
    truth = dense_top if labels is None else labels
    dense_right, right = dense_top == truth, top == truth
    log_dense = F.log_softmax(dense_logits.to(wide), 1)
    log_pruned = F.log_softmax(logits.to(wide), 1)
    # Where the dense model gives no chance at all, 0 * (-inf) is 0.
    weighted = torch.where(log_dense.exp() > 0, log_dense.exp() * (log_dense - log_pruned), 0.0)
    kl = weighted.sum().clamp_min(0.0)
    if labels is None:
        # Keeps a NaN visible that the missing loss would hide.
        loss = (logits.to(wide) * 0).sum()
    else:
        loss = -log_pruned.gather(1, labels[:, None]).sum()
    return torch.stack(
        [
            torch.full((), len(logits), dtype=wide, device=logits.device),
            right.sum().to(wide),
            (right & ~dense_right).sum().to(wide),
            (dense_right & ~right).sum().to(wide),
            (dense_top == top).sum().to(wide),
            loss,
            kl,
        ]
    )


def to_sums(vector: Tensor | list[float], *, seconds: float = 0.0) -> Sums:
    """Turn one result of `batch_vector` into a record."""
    values = vector.tolist() if isinstance(vector, Tensor) else vector
    counts = {name: int(value) for name, value in zip(COUNTS, values, strict=False)}
    return Sums(**counts, loss=values[5], kl=values[6], seconds=seconds)


def batch_sums(dense_logits: Tensor, logits: Tensor, labels: Tensor | None) -> Sums:
    """Return the counts and sums of a batch as a record; see `batch_vector`."""
    return to_sums(batch_vector(dense_logits, logits, labels))


def is_finite(vector: list[float]) -> bool:
    """Return whether the logits behind a vector of `batch_vector` were finite."""
    return all(value == value and abs(value) != float("inf") for value in vector)


def accuracy(sums: Sums) -> float:
    """Return the fraction of right top-1 answers; NaN without samples."""
    return sums.correct / sums.samples if sums.samples else float("nan")


def drop(sums: Sums) -> float:
    """Return the accuracy lost against the dense model, as a fraction; NaN without samples."""
    return (sums.lost - sums.gained) / sums.samples if sums.samples else float("nan")
