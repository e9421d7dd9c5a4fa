from .inference import (
    TOLERANCE,
    OneByOne,
    OnnxModel,
    check_outputs,
    difference_words,
    relative_difference,
    run_onnx,
    shorter_text,
)
from .int8 import calibration_inputs, quantized_onnx, require_int8
from .onnx import as_onnx, check_onnx, count_zeros, length_notes, open_onnx
from .openvino import run_openvino, write_ir
from .packages import require, require_onnx, version_of
from .sparse import with_sparse_initializers

__all__ = [
    "OneByOne",
    "OnnxModel",
    "TOLERANCE",
    "as_onnx",
    "calibration_inputs",
    "check_onnx",
    "check_outputs",
    "count_zeros",
    "difference_words",
    "length_notes",
    "open_onnx",
    "quantized_onnx",
    "relative_difference",
    "require",
    "require_int8",
    "require_onnx",
    "run_onnx",
    "run_openvino",
    "shorter_text",
    "version_of",
    "with_sparse_initializers",
    "write_ir",
]
