from .datasets import (
    LoadedData,
    open_by_factory,
    open_fashion_mnist,
    open_imagefolder,
    open_npz_file,
    open_sample,
    open_text_file,
    open_torchvision,
    sample_sets,
    sample_task,
    torchvision_sets,
)
from .file_digests import FileDigests
from .hashing import hash_bytes
from .loading import load_data
from .sources import MapSource, Source
from .split import PRELOAD_BYTES, Split, choose, first_not_finite, first_unsteady, read_failure

__all__ = [
    "FileDigests",
    "LoadedData",
    "MapSource",
    "PRELOAD_BYTES",
    "Source",
    "Split",
    "choose",
    "first_not_finite",
    "first_unsteady",
    "hash_bytes",
    "load_data",
    "open_by_factory",
    "open_fashion_mnist",
    "open_imagefolder",
    "open_npz_file",
    "open_sample",
    "open_text_file",
    "open_torchvision",
    "read_failure",
    "sample_sets",
    "sample_task",
    "torchvision_sets",
]
