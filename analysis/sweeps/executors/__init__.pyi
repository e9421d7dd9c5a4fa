from .local import LocalExecutor
from .ray import RayExecutor

__all__ = [
    "LocalExecutor",
    "RayExecutor",
]
