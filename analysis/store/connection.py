"""Connections to the workspace's SQLite file: short transactions that survive other processes."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analysis.store.migrations import migrate
from pruners.errors import (
    InputError,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
)

FILE = "prunescope.sqlite"
BUSY_SECONDS = 20.0
# Of a file that may not be opened or written.
_DENIED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)


class _Connection(sqlite3.Connection):
    """A thread's connection; closed with the thread, for a web server starts thousands of them."""

    pid: int | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pid = os.getpid()

    def __del__(self) -> None:
        # In a forked process, closing it would drop the locks of the process that opened it.
        if self.pid == os.getpid():
            self.close()


class Database:
    """One SQLite file, one connection a thread; read alone where nothing may be written.

    Args:
        workspace: Folder of the file; made if missing.
        busy_seconds: How long to wait for another process that is writing.
        max_bytes: Size that the file may not outgrow; None leaves it to the disk.

    Raises:
        StoreError: The folder or the file cannot be used.
    """

    def __init__(
        self,
        workspace: Path,
        *,
        busy_seconds: float = BUSY_SECONDS,
        max_bytes: int | None = None,
    ) -> None:
        self.path = workspace / FILE
        self._busy_seconds = busy_seconds
        self._max_bytes = max_bytes
        self._local = threading.local()
        self._open: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self._lock = threading.Lock()
        try:
            workspace.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the workspace {workspace} cannot be made: {error.strerror}"
            ) from None
        with self._store_errors(), self._connection_to_read() as connection:
            migrate(connection)

    def _connection(self) -> sqlite3.Connection:
        # A connection must not be carried over into a forked process.
        mine: _Connection | None = getattr(self._local, "mine", None)
        if mine is None or mine.pid != os.getpid():
            mine = self._connected()
            self._local.mine = mine
            with self._lock:
                self._open.add(mine)
        return mine

    def _connected(self) -> _Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
        )
        connection.row_factory = _named
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        # With WAL this survives a killed process; only a power cut may lose the last batch.
        connection.execute("PRAGMA synchronous = NORMAL")
        if self._max_bytes is not None:
            page = connection.execute("PRAGMA page_size").fetchone()["page_size"]
            connection.execute(f"PRAGMA max_page_count = {max(1, self._max_bytes // page)}")
        return connection

    def _for_reading(self) -> sqlite3.Connection:
        """Open the file where SQLite cannot put its own files beside it."""
        log = self.path.with_name(f"{FILE}-wal")
        # What others have written and not yet put into the file is read from theirs, or not at all.
        is_whole = not (log.is_file() and log.stat().st_size)
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=ro{'&immutable=1' if is_whole else ''}",
            timeout=self._busy_seconds,
            isolation_level=None,
            uri=True,
        )
        connection.row_factory = _named
        return connection

    def _connection_to_read(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        try:
            return contextlib.nullcontext(self._connection())
        except sqlite3.OperationalError as error:
            if _code(error) not in _DENIED or not self.path.is_file():
                raise
        # Opened each time: of what others write meanwhile such a connection does not hear.
        return contextlib.closing(self._for_reading())

    @contextlib.contextmanager
    def _store_errors(self) -> Iterator[None]:
        """Turn errors of SQLite, and of text that it cannot hold, into one line."""
        try:
            yield
        except sqlite3.Error as error:
            raise _store_error(error, self.path) from error
        except UnicodeEncodeError as error:
            # Bytes of a command line that are no UTF-8 arrive as such characters.
            raise InputError(f"{error.object!r} is no text that the workspace could hold") from None

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Read a consistent state: all statements see the same moment."""
        with self._store_errors(), self._connection_to_read() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                # A full disk makes SQLite roll back by itself.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Write everything of the block, or on any error nothing of it."""
        with self._store_errors():
            connection = self._connection()
            # The write lock is taken at once: a transaction that reads first may not get it later.
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @property
    def connections(self) -> int:
        """Number of connections that are open."""
        with self._lock:
            return len(self._open)

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for connection in self._open:
                connection.close()
            self._open.clear()
        self._local = threading.local()


def _named(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


def _code(error: sqlite3.Error) -> int:
    # The lowest byte is the kind, the rest is detail.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return code


def _store_error(error: sqlite3.Error, path: Path) -> StoreError:
    """Return what an error of SQLite means, by its code; Python's own errors have none."""
    code = _code(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
        return StoreBusyError(
            f"the workspace database {path} is locked by another program; try again"
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreFullError(
            f"the disk of the workspace {path.parent} is full; free space and try again"
        )
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return StoreDamagedError(
            f"{path} is damaged or not a PruneScope database ({error}); use another workspace"
        )
    if code in _DENIED:
        return StoreReadOnlyError(
            f"the workspace database {path} cannot be written ({error}); check its permissions"
        )
    return StoreError(f"the workspace database {path} failed: {error}")
