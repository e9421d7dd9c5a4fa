"""What one forward pass tells of layers' channels as the next layers read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from pruners.statistics.activations import Call, ChannelValue, GateSlot
from pruners.statistics.arrangement import Arrangement, Key, Observed
from pruners.statistics.state import LayerState, accumulate

ACTIVATION_STATISTICS = {
    "activation_square": "mean square of each channel as the next layers read it, (O,)",
    "activation_zeros": "fraction of zeros of each channel after its ReLU, (O,)",
    "gate_gradients": "derivative of each sample's loss by a gate on each channel, (samples, O)",
}
_MEANS = ("activation_square", "activation_zeros")


def numbered(values: Iterable[tuple[Call, Tensor, int]]) -> Observed:
    """Give the values that calls of layers report in one pass keys that are the same in others."""
    counts: Counter[Call] = Counter()
    for call, tensor, dim in values:
        counts[call] += 1
        yield (call, counts[call]), tensor, dim


class ChannelValues:
    """Takes what `ActivationTracer` reports in one pass; the last value of a call counts.

    Args:
        needs: Statistics to gather.
        samples: Samples of the pass.
        arrangements: Where the samples are in each value, by call and number of the report.

    Attributes:
        slots: The gates of each call.
    """

    def __init__(
        self, needs: frozenset[str], samples: int, arrangements: Mapping[Key, Arrangement]
    ) -> None:
        self.slots: dict[Call, GateSlot] = {}
        self._needs, self._samples, self._arrangements = needs, samples, arrangements
        self._means: dict[Call, dict[str, Tensor]] = {}
        self._rows: dict[Call, int] = {}
        self._scales: dict[Call, Tensor] = {}
        self._reports: Counter[Call] = Counter()
        self._reasons: dict[str, str] = {}

    def note(self, value: ChannelValue) -> None:
        """Take a value that carries channels."""
        for call in value.calls:
            self._reports[call] += 1
            self._means[call] = self._summary(value)
            self._rows[call] = value.tensor.numel() // value.tensor.shape[value.dim]
            if "gate_gradients" in self._needs and value.tensor.requires_grad:
                self._watch(call, value)

    def note_scale(self, call: Call, scale: Tensor) -> None:
        """Take the scale of the batch norm right after a call."""
        self._scales[call] = scale

    def _summary(self, value: ChannelValue) -> dict[str, Tensor]:
        """Return channel means times samples; what was not asked for costs nothing."""
        if not self._needs.intersection(_MEANS):
            return {}
        moved = value.tensor.detach().float().movedim(value.dim, -1)
        rows = moved.reshape(-1, moved.shape[-1])
        # Rows of a sample, as far as they divide: what is averaged first decides the rounding.
        share = self._samples if len(rows) % self._samples == 0 else 1
        flat = rows.reshape(share, -1, rows.shape[-1])
        times = self._samples / share
        found = {}
        if "activation_square" in self._needs:
            found["activation_square"] = flat.square().mean(1).sum(0) * times
        if "activation_zeros" in self._needs and value.rectified:
            found["activation_zeros"] = (flat == 0).float().mean(1).sum(0) * times
        return found

    def _watch(self, call: Call, value: ChannelValue) -> None:
        if call in self.slots:
            self.slots.pop(call).handle.remove()
        arrangement = self._arrangements.get((call, self._reports[call]))
        if arrangement is None:
            self._reasons[call[0]] = "samples cannot be told apart in its outputs"
        else:
            self.slots[call] = GateSlot(value, self._samples, arrangement)

    def add_to(self, name: str, state: LayerState) -> None:
        """Add the pass to the sums of a layer: all of its calls together."""
        calls = [call for call in self._means if call[0] == name]
        for need in _MEANS:
            if calls and all(need in self._means[call] for call in calls):
                accumulate(state.sums, need, self._pooled(calls, need))
        scales = [scale for call, scale in self._scales.items() if call[0] == name]
        if scales and "bn_scale" in self._needs:
            if all(torch.equal(scale, scales[0]) for scale in scales):
                state.sums["bn_scale"] = scales[0].clone()
            else:
                state.reasons["bn_scale"] = "its calls are followed by different batch norms"
        if name in self._reasons:
            state.reasons["gate_gradients"] = self._reasons[name]
            for call in [call for call in self.slots if call[0] == name]:
                self.slots.pop(call).handle.remove()

    def _pooled(self, calls: list[Call], need: str) -> Tensor:
        """Return the mean over all values of all calls."""
        if len(calls) == 1:
            return self._means[calls[0]][need]
        total = sum(self._rows[call] for call in calls)
        return torch.stack(
            [self._means[call][need] * (self._rows[call] / total) for call in calls]
        ).sum(0)
