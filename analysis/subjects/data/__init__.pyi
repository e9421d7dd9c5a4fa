from .datasets import (
    LoadedData,
    open_by_factory,
    open_imagefolder,
    open_npz_file,
    open_sample,
    open_torchvision,
)
from .loading import load_data
from .sources import MapSource, Source
from .split import Split, choose

__all__ = [
    "LoadedData",
    "MapSource",
    "Source",
    "Split",
    "choose",
    "load_data",
    "open_by_factory",
    "open_imagefolder",
    "open_npz_file",
    "open_sample",
    "open_torchvision",
]
