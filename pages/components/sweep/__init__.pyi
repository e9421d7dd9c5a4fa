from . import form, monitor

__all__ = [
    "form",
    "monitor",
]
