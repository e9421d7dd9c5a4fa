"""A forward pass that can be stopped at the calls of layers, and gone on with later."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from queue import SimpleQueue
from typing import Any

import torch
from torch import Tensor, nn

from pruners.batches import Inputs


class _Leave(BaseException):
    """Unwinds a pass that nobody goes on with."""


class Walk:
    """A forward pass in a thread of its own that stops at each call of some layers.

    Only one thread runs at a time: the pass while the caller waits for its next stop, the caller
    otherwise. At a stop, weights of layers that are still to come may be changed.

    Args:
        model: The model.
        inputs: The batch.
        layers: The layers by name.
        before: Stop before each call, with the layer's inputs; else after it, with its outputs.
    """

    def __init__(
        self, model: nn.Module, inputs: Inputs, layers: Mapping[str, nn.Module], *, before: bool
    ) -> None:
        self._model, self._inputs, self._before = model, inputs, before
        self._go: SimpleQueue[bool] = SimpleQueue()
        self._stops: SimpleQueue[tuple[str, Tensor] | BaseException | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._handles = [self._watch(name, layer) for name, layer in layers.items()]

    def _watch(self, name: str, layer: nn.Module) -> Any:
        def stop(value: Tensor) -> None:
            # Walks over one model share its layers.
            if threading.current_thread() is self._thread:
                self._stops.put((name, value))
                self._wait()

        def pre_hook(_module: nn.Module, args: Any, kwargs: Any) -> None:
            stop(args[0] if args else next(iter(kwargs.values())))

        if self._before:
            return layer.register_forward_pre_hook(pre_hook, with_kwargs=True)
        return layer.register_forward_hook(lambda _module, _args, output: stop(output))

    def _wait(self) -> None:
        if not self._go.get():
            raise _Leave

    def _run(self) -> None:
        try:
            self._wait()
            with torch.no_grad():
                self._model(self._inputs)
            self._stops.put(None)
        except _Leave:
            pass
        except BaseException as error:
            # Whatever the model raises is raised where its next stop is waited for.
            self._stops.put(error)

    def next(self) -> tuple[str, Tensor] | None:
        """Go on to the next stop.

        Returns:
            The layer's name with its inputs or outputs, which nothing changes until the next stop
            is asked for; None at the end of the pass.
        """
        if self._thread.ident is None:
            self._thread.start()
        self._go.put(True)
        found = self._stops.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def close(self) -> None:
        """Leave the pass where it is."""
        for handle in self._handles:
            handle.remove()
        if self._thread.is_alive():
            self._go.put(False)
            self._thread.join()


class Replay:
    """Stops of a pass that was made before.

    Args:
        stops: Names of layers with their outputs, in the order of the calls.
    """

    def __init__(self, stops: Iterable[tuple[str, Tensor]]) -> None:
        self._stops = iter(stops)

    def next(self) -> tuple[str, Tensor] | None:
        """Return the next stop; None at the end."""
        return next(self._stops, None)

    def close(self) -> None:
        """Do nothing: no pass is under way."""
