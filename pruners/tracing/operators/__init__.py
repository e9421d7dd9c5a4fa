"""One file a family of operators: what it does to labels. Importing this package registers them."""

from pruners.tracing.operators import (
    attention,
    joins,
    products,
    recurrent,
    reductions,
    shapes,
    tables,
)

__all__ = [
    "attention",
    "joins",
    "products",
    "recurrent",
    "reductions",
    "shapes",
    "tables",
]
