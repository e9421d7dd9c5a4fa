"""Several machines that train one model: they meet in a folder that all of them see.

The machine that leads opens the folder and waits for the others, each of which says what devices it
has. Each training then has a folder within it, as one on several devices of one machine has.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from analysis.files import write_text, writing
from analysis.records import Document
from analysis.recovery.training.several.order import (
    ORDER,
    Order,
    error_left,
    failure,
    leave_error,
)
from analysis.recovery.training.several.processes import GRACE_SECONDS, Processes, lost
from pruners.errors import CancelledError, InputError, PruneScopeError

LEADER, CLOSED = "leader", "closed"
POLL_SECONDS = 0.2
PULSE_SECONDS = 5.0
# Without a pulse so long, a machine is taken for lost; network folders show changes late.
LOST_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine(Document):
    """A machine that joined.

    Attributes:
        host: Its name, for messages.
        devices: What it computes on, one for each process.
    """

    host: str
    devices: tuple[str, ...]


class Meeting:
    """What the machine that leads knows of the others.

    Args:
        folder: Where they meet.
        machines: Those that joined.
    """

    def __init__(self, folder: Path, machines: Sequence[Machine]) -> None:
        self._folder = folder
        self.machines = tuple(machines)
        self._trainings = 0

    def next_folder(self) -> Path:
        """Return where the next training's order will be; nothing is there yet."""
        self._trainings += 1
        return _training(self._folder, self._trainings)


@contextmanager
def opened_meeting(
    folder: Path, count: int, *, cancel: Callable[[], bool] = lambda: False
) -> Iterator[Meeting]:
    """Lead so many machines within the block, this one among them.

    Args:
        folder: New or empty, and seen by all machines under any path.
        count: Machines, at least two.
        cancel: Asked while others are waited for.

    Raises:
        InputError: The folder is in use, or cannot be written.
        CancelledError: It was cancelled before all were there.
    """
    folder = folder.absolute()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(
                f"machines meet in a folder of their own, but {folder} has files; empty it, or "
                "name a new one"
            )
        (folder / LEADER).touch()
    try:
        with _pulse(folder / LEADER):
            while len(found := _machines(folder)) < count - 1:
                if cancel():
                    raise CancelledError("stopped before all machines had joined")
                time.sleep(POLL_SECONDS)
            yield Meeting(folder, found[: count - 1])
    finally:
        with suppress(OSError):
            (folder / CLOSED).touch()


def join(
    folder: Path, devices: Sequence[str], *, cancel: Callable[[], bool] = lambda: False
) -> int:
    """Train along until the machine that leads is through.

    Args:
        folder: Where machines meet.
        devices: Of this machine, one for each process.
        cancel: Whether to leave, which ends the training for all.

    Returns:
        Trainings that this machine was part of.

    Raises:
        InputError: A process failed, the machine that leads is lost, or enough have joined.
        CancelledError: It was cancelled.
    """
    folder = folder.absolute()
    _wait_for(folder / LEADER, cancel)
    own = _registered(folder, Machine(host=socket.gethostname(), devices=tuple(devices)))
    leader, done = _Watch(folder / LEADER), 0

    def check() -> None:
        if cancel():
            raise CancelledError("left before the training was over")
        if leader.is_lost():
            raise InputError(f"the machine that leads in {folder} gives no sign of life")
        time.sleep(POLL_SECONDS)

    with _pulse(folder / _machine(own)):
        while not (folder / CLOSED).exists():
            place = _training(folder, done + 1)
            if (place / ORDER).exists():
                _follow(place, own, check)
                done += 1
            check()
    return done


def _follow(folder: Path, machine: int, check: Callable[[], None]) -> None:
    """Have this machine's processes follow one training to its end."""
    order = Order.from_json((folder / ORDER).read_text(encoding="utf-8"))
    if machine >= len(order.machines):
        raise InputError(f"{len(order.machines)} machines train; this one is not among them")
    first = sum(order.machines[:machine])
    ranks = range(first, first + order.machines[machine])
    with Processes(folder, ranks) as processes:
        while processes.are_running and (folder / ORDER).exists():
            check()
        # The machine that leads is through; its last word may be on the way.
        end = time.monotonic() + GRACE_SECONDS
        while processes.are_running and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
        if processes.has_failed:
            raise _last_word(folder, len(order.devices), rank=first)


def _last_word(folder: Path, size: int, *, rank: int) -> PruneScopeError:
    """Return what one of all processes said at its end.

    Where none did, one was killed: that is left for the machine that leads, as a process's word.
    """
    for other in range(1, size):
        if (found := error_left(folder / failure(other))) is not None:
            return found
    with suppress(OSError):
        leave_error(folder / failure(rank), lost())
    return lost()


def _machines(folder: Path) -> list[Machine]:
    """Return the machines that joined, in their order."""
    found: list[Machine] = []
    with suppress(FileNotFoundError):
        while True:
            text = (folder / _machine(len(found) + 1)).read_text(encoding="utf-8")
            found.append(Machine.from_json(text))
    return found


def _registered(folder: Path, machine: Machine) -> int:
    """Say that this machine is there; return its number, from 1."""
    number = 1
    with writing(folder):
        while True:
            path = folder / _machine(number)
            try:
                # Two machines may come at once.
                path.with_suffix(".taken").touch(exist_ok=False)
            except FileExistsError:
                number += 1
            else:
                write_text(path, machine.to_json())
                return number


def _machine(number: int) -> str:
    return f"machine-{number}.json"


def _training(folder: Path, number: int) -> Path:
    return folder / f"training-{number}"


def _wait_for(path: Path, cancel: Callable[[], bool]) -> None:
    while not path.exists():
        if cancel():
            raise CancelledError("left before a machine led")
        time.sleep(POLL_SECONDS)
    if (path.parent / CLOSED).exists():
        raise InputError(f"the training in {path.parent} is over; name a new folder")


class _Watch:
    """Tells whether somebody still touches a file; clocks of machines may differ."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen, self._since = self._time(), time.monotonic()

    def _time(self) -> int:
        try:
            return self._path.stat().st_mtime_ns
        except OSError:
            return 0

    def is_lost(self) -> bool:
        if (now := self._time()) != self._seen:
            self._seen, self._since = now, time.monotonic()
        return time.monotonic() - self._since > LOST_SECONDS


@contextmanager
def _pulse(path: Path) -> Iterator[None]:
    """Touch a file within the block, every few seconds."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(PULSE_SECONDS):
            with suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
