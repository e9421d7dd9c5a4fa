from .aimet import export_aimet
from .llm_compressor import export_llm_compressor
from .neural_compressor import export_neural_compressor
from .sparseml import export_sparseml

__all__ = [
    "export_aimet",
    "export_llm_compressor",
    "export_neural_compressor",
    "export_sparseml",
]
