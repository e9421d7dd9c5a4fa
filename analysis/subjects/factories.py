"""Call a function that an address names, in a file or in a module."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from analysis.sentences import listed
from analysis.subjects.address import Address
from analysis.subjects.allowed_paths import (
    Roots,
    check_module,
    check_path,
    checked_imports,
    missing,
)
from analysis.subjects.fields import find_functions
from analysis.subjects.torchvision_import import mended
from pruners.errors import AddressError, one_line
from pruners.user_code import (
    FileStamp,
    OneAtATime,
    UserFolder,
    code_files,
    file_stamp,
    folder_stamps,
    is_library,
    named_modules,
    no_exit,
    resolved,
    user_folder,
)

T = TypeVar("T")
# Random numbers, sys.path and half imported files belong to the whole process: users' code, and
# models with random first weights, are built one at a time.
CHANCE = OneAtATime()
# Functions of a file that a message names.
LISTED = 6
# Modules that addresses named, with the files of users' code that ran for them.
_IMPORTED: dict[str, dict[str, FileStamp]] = {}


def call_factory(address: Address, *, roots: Roots = None) -> Any:
    """Import the module of a factory address and return what the factory returns.

    Raises:
        AddressError: The file, module or function is missing, raises, or may not be used here.
    """
    with CHANCE.turn(address.text):
        return _with_module(address, roots, _called)


def load_function(address: Address, *, roots: Roots = None) -> Callable[..., Any]:
    """Import the module of a factory address and return the function, which is not called.

    Raises:
        AddressError: The file, module or function is missing, or may not be used here.
    """
    with CHANCE.turn(address.text):
        return _with_module(address, roots, _function)


def _with_module(address: Address, roots: Roots, use: Callable[[Address, ModuleType], T]) -> T:
    """Use the module of an address; once more if that only failed for want of operators."""
    try:
        return _used(address, roots, use)
    except AddressError as error:
        if not mended(error):
            raise
    return _used(address, roots, use)


def _used(address: Address, roots: Roots, use: Callable[[Address, ModuleType], T]) -> T:
    """Use the module of an address while its folder's code may run."""
    if not address.is_path:
        with named_modules(), checked_imports(roots):
            return use(address, _imported(address, roots))
    path = check_path(Path(address.name), roots=roots)
    if not path.is_file():
        raise AddressError(f"{address.text!r}: {missing(Path(address.name))}")
    with user_folder(path.parent, check=partial(check_path, roots=roots)) as folder:
        return use(address, _loaded(address, folder, path))


def _function(address: Address, module: ModuleType) -> Callable[..., Any]:
    factory: Callable[..., Any] | None = getattr(module, address.factory, None)
    if not callable(factory):
        known = find_functions(Path(address.name)) if address.is_path else ()
        hint = f"; it has {listed(known, most=LISTED)}" if known else ""
        raise AddressError(
            f"{address.text!r}: {address.name} has no function {address.factory!r}{hint}"
        )
    return factory


def _called(address: Address, module: ModuleType) -> Any:
    factory = _function(address, module)
    try:
        with no_exit():
            return factory()
    except Exception as error:
        # A user's function may raise anything; the page and the terminal get one line.
        raise AddressError(
            f"{address.text!r}: {address.factory}() raised {one_line(error)}"
        ) from error


def _loaded(address: Address, folder: UserFolder, path: Path) -> ModuleType:
    try:
        with no_exit():
            return folder.load(path)
    except AddressError:
        raise
    except Exception as error:
        raise AddressError(f"{address.text!r}: importing it raised {one_line(error)}") from error


def factory_files(address: Address) -> tuple[Path, ...]:
    """Return all files of users' code behind a factory that was called.

    Addresses that name no factory have none.
    """
    if not address.factory:
        return ()
    if address.is_path:
        return code_files(resolved(address.name))
    file = getattr(sys.modules.get(address.name), "__file__", None)
    return () if file is None or is_library(file) else code_files(Path(file).resolve())


def code_stamps(address: Address) -> Mapping[str, FileStamp]:
    """Return the files of users' code that ran for a factory, as they were then."""
    if not address.factory:
        return {}
    if address.is_path:
        return folder_stamps(resolved(address.name).parent)
    return _IMPORTED.get(address.name, {})


def _forget_edited(name: str) -> None:
    """Let a module, and what it imports, run again if a file of theirs was edited since."""
    stamps = _IMPORTED.get(name, {})
    if all(_is_current(path, found) for path, found in stamps.items()):
        return
    for known, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and str(Path(file).resolve()) in stamps:
            del sys.modules[known]
            # A package keeps its modules as attributes, which `from` would take.
            package, _, own = known.rpartition(".")
            vars(sys.modules.get(package, module)).pop(own, None)
    importlib.invalidate_caches()


def _is_current(path: str, found: FileStamp) -> bool:
    try:
        return file_stamp(path) == found
    except OSError:
        return False


def _imported(address: Address, roots: Roots) -> ModuleType:
    # The console script's path does not begin with the working directory, as `python -m` does.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    unknown = (
        f"{address.text!r}: unknown scheme {address.name!r}; did you mean "
        f"{address.meant}:{address.factory}?"
    )
    try:
        check_module(address.name, roots=roots)
        _forget_edited(address.name)
        with no_exit():
            module = importlib.import_module(address.name)
        _IMPORTED[address.name] = {str(file): file_stamp(file) for file in factory_files(address)}
        return module
    except AddressError as error:
        raise AddressError(f"{unknown} ({error})" if address.meant else str(error)) from None
    except Exception as error:
        is_missing = isinstance(error, ModuleNotFoundError) and error.name == address.name
        if is_missing and address.meant:
            raise AddressError(f"{unknown} (there is no module of that name)") from error
        raise AddressError(f"{address.text!r}: importing it raised {one_line(error)}") from error
