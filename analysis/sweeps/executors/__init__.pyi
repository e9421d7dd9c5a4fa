from .executor import Executor, ExecutorKind, Opener
from .local import LocalExecutor
from .processes import ProcessExecutor
from .ray import RayExecutor
from .registry import EXECUTORS, open_executor
from .shares import measure_shared, with_changes

__all__ = [
    "EXECUTORS",
    "Executor",
    "ExecutorKind",
    "LocalExecutor",
    "Opener",
    "ProcessExecutor",
    "RayExecutor",
    "measure_shared",
    "open_executor",
    "with_changes",
]
