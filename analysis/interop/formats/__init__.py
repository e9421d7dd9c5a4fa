"""One file a format; importing this package registers them."""

from analysis.interop.formats import bundle, smaller_model, tables

__all__ = [
    "bundle",
    "smaller_model",
    "tables",
]
