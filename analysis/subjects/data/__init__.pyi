from .datasets import (
    SAMPLE_IMAGES,
    LoadedData,
    open_by_factory,
    open_imagefolder,
    open_npz_file,
    open_sample,
    open_torchvision,
    torchvision_sets,
)
from .file_digests import FileDigests
from .loading import load_data
from .sources import MapSource, Source, hash_bytes
from .split import Split, choose, first_not_finite

__all__ = [
    "FileDigests",
    "LoadedData",
    "MapSource",
    "SAMPLE_IMAGES",
    "Source",
    "Split",
    "choose",
    "first_not_finite",
    "hash_bytes",
    "load_data",
    "open_by_factory",
    "open_imagefolder",
    "open_npz_file",
    "open_sample",
    "open_torchvision",
    "torchvision_sets",
]
