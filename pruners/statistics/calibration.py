"""Collect what criteria need from calibration data: one pass feeds all of them.

The model runs in eval mode on the batches as they come; each batch gives one gradient, of the mean
cross-entropy with the labels. Without labels the gradient of the divergence from the dense model's
own predictions is zero at the dense model, so labels are drawn from its predicted distribution
(seeded): mean squared gradients are then the Fisher information, the curvature of that divergence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pruners.batches import Inputs
from pruners.calls import spans
from pruners.errors import InputError, UnknownNameError
from pruners.float32 import strict
from pruners.layers import (
    conv_groups,
    find_layer,
    native_weight,
    output_first_weight,
    to_output_first,
    type_name,
)
from pruners.preserve import preserved
from pruners.statistics.activations import ActivationTracer, Call, ChannelValue, GateSlot
from pruners.statistics.arrangement import Arrangement, Key, Observed, find_arrangements
from pruners.statistics.channel_values import ACTIVATION_STATISTICS, ChannelValues, numbered
from pruners.statistics.gradients import GRADIENT_STATISTICS, added, gradients
from pruners.statistics.layer import LayerData
from pruners.statistics.loss import Draw, Loss, cross_entropy, drawn_labels
from pruners.statistics.state import (
    DEFAULT_FISHER_BLOCK,
    LayerState,
    accumulate,
    fitting_block,
    refuse_large_grams,
)
from pruners.statistics.unfolding import columns

Batch = tuple[Inputs, Tensor | None]
Progress = Callable[[int, int | None], None]

INPUT_STATISTICS = {
    "input_norm": "L2 norm of each input column over the calibration set, (G, D)",
    "input_gram": "sum of x x' over all tokens / samples, x a column of inputs, (G, D, D)",
}
OTHER_STATISTICS = {
    "bn_scale": "scale of the batch norm right after the layer, (O,)",
    "seed": "the run's seed",
}
NEEDS: dict[str, str] = {
    **{name: entry.description for name, entry in GRADIENT_STATISTICS.items()},
    **INPUT_STATISTICS,
    **ACTIVATION_STATISTICS,
    **OTHER_STATISTICS,
}
# What is measured of branches and layers as a whole; see `pruners.groups.block_influence`.
BRANCH_NEEDS: dict[str, str] = {
    "block_influence": "mean of 1 - cos between what goes into a residual branch or layer and what "
    "comes out of its sum, over all positions of all samples"
}
DEFAULT_MEMORY_LIMIT = 2 * 2**30


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What one calibration pass gathered.

    Attributes:
        layers: Layer name -> statistic name -> tensor.
        reasons: Layer name -> statistic name -> why that layer has none.
        samples: Calibration samples seen.
        batches: Batches seen.
        seed: The seed of drawn labels and of random criteria.
        labelled: Whether the data had labels.
        fisher_block: Length of the blocks of ``fisher_blocks``.
    """

    layers: Mapping[str, Mapping[str, Tensor]]
    reasons: Mapping[str, Mapping[str, str]]
    samples: int
    batches: int
    seed: int
    labelled: bool
    fisher_block: int = DEFAULT_FISHER_BLOCK

    def layer_data(self, model: nn.Module, name: str) -> LayerData:
        """Return one layer of ``model`` with its statistics, as criteria take it."""
        return layer_data(model, name, statistics=self, seed=self.seed)


def layer_data(
    model: nn.Module, name: str, *, statistics: Statistics | None = None, seed: int = 0
) -> LayerData:
    """Return one layer as criteria take it.

    Raises:
        UnknownNameError: No such layer.
        UnsupportedError: It has no prunable weight.
    """
    module = find_layer(model, name)
    return LayerData(
        name=name,
        weight=output_first_weight(module, name=name),
        type=type_name(module),
        conv_groups=conv_groups(module),
        statistics={} if statistics is None else statistics.layers.get(name, {}),
        reasons={} if statistics is None else statistics.reasons.get(name, {}),
        seed=seed,
    )


