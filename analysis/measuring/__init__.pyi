from .loop import Cancel, Measured, measure
from .runner import EditRunner, OpenSlice, Runnable
from .slices import Slice, Slices

__all__ = [
    "Cancel",
    "EditRunner",
    "Measured",
    "OpenSlice",
    "Runnable",
    "Slice",
    "Slices",
    "measure",
]
