"""Code in users' own files, run so that folders do not meet.

A file sees the modules of its own folder first, as a script does, whenever it imports them: at its
top, inside a function, in a forward pass long after. Modules of one name in two folders are two
modules. What lies in one folder is run once, until one of its files changes.
"""

from __future__ import annotations

import builtins
import importlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from pruners.user_code.lending import kept_settings
from pruners.user_code.one_at_a_time import OneAtATime
from pruners.user_code.opened_files import FileStamp, file_stamp, is_library, opened_files
from pruners.user_code.uncached import SourceLoader, uncached_imports

# Folders become packages whose names nobody else uses.
PREFIX = "prunescope_factory_"
# Shared with the program itself, whatever folder imports them.
OWN = {"pruners", "analysis", "sample_models", "pages"}

Check = Callable[[Path], object]


class UserFolder:
    """A folder whose code runs, as a package of its own; see `user_folder`.

    Attributes:
        package: Its name.
        path: Where its code looks for modules first: itself, and what its code put on `sys.path`.
        stamps: The files that were run, or read while they were, as they were then.
        check: Called with each file before it runs.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.package = f"{PREFIX}{number}"
        self.path = [str(folder)]
        self.stamps: dict[str, FileStamp] = {}
        self.check: Check = bool
        self.builtins = {**vars(builtins), "__import__": self._import}
        # The working folder that its code went to, for what it opens there later.
        self._workplace = ""
        # What `sys.path` was before the folder's code began to run; None while none runs.
        self._outside: list[str] | None = None
        package = ModuleType(self.package)
        package.__path__ = self.path
        sys.modules[self.package] = package

    @property
    def is_current(self) -> bool:
        """Whether no file that was run, or read meanwhile, has changed since."""
        try:
            return all(file_stamp(path) == stamp for path, stamp in self.stamps.items())
        except OSError:
            return False

    def load(self, file: Path, *, again: bool = False) -> ModuleType:
        """Run a file of the folder, or return what ran before.

        Args:
            file: The file.
            again: Whether to run it in any case.

        Raises:
            Exception: Whatever the file raises.
        """
        name = f"{self.package}.{file.stem.replace('.', '_')}"
        if name in sys.modules and not again:
            return sys.modules[name]
        loader = _Loader(name, str(file), self)
        loader.prepare()
        spec = spec_from_file_location(
            name,
            file,
            loader=loader,
            submodule_search_locations=[str(file.parent)] if file.stem == "__init__" else None,
        )
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        return module

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let code of the folder find its modules by other means than ``import``, too."""
        with kept_settings(), self._at_workplace(), self._searched_first():
            yield

    @contextmanager
    def _at_workplace(self) -> Iterator[None]:
        """Let the folder's code run in the working folder that it went to before."""
        outside = Path.cwd()
        with suppress(OSError):
            os.chdir(self._workplace or outside)
        try:
            yield
        finally:
            here = Path.cwd()
            self._workplace = "" if here == outside else str(here)

    @contextmanager
    def _searched_first(self) -> Iterator[None]:
        known, before = set(sys.modules), list(sys.path)
        self._outside = before
        sys.path[:0] = self.path
        try:
            yield
        finally:
            self.path[:] = dict.fromkeys(str(Path(item).resolve()) for item in self.places())
            sys.path[:] = before
            self._outside = None
            self._take_in(set(sys.modules) - known)

    def _take_in(self, names: set[str]) -> None:
        """Make modules of the folder that were imported past it part of it."""
        for name in names:
            module = sys.modules[name]
            file = getattr(module, "__file__", None) or ""
            if name.partition(".")[0].startswith(PREFIX) or name.partition(".")[0] in OWN:
                continue
            if any(Path(file).is_relative_to(place) for place in self.path) and not is_library(
                file
            ):
                sys.modules.setdefault(f"{self.package}.{name}", sys.modules.pop(name))

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Import as ``import`` does, from the folder first."""
        top = name.partition(".")[0]
        if level or not self._has(top):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = importlib.import_module(f"{self.package}.{name}")
        if not fromlist:
            return sys.modules[f"{self.package}.{top}"]
        return builtins.__import__(module.__name__, globals, locals, fromlist, 0)

    def _has(self, top: str) -> bool:
        if f"{self.package}.{top}" in sys.modules:
            return True
        if top in OWN or top in sys.builtin_module_names:
            return False
        found = PathFinder.find_spec(f"{self.package}.{top}", self.places())
        if found is None:
            return False
        if found.origin is None:
            # A folder without __init__ gives way to a package of that name, as elsewhere.
            outside = PathFinder.find_spec(top, self._outside)
            return outside is None or outside.origin is None
        return getattr(sys.modules.get(top), "__file__", None) != found.origin

    def places(self) -> list[str]:
        """Return where to look, with what running code has just put on `sys.path`."""
        if self._outside is None:
            return self.path
        outside = Counter(self._outside)
        found = []
        for item in reversed(sys.path):
            if outside[item]:
                outside[item] -= 1
            else:
                found.append(item)
        return found[::-1]


class _Loader(SourceLoader):
    """Runs a file so that what it imports is found by its folder."""

    def __init__(self, name: str, path: str, folder: UserFolder) -> None:
        super().__init__(name, path)
        self._folder = folder
        self._code: CodeType | None = None

    def prepare(self) -> CodeType:
        """Read and compile the file, which nobody sees as a module yet."""
        if self._code is None:
            self._folder.check(Path(self.path))
            self._folder.stamps[str(self.path)] = file_stamp(self.path)
            self._code = super().get_code(self.name)
        return self._code

    def get_code(self, fullname: str) -> CodeType:
        return self.prepare()

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = self._folder.builtins
        with opened_files() as opened:
            super().exec_module(module)
        self._folder.stamps |= opened


class _Finder:
    """Finds modules of users' folders by their full names."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, rest = name.partition(".")
        folder = _BY_PACKAGE.get(package)
        if folder is None or not rest:
            return None
        spec = PathFinder.find_spec(name, folder.places() if "." not in rest else path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(name, spec.loader.path, folder)
        return spec


_FOLDERS: dict[Path, UserFolder] = {}
_BY_PACKAGE: dict[str, UserFolder] = {}
# `sys.path` belongs to the whole process: one folder's code is loaded at a time.
_LOADING = OneAtATime()
sys.meta_path.insert(0, _Finder)


@contextmanager
def user_folder(path: Path, *, check: Check = bool) -> Iterator[UserFolder]:
    """Yield a folder to run files of, for as long as their functions are called.

    All of it is run again when a file that was run, or read meanwhile, has changed.

    Args:
        path: The folder, resolved.
        check: Called with each file before it runs; raises to keep it from running.
    """
    with _LOADING.turn(str(path)):
        folder = _FOLDERS.get(path)
        if folder is None or not folder.is_current:
            folder = _FOLDERS[path] = UserFolder(path, len(_BY_PACKAGE))
            _BY_PACKAGE[folder.package] = folder
        folder.check = check
        importlib.invalidate_caches()
        with folder.running():
            yield folder


@contextmanager
def named_modules() -> Iterator[None]:
    """Let users' modules be imported by name, and their functions be called, in the block."""
    with _LOADING.turn("modules by name"), kept_settings(), uncached_imports(OWN):
        yield


def search_path(path: Path) -> tuple[str, ...]:
    """Return where a folder's code looks for modules before it looks where all code does."""
    folder = _FOLDERS.get(path)
    return (str(path),) if folder is None else tuple(folder.path)


def folder_stamps(path: Path) -> Mapping[str, FileStamp]:
    """Return the files that a folder's code ran and read, as they were then."""
    folder = _FOLDERS.get(path)
    return {} if folder is None else dict(folder.stamps)