@strict
def collect(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    layers: Sequence[str],
    needs: frozenset[str],
    seed: int = 0,
    progress: Progress | None = None,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    max_samples: int | None = None,
    loss: Loss = cross_entropy,
    draw: Draw = drawn_labels,
) -> Statistics:
    """Run the model once over the batches and gather all statistics in ``needs``.

    Args:
        model: The model; left as found, also after an exception.
        batches: ``(inputs, labels)``; labels int64 ``(N,)`` or None.
        layers: Names of the layers to gather for.
        needs: Names of statistics, keys of `NEEDS`.
        seed: Seed of the labels that are drawn where the data has none.
        progress: Called with batches done and their number, None if unknown.
        memory_limit: Bytes that matrix statistics may take. Layers that do not fit get none and a
            reason; Fisher blocks get shorter.
        max_samples: Samples that run through the model at a time, for their activations must fit
            in memory; None runs whole batches. A batch still gives one gradient.
        loss: What gradients are of, averaged over a batch.
        draw: Draws targets from outputs ``(N, ...)`` where the data has none.

    Raises:
        UnknownNameError: Unknown statistic or layer.
        UnsupportedError: A layer has no prunable weight.
        InputError: There are no batches, or the loss is not finite.
    """
    for need in sorted(needs):
        if need not in NEEDS:
            raise UnknownNameError("statistic", need, NEEDS)
    with preserved(model), ExitStack() as stack:
        model.eval()
        collector = _Collector(
            model, layers, needs, seed, memory_limit, max_samples, loss=loss, draw=draw
        )
        stack.callback(collector.close)
        total = len(batches) if isinstance(batches, Sized) else None
        for done, (inputs, labels) in enumerate(batches, start=1):
            collector.batch(inputs, labels)
            if progress is not None:
                progress(done, total)
        return collector.result()


