"""Processes that train one model together, each on its share of every batch."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from analysis.recovery.training.data.chance import generator
from pruners.batches import Inputs
from pruners.errors import InputError, PruneScopeError

# Longer than the leading process ever scores or writes between two steps.
PATIENCE = timedelta(days=1)
# Told in the place of a step.
CHECK, STOP = -1, -2


class Team:
    """A process among those that train together.

    Args:
        rank: Which it is; 0 leads.
        size: How many there are.
        device: Where it computes.
        seed: Of the training.
        why: Says why another process is gone.
    """

    def __init__(
        self,
        rank: int,
        size: int,
        device: torch.device,
        *,
        seed: int,
        why: Callable[[], PruneScopeError],
    ) -> None:
        self.rank, self.size = rank, size
        self._device, self._seed, self._why = device, seed, why
        with self._talking():
            # What is said goes by the processor: it fails at once where a process is gone.
            self._words: Any = distributed.new_group(backend="gloo")

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        with contextlib.suppress(RuntimeError):
            yield
            return
        raise self._why()

    def tell(self, step: int, rate: float) -> None:
        """Say to all what comes next; of the process that leads."""
        with self._talking():
            distributed.broadcast(_row(step, rate), 0, group=self._words)

    def told(self) -> tuple[int, float]:
        """Wait for what comes next."""
        row = _row(0, 0.0)
        with self._talking():
            distributed.broadcast(row, 0, group=self._words)
        return int(row[0]), float(row[1])

    def check(self, digest: str) -> None:
        """Have all processes compare what they have; of the process that leads; see `agree`."""
        self.tell(CHECK, 0.0)
        self.agree(digest)

    def agree(self, digest: str) -> None:
        """Check that all processes have the same weights and masks.

        Raises:
            InputError: They have not.
        """
        own = torch.tensor(list(digest.encode()), dtype=torch.uint8)
        found = [torch.empty_like(own) for _ in range(self.size)]
        with self._talking():
            distributed.all_gather(found, own, group=self._words)
        if not all(torch.equal(own, item) for item in found):
            raise InputError(
                "the weights are no longer the same on all devices, so the model or a method "
                "computes by chance of its own; train on one device"
            )

    def part(self, batch: tuple[Inputs, Tensor | None]) -> tuple[Inputs, Tensor | None]:
        """Return this process's share of a batch."""
        inputs, targets = batch
        own: Inputs = inputs.tensor_split(self.size)[self.rank]
        return own, None if targets is None else targets.tensor_split(self.size)[self.rank]

    @contextlib.contextmanager
    def sharing(
        self, model: nn.Module, sums: Tensor, *, step: int, weight: float
    ) -> Iterator[None]:
        """Add up over all processes what is found within the block: gradients, sums, buffers.

        Within it, what is drawn hangs on step and process alone; after it, generators are those of
        all processes again.

        Args:
            model: Gets the gradients of all. Its buffers are averaged: those of batch norms.
            sums: Has what it had, and what all processes add to it.
            step: Optimizer step.
            weight: This process's share of the samples, 0..1.
        """
        buffers = [item for item in model.buffers() if item.is_floating_point()]
        before, told = [item.clone() for item in buffers], sums.clone()
        sums.zero_()
        devices = [] if self._device.type == "cpu" else [self._device]
        kind = "cuda" if self._device.type == "cpu" else self._device.type
        with torch.random.fork_rng(devices, device_type=kind):
            torch.manual_seed(generator(self._seed, "share", step, self.rank).initial_seed())
            yield
        parameters = [item for item in model.parameters() if item.requires_grad]
        with torch.no_grad():
            # Only what changed is averaged, so that constants keep their bits.
            changes = [(item - old) * weight for item, old in zip(buffers, before, strict=True)]
            has = torch.tensor([float(item.grad is not None) for item in parameters])
            gradients = [_gradient(item) for item in parameters]
            *found, added, counts = self._sum([*gradients, *changes, sums, has])
            for parameter, total, count in zip(parameters, found, counts.tolist(), strict=False):
                parameter.grad = total.to(parameter) if count else None
            changes = found[len(parameters) :]
            for item, old, change in zip(buffers, before, changes, strict=True):
                item.copy_(old + change)
            sums.copy_(told + added)

    def _sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the sums over all processes, the same bits in each."""
        dtype = reduce(torch.promote_types, (item.dtype for item in tensors), torch.float32)
        flat = torch.cat([item.detach().to(self._device, dtype).flatten() for item in tensors])
        with self._talking():
            if self._device.type != "cpu":
                distributed.barrier(group=self._words)
            distributed.all_reduce(flat)
        parts = torch.split(flat, [item.numel() for item in tensors])
        return [part.reshape(item.shape) for part, item in zip(parts, tensors, strict=True)]


def _row(step: int, rate: float) -> Tensor:
    return torch.tensor([step, rate], dtype=torch.float64)


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


@contextlib.contextmanager
def joined(
    meeting: Path,
    devices: Sequence[str],
    *,
    rank: int,
    beside: int,
    seed: int,
    threads: int,
    why: Callable[[], PruneScopeError],
) -> Iterator[Team]:
    """Be one of several processes within the block.

    Args:
        meeting: A file that all know and none has made.
        devices: One for each process, all of one kind.
        rank: Which this process is.
        beside: Processes of this machine.
        seed: Of the training.
        threads: Of the processor, that it may use.
        why: Says why another process is gone.

    Raises:
        InputError: The library for it is not installed, or another process is gone.
    """
    library = state_class()
    name = devices[rank]
    place = rank % beside if name == "cpu" else int(name.rpartition(":")[2])
    known = {
        "RANK": rank,
        "WORLD_SIZE": len(devices),
        "LOCAL_RANK": place,
        "LOCAL_WORLD_SIZE": beside,
        "OMP_NUM_THREADS": threads,
        # Asked for where there are several machines; they meet in the file.
        "MASTER_ADDR": "localhost",
    }
    before = torch.get_num_threads()
    if name != "cpu" and not _has_peers():
        known |= {"NCCL_P2P_DISABLE": 1, "NCCL_IB_DISABLE": 1}
    with _environment({key: str(value) for key, value in known.items()}):
        try:
            torch.set_num_threads(threads)
            state = None
            with contextlib.suppress(RuntimeError):
                state = library(
                    cpu=name == "cpu",
                    # No address: names of folders may have any characters.
                    store=distributed.FileStore(str(meeting), len(devices)),  # type: ignore[attr-defined]
                    rank=rank,
                    world_size=len(devices),
                    timeout=PATIENCE,
                )
            if state is None:
                raise why()
            yield Team(rank, len(devices), state.device, seed=seed, why=why)
        finally:
            torch.set_num_threads(before)
            if distributed.is_initialized():
                distributed.destroy_process_group()
            library._reset_state()


def state_class() -> Any:
    """Return accelerate's class that knows backends and devices.

    Raises:
        InputError: It is not installed.
    """
    try:
        from accelerate import PartialState
    except ImportError:
        raise InputError(
            "training on several devices needs accelerate: pip install 'prunescope[accelerate]'; "
            "or name one device"
        ) from None
    return PartialState


def _has_peers() -> bool:
    """Return whether GPUs read each other's memory; where they cannot, NCCL has to be told."""
    from accelerate.utils import check_cuda_p2p_ib_support

    return bool(check_cuda_p2p_ib_support())


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
