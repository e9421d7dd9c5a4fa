from .formats import SCRIPT, WEIGHTS, reference_input, write_onnx, write_script
from .recovered_model import write_recovered
from .registry import FORMATS, ONNX, RUNTIMES, export, problems
from .request import Exported, ExportRequest, Format, require_points
from .verification import Check, RoundTrip, round_trip

__all__ = [
    "Check",
    "ExportRequest",
    "Exported",
    "FORMATS",
    "Format",
    "ONNX",
    "RUNTIMES",
    "RoundTrip",
    "SCRIPT",
    "WEIGHTS",
    "export",
    "problems",
    "reference_input",
    "require_points",
    "round_trip",
    "write_onnx",
    "write_recovered",
    "write_script",
]
