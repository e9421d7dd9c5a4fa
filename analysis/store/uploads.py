"""Files that came from a browser: kept in the workspace, named by their content."""

from __future__ import annotations

import errno
import hashlib
import re
from pathlib import Path

from analysis.files import atomic
from pruners.errors import InputError, StoreError, StoreFullError

# One file, and all of them: a dashboard must not fill the disk.
MAX_UPLOAD_BYTES = 512 * 2**20
MAX_UPLOADS_BYTES = 8 * 2**30
MAX_NAME = 48


def uploads_folder(workspace: Path) -> Path:
    """Return where a workspace keeps uploaded files."""
    return workspace / "uploads"


def save_upload(workspace: Path, name: str, content: bytes, *, suffixes: tuple[str, ...]) -> Path:
    """Keep an uploaded file and return its path; equal content is kept once.

    Nothing in it is looked at here: what opens it reads plain arrays and tensors only.

    Args:
        workspace: Folder of the workspace.
        name: What the browser calls the file; a part of its name here.
        content: Its bytes.
        suffixes: How its name may end.

    Raises:
        InputError: It is empty or too large, of another kind, or the uploads are too many.
        StoreError: It cannot be written.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in suffixes:
        raise InputError(f"{name} cannot be used here; files end in {', '.join(suffixes)}")
    if not 0 < len(content) <= MAX_UPLOAD_BYTES:
        raise InputError(
            f"{name} has {len(content):,} bytes; an upload has 1 to {MAX_UPLOAD_BYTES:,}. Put "
            "larger files below a folder that this server allows"
        )
    folder = uploads_folder(workspace)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name).stem).strip(".-")[:MAX_NAME] or "file"
    path = folder / f"{stem}-{hashlib.sha256(content).hexdigest()[:16]}{suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.stat().st_size == len(content):
            return path
        _require_room(folder, len(content))
        with atomic(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        kind = StoreFullError if error.errno == errno.ENOSPC else StoreError
        raise kind(f"{path} cannot be written: {error.strerror or error}") from None
    return path


def _require_room(folder: Path, size: int) -> None:
    kept = sum(item.stat().st_size for item in folder.iterdir() if item.is_file())
    if kept + size > MAX_UPLOADS_BYTES:
        raise InputError(
            f"the uploads in {folder} have {kept:,} bytes; {MAX_UPLOADS_BYTES:,} are allowed. "
            "Delete what is no longer needed"
        )
