"""Small pictures of samples, each with what is said of it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from torch import Tensor

from analysis import figures

WIDTH = 96


def show(inputs: Sequence[Tensor], said: Sequence[str], *, width: int = WIDTH) -> bool:
    """Draw pictures in a row that breaks where the page ends.

    Args:
        inputs: What the network is fed, each ``(C, H, W)`` on the CPU.
        said: Markdown under each.
        width: Of a picture with its text, in pixels.

    Returns:
        Whether they are pictures; else nothing is drawn.
    """
    drawn = [figures.thumbnail(item.numpy(), pixels=WIDTH) for item in inputs]
    pictures = [picture for picture in drawn if picture is not None]
    if not pictures or len(pictures) < len(inputs):
        return False
    with st.container(horizontal=True, gap="small"):
        for picture, text in zip(pictures, said, strict=True):
            with st.container(width=width + 8, gap="xsmall"):
                st.image(picture, width=WIDTH)
                st.markdown(text)
    return True
