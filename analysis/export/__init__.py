"""Exports of a plan: neutral files, the smaller model, one bundle. See `registry`."""

from analysis.export import bundle, model, tables  # noqa: F401  (importing registers them)
from analysis.export.model import write_recovered
from analysis.export.registry import (
    Exported,
    ExportRequest,
    Format,
    export,
    get,
    names,
    problems,
)
from analysis.export.verify import Check, RoundTrip, round_trip

__all__ = [
    "Check",
    "ExportRequest",
    "Exported",
    "Format",
    "RoundTrip",
    "export",
    "get",
    "names",
    "problems",
    "round_trip",
    "write_recovered",
]
