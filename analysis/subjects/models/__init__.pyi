from .builders import (
    build_by_factory,
    build_sample,
    build_timm,
    build_torchvision,
    sample_names,
)
from .loading import LoadedModel, load_model

__all__ = [
    "LoadedModel",
    "build_by_factory",
    "build_sample",
    "build_timm",
    "build_torchvision",
    "load_model",
    "sample_names",
]
