"""What the network is fed, to look at: wrong mean, std and size show in a second."""

from __future__ import annotations

import streamlit as st
import torch

from analysis.evaluation import LoadedSubject, Sample
from pages.components.widgets import formatting, pictures


def draw(subject: LoadedSubject) -> None:
    """Draw a few samples with label and answer; nothing where inputs are no pictures."""
    samples = subject.samples
    above = st.container()
    if not pictures.show([item.inputs for item in samples], [_said(item) for item in samples]):
        return
    inputs = torch.stack([item.inputs for item in samples])
    shape = " x ".join(str(size) for size in inputs.shape[1:])
    above.subheader("What the network is fed", anchor=False)
    above.caption(
        f"{shape}, values {inputs.min():.2f} to {inputs.max():.2f}, mean {inputs.mean():.2f}, "
        f"spread {inputs.std():.2f}. Drawn on one scale for all data: without the right mean and "
        "std, pictures are pale, or flat black and white."
    )


def _said(item: Sample) -> str:
    """Return label and answer, right or wrong in words, sign and colour."""
    if not item.answer:
        return ""
    answer = formatting.escaped(item.answer)
    if item.is_right is None:
        return f":small[answers {answer}]"
    if item.is_right:
        return f":small[:green[:material/check: {answer}]]"
    label = formatting.escaped(item.label)
    return f":small[:red[:material/close: {answer}], is {label}]"
