"""Small pictures of what a network is fed."""

from __future__ import annotations

from typing import Any

import numpy as np

# Normalised pictures lie between these; what does not shows as flat black or white, and what was
# not normalised as pale.
BLACK, WHITE = -2.2, 2.7


def thumbnail(inputs: np.ndarray[Any, Any], *, pixels: int = 96) -> np.ndarray[Any, Any] | None:
    """Draw an input on one fixed scale, enlarged without smoothing.

    Args:
        inputs: ``(C, H, W)``; of other than three channels the first is drawn.
        pixels: At least this many on the longer side; larger inputs are thinned out.

    Returns:
        uint8 ``(h, w, 3)``; None for what is no picture.
    """
    if inputs.ndim != 3 or 0 in inputs.shape:
        return None
    channels = inputs if inputs.shape[0] == 3 else np.repeat(inputs[:1], 3, axis=0)
    scaled = np.clip((channels - BLACK) / (WHITE - BLACK), 0, 1) * 255
    picture = np.rint(np.nan_to_num(scaled)).astype(np.uint8).transpose(1, 2, 0)
    longest = max(picture.shape[:2])
    if longest >= 2 * pixels:
        step = longest // pixels
        return picture[::step, ::step]
    factor = -(-pixels // longest)
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)
