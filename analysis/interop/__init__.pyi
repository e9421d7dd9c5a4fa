from .formats import SCRIPT, WEIGHTS, reference_input, write_onnx, write_script
from .recovered_model import write_recovered
from .registry import FORMATS, ONNX, RUNTIMES, export, problems
from .request import FORMS, Exported, ExportRequest, Format, require_points
from .verification import (
    VERIFIERS,
    RoundTrip,
    Verification,
    Verifier,
    round_trip,
    verifiers_of,
    verify,
)

__all__ = [
    "ExportRequest",
    "Exported",
    "FORMATS",
    "FORMS",
    "Format",
    "ONNX",
    "RUNTIMES",
    "RoundTrip",
    "SCRIPT",
    "VERIFIERS",
    "Verification",
    "Verifier",
    "WEIGHTS",
    "export",
    "problems",
    "reference_input",
    "require_points",
    "round_trip",
    "verifiers_of",
    "verify",
    "write_onnx",
    "write_recovered",
    "write_script",
]
