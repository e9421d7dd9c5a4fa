"""Inputs of a model: one tensor, or several that are batched together and behave like one."""

from pruners.batches.tensors import (
    Inputs,
    Tensors,
    as_types,
    joined,
    like_parts,
    parts_of,
    repeated,
    shape_of,
    single,
)

__all__ = [
    "Inputs",
    "Tensors",
    "as_types",
    "joined",
    "like_parts",
    "parts_of",
    "repeated",
    "shape_of",
    "single",
]
