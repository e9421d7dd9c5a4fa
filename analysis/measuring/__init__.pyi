from .loop import Cancel, Measured, measure
from .runner import Answer, EditRunner, OpenSlice, Runnable
from .slices import Slice, Slices, Slicing

__all__ = [
    "Answer",
    "Cancel",
    "EditRunner",
    "Measured",
    "OpenSlice",
    "Runnable",
    "Slice",
    "Slices",
    "Slicing",
    "measure",
]
