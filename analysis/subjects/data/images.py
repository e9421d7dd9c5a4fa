"""Image files: which ones a folder holds, and their content as tensors."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from analysis.sentences import listed, plural
from analysis.subjects.allowed_paths import Roots, check_path
from analysis.subjects.data.file_digests import FileDigests
from analysis.subjects.data.sources import NOTHING, Batch, MapSource
from pruners.errors import AddressError, one_line
from pruners.user_code import file_stamp

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
# Folders that programs leave behind, beside those whose name begins with a dot.
LEFT_BEHIND = {"__MACOSX", "__pycache__", "@eaDir", "lost+found"}
# Folders of a data set's parts: whoever names their parent has gone one folder too high.
PARTS = {"train", "training", "val", "valid", "validation", "test", "testing", "dev", "eval"}
# Modes of grey images with more than 8 bits, and the number that is white.
DEEP_MODES = {"I;16": 65535.0, "I;16L": 65535.0, "I;16B": 65535.0, "I;16N": 65535.0}
# Formats in which Pillow gives 16 bits a wider mode.
DEEP_FORMATS = {"PNG", "PPM"}
LISTED = 6
MAX_DEPTH = 32


@dataclass(slots=True)
class ImageFolder:
    """What a folder with one folder of images a class holds.

    Attributes:
        classes: Names of the class folders, sorted: a label is the place in this list.
        files: Path and label of each image, by class and name.
        notes: What was left out.
    """

    classes: list[str] = field(default_factory=list)
    files: list[tuple[str, int]] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def find_images(folder: Path, *, name: str, roots: Roots) -> ImageFolder:
    """List the images in the folders of a folder, as deep as they lie.

    Folders that are hidden, and what is no regular file with an image's extension, are left out;
    a class folder without images is a class without samples.

    Args:
        folder: The folder.
        name: The address, for messages.
        roots: Folders below which all files must lie, links followed; None allows everything.

    Raises:
        AddressError: There are no class folders, they are parts of a data set, a link leads to
            nothing or out of the allowed folders, or the folder cannot be read.
    """
    search = _Search(name, roots)
    found = ImageFolder()
    try:
        entries = sorted(os.scandir(folder), key=lambda item: item.name)
        found.classes = [item.name for item in entries if search.is_folder(item)]
        _check_classes(found.classes, name)
        for label, kind in enumerate(found.classes):
            found.files += [(path, label) for path in search.images(folder / kind)]
    except OSError as error:
        raise AddressError(f"{name!r}: {one_line(error)}") from None
    found.notes = search.notes(folder)
    return found


def _check_classes(classes: Sequence[str], name: str) -> None:
    if not classes:
        raise FileNotFoundError("no folders in it; one folder of images a class is needed")
    if {kind.lower() for kind in classes} <= PARTS:
        raise AddressError(
            f"{name!r}: the folder holds {' and '.join(classes)}, which look like parts of a data "
            f"set, not like classes; name one of them, such as {Path(classes[-1])} in it"
        )


class _Search:
    """Walks folders; knows what it left out."""

    def __init__(self, name: str, roots: Roots) -> None:
        self._name, self._roots = name, roots
        self._hidden: list[str] = []
        self._others: list[str] = []
        self._kinds: Counter[str] = Counter()

    def is_folder(self, entry: os.DirEntry[str]) -> bool:
        """Return whether to look into an entry."""
        if not entry.is_dir():
            return False
        if entry.name.startswith(".") or entry.name in LEFT_BEHIND:
            self._hidden.append(entry.path)
            return False
        self._check_link(entry)
        return True

    def images(self, folder: Path, depth: int = 0) -> Iterator[str]:
        """Yield the images of a folder by name, then those of the folders in it."""
        if depth > MAX_DEPTH:
            raise AddressError(f"{self._name!r}: {folder} lies in a circle of links")
        entries = sorted(os.scandir(folder), key=lambda item: item.name)
        yield from (item.path for item in entries if self._is_image(item))
        for item in entries:
            if self.is_folder(item):
                yield from self.images(Path(item.path), depth + 1)

    def _is_image(self, entry: os.DirEntry[str]) -> bool:
        if entry.is_dir():
            return False
        if entry.name.startswith(".") or not entry.name.lower().endswith(EXTENSIONS):
            if not entry.name.startswith("."):
                self._kinds[Path(entry.name).suffix.lower() or "no extension"] += 1
            return False
        self._check_link(entry)
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            raise AddressError(
                f"{self._name!r}: {entry.path} cannot be read: {one_line(error)}"
            ) from None
        if not stat.S_ISREG(mode):
            # Reading a pipe would wait for ever.
            self._others.append(entry.path)
            return False
        return True

    def _check_link(self, entry: os.DirEntry[str]) -> None:
        if self._roots is not None and entry.is_symlink():
            check_path(Path(entry.path), roots=self._roots)

    def notes(self, folder: Path) -> tuple[str, ...]:
        """Say what was left out, one sentence a kind."""
        notes = []
        for what, paths in (("hidden folders", self._hidden), ("no regular files", self._others)):
            if paths:
                names = [str(Path(path).relative_to(folder)) for path in paths]
                notes.append(f"Left out, {what}: {listed(names, most=LISTED)}.")
        if self._kinds:
            kinds = ", ".join(sorted(self._kinds))
            count = plural(sum(self._kinds.values()), "file")
            notes.append(f"Left out, {count} of other types than images: {kinds}.")
        return tuple(notes)


class ImageSet:
    """Image files as a map-style data set of ``(input, target)``.

    Args:
        folder: What to read.
        root: The folder; messages name files as they lie in it.
        channels: 1 or 3.
        before: Changes an image, such as its size.
        after: Changes the tensor ``(channels, H, W)`` of an image, in 0..1.
    """

    def __init__(
        self,
        folder: ImageFolder,
        *,
        root: Path,
        channels: int,
        before: Callable[[Any], Any],
        after: Callable[[Tensor], Tensor],
    ) -> None:
        self.classes = folder.classes
        self.files = folder.files
        self._root = root
        self._channels = channels
        self._before, self._after = before, after

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self.files[index]
        try:
            with Image.open(path) as image:
                tensor = _tensor(self._before(_decoded(image, self._channels)))
        except Exception as error:
            # Damaged files make Pillow raise a dozen types, which rarely name the file.
            name = Path(path).relative_to(self._root)
            raise AddressError(f"{name} cannot be read as an image: {one_line(error)}") from error
        return self._after(tensor.expand(self._channels, -1, -1)), label


def _decoded(image: Image.Image, channels: int) -> Image.Image:
    """Return an image as RGB, 8 bit grey, or grey as floats in 0..1 where it has more bits."""
    white = DEEP_MODES.get(image.mode)
    if image.mode == "I" and image.format in DEEP_FORMATS:
        white = 65535.0
    if white is not None:
        # Converting it would clip at 255.
        return Image.fromarray(np.asarray(image).astype(np.float32) / np.float32(white))
    if image.mode in ("I", "F"):
        raise ValueError(f"nothing says which number is white in mode {image.mode}")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("L" if channels == 1 else "RGB")


def _tensor(image: Image.Image) -> Tensor:
    """Return an image as float32 ``(1 or 3, H, W)`` in 0..1."""
    values = torch.from_numpy(np.array(image))
    values = values[None] if values.dim() == 2 else values.permute(2, 0, 1)
    return values.contiguous() if values.is_floating_point() else values.contiguous().float() / 255


class FileSource(MapSource):
    """A data set whose samples are files, read in a way that the address says.

    Args:
        name: The address.
        dataset: Gives ``(input, target)``.
        files: Path and label of each sample.
        recipe: How files become inputs.
        notes: What a person should know of it.
        blank: What pixels of zeros become, if that is known.
    """

    is_told_by_reading = False

    def __init__(
        self,
        name: str,
        dataset: Any,
        *,
        files: Sequence[tuple[str, int]],
        recipe: str,
        notes: tuple[str, ...] = (),
        blank: Tensor | None = None,
    ) -> None:
        super().__init__(name, dataset, notes, blank)
        self._files = files
        self._recipe = recipe
        self._stamps: dict[str, tuple[int, ...]] = {}

    def digest(self, indices: Sequence[int], files: FileDigests = NOTHING) -> str:
        """Hash the files and labels at the indices, and how they are read."""
        labels = [self._files[index][1] for index in indices]
        paths = [self._files[index][0] for index in indices]
        content = files.of(paths)
        self._stamps |= {path: files.stamps[path] for path in paths}
        return f"{self._recipe}|{content}|{labels}"

    def read(self, indices: Sequence[int]) -> Batch:
        """Return the samples at the indices.

        Raises:
            AddressError: A file cannot be read, or is not the one any more that was hashed.
        """
        batch = super().read(indices)
        for path in (self._files[index][0] for index in indices):
            if self._stamps.get(path, ()) not in ((), file_stamp(path)):
                raise AddressError(f"{self.name!r}: {path} was written again while it was in use")
        return batch

    def check_classes(self, classes: int) -> tuple[str, ...]:
        """Refuse folders that are not as many as the model's classes: labels are their places."""
        names = self.class_names
        if len(names) == classes:
            return ()
        word = "class folder" if len(names) == 1 else "class folders"
        raise AddressError(
            f"{self.name!r}: {len(names)} {word} ({listed(names, most=LISTED)}) stand against "
            f"{classes} logits; a label is the place of its folder in the sorted list, so labels "
            "may be shifted: give each class of the model a folder, an empty one where there are "
            "no images"
        )
