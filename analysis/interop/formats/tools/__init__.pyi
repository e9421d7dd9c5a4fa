from .hugging_face import export_hugging_face, require_transformers
from .nni import export_nni
from .torch_pruning import export_history

__all__ = ["export_history", "export_hugging_face", "export_nni", "require_transformers"]
