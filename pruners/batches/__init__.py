"""Inputs of a model: one tensor, or several that are batched together and behave like one."""

from pruners.batches.lengths import Lengths, length_words, lengths_of
from pruners.batches.tensors import (
    Inputs,
    Tensors,
    as_types,
    joined,
    like_parts,
    names_of,
    parts_of,
    repeated,
    shape_of,
    shortened,
    text_lengths,
)

__all__ = [
    "Inputs",
    "Lengths",
    "Tensors",
    "as_types",
    "joined",
    "length_words",
    "lengths_of",
    "like_parts",
    "names_of",
    "parts_of",
    "repeated",
    "shape_of",
    "shortened",
    "text_lengths",
]
