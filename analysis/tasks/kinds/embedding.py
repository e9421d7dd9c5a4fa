"""Embeddings: judged by how little pruning turns them; no targets are needed."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from analysis.tasks.kinds.adding import MeanTask, checked, close, reduced
from analysis.tasks.kinds.targets import first_of_other_form
from analysis.tasks.meanings import Cosine
from analysis.tasks.task import Reduction

# Spread of drawn embeddings, relative to their length.
NOISE = 0.1


class Embedding(Cosine, MeanTask):
    """Vectors ``(N, D)``. Targets are those of the dense model; the loss is 1 - cosine."""

    name = "embedding"

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

    def extra_terms(self, dense: Tensor, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the distance of each embedding, relative to the length of dense."""
        apart, length = (_length(item) for item in (outputs.float() - truth.float(), truth.float()))
        return apart / length.clamp_min(torch.finfo(torch.float32).tiny)


def _length(vectors: Tensor) -> Tensor:
    return vectors.square().sum(1, keepdim=True).sqrt()


EMBEDDING = Embedding()
