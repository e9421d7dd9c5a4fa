from .datasets import (
    SAMPLE_IMAGES,
    LoadedData,
    load_data,
    open_by_factory,
    open_imagefolder,
    open_npz_file,
    open_sample,
    open_torchvision,
    torchvision_sets,
)
from .sources import MapSource, Source
from .split import Split, choose

__all__ = [
    "LoadedData",
    "MapSource",
    "SAMPLE_IMAGES",
    "Source",
    "Split",
    "choose",
    "load_data",
    "open_by_factory",
    "open_imagefolder",
    "open_npz_file",
    "open_sample",
    "open_torchvision",
    "torchvision_sets",
]
