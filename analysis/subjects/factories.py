"""Call a function that an address names, in a file or in a module."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

from analysis.sentences import listed
from analysis.subjects.address import Address
from analysis.subjects.allowed_paths import Roots, check_module, check_path, missing
from analysis.subjects.fields import find_functions
from pruners.errors import AddressError, one_line

# Random numbers, sys.path and half imported files belong to the whole process: users' code, and
# models with random first weights, are built one at a time.
CHANCE = threading.RLock()
# Functions of a file that a message names.
LISTED = 6


def call_factory(address: Address, *, roots: Roots = None) -> Any:
    """Import the module of a factory address and return what the factory returns.

    Raises:
        AddressError: The file, module or function is missing, raises, or may not be used here.
    """
    with CHANCE:
        return _called(address, roots)


def _called(address: Address, roots: Roots) -> Any:
    module = _from_file(address, roots) if address.is_path else _imported(address, roots)
    factory = getattr(module, address.factory, None)
    if not callable(factory):
        known = find_functions(Path(address.name)) if address.is_path else ()
        hint = f"; it has {listed(known, most=LISTED)}" if known else ""
        raise AddressError(
            f"{address.text!r}: {address.name} has no function {address.factory!r}{hint}"
        )
    try:
        return factory()
    except Exception as error:
        # A user's function may raise anything; the page and the terminal get one line.
        raise AddressError(
            f"{address.text!r}: {address.factory}() raised {one_line(error)}"
        ) from error


def _from_file(address: Address, roots: Roots) -> ModuleType:
    path = check_path(Path(address.name), roots=roots)
    if not path.is_file():
        raise AddressError(f"{address.text!r}: {missing(Path(address.name))}")
    # The content is part of the name: an edited file is another module in a long-lived server.
    digest = hashlib.sha256(str(path).encode() + path.read_bytes()).hexdigest()[:16]
    name = f"prunescope_factory_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise AddressError(f"{address.text!r}: {address.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise AddressError(f"{address.text!r}: importing it raised {one_line(error)}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _imported(address: Address, roots: Roots) -> ModuleType:
    # The console script's path does not begin with the working directory, as `python -m` does.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    check_module(address.name, roots=roots)
    try:
        return importlib.import_module(address.name)
    except Exception as error:
        raise AddressError(f"{address.text!r}: importing it raised {one_line(error)}") from error
