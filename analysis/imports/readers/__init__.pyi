from .aimet import AIMET
from .distiller import DISTILLER
from .nni import NNI
from .own import POINTS
from .paddleslim import PADDLESLIM
from .pickles import Pairs, is_pickle, read_pickle
from .sparseml import SPARSEML
from .texts import json_of, looks_like_json
from .walking import text_of

__all__ = [
    "AIMET",
    "DISTILLER",
    "NNI",
    "PADDLESLIM",
    "POINTS",
    "Pairs",
    "SPARSEML",
    "is_pickle",
    "json_of",
    "looks_like_json",
    "read_pickle",
    "text_of",
]
