from .binary import BINARY
from .classification import CLASSIFICATION, Classification
from .detection import DETECTION
from .embedding import EMBEDDING
from .image_to_image import IMAGE_TO_IMAGE
from .multi_label import MULTI_LABEL
from .regression import REGRESSION
from .segmentation import SEGMENTATION
from .sequences import LANGUAGE_MODELLING, MASKED_LM, TOKEN_CLASSIFICATION
from .targets import class_numbers

__all__ = [
    "BINARY",
    "CLASSIFICATION",
    "Classification",
    "DETECTION",
    "EMBEDDING",
    "IMAGE_TO_IMAGE",
    "LANGUAGE_MODELLING",
    "MASKED_LM",
    "MULTI_LABEL",
    "REGRESSION",
    "SEGMENTATION",
    "TOKEN_CLASSIFICATION",
    "class_numbers",
]
