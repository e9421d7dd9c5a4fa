from .bundle import export_zip
from .runtimes import export_onnx, open_onnx, require_packages, write_onnx
from .script import SCRIPT, WEIGHTS, reference_input, write_script
from .smaller_model import export_model
from .tables import export_csv, export_json

__all__ = [
    "SCRIPT",
    "WEIGHTS",
    "export_csv",
    "export_json",
    "export_model",
    "export_onnx",
    "export_zip",
    "open_onnx",
    "reference_input",
    "require_packages",
    "write_onnx",
    "write_script",
]
