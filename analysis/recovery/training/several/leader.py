"""The process that leads: it starts those that follow, and ends them."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from analysis.devices import device_names
from analysis.edits import PreparedSubject
from analysis.files import writing
from analysis.records import Plan
from analysis.recovery.training.data import TrainingData
from analysis.recovery.training.recipe import TrainingRecipe
from analysis.recovery.training.several.order import (
    MEETING,
    ORDER,
    START,
    Order,
    failure,
    ready,
)
from analysis.recovery.training.several.team import STOP, Team, joined, state_class
from analysis.recovery.training.state import Checkpoint, Store
from pruners.errors import InputError

POLL_SECONDS = 0.05
# In which a process that fails has said why.
GRACE_SECONDS = 5.0


def check_devices(names: str, batch_size: int) -> None:
    """Refuse devices that cannot train together.

    Args:
        names: Of the devices, joined by commas.
        batch_size: Samples that they share.

    Raises:
        InputError: They are of several kinds, more than a batch has samples, or the library for it
            is not installed.
    """
    devices = device_names(names)
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
) -> Order:
    """Return what all processes train, on the devices of the subject."""
    spec = prepared.subject.spec
    devices = device_names(spec.device)
    return Order(
        plan=dataclasses.replace(plan, subject=spec),
        recipe=recipe,
        seed=seed,
        steps=steps,
        identity=dataclasses.asdict(prepared.identity),
        data=data.fingerprint,
        devices=devices,
        threads=max(1, torch.get_num_threads() // len(devices)),
        roots=None if roots is None else tuple(map(str, roots)),
    )


@contextlib.contextmanager
def leading(
    order: Order,
    start: Mapping[str, Tensor],
    checkpoint: Callable[[], Checkpoint],
    *,
    cancel: Callable[[], bool],
) -> Iterator[Team | None]:
    """Lead a training within the block.

    Args:
        order: What is trained.
        start: The tensors that differ from the dense model.
        checkpoint: Returns where the training is.
        cancel: Asked while processes open what they need.

    Yields:
        The team; None where there is one device, or if cancelled before it met.

    Raises:
        InputError: Another process fails; the message says why.
    """
    if len(order.devices) == 1:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="prunescope-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        with writing(folder):
            (folder / ORDER).write_text(order.to_json(), encoding="utf-8")
            plain = {key: item.detach().cpu().contiguous() for key, item in start.items()}
            safetensors.torch.save_file(plain, folder / START)
        Store(folder, "", seconds=0).save(checkpoint())
        followers = _Followers(folder, len(order.devices))
        stack.callback(followers.close)
        if not followers.are_ready(cancel):
            yield None
            return
        team = stack.enter_context(
            joined(
                folder / MEETING,
                order.devices,
                rank=0,
                seed=order.seed,
                threads=order.threads,
                why=followers.why,
            )
        )
        yield team
        team.tell(STOP, 0.0)


class _Followers:
    """The processes that follow.

    Args:
        folder: Has what they need.
        size: Processes in all, the leading one among them.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._processes = {rank: _started(folder, rank) for rank in range(1, size)}

    def are_ready(self, cancel: Callable[[], bool]) -> bool:
        """Wait until all have opened what they need; return False if cancelled before."""
        while not all((self._folder / ready(rank)).exists() for rank in self._processes):
            if cancel():
                return False
            if any(process.poll() is not None for process in self._processes.values()):
                raise InputError(self.why())
            time.sleep(POLL_SECONDS)
        return True

    def why(self) -> str:
        """Return why a process is gone."""
        end = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < end:
            is_over = any(process.poll() is not None for process in self._processes.values())
            for rank in self._processes:
                path = self._folder / failure(rank)
                if path.exists():
                    return path.read_text(encoding="utf-8")
            if is_over:
                break
            time.sleep(POLL_SECONDS)
        return (
            "a process of the training is lost; is there enough memory? The same training goes on "
            "from its checkpoint"
        )

    def close(self) -> None:
        """End them, whatever they are at."""
        for process in self._processes.values():
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()


def _started(folder: Path, rank: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "analysis.recovery.training.several", str(folder), str(rank)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ctrl-C is for the leading process, which says when it is over.
        start_new_session=True,
    )
