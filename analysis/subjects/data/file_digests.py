"""The content of files, hashed piece by piece and remembered as long as they stay as they are."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis.files import atomic
from pruners.user_code import FileStamp, file_stamp

# A file may be written again within a tick of its clock: what is as new as this is not remembered.
SETTLED_SECONDS = 3.0


class FileDigests:
    """Digests of lists of files, remembered by path, size and times.

    Args:
        folder: Where they are remembered, one small file a list; None forgets them.

    Attributes:
        hashed: Files that were read.
        stamps: The files that were asked for, as they were then.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self.hashed = 0
        self.stamps: dict[str, FileStamp] = {}

    def of(self, paths: Sequence[str]) -> str:
        """Return the SHA-256 of the content of files, in order.

        Raises:
            OSError: One cannot be read.
        """
        stamps = {path: file_stamp(path) for path in paths}
        self.stamps |= stamps
        key, is_settled = _key(stamps)
        kept = None if self._folder is None or not is_settled else self._folder / key
        if kept is not None:
            with contextlib.suppress(OSError):
                found = kept.read_text(encoding="ascii")
                if len(found) == len(key):
                    return found
        found = self._hashed(paths)
        # Whoever wrote to one of them meanwhile is not to be remembered as read.
        if kept is not None and all(file_stamp(path) == item for path, item in stamps.items()):
            # A folder that cannot be written only means that files are read again another time.
            with contextlib.suppress(OSError):
                kept.parent.mkdir(parents=True, exist_ok=True)
                with atomic(kept) as partial:
                    partial.write_text(found, encoding="ascii")
        return found

    def _hashed(self, paths: Sequence[str]) -> str:
        content = hashlib.sha256()
        for path in paths:
            with Path(path).open("rb") as file:
                content.update(hashlib.file_digest(file, "sha256").digest())
            self.hashed += 1
        return content.hexdigest()


def _key(stamps: Mapping[str, FileStamp]) -> tuple[str, bool]:
    """Return what changes when one of the files does, and whether all of them are old enough."""
    content, newest = hashlib.sha256(), 0
    for path, stamp in stamps.items():
        newest = max(newest, *stamp[:2])
        content.update(f"{path}|{stamp}\n".encode())
    return content.hexdigest(), newest < (time.time() - SETTLED_SECONDS) * 1e9
