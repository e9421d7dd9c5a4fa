"""The data sets that the sample models are measured on, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sample_models.fashion_mnist import CLASSES, MEAN, STD, normalize
from sample_models.images import Split, load_images
from sample_models.keywords import KEYWORDS, LENGTH, load_sounds
from sample_models.king_james import WINDOW, load_windows, token_bytes, window_chapters
from sample_models.scenes import (
    SCENE_CLASSES,
    SCENE_MEAN,
    SCENE_STD,
    SIZE,
    load_scenes,
    normalize_scenes,
)


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Data that come with this package.

    Attributes:
        name: Name in addresses.
        about: What there is, in a few words.
        load: Returns inputs and targets of a split.
        prepare: Turns a batch of these inputs into what a model takes.
        recipe: What `prepare` does, in a few words.
        input_shape: Shape of one input of a model.
        class_names: One a class of the targets.
        has_pixels: Whether inputs are pixels, of which 0 is black.
        task: What models answer about them.
        documents: Returns which of the samples of a split belong together, one number a sample.
        token_bytes: Returns how many bytes of text each token stands for.
    """

    name: str
    about: str
    load: Callable[[Split], tuple[Tensor, Tensor]]
    prepare: Callable[[Tensor], Tensor]
    recipe: str
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    has_pixels: bool = False
    task: str = "classification"
    documents: Callable[[Split], Tensor] | None = None
    token_bytes: Callable[[], Tensor] | None = None

    def example(self, count: int) -> Tensor:
        """Return inputs of zeros, of the type that a model takes: numbers of tokens are whole."""
        is_text = self.task == "language_modelling"
        return torch.zeros(
            count, *self.input_shape, dtype=torch.int64 if is_text else torch.float32
        )


def _same(inputs: Tensor) -> Tensor:
    return inputs


DATA_SETS: dict[str, DataSet] = {
    item.name: item
    for item in (
        DataSet(
            name="fashion-mnist",
            about="10,000 test images, 2,000 for calibration",
            load=load_images,
            prepare=normalize,
            recipe=f"mean {MEAN} std {STD}",
            input_shape=(1, 28, 28),
            class_names=CLASSES,
            has_pixels=True,
        ),
        DataSet(
            name="keywords",
            about="1,040 spoken words of voices not heard in training, 400 for calibration",
            load=load_sounds,
            prepare=_same,
            recipe="",
            input_shape=(1, LENGTH),
            class_names=KEYWORDS,
        ),
        DataSet(
            name="scenes",
            about="1,000 scenes of garments with a class for each pixel, 500 for calibration",
            load=load_scenes,
            prepare=normalize_scenes,
            recipe=f"mean {SCENE_MEAN} std {SCENE_STD}",
            input_shape=(1, SIZE, SIZE),
            class_names=SCENE_CLASSES,
            has_pixels=True,
            task="segmentation",
        ),
        DataSet(
            name="king-james",
            about="546 windows of 59 chapters of the Bible held out, 534 for calibration",
            load=load_windows,
            prepare=_same,
            recipe=f"window {WINDOW} stride {WINDOW} bos 1",
            input_shape=(WINDOW,),
            class_names=(),
            task="language_modelling",
            documents=window_chapters,
            token_bytes=token_bytes,
        ),
    )
}
