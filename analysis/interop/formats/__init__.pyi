from .bundle import export_zip
from .runtimes import (
    export_coreml,
    export_executorch,
    export_int8,
    export_onnx,
    export_openvino,
    require_coreml,
    require_executorch,
    require_openvino,
    write_onnx,
)
from .script import SCRIPT, WEIGHTS, reference_input, write_script
from .smaller_model import export_model
from .tables import export_csv, export_json

__all__ = [
    "SCRIPT",
    "WEIGHTS",
    "export_coreml",
    "export_csv",
    "export_executorch",
    "export_int8",
    "export_json",
    "export_model",
    "export_onnx",
    "export_openvino",
    "export_zip",
    "reference_input",
    "require_coreml",
    "require_executorch",
    "require_openvino",
    "write_onnx",
    "write_script",
]
