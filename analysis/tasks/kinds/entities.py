"""Entities that labels of tokens tell: ``B-PER`` begins one, ``I-PER`` goes on, ``O`` is none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LABEL = re.compile(r"(?:(?P<part>[BI])-(?P<kind>.+)|O)")


@dataclass(frozen=True, slots=True, eq=False)
class Entities:
    """What labels tell of entities.

    Attributes:
        begins: Whether a label begins an entity, bool ``(C,)``.
        kinds: The kind of entity that it is of, int64 ``(C,)``; -1 for none.
    """

    begins: Tensor
    kinds: Tensor

    @classmethod
    def named(cls, names: Sequence[str]) -> Entities | None:
        """Return what names of labels tell; None if they are others than those of entities."""
        found = [LABEL.fullmatch(name) for name in names]
        labels = [item for item in found if item is not None]
        if len(labels) < len(found) or not any(item["part"] for item in labels):
            return None
        order = list(dict.fromkeys(item["kind"] for item in labels if item["part"]))
        return cls(
            torch.tensor([item["part"] == "B" for item in labels]),
            torch.tensor([order.index(item["kind"]) if item["part"] else -1 for item in labels]),
        )

    def counted(self, truth: Tensor, given: Tensor, counts: Tensor) -> Tensor:
        """Return entities that are there, that are given, and of both, ``(N, 3)``.

        One is right with the kind and both ends that it has. What goes on where nothing of its
        kind has begun begins one, as the CoNLL tasks count.

        Args:
            truth: Labels ``(N, T)``.
            given: Those that a model gives.
            counts: Which positions count; the others are as if they were not there.
        """
        order = torch.argsort(~counts, dim=1, stable=True)
        has = counts.gather(1, order)
        there, found = (self._spans(labels.gather(1, order), has) for labels in (truth, given))
        right = there.starts & found.starts & (there.kinds == found.kinds)
        right = right & (there.ends == found.ends)
        return torch.stack([item.sum(1) for item in (there.starts, found.starts, right)], 1)

    def _spans(self, labels: Tensor, has: Tensor) -> _Spans:
        places = torch.where(has, labels, 0)
        kinds = torch.where(has, self.kinds.to(labels.device, non_blocking=True)[places], -1)
        none = torch.full_like(kinds[:, :1], -1)
        is_other = kinds != torch.cat([none, kinds[:, :-1]], 1)
        starts = (kinds >= 0) & (
            self.begins.to(labels.device, non_blocking=True)[places] | is_other
        )
        # The next place where an entity starts, or another kind than here.
        stops = torch.cat([starts | is_other, torch.ones_like(has[:, :1])], 1)
        numbers = torch.arange(stops.shape[1], device=labels.device).expand_as(stops)
        later = torch.where(stops, numbers, stops.shape[1])[:, 1:]
        return _Spans(starts, kinds, later.flip(1).cummin(1).values.flip(1))


@dataclass(frozen=True, slots=True, eq=False)
class _Spans:
    """Entities by position, ``(N, T)``: whether one starts, of which kind, and where it stops."""

    starts: Tensor
    kinds: Tensor
    ends: Tensor
