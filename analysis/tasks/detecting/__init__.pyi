from .boxes import MOST, NONE, Boxes, hits, kept_boxes, overlaps
from .precision import average_precision, bootstrapped

__all__ = [
    "Boxes",
    "MOST",
    "NONE",
    "average_precision",
    "bootstrapped",
    "hits",
    "kept_boxes",
    "overlaps",
]
