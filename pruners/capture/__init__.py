"""Models as functional graphs: exported, compared with the model, or refused in one line."""

from pruners.capture.capture import answered, capture
from pruners.capture.exporting import free_sizes
from pruners.capture.graph import Graph, device_of, first_names, make_on, named_state, on_cpu

__all__ = [
    "Graph",
    "answered",
    "capture",
    "device_of",
    "first_names",
    "free_sizes",
    "make_on",
    "named_state",
    "on_cpu",
]
