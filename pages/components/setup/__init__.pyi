from . import form, report

__all__ = [
    "form",
    "report",
]
