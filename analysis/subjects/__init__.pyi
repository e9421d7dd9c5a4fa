from . import allowed_paths, fields
from .address import Address, parse_data, parse_model
from .allowed_paths import roots_of_environment
from .models import (
    RANDOM_WEIGHTS,
    build_by_factory,
    build_sample,
    build_timm,
    build_torchvision,
    has_random_weights,
    load_model,
    sample_names,
    timm_models,
    torchvision_models,
)
from .overview import GroupRow, Inventory, build_inventory, inventory
from .schemes import DATA_SCHEMES, MODEL_SCHEMES, Scheme
from .stamps import Stamp, stamp
from .subject import NO_LABELS, Subject, load_subject
from .torchvision_import import torchvision

__all__ = [
    "Address",
    "DATA_SCHEMES",
    "GroupRow",
    "Inventory",
    "MODEL_SCHEMES",
    "NO_LABELS",
    "RANDOM_WEIGHTS",
    "Scheme",
    "Stamp",
    "Subject",
    "allowed_paths",
    "build_by_factory",
    "build_inventory",
    "build_sample",
    "build_timm",
    "build_torchvision",
    "fields",
    "has_random_weights",
    "inventory",
    "load_model",
    "load_subject",
    "parse_data",
    "parse_model",
    "roots_of_environment",
    "sample_names",
    "stamp",
    "timm_models",
    "torchvision",
    "torchvision_models",
]
