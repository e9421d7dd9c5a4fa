"""Small trained networks and the data that they are measured on.

Each model stands for one topology that matters in pruning.

    model = sample_models.load("resnet20")
    images, labels = sample_models.load_images("test")
    logits = model(sample_models.normalize(images[:100]))
"""

from __future__ import annotations

from sample_models.data_sets import DATA_SETS, DataSet
from sample_models.fashion_mnist import CLASSES, MEAN, STD, normalize, raw_files, read_raw
from sample_models.files import CorruptFileError
from sample_models.images import SPLITS, Split, load_images
from sample_models.model_card import Card
from sample_models.zoo import build, card, load, names, weights_path

__all__ = [
    "CLASSES",
    "Card",
    "CorruptFileError",
    "DATA_SETS",
    "DataSet",
    "MEAN",
    "SPLITS",
    "STD",
    "Split",
    "build",
    "card",
    "load",
    "load_images",
    "names",
    "normalize",
    "raw_files",
    "read_raw",
    "weights_path",
]
