"""The dashboard's server: Streamlit's own, which loads what the pages import before anybody asks.

``prunescope serve`` runs it by its path, with the arguments of ``streamlit``.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import threading
import time
from collections.abc import Iterator

from streamlit.runtime import Runtime, RuntimeState
from streamlit.web import cli

COMPONENTS = "pages.components"
# Of the first page, then what a first model needs; the other pages' modules follow.
FIRST = (f"{COMPONENTS}.home", f"{COMPONENTS}.frame.shell", "torch._dynamo")
POLL_SECONDS = 0.02


def main() -> None:
    """Serve until stopped."""
    # Not a daemon: an end of the process within an import of torch would be a crash.
    threading.Thread(target=load, name="load-pages").start()
    cli.main(prog_name="streamlit")


def load() -> None:
    """Import all that pages use, as long as there is a server to use it."""
    # Before, it would hold up the start, and caches would complain that nothing serves them.
    while not has_started() and is_serving():
        time.sleep(POLL_SECONDS)
    for name in _names():
        if not is_serving():
            return
        with contextlib.suppress(Exception):
            # What fails here fails again, and is told, where it is needed.
            importlib.import_module(name)


def has_started() -> bool:
    """Return whether the server can be asked."""
    return Runtime.exists() and Runtime.instance().state is not RuntimeState.INITIAL


def is_serving() -> bool:
    """Return whether the server, which is the main thread, goes on."""
    return threading.main_thread().is_alive()


def _names() -> Iterator[str]:
    yield from FIRST
    package = importlib.import_module(COMPONENTS)
    for module in pkgutil.walk_packages(package.__path__, f"{COMPONENTS}."):
        yield module.name


if __name__ == "__main__":
    main()
