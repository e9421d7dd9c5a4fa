"""Layers that were repaired before, found again by everything that their repair depends on."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from pruners.capture import named_state
from pruners.preserve import raw_bytes
from pruners.reconstruction.moments import LayerCalls


@dataclass(frozen=True, slots=True)
class LayerRepair:
    """What a repair did for one layer.

    Attributes:
        layer: Module name.
        error_before: Mean squared output error of masking alone, per token and channel.
        error_after: The same after the repair, on the same calibration data.
    """

    layer: str
    error_before: float
    error_after: float


Repaired = tuple[dict[str, Tensor], LayerRepair]


class DenseOutputs:
    """What layers of the dense model answer to each batch, kept if those of all layers fit.

    Args:
        max_bytes: Memory for them.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._room = max_bytes
        self._found: dict[tuple[int, str], Tensor] = {}
        self._lock = threading.Lock()

    def of(self, batch: int, layers: Sequence[str]) -> list[tuple[str, Tensor]] | None:
        """Return what the layers answer to a batch, by its number; None if one is not known."""
        with self._lock:
            found = [(name, self._found.get((batch, name))) for name in layers]
        known = [(name, outputs) for name, outputs in found if outputs is not None]
        return known if len(known) == len(layers) else None

    def put(self, batch: int, layer: str, outputs: Tensor) -> None:
        """Keep a copy; where there is no room any more, all are given up."""
        with self._lock:
            if self._room <= 0 or (batch, layer) in self._found:
                return
            self._room -= outputs.nbytes
            if self._room <= 0:
                self._found.clear()
            else:
                self._found[batch, layer] = outputs.detach().clone()


class KnownLayers:
    """Repaired layers by key, those used last; safe to use from several threads.

    For one dense model and one calibration set, as long as neither changes.

    Args:
        max_bytes: Memory for their tensors.
        output_bytes: Memory for outputs of the dense model.

    Attributes:
        outputs: Of the dense model.
    """

    def __init__(self, *, max_bytes: int, output_bytes: int = 0) -> None:
        self.outputs = DenseOutputs(max_bytes=output_bytes)
        self._max_bytes = max_bytes
        self._bytes = 0
        self._found: OrderedDict[bytes, Repaired] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Memory of the tensors that are kept now."""
        return self._bytes

    def get(self, key: bytes) -> Repaired | None:
        """Return a layer's new tensors and what they brought; None if it is not known."""
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
            return self._found.get(key)

    def put(self, key: bytes, repaired: Repaired) -> None:
        """Keep a repaired layer; its tensors are shared from now on and must not be changed."""
        with self._lock:
            if key in self._found:
                return
            self._found[key] = repaired
            self._bytes += _nbytes(repaired)
            while self._bytes > self._max_bytes:
                self._bytes -= _nbytes(self._found.popitem(last=False)[1])


def _nbytes(repaired: Repaired) -> int:
    return sum(tensor.nbytes for tensor in repaired[0].values())


def layer_keys(
    model: nn.Module,
    calls: Mapping[str, LayerCalls],
    *,
    edit: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    context: bytes,
) -> dict[str, bytes]:
    """Return what identifies each layer's repair by all that it depends on.

    A layer is fitted on what all layers before it give, repaired as they are; layers behind it do
    not matter. So its key goes through those before it, and a change of one layer changes the keys
    from there on. Where a layer is called several times or shares its weights, what is behind it
    may come before it as well, and nothing is identified.

    Args:
        model: The model that is pruned; which layers it calls must not hang on its inputs.
        calls: The layers in the order of execution.
        edit: Tensors of the pruned model by fully qualified name.
        masks: Weight name -> boolean mask, True = keep.
        context: What else the repair depends on.
    """
    own = {name: [f"{name}.weight", f"{name}.bias"] for name in calls}
    owned = {item for names in own.values() for item in names}
    if any(found.count > 1 for found in calls.values()) or _are_shared(model, owned):
        return {}
    state = hashlib.blake2b(context, digest_size=16)
    _add(state, edit, sorted(name for name in edit if name not in owned))
    keys = {}
    for name in calls:
        state.update(name.encode() + b"\0")
        _add(state, edit, own[name])
        _add(state, masks, own[name])
        keys[name] = state.copy().digest()
    return keys


def _add(state: hashlib.blake2b, tensors: Mapping[str, Tensor], names: Iterable[str]) -> None:
    for name in names:
        if name in tensors:
            tensor = tensors[name]
            state.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
            state.update(raw_bytes(tensor))


def _are_shared(model: nn.Module, names: Iterable[str]) -> bool:
    """Return whether one of these tensors has another name too."""
    state = named_state(model)
    uses = Counter(map(id, state.values()))
    return any(uses[id(state[name])] > 1 for name in names if name in state)
