"""What a criterion sees of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerData:
    """Everything that a criterion may look at for one layer.

    Attributes:
        name: Module name.
        weight: ``(O, I/G, K...)``: output channels first, also for transposed convolutions.
        type: Class of the layer, one of `pruners.layers.TYPE_NAMES`.
        conv_groups: Convolution groups ``G``; 1 for other layers.
        statistics: What `pruners.statistics.calibration.collect` gathered for this layer, by need.
        reasons: Why a statistic is missing, by need.
        seed: The run's seed; random criteria mix the layer's name into it.
    """

    name: str
    weight: Tensor
    type: str = "Conv2d"
    conv_groups: int = 1
    statistics: Mapping[str, Tensor] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
