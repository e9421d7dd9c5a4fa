from .boxes import MOST, NONE, Boxes, hits, kept_boxes, overlaps

__all__ = [
    "Boxes",
    "MOST",
    "NONE",
    "hits",
    "kept_boxes",
    "overlaps",
]
