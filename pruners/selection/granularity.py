"""What one pruning decision removes: an element, a channel, a head, a block, N:M.

Element-like granularities work on a weight ``(O, I/G, K...)``, output channels first.

* ``element``: one weight.
* ``block:NxM``: N neighbouring output channels x M neighbouring input channels at one kernel
  position (the orientation of Intel Neural Compressor: ``4x1`` is 4 output rows x 1 input column).
  A block's score is the mean of its weights' scores. Where N or M does not divide the layer, the
  last block is smaller; nothing is left out.
* ``n:m``, such as ``2:4``: of each M neighbouring **input channels** (at one output channel and
  one kernel position) the N highest scores are **kept**. A last short run of fewer than M keeps at
  most N. Its ratio is fixed: 1 - N/M.
* ``channel``, ``head``: units of a group; see `pruners.groups.groups` and
`pruners.criteria.coupled`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pruners.errors import InputError, UnsupportedError
from pruners.selection.masks import keep_mask

KINDS = ("element", "channel", "head", "block", "n:m")
PRESETS = ("channel", "element", "head", "block:4x1", "block:1x4", "2:4")


@dataclass(frozen=True, slots=True)
class Granularity:
    """A parsed granularity.

    Attributes:
        kind: One of `KINDS`.
        rows: Output channels of a block; N kept for ``n:m``; 1 otherwise.
        columns: Input channels of a block; M for ``n:m``; 1 otherwise.
    """

    kind: str
    rows: int = 1
    columns: int = 1

    def __str__(self) -> str:
        if self.kind == "block":
            return f"block:{self.rows}x{self.columns}"
        return f"{self.rows}:{self.columns}" if self.kind == "n:m" else self.kind

    @property
    def level(self) -> str:
        """The level that criteria are asked for: ``element`` or ``channel``."""
        return "channel" if self.is_structured else "element"

    @property
    def is_structured(self) -> bool:
        """Whether units belong to groups and can be removed physically."""
        return self.kind in ("channel", "head")

    @property
    def keep_one(self) -> bool:
        """Whether one unit always stays."""
        return self.is_structured

    @property
    def fixed_ratio(self) -> float | None:
        """The only ratio that an N:M pattern has; None where the ratio is free."""
        return 1 - self.rows / self.columns if self.kind == "n:m" else None

    @property
    def description(self) -> str:
        """The granularity in plain words."""
        return {
            "element": "single weights",
            "channel": "output channels, with everything that is coupled to them",
            "head": "whole attention heads",
            "block": f"blocks of {self.rows} output x {self.columns} input channels at one "
            "kernel position",
            "n:m": f"{self.rows} kept of every {self.columns} neighbouring input channels",
        }[self.kind]


def parse(text: str) -> Granularity:
    """Parse ``element``, ``channel``, ``head``, ``block:NxM`` or ``N:M`` (N kept of M).

    Raises:
        InputError: Anything else, or numbers that make no pattern.
    """
    if text in ("element", "channel", "head"):
        return Granularity(text)
    if match := re.fullmatch(r"block:(\d+)x(\d+)", text):
        rows, columns = int(match[1]), int(match[2])
        if rows < 1 or columns < 1:
            raise InputError(f"granularity {text!r}: a block has at least one row and one column")
        return Granularity("block", rows, columns)
    if match := re.fullmatch(r"(\d+):(\d+)", text):
        kept, out_of = int(match[1]), int(match[2])
        if not 1 <= kept < out_of:
            raise InputError(f"granularity {text!r}: N of N:M is kept, so 1 <= N < M is needed")
        return Granularity("n:m", kept, out_of)
    raise InputError(
        f"unknown granularity {text!r}; known: element, channel, head, block:NxM (N output x M "
        "input channels), N:M such as 2:4 (N kept of every M input channels)"
    )


def num_units(granularity: Granularity, shape: torch.Size | tuple[int, ...]) -> int:
    """Return the number of units in a weight of ``shape``; for ``n:m`` the number of weights.

    Raises:
        UnsupportedError: Units of channels and heads belong to groups, not to one weight.
    """
    _require_element_like(granularity)
    outputs, inputs, kernel = _dims(shape)
    if granularity.kind == "block":
        return -(-outputs // granularity.rows) * -(-inputs // granularity.columns) * kernel
    return outputs * inputs * kernel


def num_kept_fixed(granularity: Granularity, shape: torch.Size | tuple[int, ...]) -> int:
    """Return how many weights an N:M pattern keeps in a weight of ``shape``."""
    outputs, inputs, kernel = _dims(shape)
    full, rest = divmod(inputs, granularity.columns)
    return outputs * kernel * (full * granularity.rows + min(rest, granularity.rows))


def unit_scores(granularity: Granularity, scores: Tensor) -> Tensor:
    """Pool element scores to units.

    Args:
        granularity: ``element`` or ``block:NxM``; for ``n:m`` the scores are returned as they are.
        scores: Scores of the weight's shape ``(O, I/G, K...)``.

    Returns:
        The scores unchanged, or the means of the blocks ``(ceil(O/N), ceil(I/M), K)``.
    """
    _require_element_like(granularity)
    if granularity.kind != "block":
        return scores
    count = _block_sums(granularity, torch.ones_like(scores))
    return _block_sums(granularity, scores) / count


def element_mask(granularity: Granularity, scores: Tensor, *, kept: int) -> Tensor:
    """Return the mask of a weight.

    Args:
        granularity: ``element``, ``block:NxM`` or ``n:m``.
        scores: Element scores of the weight's shape ``(O, I/G, K...)``.
        kept: Number of units that stay; for ``n:m`` all weights (dense) or `num_kept_fixed`.

    Returns:
        Boolean tensor of the weight's shape, True = keep.

    Raises:
        InputError: ``kept`` is not possible.
    """
    pooled = unit_scores(granularity, scores)
    if granularity.kind == "n:m" and kept != scores.numel():
        if kept != num_kept_fixed(granularity, scores.shape):
            raise InputError(
                f"{granularity} keeps {num_kept_fixed(granularity, scores.shape)} of "
                f"{scores.numel()} weights, not {kept}"
            )
        return nm_mask(scores, keep=granularity.rows, out_of=granularity.columns)
    return expand(granularity, keep_mask(pooled, kept), scores.shape)


def expand(
    granularity: Granularity, unit_mask: Tensor, shape: torch.Size | tuple[int, ...]
) -> Tensor:
    """Spread a mask of units over the weight's elements ``(O, I/G, K...)``."""
    _require_element_like(granularity)
    if granularity.kind != "block":
        return unit_mask.reshape(shape)
    outputs, inputs, _ = _dims(shape)
    spread = unit_mask.repeat_interleave(granularity.rows, 0)[:outputs]
    return spread.repeat_interleave(granularity.columns, 1)[:, :inputs].reshape(shape)


