"""Second moments of a layer's inputs and dense outputs: all that layer-wise repairs need.

Shape suffixes: ``G`` convolution groups, ``O`` output channels of one group, ``D`` inputs of one
output, ``E = D + 1`` inputs with a constant 1 for the bias, ``T`` tokens (samples x positions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruners.batches import Inputs
from pruners.calls import call_with
from pruners.errors import InputError, UnsupportedError
from pruners.float32 import strict
from pruners.layers import CONV_TYPES, TRANSPOSED_TYPES, conv_groups, find_layer
from pruners.statistics import CHUNK_BYTES, columns, slides, sliding_products

Batches = Iterable[tuple[Inputs, Tensor | None]]


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sums over tokens for one layer; shards merge by adding.

    Attributes:
        gram: ``sum x x'`` with x the inputs that the pruned model gives, ``(G, E, E)`` float64.
        cross: ``sum y x'`` with y the dense model's outputs, ``(G, O, E)`` float64.
        energy: ``sum y^2``, ``(G, O)`` float64.
        tokens: Number of tokens.
    """

    gram: Tensor
    cross: Tensor
    energy: Tensor
    tokens: int

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.gram + other.gram,
            self.cross + other.cross,
            self.energy + other.energy,
            self.tokens + other.tokens,
        )

    def error(self, weight: Tensor, bias: Tensor | None) -> float:
        """Return the mean squared difference from the dense outputs, per token and channel.

        Args:
            weight: Output-first ``(G*O, I/G, K...)``.
            bias: ``(G*O,)`` or None.
        """
        rows = augmented(weight, bias, groups=len(self.gram))
        fitted = torch.einsum("goe,gef,gof->go", rows, self.gram, rows)
        mixed = torch.einsum("goe,goe->go", rows, self.cross)
        total = (fitted - 2 * mixed + self.energy).clamp_min(0).sum()
        return float(total) / (self.tokens * self.energy.numel())


def augmented(weight: Tensor, bias: Tensor | None, *, groups: int) -> Tensor:
    """Return weight and bias as one matrix a group, ``(G, O, E)`` in float64."""
    rows = weight.double().reshape(groups, weight.shape[0] // groups, -1)
    if bias is None:
        return F.pad(rows, (0, 1))
    return torch.cat([rows, bias.double().reshape(groups, -1, 1)], dim=2)


@dataclass(slots=True)
class _Tap:
    """What the two passes of one batch leave behind for a layer, call by call."""

    module: nn.Module
    dense: nn.Module
    rows: Tensor | None
    read: Tensor | None
    outputs: list[Tensor] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)


@strict
def capture_moments(
    model: nn.Module,
    batches: Batches,
    *,
    layers: Sequence[str],
    edit: Mapping[str, Tensor] | None = None,
    teacher: nn.Module | None = None,
    rows: Mapping[str, Tensor] | None = None,
    read: Mapping[str, Tensor] | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Moments]:
    """Run the dense and the edited model and gather moments of several layers.

    Args:
        model: The model that is pruned, in eval mode; left as found.
        batches: Calibration batches; labels are not used.
        layers: Names of convolution and linear layers.
        edit: Tensors of the pruned model by fully qualified name. None or empty: the layers read
            what they read in the dense model, which saves one pass.
        teacher: The dense model if ``model`` is a smaller one with layers of the same names.
        rows: Layer -> output channels of the teacher's layer that the smaller layer has; layers
            that have all of them need not be listed.
        read: Layer -> input channels that moments are of, see `moments_of`; all if not listed.
        progress: Called with the number of batches done.

    Raises:
        UnsupportedError: A layer is neither convolution nor linear.
        InputError: There are no batches.
    """
    dense = model if teacher is None else teacher
    taps = {
        name: _Tap(
            _supported(model, name),
            _supported(dense, name),
            (rows or {}).get(name),
            (read or {}).get(name),
        )
        for name in layers
    }
    is_one_pass = not edit and teacher is None
    found: dict[str, Moments] = {}
    for done, (inputs, _) in enumerate(batches, start=1):
        for tap in taps.values():
            tap.inputs, tap.outputs = [], []
        with torch.no_grad(), _tapping(taps.values(), outputs=True, inputs=is_one_pass):
            dense(inputs)
        if not is_one_pass:
            with torch.no_grad(), _tapping(taps.values(), outputs=False, inputs=True):
                call_with(model, edit or {}, inputs)
        for name, tap in taps.items():
            for part in _of_calls(tap):
                found[name] = found[name] + part if name in found else part
        if progress is not None:
            progress(done)
    missing = [name for name in layers if name not in found]
    if missing:
        raise InputError(f"no calibration batch reached layer(s) {', '.join(missing)}")
    return found


def _supported(model: nn.Module, name: str) -> nn.Module:
    module = find_layer(model, name)
    if isinstance(module, nn.MultiheadAttention):
        raise UnsupportedError(f"layer {name}: its outputs inside of the attention are not visible")
    return module


