from .alternating import AlternatingMasks
from .fixed_masks import FixedMasks, KeptZeros, SurgeryFirst
from .growing import GrowingMasks
from .layerwise import LayerwiseMasks
from .movement import MovementMasks, SoftMovementMasks
from .obert import SurgeonMasks

__all__ = [
    "AlternatingMasks",
    "FixedMasks",
    "GrowingMasks",
    "KeptZeros",
    "LayerwiseMasks",
    "MovementMasks",
    "SoftMovementMasks",
    "SurgeonMasks",
    "SurgeryFirst",
]