class _Collector:
    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[str],
        needs: frozenset[str],
        seed: int,
        memory_limit: int,
        max_samples: int | None,
        *,
        loss: Loss,
        draw: Draw,
    ) -> None:
        self._loss, self._draw = loss, draw
        self._max_samples = max_samples
        self._model = model
        self._needs = needs
        self._seed = seed
        self._samples = 0
        self._batches = 0
        self._labelled = False
        self._generator = torch.Generator().manual_seed(seed)
        self._states = {name: LayerState(find_layer(model, name)) for name in layers}
        self._gradient_needs = [name for name in GRADIENT_STATISTICS if name in needs]
        self._block = fitting_block(self._states.values(), needs, memory_limit)
        refuse_large_grams(self._states.values(), needs, memory_limit)
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        if self._gradient_needs or "gate_gradients" in needs:
            for name, state in self._states.items():
                native_weight(state.module, name=name).requires_grad_(True)
        self._arrangements: Mapping[Key, Arrangement] = {}
        self._handles: list[RemovableHandle] = []

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _input_hooks(self) -> list[RemovableHandle]:
        if not self._needs & set(INPUT_STATISTICS):
            return []
        handles = []
        for state in self._states.values():

            def hook(
                module: nn.Module,
                args: tuple[Tensor, ...],
                kwargs: dict[str, Tensor],
                state: LayerState = state,
            ) -> None:
                inputs = args[0] if args else next(iter(kwargs.values()))
                self._add_inputs(state, inputs.detach())

            handles.append(state.module.register_forward_pre_hook(hook, with_kwargs=True))
        return handles

    def _add_inputs(self, state: LayerState, inputs: Tensor) -> None:
        for part in columns(state.module, inputs.float()):
            if "input_norm" in self._needs:
                accumulate(state.sums, "input_norm", part.square().sum(2))
            if "input_gram" in self._needs and "input_gram" not in state.reasons:
                accumulate(state.sums, "input_gram", part @ part.transpose(1, 2))

    def batch(self, inputs: Inputs, labels: Tensor | None) -> None:
        total, step = len(inputs), self._max_samples or len(inputs)
        needs_gradient = bool(self._gradient_needs) or "gate_gradients" in self._needs
        if not self._batches:
            self._begin(inputs)
        grads: list[Tensor | None] = [None] * len(self._states)
        for first, last in spans(total, step):
            self._slots: Mapping[Call, GateSlot] = {}
            truth = None if labels is None else labels[first:last]
            with torch.set_grad_enabled(needs_gradient):
                logits = self._forward(inputs[first:last])
                if needs_gradient:
                    grads = added(grads, self._backward(logits, truth, total))
            self._finish_gates(total)
        if needs_gradient:
            self._add_gradients(grads)
        self._labelled = self._labelled or labels is not None
        self._samples += total
        self._batches += 1

    def _forward(self, inputs: Inputs) -> Tensor:
        if not self._needs & {*ACTIVATION_STATISTICS, "bn_scale"}:
            return self._logits(inputs)
        values = ChannelValues(self._needs, len(inputs), self._arrangements)
        with ActivationTracer(
            self._model,
            layers=list(self._states),
            on_value=values.note,
            on_batch_norm=values.note_scale,
        ):
            logits = self._logits(inputs)
        self._slots = values.slots
        for name, state in self._states.items():
            values.add_to(name, state)
        return logits

    def _begin(self, inputs: Inputs) -> None:
        """Find out where the samples are in the values that gates sit on; watch layers' inputs."""
        if "gate_gradients" in self._needs:
            self._arrange(inputs)
        self._handles = self._input_hooks()

    def _arrange(self, inputs: Inputs) -> None:

        def observe(few: Inputs) -> Observed:
            seen: list[tuple[Call, Tensor, int]] = []

            def note(value: ChannelValue) -> None:
                seen.extend(
                    (call, value.tensor.detach().clone(), value.dim) for call in value.calls
                )

            with ActivationTracer(
                self._model,
                layers=list(self._states),
                on_value=note,
                on_batch_norm=lambda *_: None,
            ):
                self._logits(few)
            return numbered(seen)

        self._arrangements = find_arrangements(observe, inputs)

    def _logits(self, inputs: Inputs) -> Tensor:
        logits = self._model(inputs)
        if not isinstance(logits, Tensor) or not logits.dim():
            raise InputError("the model must return one tensor of outputs, (samples, ...)")
        return logits

    def _backward(
        self, logits: Tensor, labels: Tensor | None, total: int
    ) -> Sequence[Tensor | None]:
        """Return the gradients of a part's share in the mean loss of ``total`` samples."""
        if labels is None:
            labels = self._draw(logits, self._generator)
        share = len(logits) / total
        loss = self._loss(logits, labels, "mean") * share
        if not bool(torch.isfinite(loss)):
            raise InputError(f"the calibration loss is {loss.item()}; check data and weights")
        weights = [native_weight(state.module) for state in self._states.values()]
        return gradients(loss, weights)

    def _add_gradients(self, grads: Sequence[Tensor | None]) -> None:
        for state, grad in zip(self._states.values(), grads, strict=True):
            if grad is None:
                for need in self._gradient_needs:
                    state.reasons[need] = "the loss does not depend on the layer"
                continue
            first = to_output_first(grad.float(), state.module)
            weight = native_weight(state.module).detach()
            values = to_output_first(weight.float(), state.module)
            for need in self._gradient_needs:
                update = GRADIENT_STATISTICS[need].update
                state.sums[need] = update(state.sums.get(need), first, values, self._block)

    def _finish_gates(self, total: int) -> None:
        found: dict[str, Tensor] = {}
        for (name, _), slot in self._slots.items():
            if slot.gradient is not None:
                # One gate on a channel in all calls of the layer.
                found[name] = found[name] + slot.gradient if name in found else slot.gradient
        for name, gradient in found.items():
            # The loss is a mean: each sample's own derivative is `total` times as large.
            self._states[name].gates.append(gradient * total)

    def result(self) -> Statistics:
        if not self._batches:
            raise InputError("statistics need at least one calibration batch; there is none")
        layers = {name: self._finish(name, state) for name, state in self._states.items()}
        return Statistics(
            layers=layers,
            reasons={name: state.reasons for name, state in self._states.items()},
            samples=self._samples,
            batches=self._batches,
            seed=self._seed,
            labelled=self._labelled,
            fisher_block=self._block,
        )

    def _finish(self, name: str, state: LayerState) -> dict[str, Tensor]:
        found = dict(state.sums)
        for need in self._gradient_needs:
            if need in found and GRADIENT_STATISTICS[need].is_mean:
                found[need] = found[need] / self._batches
        for need in ("input_gram", "activation_square", "activation_zeros"):
            if need in found:
                found[need] = found[need] / self._samples
        if "input_norm" in found:
            found["input_norm"] = found["input_norm"].sqrt()
        if state.gates:
            found["gate_gradients"] = torch.cat(state.gates)
        for need in self._needs - {"seed"} - set(found):
            state.reasons.setdefault(need, _MISSING.get(need, _NOT_CALLED))
        return found


_NOT_CALLED = "the model does not call it as a module"
_MISSING = {
    "bn_scale": "no batch norm with a scale follows it",
    "activation_zeros": "no ReLU follows it before its channels are used",
    "activation_square": "its output channels are not visible",
    "gate_gradients": "its output channels are not visible",
}
