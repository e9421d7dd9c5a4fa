from .bundle import export_zip
from .masks import export_masks
from .recipes import (
    export_aimet,
    export_llm_compressor,
    export_neural_compressor,
    export_sparseml,
)
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
from .tools import export_history, export_hugging_face, export_nni, require_transformers

__all__ = [
    "SCRIPT",
    "WEIGHTS",
    "export_aimet",
    "export_coreml",
    "export_csv",
    "export_executorch",
    "export_history",
    "export_hugging_face",
    "export_int8",
    "export_json",
    "export_llm_compressor",
    "export_masks",
    "export_model",
    "export_neural_compressor",
    "export_nni",
    "export_onnx",
    "export_openvino",
    "export_sparseml",
    "export_zip",
    "reference_input",
    "require_coreml",
    "require_executorch",
    "require_openvino",
    "require_transformers",
    "write_onnx",
    "write_script",
]
