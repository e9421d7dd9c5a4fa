"""Files that are written whole or not at all, and their checksums."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from safetensors import SafetensorError

from pruners.errors import StoreError, first_line

# The oldest time that a zip file can hold: equal content gives an equal file.
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
# No plan or recipe of a person comes near; a device such as /dev/zero has no end.
MAX_GIVEN = 64 * 2**20


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name in a file's folder; what is written there becomes the file at the end.

    If the block raises, the file stays as it was. Several processes may write one file at once.
    Where a link stands, what it leads to is written; a device or a pipe is written to and stays.
    """
    if path.is_symlink():
        path = path.resolve()
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if path.exists() and not path.is_file() and not path.is_dir():
        with TemporaryDirectory() as place:
            yield Path(place, path.name)
            with Path(place, path.name).open("rb") as found, path.open("wb") as stream:
                shutil.copyfileobj(found, stream)
        return
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        # On a disk that fails, this fails as well, and would hide why.
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell in one line that what the block writes cannot be written.

    Raises:
        StoreError: The disk is full, the folder may not be written, a folder is in the way, ...
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or first_line(error)
        raise StoreError(f"cannot write to {path}: {reason}") from None


def check_writable(path: Path) -> None:
    """Find out whether a file can be written, or a folder be filled, before the work is done.

    Nothing is left behind. What happens until the work is done can still get in the way.

    Raises:
        StoreError: As `writing`.
    """
    with writing(path):
        place = path.resolve()
        if place.exists() and not place.is_file() and not place.is_dir():
            return
        folder = place if place.is_dir() else place.parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{folder} is a file")
        TemporaryFile(dir=folder).close()


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder; all files that are written there get into ``folder`` at the end, or none.

    A folder that was made for it is gone again if the block raises.

    Raises:
        StoreError: As `writing`; or a folder is where one of the files should be.
    """
    is_new = not folder.exists()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with TemporaryDirectory(prefix=".partial-", dir=folder) as place:
                yield Path(place)
                files = sorted(file for file in Path(place).rglob("*") if file.is_file())
                targets = [folder / file.relative_to(place) for file in files]
                for target in targets:
                    if target.is_dir():
                        raise IsADirectoryError(0, f"{target.name} is a folder there")
                    target.parent.mkdir(exist_ok=True)
                for file, target in zip(files, targets, strict=True):
                    file.replace(target)
        except BaseException:
            if is_new:
                with suppress(OSError):
                    folder.rmdir()
            raise


def read_given(path: Path, *, limit: int = MAX_GIVEN) -> bytes:
    """Return the content of a file that somebody gave, which may be a pipe.

    Args:
        path: The file.
        limit: Bytes that it may have.

    Raises:
        OSError: It cannot be read, or has more.
    """
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(f"it has more than {limit:,} bytes, which is all that is read")
    return content


def write_text(path: Path, text: str) -> Path:
    """Write a text file."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def sha256(path: Path) -> str:
    """Return the checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_zip(path: Path, files: Sequence[Path], *, folder: str, root: Path | None = None) -> Path:
    """Pack files into one zip, in one folder; the same files always give the same bytes.

    Args:
        path: The zip.
        files: What to pack.
        folder: Name of the folder in the zip.
        root: Folder whose folders stay; None packs all files beside each other.
    """
    with atomic(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(files):
            name = file.name if root is None else file.relative_to(root).as_posix()
            entry = zipfile.ZipInfo(f"{folder}/{name}", ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes())
    return path
