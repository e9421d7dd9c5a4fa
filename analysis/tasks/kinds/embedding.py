"""Embeddings: judged by how little pruning turns them; no targets are needed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from analysis.records import WholeScore
from analysis.tasks.kinds.adding import MeanTask, checked, close, reduced
from analysis.tasks.kinds.targets import first_of_other_form
from analysis.tasks.meanings import Cosine
from analysis.tasks.task import Reduction
from analysis.uncertainty import t_interval

# Spread of drawn embeddings, relative to their length.
NOISE = 0.1
# Neighbours that are compared, and samples that are compared with all others at a time.
NEAREST, ROWS = 10, 512


class Embedding(Cosine, MeanTask):
    """Vectors ``(N, D)``. Targets are those of the dense model; the loss is 1 - cosine."""

    name = "embedding"
    takes_targets = False

    def check(self, outputs: object, samples: int, *, model: str) -> Tensor:
        """Return vectors ``(samples, D)``; see `Task.check`."""
        return checked(outputs, samples, model=model, form="embeddings (samples, D)", dims=(2,))

    def as_targets(self, values: Tensor) -> Tensor | None:
        """Return None: what the data says is not asked for."""
        return None

    def own_targets(self, dense: Tensor) -> Tensor:
        """Return the dense model's embeddings."""
        return dense

    def target_problem(self, targets: Tensor, form: tuple[int, ...]) -> tuple[int, str] | None:
        """Return the first sample if targets are of another size than outputs."""
        return first_of_other_form(targets, form)

    def numbers(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the cosine of each sample."""
        cosines: Tensor = F.cosine_similarity(outputs.float(), truth.float(), dim=1)
        return cosines

    def agree(self, outputs: Tensor, others: Tensor) -> Tensor:
        """Return which samples get the same embedding but for rounding."""
        return close(outputs, others)

    def distance(self, dense: Tensor, outputs: Tensor) -> Tensor:
        """Return one less the cosine of each sample."""
        return self.loss(outputs, dense, "none")

    def loss(self, outputs: Tensor, targets: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Return one less the cosine."""
        return reduced(1 - self.numbers(outputs, targets.to(outputs.device)), reduction)

    def drawn(self, outputs: Tensor, generator: Generator) -> Tensor:
        """Draw embeddings around the model's own: at them the loss has no gradient."""
        found = outputs.detach().float().cpu()
        spread = NOISE / math.sqrt(found.shape[1])
        noise = torch.randn(found.shape, generator=generator) * spread
        return found + noise * _length(found)

    def whole_rows(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        """Return the embeddings."""
        return (outputs,)

    def whole(
        self, dense: Sequence[Tensor], pruned: Sequence[Tensor], confidence: float
    ) -> tuple[WholeScore, ...]:
        """Return the share of a sample's nearest samples that stay its nearest, a mean."""
        count = min(NEAREST, len(dense[0]) - 1)
        if count < 1:
            return ()
        kept = []
        for part in torch.split(torch.arange(len(dense[0])), ROWS):
            before, after = (_neighbours(item[0], count, part) for item in (dense, pruned))
            kept.append((before[:, :, None] == after[:, None]).any(2).double().mean(1))
        lost = 1 - torch.cat(kept)
        ends = t_interval(float(lost.sum()), float(lost.square().sum()), len(lost), confidence)
        return (
            WholeScore(
                label=f"{count} nearest kept",
                dense=1.0,
                pruned=1 - float(lost.mean()),
                drop=float(lost.mean()),
                drop_low=ends.low,
                drop_high=ends.high,
                method="paired t",
            ),
        )

    def extra_terms(self, dense: Tensor, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the distance of each embedding, relative to the length of dense."""
        apart, length = (_length(item) for item in (outputs.float() - truth.float(), truth.float()))
        return apart / length.clamp_min(torch.finfo(torch.float32).tiny)


def _neighbours(vectors: Tensor, count: int, part: Tensor) -> Tensor:
    """Return the nearest of all by cosine, itself left out, of some rows ``(part, count)``."""
    found = F.normalize(vectors.float(), dim=1)
    near = (found[part] @ found.T).scatter(1, part[:, None], -2.0)
    return near.topk(count, dim=1).indices


def _length(vectors: Tensor) -> Tensor:
    return vectors.square().sum(1, keepdim=True).sqrt()


EMBEDDING = Embedding()
