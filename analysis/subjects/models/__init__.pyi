from .adapted import USUAL_OUTPUTS, check_single
from .builders import (
    build_by_factory,
    build_sample,
    build_timm,
    build_torchvision,
    sample_names,
    timm_models,
    torchvision_models,
)
from .hugging_face import build_hugging_face
from .loading import RANDOM_WEIGHTS, LoadedModel, has_random_weights, load_model

__all__ = [
    "LoadedModel",
    "RANDOM_WEIGHTS",
    "USUAL_OUTPUTS",
    "build_by_factory",
    "build_hugging_face",
    "build_sample",
    "build_timm",
    "build_torchvision",
    "check_single",
    "has_random_weights",
    "load_model",
    "sample_names",
    "timm_models",
    "torchvision_models",
]
