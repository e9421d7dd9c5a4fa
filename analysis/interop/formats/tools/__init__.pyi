from .nni import export_nni
from .torch_pruning import export_history

__all__ = ["export_history", "export_nni"]
