"""One file a family of operators: what it does to labels. Importing this package registers them."""

from pruners.tracing.operators import (
    attention,
    convolutions,
    joins,
    products,
    recurrent,
    reductions,
    shapes,
    tables,
    windows,
)

__all__ = [
    "attention",
    "convolutions",
    "joins",
    "products",
    "recurrent",
    "reductions",
    "shapes",
    "tables",
    "windows",
]
