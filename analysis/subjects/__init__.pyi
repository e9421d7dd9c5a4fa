from . import allowed_paths, fields
from .address import Address
from .allowed_paths import roots_of_environment
from .factories import factory_files, load_function
from .models import RANDOM_WEIGHTS, USUAL_OUTPUTS, has_random_weights, load_model, sample_names
from .overview import build_inventory, inventory
from .parsing import (
    calibration_of,
    parse_data,
    parse_function,
    parse_model,
    usual_subject,
    usual_task,
)
from .schemes import DATA_SCHEMES, MODEL_SCHEMES, Scheme
from .stamps import Stamp, stamp, watched_stamp
from .subject import Split, Subject, load_subject
from .torchvision_import import torchvision

__all__ = [
    "Address",
    "DATA_SCHEMES",
    "MODEL_SCHEMES",
    "RANDOM_WEIGHTS",
    "Scheme",
    "Split",
    "Stamp",
    "Subject",
    "USUAL_OUTPUTS",
    "allowed_paths",
    "build_inventory",
    "calibration_of",
    "factory_files",
    "fields",
    "has_random_weights",
    "inventory",
    "load_function",
    "load_model",
    "load_subject",
    "parse_data",
    "parse_function",
    "parse_model",
    "roots_of_environment",
    "sample_names",
    "stamp",
    "torchvision",
    "usual_subject",
    "usual_task",
    "watched_stamp",
]
