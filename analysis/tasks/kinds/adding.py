"""What tasks have in common: no classes, vectors by group, checks of outputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from analysis.records import Sums
from analysis.tasks.meanings import SampleMean, SumRatio
from analysis.tasks.task import Task
from analysis.uncertainty import GROUPS
from pruners.errors import InputError


class WithoutClasses(Task):
    """Answers that are no class of a sample."""

    def notes(self, outputs: Tensor) -> tuple[str, ...]:
        """Nothing is odd about any outputs."""
        return ()

    def classes(self, outputs: Tensor) -> int:
        """Return 0."""
        return 0

    def answers(self, outputs: Tensor) -> Tensor | None:
        """Return None."""
        return None

    def chance(self, classes: int, targets: Tensor | None) -> float | None:
        """Return None."""
        return None

    def distillation(self, outputs: Tensor, dense: Tensor, *, temperature: float) -> Tensor:
        """Return the mean distance; there is nothing that a temperature softens."""
        return self.distance(dense, outputs).mean()

    def gaps(self, outputs: Tensor, ranking: Tensor) -> Tensor:
        """Return 0 for each sample: any rounding may change its score."""
        return outputs.flatten(1)[:, 0].float() * 0

    def by_class(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Tensor:
        """Return no rows."""
        return torch.zeros(0, 4, dtype=torch.int64)


class SummedTask(SumRatio, WithoutClasses):
    """A task whose score is computed from sums."""

    def shared_terms(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the terms of `shared` of each sample ``(N, terms)``.

        Args:
            outputs: For their form alone.
            truth: The targets.
        """
        return truth.new_zeros((len(truth), 0), dtype=torch.float32)

    def own_terms(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the terms of `own` of each sample ``(N, terms)``."""
        raise NotImplementedError

    def extra_terms(self, dense: Tensor, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return those of `extras` ``(N, terms)``."""
        raise NotImplementedError

    def vector(
        self,
        dense: Tensor,
        outputs: Tensor,
        targets: Tensor | None,
        groups: Tensor | None = None,
    ) -> Tensor:
        """Return sums by group; see `Task.vector`."""
        truth = self.own_targets(dense) if targets is None else targets
        ones = outputs.flatten(1)[:, :1].detach() * 0 + 1
        parts = [ones, self.shared_terms(outputs, truth)]
        parts += [self.own_terms(item, truth) for item in (dense, outputs)]
        parts += [self.extra_terms(dense, outputs, truth)]
        wide = wide_type(outputs)
        table = torch.cat([part.to(wide) for part in parts], 1)
        return torch.cat([_count(outputs, wide), by_group(table, groups).flatten()])

    def sums(self, row: Sequence[float], *, seconds: float = 0.0) -> Sums:
        """Turn the values of one `vector` into a record."""
        names = self.terms_of(len(row) - 1)
        terms = dict(zip(names, row[1:], strict=True))
        return Sums(samples=int(row[0]), seconds=seconds, terms=terms)


class MeanTask(SampleMean, WithoutClasses):
    """A task whose score is a mean over samples."""

    def numbers(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the score of each sample ``(N,)``, the higher the better."""
        raise NotImplementedError

    def extra_terms(self, dense: Tensor, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the terms of `extras` of each sample ``(N, terms)``."""
        raise NotImplementedError

    def scores(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Tensor:
        """Return the score of each sample ``(N,)``."""
        return self.numbers(outputs, self.own_targets(dense) if targets is None else targets)

    def vector(
        self,
        dense: Tensor,
        outputs: Tensor,
        targets: Tensor | None,
        groups: Tensor | None = None,
    ) -> Tensor:
        """Return sums, of squares, too, and by group; see `Task.vector`."""
        truth = self.own_targets(dense) if targets is None else targets
        wide = wide_type(outputs)
        before, after = (self.numbers(item, truth).to(wide) for item in (dense, outputs))
        drops = before - after
        clipped = drops.clamp(-self.bound, self.bound)
        ones = torch.ones_like(drops)
        of_documents = ones * 0 if groups is None else (groups >= GROUPS).to(wide)
        columns = [after, after**2, drops, drops**2, clipped, clipped**2, of_documents]
        extras = self.extra_terms(dense, outputs, truth).to(wide)
        table = by_group(torch.cat([torch.stack([ones, after, drops], 1), extras], 1), groups)
        own = torch.stack(columns, 1).sum(0)
        return torch.cat([_count(outputs, wide), own, table.flatten()])

    def sums(self, row: Sequence[float], *, seconds: float = 0.0) -> Sums:
        """Turn the values of one `vector` into a record."""
        terms = dict(zip(self.terms, row[1:], strict=True))
        return Sums(samples=int(row[0]), seconds=seconds, terms=terms)


def softened_divergence(
    outputs: Tensor, dense: Tensor, *, temperature: float, dim: int = 1
) -> Tensor:
    """Return the divergence of softened outputs from the dense ones, times temperature squared.

    KL(softmax(dense / T) || softmax(outputs / T)) in nats, a mean over samples and positions;
    classes are along ``dim`` (Hinton et al. 2015).
    """
    soft = F.log_softmax(outputs.float() / temperature, dim)
    aim = F.log_softmax(dense.float() / temperature, dim)
    gaps = F.kl_div(soft, aim, reduction="none", log_target=True).sum(dim)
    return gaps.mean() * temperature**2


def by_group(values: Tensor, groups: Tensor | None) -> Tensor:
    """Return sums ``(GROUPS, terms)`` of values ``(N, terms)``; all in the first without groups."""
    if groups is None:
        rest = values.new_zeros((GROUPS - 1, values.shape[1]))
        return torch.cat([values.sum(0, keepdim=True), rest])
    # A product and no scattered adding: the order of the sums is the same on all devices.
    member = F.one_hot(groups % GROUPS, GROUPS).to(values.dtype)
    return member.T @ values


def checked(outputs: object, samples: int, *, model: str, form: str, dims: Sequence[int]) -> Tensor:
    """Return outputs that are finite real numbers of the form that a task needs.

    Args:
        outputs: What the model returned.
        samples: Samples of the batch.
        model: Its address.
        form: What it should return, such as ``numbers (samples,) or (samples, outputs)``.
        dims: How many dims that may have.

    Raises:
        InputError: They are not.
    """
    if not isinstance(outputs, Tensor) or outputs.dim() not in dims or len(outputs) != samples:
        found = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise InputError(
            f"the model {model!r} must return {form}; for {samples} samples it returned {found}"
        )
    if not outputs.is_floating_point():
        raise InputError(f"the model {model!r} must return {form}; it returned {outputs.dtype}")
    if not bool(torch.isfinite(outputs).all()):
        raise InputError(
            f"the dense model {model!r} gives outputs that are not finite; check weights and the "
            "mean and std of the data"
        )
    return outputs


def reduced(each: Tensor, reduction: str) -> Tensor:
    """Return losses of samples ``(N,)`` as they are, their mean or their sum."""
    return each if reduction == "none" else each.mean() if reduction == "mean" else each.sum()


def close(outputs: Tensor, others: Tensor, tolerance: float = 1e-3) -> Tensor:
    """Return which samples have the same outputs but for rounding, ``(N,)``."""
    size = torch.maximum(outputs.abs().amax(), others.abs().amax())
    return ((outputs - others).abs().flatten(1) <= tolerance * size).all(1)


def wide_type(outputs: Tensor) -> torch.dtype:
    """Return the type that a batch is summed in."""
    # MPS knows no float64; its sums of a batch are exact enough in float32.
    return torch.float32 if outputs.device.type == "mps" else torch.float64


def _count(outputs: Tensor, wide: torch.dtype) -> Tensor:
    return torch.full((1,), len(outputs), dtype=wide, device=outputs.device)
