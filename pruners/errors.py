"""Exceptions of the project, one tree.

::

    PruneScopeError
    |-- InputError (also ValueError)     a user's request cannot be met: one clear line
    |   |-- AddressError                 a model or data address
    |   |-- UnknownNameError             a name that no registry knows
    |   |-- PlanError                    a plan that does not fit its model
    |   |-- OutOfReachError              no plan is as small as what was asked for
    |   |-- UnmetError                   no plan that holds was found so far
    |   `-- UnsupportedError             what was asked is not supported there
    |-- CaptureError                     torch.export cannot capture the model
    |-- StoreError                       workspace, database or artifact trouble
    |   |-- StoreBusyError               another program is writing; trying again helps
    |   |-- StoreFullError               the disk is full
    |   |-- StoreReadOnlyError           the file may not be opened or written
    |   `-- StoreDamagedError            the file is damaged, or of another program
    `-- CancelledError                   the user stopped the work; partial results are kept
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message that says something."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")


def one_line(error: BaseException) -> str:
    """Return an exception's type and the first line of its message."""
    return f"{type(error).__name__}: {first_line(error)}"


class PruneScopeError(Exception):
    """Base of all errors that the project raises on purpose."""


class InputError(PruneScopeError, ValueError):
    """A request cannot be met. The message says what was asked, what was found, what to do."""


class AddressError(InputError):
    """A model or data address is malformed, or what it names is missing or does not fit."""


class UnknownNameError(InputError):
    """A name that its registry does not know."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        """Build the message.

        Args:
            kind: What was looked up, in the singular, such as ``"criterion"``.
            name: The name that was asked for.
            known: The names that exist.
        """
        names = sorted(known)
        near = difflib.get_close_matches(str(name), names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(names) or 'none'}{hint}")


class PlanError(InputError):
    """A plan that does not fit the model it is applied to."""


class OutOfReachError(InputError):
    """No plan is as small as what was asked for; what may be removed does not suffice."""


class UnmetError(InputError):
    """No plan that holds was found so far; with more time one may be."""


class UnsupportedError(InputError):
    """A layer, group or method does not support what was asked of it."""


class CaptureError(PruneScopeError):
    """``torch.export`` cannot capture the model; incremental evaluation and groups need that."""


class StoreError(PruneScopeError):
    """The workspace, its database or an artifact cannot be read or written."""


class StoreBusyError(StoreError):
    """Another program kept the database locked for as long as was waited."""


class StoreFullError(StoreError):
    """The disk of the workspace is full."""


class StoreReadOnlyError(StoreError):
    """The database may not be opened or written."""


class StoreDamagedError(StoreError):
    """The database is damaged, or the file is none of this program's."""


class CancelledError(PruneScopeError):
    """The user stopped the work. What was measured so far is kept."""


def comes_again(problem: BaseException) -> bool:
    """Return whether the same work, tried again, would end in the same error.

    Model, data or the request are to blame for an `InputError`, as users' code is that ends the
    program. Not so where the system could not read a file, which it may the next time.
    """
    if isinstance(problem, InputError | CaptureError):
        return not isinstance(problem, UnmetError) and not _is_of_system(problem)
    return isinstance(problem, SystemExit)


def _is_of_system(problem: BaseException | None) -> bool:
    """Return whether an error came of one of the system's; libraries have errors of theirs."""
    while problem is not None:
        if isinstance(problem, OSError) and type(problem).__module__ == "builtins":
            return True
        problem = problem.__cause__ or problem.__context__
    return False
