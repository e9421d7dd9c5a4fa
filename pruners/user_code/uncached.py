"""Imports of users' modules as their files are now.

Python's own compiled files are told by whole seconds and by size: what was just edited would be run
as it was.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType

from pruners.user_code.opened_files import is_library


class SourceLoader(SourceFileLoader):
    """Compiles a file each time that it is loaded."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the file as it is now."""
        return self.source_to_code(self.get_data(self.path), self.path)


class _Finder:
    """Finds the modules that this thread imports from users' files."""

    def __init__(self, known: Collection[str]) -> None:
        self._known = known
        self._thread = threading.get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        if threading.get_ident() != self._thread or name.partition(".")[0] in self._known:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or type(spec.loader) is not SourceFileLoader:
            return None
        if is_library(spec.loader.path):
            return None
        spec.loader = SourceLoader(name, spec.loader.path)
        return spec


@contextmanager
def uncached_imports(known: Collection[str]) -> Iterator[None]:
    """Let imports in the block read users' files.

    Args:
        known: Packages of the program itself, which stay as they are.
    """
    finder = _Finder(known)
    # Behind those that check what may be imported.
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