@contextmanager
def _tapping(taps: Iterable[_Tap], *, outputs: bool, inputs: bool) -> Iterator[None]:
    handles = []
    try:
        for tap in taps:
            if outputs:
                handles.append(tap.dense.register_forward_hook(_output_hook(tap)))
            if inputs:
                hook = _input_hook(tap)
                handles.append(tap.module.register_forward_pre_hook(hook, with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _output_hook(tap: _Tap) -> Callable[[nn.Module, Any, Any], None]:
    # Cloned, because the next operation may be in place.
    return lambda _module, _args, output: tap.outputs.append(output.detach().clone())


def _input_hook(tap: _Tap) -> Callable[[nn.Module, Any, Any], None]:
    def hook(_module: nn.Module, args: Any, kwargs: Any) -> None:
        inputs = args[0] if args else next(iter(kwargs.values()))
        tap.inputs.append(inputs.detach().clone())

    return hook


def _of_calls(tap: _Tap) -> Iterator[Moments]:
    for inputs, outputs in zip(tap.inputs, tap.outputs, strict=True):
        yield from moments_of(tap.module, inputs, outputs, tap.rows, tap.read)


def moments_of(
    module: nn.Module,
    inputs: Tensor,
    outputs: Tensor,
    rows: Tensor | None = None,
    read: Tensor | None = None,
) -> Iterator[Moments]:
    """Yield the moments of one call of a layer in parts, to be added.

    Args:
        module: The layer.
        inputs: What the pruned model gives it.
        outputs: What the dense layer answers.
        rows: Output channels of the dense layer that this one has; None: all.
        read: Input channels that the moments are of, as if the layer had no others; None: all. Not
            for grouped convolutions.
    """
    groups = conv_groups(module)
    if read is not None:
        inputs = inputs.index_select(_channel_dim(module), read.to(inputs.device))
    if slides(module):
        yield from _sliding_moments(module, inputs, outputs, rows)
        return
    targets = _output_columns(module, outputs, groups, rows)
    start = 0
    for part in columns(module, inputs.float()):
        stop = start + part.shape[2]
        yield _moments(F.pad(part, (0, 0, 0, 1), value=1.0), targets[:, :, start:stop])
        start = stop


def _sliding_moments(
    module: nn.Module, inputs: Tensor, outputs: Tensor, chosen: Tensor | None
) -> Iterator[Moments]:
    """Yield moments of a few samples at a time, so that their windows stay small."""
    assert isinstance(module, nn.Conv2d)
    if chosen is not None:
        outputs = outputs.index_select(1, chosen.to(outputs.device))
    nbytes = 4 * inputs[0].numel() * module.kernel_size[1]
    at_once = max(1, CHUNK_BYTES // max(nbytes, 1))
    parts = zip(torch.split(inputs, at_once), torch.split(outputs, at_once), strict=True)
    for some, answers in parts:
        gram, cross = sliding_products(module, some.float(), answers.float())
        energy = answers.double().square().sum((0, 2, 3))
        yield Moments(gram[None], cross[None], energy[None], answers[:, 0].numel())


def _output_columns(
    module: nn.Module, outputs: Tensor, groups: int, chosen: Tensor | None
) -> Tensor:
    """Return outputs as ``(G, O, T)`` in the order of tokens that `columns` has."""
    rows = outputs.float().movedim(_channel_dim(module), 0)
    if chosen is not None:
        rows = rows[chosen.to(rows.device)]
    return rows.reshape(groups, rows.shape[0] // groups, -1)


def _channel_dim(module: nn.Module) -> int:
    return 1 if isinstance(module, CONV_TYPES + TRANSPOSED_TYPES) else -1


def _moments(inputs: Tensor, outputs: Tensor) -> Moments:
    transposed = inputs.transpose(1, 2)
    return Moments(
        gram=(inputs @ transposed).double(),
        cross=(outputs @ transposed).double(),
        energy=outputs.double().square().sum(2),
        tokens=inputs.shape[2],
    )


@dataclass(frozen=True, slots=True)
class LayerCalls:
    """How one pass uses a layer.

    Attributes:
        count: Number of its calls.
        nbytes: About what a pass holds at a call: its outputs, and its inputs with a shortcut.
    """

    count: int
    nbytes: int


def layer_calls(
    model: nn.Module, inputs: Inputs, *, layers: Sequence[str]
) -> dict[str, LayerCalls]:
    """Return the layers in the order of their first call; those never called are left out."""
    order: dict[str, LayerCalls] = {}

    def hook(name: str) -> Callable[[nn.Module, Any, Any, Any], None]:
        def note(_module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            read = args[0] if args else next(iter(kwargs.values()))
            old = order.get(name, LayerCalls(0, 0))
            size = 2 * read.nbytes + output.nbytes
            order[name] = LayerCalls(old.count + 1, max(old.nbytes, size))

        return note

    handles = [
        find_layer(model, name).register_forward_hook(hook(name), with_kwargs=True)
        for name in layers
    ]
    try:
        with torch.no_grad():
            model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return order
