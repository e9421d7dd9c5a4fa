"""Subjects: a model with the data that it is judged on and the data that it is calibrated on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from analysis.records import SubjectSpec
from analysis.subjects.address import parse_data, parse_model
from analysis.subjects.allowed_paths import check_path
from analysis.subjects.data.datasets import LoadedData, load_data
from analysis.subjects.data.sources import hash_bytes
from analysis.subjects.data.split import Split, choose, read_failure
from analysis.subjects.models import LoadedModel, load_model
from pruners.criteria import load_criterion_file
from pruners.errors import AddressError, InputError, one_line

__all__ = ["Split", "Subject", "load_subject"]

# Inputs of which the dense logits are looked at before anything else.
PROBE_SAMPLES = 32
GUESSED_SIZES = (224, 32, 28)
# Relative to the largest logit of a class: far above rounding, also in bfloat16, and below dropout.
REPEATS = 0.03
# Sizes of batches whose answers must be those of the probe.
FEW = (1, 2)


@dataclass(frozen=True, eq=False)
class Subject:
    """What is studied, loaded and checked.

    Attributes:
        spec: Where it came from.
        model: In eval mode, without gradients, on the device. Never changed.
        evaluation: The seeded evaluation subset; None without data.
        calibration: Samples that are never evaluated; None without data.
        num_classes: Number of logits.
        class_names: One a class.
        example: Two inputs ``(2, ...)`` on the device.
        fingerprint: SHA-256 over architecture and weights.
        data_fingerprint: SHA-256 over indices and content of the evaluation subset; empty without
            data.
        calibration_fingerprint: The same of the calibration set.
        notes: What a person should know about the choice of weights and samples.
    """

    spec: SubjectSpec
    model: nn.Module
    evaluation: Split | None
    calibration: Split | None
    num_classes: int
    class_names: tuple[str, ...]
    example: Tensor
    fingerprint: str
    data_fingerprint: str
    calibration_fingerprint: str = ""
    notes: tuple[str, ...] = ()

    @property
    def has_labels(self) -> bool:
        """Whether accuracy is measured; without labels it is agreement with the dense model."""
        return self.evaluation is not None and self.evaluation.has_labels


def load_subject(spec: SubjectSpec, *, roots: Sequence[Path] | None = None) -> Subject:
    """Load a subject and check that its parts fit each other.

    Args:
        spec: What to load.
        roots: Folders below which files may lie (for addresses typed into a page); None allows
            everything.

    Raises:
        AddressError: An address is malformed, or what it names is missing or does not fit.
        InputError: Wrong input shape, labels out of range, empty data, logits that are not finite,
            an unknown device, or a criterion file that fails.
    """
    for path in spec.criterion_files:
        load_criterion_file(check_path(Path(path), roots=roots))
    device = _device(spec.device)
    loaded = load_model(parse_model(spec.model), roots=roots)
    model = loaded.model.to(device)
    fingerprint = _fingerprint(loaded.model)
    if spec.data is None:
        example = _example_without_data(loaded, spec, device)
        logits = _logits(model, example, spec)
        return Subject(
            spec=spec,
            model=model,
            evaluation=None,
            calibration=None,
            num_classes=logits.shape[1],
            class_names=_class_names((), logits.shape[1]),
            example=example,
            fingerprint=fingerprint,
            data_fingerprint="",
            notes=loaded.notes + _output_notes(logits),
        )
    data = load_data(parse_data(spec.data), roots=roots)
    return _with_data(spec, loaded, data, device, fingerprint)


def _with_data(
    spec: SubjectSpec,
    loaded: LoadedModel,
    data: LoadedData,
    device: torch.device,
    fingerprint: str,
) -> Subject:
    source = data.evaluation
    chosen, calibrating = choose(
        len(source),
        samples=spec.samples,
        calibration=spec.calibration_samples,
        seed=spec.seed,
        own_calibration=None if data.calibration is None else len(data.calibration),
    )
    try:
        probe, _ = source.read(chosen[:PROBE_SAMPLES])
        inputs = probe.to(device)
        logits = _logits(loaded.model, inputs, spec)
        classes = logits.shape[1]
        evaluation = Split(source, chosen, num_classes=classes, device=device)
        evaluation.preload()
        other = data.calibration or source
        calibration = (
            Split(other, calibrating, num_classes=classes, device=device) if calibrating else None
        )
        data_fingerprint = _subset_fingerprint(source.digest(chosen), chosen)
        calibration_fingerprint = _subset_fingerprint(other.digest(calibrating), calibrating)
    except Exception as error:
        # A user's data set may raise anything.
        raise read_failure(source.name, error) from error
    example = inputs[:2] if len(inputs) >= 2 else inputs.repeat(2, *[1] * (inputs.dim() - 1))
    return Subject(
        spec=spec,
        model=loaded.model,
        evaluation=evaluation,
        calibration=calibration,
        num_classes=classes,
        class_names=_class_names(source.class_names, classes),
        example=example,
        fingerprint=fingerprint,
        data_fingerprint=data_fingerprint,
        calibration_fingerprint=calibration_fingerprint,
        notes=loaded.notes + _output_notes(logits) + _notes(spec, data, evaluation, calibrating),
    )


def _notes(
    spec: SubjectSpec, data: LoadedData, evaluation: Split, calibrating: Sequence[int]
) -> tuple[str, ...]:
    notes = []
    if data.calibration is None:
        notes.append(
            f"Calibration uses {len(calibrating)} samples of the same data that are not among the "
            f"{len(evaluation)} evaluated."
        )
    if spec.samples is not None and len(evaluation) < spec.samples:
        notes.append(
            f"{spec.samples} evaluation samples were asked for; {len(evaluation)} of "
            f"{len(data.evaluation)} can be evaluated."
        )
    if not evaluation.has_labels:
        notes.append("The data has no labels: accuracy is agreement with the dense model.")
    return tuple(notes)


# --- checks ----------------------------------------------------------------------------------


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except Exception:
        # Builds without a backend raise assertion, runtime and attribute errors.
        raise InputError(f"device {name!r} is not available here; try cpu") from None
    if device.type not in ("cpu", "cuda", "mps", "xpu"):
        raise InputError(f"device {name!r} cannot compute; try cpu")
    return device


def _example_without_data(loaded: LoadedModel, spec: SubjectSpec, device: torch.device) -> Tensor:
    if loaded.input_shape is not None:
        return torch.zeros(2, *loaded.input_shape, device=device)
    for shape in _guesses(loaded.model):
        example = torch.zeros(2, *shape, device=device)
        try:
            with torch.inference_mode():
                loaded.model(example)
        except Exception:
            continue  # the next guess may fit
        return example
    raise InputError(
        f"the input shape of {spec.model!r} is not known; give a data address, or add "
        "#input=C,H,W to the model address"
    )


def _guesses(model: nn.Module) -> list[tuple[int, ...]]:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            return [(module.in_channels, size, size) for size in GUESSED_SIZES]
        if isinstance(module, nn.Linear):
            return [(module.in_features,)]
    return []


def _logits(model: nn.Module, inputs: Tensor, spec: SubjectSpec) -> Tensor:
    """Run the dense model once and check what it gives."""
    shape = tuple(inputs.shape[1:])
    try:
        with torch.inference_mode():
            logits = model(inputs)
    except Exception as error:
        # Which exception a wrong shape raises depends on the layer that meets it.
        types = {item.dtype for item in model.parameters() if item.is_floating_point()}
        hint = ""
        if types and inputs.dtype not in types:
            listed = ", ".join(sorted(str(item).removeprefix("torch.") for item in types))
            hint = f"; its weights are {listed}, inputs are float32: convert it with .float()"
        raise InputError(
            f"the model {spec.model!r} does not take inputs of shape {shape}: {one_line(error)}"
            f"{hint}"
        ) from error
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(inputs):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"the model {spec.model!r} must return logits (samples, classes); for "
            f"{len(inputs)} samples it returned {found}"
        )
    if not logits.is_floating_point():
        raise InputError(
            f"the model {spec.model!r} must return real logits; it returned {logits.dtype}"
        )
    if not bool(torch.isfinite(logits).all()):
        raise InputError(
            f"the dense model {spec.model!r} gives logits that are not finite; check weights and "
            "the mean and std of the data"
        )
    if logits.shape[1] < 2:
        raise AddressError(f"the model {spec.model!r} has {logits.shape[1]} class; 2 are needed")
    _check_repeats(model, inputs, logits, spec)
    return logits


def _output_notes(logits: Tensor) -> tuple[str, ...]:
    """Say where outputs look like probabilities: loss and divergence take them for logits."""
    logits = logits.float()
    if not bool(((logits >= 0) & (logits <= 1)).all()) or bool((logits == 0).all()):
        return ()
    return (
        "The outputs look like probabilities; the loss and the divergence take a softmax of them "
        "once more. Let the model return what goes into its last softmax or sigmoid.",
    )


def _check_repeats(model: nn.Module, inputs: Tensor, logits: Tensor, spec: SubjectSpec) -> None:
    """Refuse models whose answer to a sample depends on chance, or on the rest of the batch."""
    before = {name: item.clone() for name, item in model.named_buffers()}
    again = _answers(model, inputs)
    changed = [
        name
        for name, item in model.named_buffers()
        if name in before and not torch.equal(item.nan_to_num(), before[name].nan_to_num())
    ]
    if changed:
        raise InputError(
            f"the model {spec.model!r} changes {', '.join(changed[:3])} in each pass, also in eval "
            "mode: its answers would depend on how often it ran"
        )
    if _differ(again, logits):
        raise InputError(
            f"the model {spec.model!r} answers the same inputs differently each time: dropout is "
            "left on in eval mode, or the forward pass draws random numbers; nothing could be "
            "told from its answers"
        )
    others = {f"in a batch of {size}": slice(0, size) for size in FEW}
    others["after others"] = slice(len(inputs) // 2, None)
    for where, part in others.items():
        if _differ(_answers(model, inputs[part]), logits[part]):
            raise InputError(
                f"the model {spec.model!r} answers a sample differently {where} than in one of "
                f"{len(inputs)}: it uses statistics of the batch, computes over it, or takes it "
                "for a sequence (batch_first=True is missing); what is measured would depend on "
                "the batch size"
            )


@torch.inference_mode()
def _answers(model: nn.Module, inputs: Tensor) -> Tensor | None:
    try:
        found = model(inputs)
    except Exception:
        # Not every model takes a single sample; then there is nothing to compare.
        return None
    return found if isinstance(found, Tensor) and found.dim() == 2 else None


def _differ(found: Tensor | None, logits: Tensor) -> bool:
    """Return whether answers differ by more than rounding, class by class.

    A class that is masked by a huge number must not hide how the others differ, nor one that is
    always 0 make rounding look large.
    """
    if found is None or found.shape != logits.shape:
        return False
    found, logits = found.double(), logits.double()
    size = logits.abs().amax(0)
    scale = size.clamp_min(float(size.quantile(0.25))).clamp_min(1e-300)
    return bool(((found - logits).abs().amax(0) / scale > REPEATS).any())


# --- identity --------------------------------------------------------------------------------


def _fingerprint(model: nn.Module) -> str:
    """Hash the weights by content, and the architecture as its modules print themselves."""
    content = hashlib.sha256(repr(model).encode())
    for name, tensor in sorted(model.state_dict().items()):
        content.update(name.encode() + hash_bytes(tensor))
    return content.hexdigest()


def _subset_fingerprint(digest: str, indices: Sequence[int]) -> str:
    return hashlib.sha256(f"{digest}|{list(indices)}".encode()).hexdigest()


def _class_names(known: Sequence[str], classes: int) -> tuple[str, ...]:
    if len(known) == classes:
        return tuple(known)
    return tuple(str(number) for number in range(classes))
