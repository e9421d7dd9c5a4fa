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
from collections.abc import Iterable, Mapping


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

    Model, data or the request are to blame for an `InputError`. Not so where the system could not
    read a file, which it may the next time.
    """
    if not isinstance(problem, InputError | CaptureError):
        return False
    return not isinstance(problem, UnmetError) and _cause_of_system(problem) is None


def _cause_of_system(problem: BaseException | None) -> OSError | None:
    """Return the system's error that an error came of, if any; libraries have errors of theirs."""
    seen: set[int] = set()
    # An error that is raised from itself is its own cause.
    while problem is not None and id(problem) not in seen:
        if isinstance(problem, OSError) and type(problem).__module__ == "builtins":
            return problem
        seen.add(id(problem))
        problem = problem.__cause__ or problem.__context__
    return None


# What is told apart of an error that comes from another process; others are the last one.
_KINDS = {kind.__name__: kind for kind in (InputError, CaptureError, PruneScopeError)}


def as_plain(problem: PruneScopeError) -> dict[str, str]:
    """Return an error as plain data for another process: `from_plain` makes one of its kind."""
    cause = _cause_of_system(problem)
    return {
        "text": str(problem),
        "kind": next(name for name, kind in _KINDS.items() if isinstance(problem, kind)),
        "system": "" if cause is None else one_line(cause),
    }


def from_plain(found: Mapping[str, str]) -> PruneScopeError:
    """Return the error of another process: it comes again where the one there does."""
    problem = _KINDS[found["kind"]](found["text"])
    if found["system"]:
        problem.__cause__ = OSError(found["system"])
    return problem