def nm_mask(scores: Tensor, *, keep: int, out_of: int) -> Tensor:
    """Keep the ``keep`` highest of each ``out_of`` neighbouring input channels.

    Ties are removed in index order. A last run that is shorter than ``out_of`` keeps at most
    ``keep``.

    Args:
        scores: ``(O, I/G, K...)``.
        keep: N, the number kept.
        out_of: M.
    """
    outputs, inputs, kernel = _dims(scores.shape)
    runs_OKI = scores.reshape(outputs, inputs, kernel).transpose(1, 2)
    short = -inputs % out_of
    # Padding is lower than any score and comes first among the removed.
    padded = F.pad(runs_OKI.to(torch.float64), (0, short), value=-torch.inf)
    runs = padded.reshape(outputs, kernel, -1, out_of)
    order = torch.argsort(runs, dim=-1, stable=True)
    mask = torch.ones_like(runs, dtype=torch.bool)
    mask.scatter_(-1, order[..., : out_of - keep], False)
    flat = mask.reshape(outputs, kernel, -1)[..., :inputs]
    return flat.transpose(1, 2).reshape(scores.shape)


def _block_sums(granularity: Granularity, scores: Tensor) -> Tensor:
    outputs, inputs, kernel = _dims(scores.shape)
    rows, columns = granularity.rows, granularity.columns
    padded = F.pad(
        scores.reshape(outputs, inputs, kernel),
        (0, 0, 0, -inputs % columns, 0, -outputs % rows),
    )
    blocks = padded.reshape(
        padded.shape[0] // rows, rows, padded.shape[1] // columns, columns, kernel
    )
    return blocks.sum((1, 3))


def _dims(shape: torch.Size | tuple[int, ...]) -> tuple[int, int, int]:
    outputs, inputs, *kernel = shape
    return outputs, inputs, math.prod(kernel)


def _require_element_like(granularity: Granularity) -> None:
    if granularity.is_structured:
        raise UnsupportedError(
            f"granularity {granularity} works on groups of layers, not on one weight"
        )
