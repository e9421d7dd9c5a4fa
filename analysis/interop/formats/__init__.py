"""One file a format; importing this package registers them."""

from analysis.interop.formats import bundle, onnx, smaller_model, tables

__all__ = [
    "bundle",
    "onnx",
    "smaller_model",
    "tables",
]
