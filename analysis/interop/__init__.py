"""Exports of a plan: neutral files, the smaller model, one bundle. See `registry`."""

from analysis.interop.formats import (  # noqa: F401  (importing registers them)
    bundle,
    onnx,
    smaller_model,
    tables,
)
from analysis.interop.formats.onnx import NAME as ONNX
from analysis.interop.formats.onnx import write_onnx
from analysis.interop.formats.script import SCRIPT, WEIGHTS, reference_input, write_script
from analysis.interop.recovered_model import write_recovered
from analysis.interop.registry import (
    Exported,
    ExportRequest,
    Format,
    export,
    export_format,
    get,
    names,
    problems,
    require_points,
)
from analysis.interop.verify import Check, RoundTrip, round_trip

__all__ = [
    "Check",
    "ExportRequest",
    "Exported",
    "Format",
    "ONNX",
    "RoundTrip",
    "SCRIPT",
    "WEIGHTS",
    "export",
    "export_format",
    "get",
    "names",
    "problems",
    "reference_input",
    "require_points",
    "round_trip",
    "write_onnx",
    "write_recovered",
    "write_script",
]
