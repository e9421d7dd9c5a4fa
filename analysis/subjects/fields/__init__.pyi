from .declared import (
    CHANNELS,
    CLASSES,
    FACTORY,
    INPUT,
    KEY,
    MEAN,
    NAME,
    RESIZE,
    ROOT,
    SIZE,
    SPLIT,
    STD,
    WEIGHTS,
)
from .field import Field, read_count, read_numbers
from .found import find_folders, find_functions, find_matching

__all__ = [
    "CHANNELS",
    "CLASSES",
    "FACTORY",
    "Field",
    "INPUT",
    "KEY",
    "MEAN",
    "NAME",
    "RESIZE",
    "ROOT",
    "SIZE",
    "SPLIT",
    "STD",
    "WEIGHTS",
    "find_folders",
    "find_functions",
    "find_matching",
    "read_count",
    "read_numbers",
]
