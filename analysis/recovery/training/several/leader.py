"""The process that leads: it starts those that follow, and ends them."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from analysis.devices import device_names
from analysis.edits import PreparedSubject
from analysis.files import write_text, writing
from analysis.records import Plan
from analysis.recovery.training.data import TrainingData
from analysis.recovery.training.recipe import TrainingRecipe
from analysis.recovery.training.several.machines import Machine, Meeting
from analysis.recovery.training.several.order import MEETING, ORDER, START, Order
from analysis.recovery.training.several.processes import Followers, Processes
from analysis.recovery.training.several.team import STOP, Team, joined, state_class
from analysis.recovery.training.state import Checkpoint, Store
from pruners.errors import InputError


def check_devices(names: str, batch_size: int, *, machines: Sequence[Machine] = ()) -> None:
    """Refuse devices that cannot train together.

    Args:
        names: Of the devices of this machine, joined by commas.
        batch_size: Samples that they share.
        machines: Those that joined.

    Raises:
        InputError: They are of several kinds, more than a batch has samples, or the library for it
            is not installed.
    """
    devices = _all_devices(names, machines)
    if len(devices) < 2:
        return
    kinds = sorted({name.partition(":")[0] for name in devices})
    if len(kinds) > 1:
        raise InputError(f"a training's devices are of one kind; found {' and '.join(kinds)}")
    if batch_size < len(devices):
        raise InputError(
            f"{len(devices)} devices cannot share a batch of {batch_size}; take a larger batch "
            "size, or fewer devices"
        )
    state_class()


def order_of(
    prepared: PreparedSubject,
    plan: Plan,
    recipe: TrainingRecipe,
    *,
    seed: int,
    steps: int,
    data: TrainingData,
    roots: Sequence[Path] | None,
    machines: Sequence[Machine] = (),
) -> Order:
    """Return what all processes train, on the devices of the subject and of other machines."""
    spec = prepared.subject.spec
    devices, own = _all_devices(spec.device, machines), len(device_names(spec.device))
    return Order(
        plan=dataclasses.replace(plan, subject=spec),
        recipe=recipe,
        seed=seed,
        steps=steps,
        identity=dataclasses.asdict(prepared.identity),
        data=data.fingerprint,
        devices=devices,
        machines=(own, *(len(item.devices) for item in machines)),
        threads=max(1, torch.get_num_threads() // own),
        roots=None if roots is None else tuple(map(str, roots)),
    )


def _all_devices(names: str, machines: Sequence[Machine]) -> tuple[str, ...]:
    return (*device_names(names), *(name for item in machines for name in item.devices))


@contextlib.contextmanager
def leading(
    order: Order,
    start: Mapping[str, Tensor],
    checkpoint: Callable[[], Checkpoint],
    *,
    cancel: Callable[[], bool],
    meeting: Meeting | None = None,
) -> Iterator[Team | None]:
    """Lead a training within the block.

    Args:
        order: What is trained.
        start: The tensors that differ from the dense model.
        checkpoint: Returns where the training is.
        cancel: Asked while processes open what they need.
        meeting: Where other machines wait for the order; None for this one alone.

    Yields:
        The team; None where there is one device, or if cancelled before it met.

    Raises:
        InputError: Another process fails; the message says why.
    """
    if len(order.devices) == 1:
        yield None
        return
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_shared(meeting))
        with writing(folder):
            plain = {key: item.detach().cpu().contiguous() for key, item in start.items()}
            safetensors.torch.save_file(plain, folder / START)
            Store(folder, "", seconds=0).save(checkpoint())
            # Last, for other machines wait for it.
            write_text(folder / ORDER, order.to_json())
        own = Processes(folder, range(1, order.machines[0]))
        stack.enter_context(own)
        followers = Followers(folder, own, len(order.devices))
        if not followers.are_ready(cancel):
            yield None
            return
        team = stack.enter_context(
            joined(
                folder / MEETING,
                order.devices,
                rank=0,
                beside=order.machines[0],
                seed=order.seed,
                threads=order.threads,
                why=followers.why,
            )
        )
        yield team
        team.tell(STOP, 0.0)


@contextlib.contextmanager
def _shared(meeting: Meeting | None) -> Iterator[Path]:
    """Make a training's folder, and take it away after the block."""
    if meeting is None:
        with tempfile.TemporaryDirectory(prefix="prunescope-") as name:
            yield Path(name)
        return
    folder = meeting.next_folder()
    with writing(folder):
        folder.mkdir()
    try:
        yield folder
    finally:
        # What it was to be found by goes first; another machine may be writing there.
        (folder / ORDER).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
