"""A process that follows: the same session as in the leading one, on a device of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import safetensors.torch
import torch

from analysis.edits import Edit, prepare
from analysis.records import Identity
from analysis.recovery.plan_repair import Recovery
from analysis.recovery.training.cost import opened_trainee
from analysis.recovery.training.data import open_training_data
from analysis.recovery.training.session import Session
from analysis.recovery.training.several.order import (
    MEETING,
    ORDER,
    START,
    Order,
    failure,
    leave_error,
    neighbours,
    ready,
)
from analysis.recovery.training.several.team import CHECK, STOP, joined
from analysis.recovery.training.state import read_checkpoint
from analysis.subjects import load_subject
from pruners.errors import InputError, PruneScopeError, first_line
from pruners.float32 import float32
from pruners.user_code import exits_told


def follow(folder: Path, rank: int) -> int:
    """Train along until told to stop; what goes wrong is left in the folder as one line.

    Args:
        folder: Has the order, and what the training starts from.
        rank: Which process this is, from 1.

    Returns:
        0, or 1 where something went wrong.
    """
    threading.Thread(target=_leave_with_leader, daemon=True).start()
    try:
        with _noted(folder / failure(rank)):
            order = Order.from_json((folder / ORDER).read_text(encoding="utf-8"))
            _follow(folder, order, rank)
    except Exception:
        return 1
    return 0


@contextlib.contextmanager
def _noted(path: Path) -> Iterator[None]:
    """Leave word of what is raised within the block, unless there is one, or nothing to say."""
    try:
        with exits_told():
            yield
    except Exception as error:
        problem = error if isinstance(error, PruneScopeError) else _of_user(error)
        if str(problem) and not path.exists():
            leave_error(path, problem)
        raise


def _of_user(error: Exception) -> InputError:
    """Return in one line what a user's model or data raised, which may be anything."""
    problem = InputError(first_line(error))
    problem.__cause__ = error
    return problem


def _leave_with_leader() -> None:
    os.read(0, 1)  # nothing comes before the end
    os._exit(1)


def _follow(folder: Path, order: Order, rank: int) -> None:
    torch.set_num_threads(order.threads)
    session = _session(folder, order, rank)
    (folder / ready(rank)).touch()
    with (
        joined(
            folder / MEETING,
            order.devices,
            rank=rank,
            beside=neighbours(order, rank),
            seed=order.seed,
            threads=order.threads,
            why=InputError,  # another process knows
        ) as team,
        float32(),
        session.generators.in_use(),
        # Before this process leaves, for that is what the others notice.
        _noted(folder / failure(rank)),
    ):
        session.team = team
        while True:
            step, rate = team.told()
            if step == STOP:
                return
            if step == CHECK:
                team.agree(session.digest())
            else:
                session.step(step, rate)


def _session(folder: Path, order: Order, rank: int) -> Session:
    """Return the session as the leading process has it."""
    roots = None if order.roots is None else [Path(root) for root in order.roots]
    spec = dataclasses.replace(order.plan.subject, device=order.devices[rank])
    prepared = prepare(load_subject(spec, roots=roots))
    if what := Identity(**order.identity).change(prepared.identity):
        raise InputError(f"another process finds different {what} at the same addresses")
    data = open_training_data(prepared, order.recipe, seed=order.seed, roots=roots)
    if data.fingerprint != order.data:
        raise InputError("another process finds other training data at the same address")
    device = str(prepared.subject.example.device)
    tensors = safetensors.torch.load_file(folder / START, device=device)
    start = Recovery(order.plan, Edit(tensors))
    trainee = opened_trainee(prepared, order.plan, order.recipe, start)
    session = Session(prepared, trainee, data, order.recipe, seed=order.seed, steps=order.steps)
    found = read_checkpoint(folder, "")
    if found is None:
        raise InputError(f"what the training starts from cannot be read in {folder}")
    session.load(found)
    return session
