"""Everything in one zip."""

from __future__ import annotations

from analysis.files import write_text, write_zip
from analysis.interop.formats.smaller_model import export_model
from analysis.interop.formats.tables import export_csv, export_json
from analysis.interop.readme import readme
from analysis.interop.request import Exported, ExportRequest


def export_zip(request: ExportRequest) -> Exported:
    """Write all neutral formats, ``README.md`` and ``NAME.zip``."""
    parts = [export_json(request), export_model(request)]
    notes = [note for part in parts for note in part.notes]
    if request.points is not None and not request.points.empty:
        parts.append(export_csv(request))
    else:
        notes.append("no points: the plan was not chosen from a run")
    files = [file for part in parts for file in part.files]
    stale = [name for part in parts for name in part.stale]
    about = request.directory / "README.md"
    write_text(about, readme(request, files, notes))
    files.insert(0, (about, "what is what, and what was measured"))
    path = request.directory / f"{request.name}.zip"
    write_zip(path, [file for file, _ in files], folder=request.name)
    return Exported(
        files=((path, "everything in one file"), *files), notes=tuple(notes), stale=tuple(stale)
    )
