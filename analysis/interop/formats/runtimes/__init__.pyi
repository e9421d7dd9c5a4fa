from .coreml import export_coreml, require_coreml
from .executorch import export_executorch, require_executorch
from .int8 import export_int8
from .onnx import export_onnx, write_onnx
from .openvino import export_openvino, require_openvino

__all__ = [
    "export_coreml",
    "export_executorch",
    "export_int8",
    "export_onnx",
    "export_openvino",
    "require_coreml",
    "require_executorch",
    "require_openvino",
    "write_onnx",
]
