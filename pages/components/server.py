"""The dashboard's server: Streamlit's own, which loads what pages import before anybody asks.

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

from pages import components

# Of the first page; they take torch and pandas with them, and all of torch that imports itself in
# a circle. Pages wait for them, as two threads that enter such a circle would both fail.
MODULES = ("pages.components.home", "pages.components.frame.shell")
POLL_SECONDS = 0.02


def main() -> None:
    """Serve until stopped."""
    # Not a daemon: an end of the process within an import of torch would be a crash.
    threading.Thread(target=load, name="load-pages").start()
    cli.main(prog_name="streamlit")


def load() -> None:
    """Import what pages use, as long as there is a server to use it."""
    # Before, it would hold up the start, and caches would complain that nothing serves them.
    while not has_started() and is_serving():
        time.sleep(POLL_SECONDS)
    for name in _names():
        if not is_serving():
            return
        with contextlib.suppress(Exception):
            # What fails here fails again, and is told, where it is needed.
            importlib.import_module(name)


def _names() -> Iterator[str]:
    """Return what is imported: what the first page uses, then what all others do.

    These take a tenth of a second more. When PruneScope is changed while a server runs, a page that
    is opened for the first time would else mix what is new with what the server has.
    """
    yield from MODULES
    for found in pkgutil.walk_packages(components.__path__, f"{components.__name__}."):
        yield found.name


def has_started() -> bool:
    """Return whether the server can be asked."""
    return Runtime.exists() and Runtime.instance().state is not RuntimeState.INITIAL


def is_serving() -> bool:
    """Return whether the server, which is the main thread, goes on."""
    return threading.main_thread().is_alive()


if __name__ == "__main__":
    main()
