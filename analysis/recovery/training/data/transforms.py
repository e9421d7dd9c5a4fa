"""Random changes of prepared inputs ``(n, ...)``; what is drawn comes from the generator given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Generator, Tensor

from analysis.recovery.training.data.functions import checked_function
from analysis.recovery.training.data.sampler import Augment
from pruners.errors import InputError, one_line
from pruners.user_code import lent


def flipped(shape: Sequence[int]) -> tuple[Augment, str]:
    """Return what mirrors every second image left to right, by chance.

    Raises:
        InputError: Inputs of this shape are no images.
    """
    _check_images("flip", shape)

    def flip(inputs: Tensor, chance: Generator) -> Tensor:
        chosen = torch.rand(len(inputs), generator=chance) < 0.5
        chosen = chosen.to(inputs.device).reshape(-1, 1, 1, 1)
        return torch.where(chosen, inputs.flip(-1), inputs)

    return flip, ""


def shifted(most: int, shape: Sequence[int], blank: Tensor | None) -> tuple[Augment, str]:
    """Return what moves each image by up to so many pixels in each direction.

    Args:
        most: Largest number of pixels.
        shape: Of one input, ``(C, H, W)``.
        blank: What pixels of zeros are after normalisation, for those that nothing covers; None
            takes the nearest pixel of the edge.

    Raises:
        InputError: Inputs of this shape are no images, or not as large.
    """
    _check_images("shift", shape)
    height, width = shape[-2:]
    if most >= min(height, width):
        raise InputError(
            f"augmentation shift={most} moves images of {height} x {width} pixels out of sight; "
            f"give at most {min(height, width) - 1}"
        )

    def shift(inputs: Tensor, chance: Generator) -> Tensor:
        moves = torch.randint(-most, most + 1, (2, len(inputs)), generator=chance)
        down, right = moves.to(inputs.device)
        rows = torch.arange(height, device=inputs.device) - down[:, None]
        columns = torch.arange(width, device=inputs.device) - right[:, None]
        number = torch.arange(len(inputs), device=inputs.device)[:, None, None]
        moved = inputs.permute(0, 2, 3, 1)[
            number,
            rows.clamp(0, height - 1)[:, :, None],
            columns.clamp(0, width - 1)[:, None, :],
        ].permute(0, 3, 1, 2)
        if blank is None:
            return moved.contiguous()
        inside = ((rows >= 0) & (rows < height))[:, None, :, None]
        inside = inside & ((columns >= 0) & (columns < width))[:, None, None, :]
        return torch.where(inside, moved, blank.to(inputs)).contiguous()

    uncovered = "the nearest pixel of the edge" if blank is None else "black"
    return shift, f"Shifted images are filled up with {uncovered}."


def _check_images(name: str, shape: Sequence[int]) -> None:
    if len(shape) != 3:
        raise InputError(
            f"augmentation {name} needs images (channels, height, width); these inputs have shape "
            f"{tuple(shape)}"
        )


def user_transform(text: str, roots: Sequence[Path] | None) -> tuple[Augment, str]:
    """Return a user's function as an augmentation; what it gives is checked each time.

    Raises:
        InputError: The function cannot be used.
    """
    function = checked_function(text, "augmentation", ("inputs", "generator"), roots=roots)

    def transform(inputs: Tensor, chance: Generator) -> Tensor:
        try:
            with lent():
                found = function(inputs.clone(), chance)
        except Exception as error:
            # A user's function may raise anything.
            raise InputError(f"augmentation {text!r} raised {one_line(error)}") from error
        if not isinstance(found, Tensor):
            raise InputError(
                f"augmentation {text!r} returned a {type(found).__name__}, not the inputs"
            )
        if found.shape != inputs.shape or found.dtype != inputs.dtype:
            raise InputError(
                f"augmentation {text!r} made {found.dtype} {tuple(found.shape)} of "
                f"{inputs.dtype} {tuple(inputs.shape)}; type and shape must stay"
            )
        found = found.detach().to(inputs.device)
        if not bool(torch.isfinite(found).all()):
            raise InputError(f"augmentation {text!r} made numbers that are not finite")
        return found

    return transform, ""
