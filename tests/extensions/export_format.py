"""An export format: the names of the pruned layers."""

from __future__ import annotations

from analysis.interop import FORMATS, Exported, ExportRequest, Format
from analysis.plans import pruned_entries


def names(request: ExportRequest) -> Exported:
    """Write ``names.txt``."""
    path = request.directory / "names.txt"
    path.write_text("\n".join(entry.layer for entry in pruned_entries(request.chosen)))
    return Exported(files=((path, "what is pruned"),))


FORMATS.register(Format("names", "Names", "The names of the pruned layers.", names))
