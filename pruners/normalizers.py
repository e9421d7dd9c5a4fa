"""How global ranking makes the scores of different layers comparable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruners.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Normalizer:
    """A registered normalizer.

    Attributes:
        name: Name on the command line and of a criterion's default.
        label: Name on pages.
        help: What it does, in plain words.
        fn: Maps one layer's scores ``(n,)`` in float64 to comparable ones.
    """

    name: str
    label: str
    help: str
    fn: Callable[[Tensor], Tensor]


def _divided(scores: Tensor, scale: Tensor) -> Tensor:
    return scores / scale if float(scale) > 0 else scores


def _lamp(scores: Tensor) -> Tensor:
    """Divide each squared score by the sum of the squares that would outlive it."""
    squares, order = scores.square().sort(stable=True)
    outliving = squares.flip(0).cumsum(0).flip(0)
    ratio = (squares / outliving).where(outliving > 0, 0.0)
    return ratio.new_empty(ratio.shape).index_copy_(0, order, ratio)


NORMALIZERS = Registry(
    "normalizer",
    (
        Normalizer(
            "none",
            "As they are",
            "scores as they are, those of coupled layers too: for criteria that mean the same in "
            "each layer (a change of the loss: Taylor, SNIP, Fisher, OBS) and for LAMP",
            lambda scores: scores,
        ),
        Normalizer(
            "mean",
            "By the mean",
            "each layer's scores divided by their mean",
            lambda scores: _divided(scores, scores.abs().mean()),
        ),
        Normalizer(
            "sum",
            "By the sum",
            "each layer's scores divided by their sum: large layers lose more",
            lambda scores: _divided(scores, scores.abs().sum()),
        ),
        Normalizer(
            "max",
            "By the largest",
            "each layer's scores divided by the largest",
            lambda scores: _divided(scores, scores.abs().amax()),
        ),
        Normalizer(
            "l2",
            "By the L2 norm",
            "each layer's scores divided by their Euclidean norm, as in NNCF",
            lambda scores: _divided(scores, scores.square().sum().sqrt()),
        ),
        Normalizer(
            "lamp",
            "LAMP",
            "squared score / sum of the squares that would outlive it (LAMP, Lee et al. 2021)",
            _lamp,
        ),
    ),
)


def normalize(scores: Tensor, *, normalizer: str) -> Tensor:
    """Return one layer's scores on a scale that compares with other layers, in float64.

    Raises:
        UnknownNameError: No such normalizer.
    """
    return NORMALIZERS.get(normalizer).fn(scores.reshape(-1).double()).reshape(scores.shape)
