from .datasets import LoadedData, load_data
from .sources import MapSource, Source
from .split import Split, choose

__all__ = [
    "LoadedData",
    "MapSource",
    "Source",
    "Split",
    "choose",
    "load_data",
]
