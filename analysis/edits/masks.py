"""From scores to masks that are nested over the ratios."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from analysis.edits.prepared import CALIBRATION_BATCH, PreparedSubject, no_data
from analysis.edits.target import Target
from pruners import criteria
from pruners.errors import InputError
from pruners.granularity import parse
from pruners.groups import Group, block_influence
from pruners.selection import element_mask, expand, unit_scores
from pruners.statistics import LayerData, Statistics, layer_data


def scores(
    prepared: PreparedSubject,
    target: Target,
    criterion: str,
    *,
    reduction: str = "mean",
    scaled: bool = True,
) -> Tensor:
    """Return importance scores: ``(units,)`` of a group, or ``(O, I/G, K...)`` of a weight.

    ``reduction`` and ``scaled`` are those of `pruners.criteria.group_scores`.

    Raises:
        UnsupportedError: The criterion does not apply there.
    """
    if target.group is not None:
        group = prepared.group(target.group)
        if group.branches:
            return _depth_scores(prepared, group, criterion)
        return prepared.channel_scores(group, criterion, reduction=reduction, scaled=scaled)
    return prepared.layer_scores(target.layer, criterion, "element")


def _depth_scores(prepared: PreparedSubject, group: Group, criterion: str) -> Tensor:
    """Return the score ``(1,)`` of a branch or layer."""
    level = criteria.CRITERIA.get(criterion).level
    if level is not None:
        return criteria.depth_score(
            group, lambda layer: prepared.layer_scores(layer, criterion, level)
        )
    influence = prepared.once("block influence", lambda: _influence(prepared, criterion))
    data = LayerData(
        name=group.id,
        weight=torch.empty(1, 0),
        statistics={"block_influence": torch.tensor([influence[group.id]])},
        seed=prepared.subject.spec.seed,
    )
    return criteria.scores(criterion, data, level="branch" if group.kind == "branch" else "layer")


def _influence(prepared: PreparedSubject, criterion: str) -> dict[str, float]:
    split = prepared.subject.calibration
    if split is None:
        raise no_data([criterion], prepared.subject.spec)
    batches = split.batches(CALIBRATION_BATCH)
    return block_influence(prepared.model, prepared.require_structure(), batches)


def model_scores(
    prepared: PreparedSubject,
    model: nn.Module,
    target: Target,
    criterion: str,
    *,
    statistics: Statistics | None,
    seed: int,
    reduction: str = "mean",
) -> Tensor:
    """Return the scores of a target in another model of the subject's shapes; see `scores`.

    Args:
        prepared: The subject.
        model: The model as it is now, such as one in training.
        target: What is scored.
        criterion: Registered name.
        statistics: Of this model, with what the criterion needs; None where it reads weights only.
        seed: Of criteria by chance.
        reduction: As of `scores`.

    Raises:
        UnsupportedError: The criterion does not apply there.
    """

    def score(layer: str) -> Tensor:
        level: criteria.Level = "element" if target.group is None else "channel"
        data = layer_data(model, layer, statistics=statistics, seed=seed)
        # A training lays weights out as it computes fastest; criteria see them as anywhere else.
        data = dataclasses.replace(data, weight=data.weight.contiguous())
        return criteria.scores(criterion, data, level=level)

    if target.group is None:
        return score(target.layer)
    group = prepared.group(target.group)
    found = criteria.producer_scores(group, score, reduction=reduction)
    return criteria.group_scores(group, found, reduction=reduction)


@dataclass(frozen=True, slots=True, eq=False)
class NestedMasks:
    """The masks of one target and criterion at several kept counts, in one byte a unit.

    A smaller kept count always keeps a subset, so the position where a unit is first removed says
    all.

    Attributes:
        levels: For each weight or unit, how many of the masks keep it; uint8. Those of units are
            on the CPU: they are few, and whoever looks at them waits for no device.
        kept: The kept counts, falling.
    """

    levels: Tensor
    kept: tuple[int, ...]

    @classmethod
    def of(cls, values: Tensor, kept: Sequence[int], *, granularity: str) -> NestedMasks:
        """Rank the scores once and cut at every kept count.

        Args:
            values: Scores as `scores` returns them.
            kept: Distinct kept counts, at most 255.
            granularity: As in `SweepSpec`.
        """
        parsed = parse(granularity)
        counts = tuple(sorted(set(kept), reverse=True))
        if len(counts) > 255:
            raise InputError(f"at most 255 ratios a curve, found {len(counts)}")
        if parsed.kind == "n:m":
            masks = [element_mask(parsed, values, kept=item) for item in counts]
            return cls(torch.stack(masks).sum(0).to(torch.uint8), counts)
        pooled = values.cpu() if parsed.is_structured else unit_scores(parsed, values)
        total = pooled.numel()
        levels = torch.full((total,), len(counts), dtype=torch.uint8, device=pooled.device)
        order = torch.argsort(pooled.reshape(-1), stable=True)
        for position in reversed(range(len(counts))):
            levels[order[: total - counts[position]]] = position
        levels = levels.reshape(pooled.shape)
        if parsed.kind == "block":
            levels = expand(parsed, levels, values.shape)
        return cls(levels, counts)

    def mask(self, kept: int) -> Tensor:
        """Return the mask at one of the kept counts, True = keep."""
        return self.levels > self.kept.index(kept)


def kept_units(values: Tensor, kept: int, *, granularity: str = "channel") -> Tensor:
    """Return the mask (True = keep) of the ``kept`` highest scores, as sweeps use it."""
    return NestedMasks.of(values, [kept], granularity=granularity).mask(kept)


def digest(target: Target, mask: Tensor) -> bytes:
    """Return what identifies a mask of a target: equal masks are measured once."""
    content = hashlib.blake2b(target.name.encode() + b"|", digest_size=16)
    content.update(mask.to("cpu", torch.bool).contiguous().numpy().tobytes())
    return content.digest()
