"""Subjects: a model with the data that it is judged on and the data that it is calibrated on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from analysis.records import DEFAULT_TASK, SubjectSpec
from analysis.subjects.address import parse_data, parse_model
from analysis.subjects.allowed_paths import check_path
from analysis.subjects.answers import checked_outputs
from analysis.subjects.data.datasets import LoadedData, load_data
from analysis.subjects.data.sources import hash_bytes
from analysis.subjects.data.split import Split, choose, read_failure
from analysis.subjects.models import LoadedModel, load_model
from analysis.tasks import Task, task_named
from pruners.criteria import load_criterion_file
from pruners.errors import InputError

__all__ = ["Split", "Subject", "load_subject"]

# Inputs of which the dense logits are looked at before anything else.
PROBE_SAMPLES = 32
GUESSED_SIZES = (224, 32, 28)
NO_LABELS = "The data has no labels: accuracy is agreement with the dense model."


@dataclass(frozen=True, eq=False)
class Subject:
    """What is studied, loaded and checked.

    Attributes:
        spec: Where it came from.
        model: In eval mode, without gradients, on the device. Never changed.
        evaluation: The seeded evaluation subset; None without data.
        calibration: Samples that are never evaluated; None without data.
        num_classes: Size of the outputs' second dim: the number of logits.
        class_names: One a class.
        example: Two inputs ``(2, ...)`` on the device.
        fingerprint: SHA-256 over architecture and weights.
        data_fingerprint: SHA-256 over indices and content of the evaluation subset, and the task;
            empty without data.
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
    def task(self) -> Task:
        """What the model answers."""
        return task_named(self.spec.task)

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
            an unknown device or task, or a criterion file that fails.
    """
    for path in spec.criterion_files:
        load_criterion_file(check_path(Path(path), roots=roots))
    task = task_named(spec.task)
    device = _device(spec.device)
    loaded = load_model(parse_model(spec.model), roots=roots)
    model = loaded.model.to(device)
    fingerprint = _fingerprint(loaded.model)
    if spec.data is None:
        example, note = _example_without_data(loaded, spec, device)
        outputs = checked_outputs(model, example, spec, task)
        return Subject(
            spec=spec,
            model=model,
            evaluation=None,
            calibration=None,
            num_classes=outputs.shape[1],
            class_names=_class_names((), outputs.shape[1]),
            example=example,
            fingerprint=fingerprint,
            data_fingerprint="",
            notes=loaded.notes + note + task.notes(outputs),
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
    task = task_named(spec.task)
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
        outputs = checked_outputs(loaded.model, inputs, spec, task)
        classes = outputs.shape[1]
        evaluation = Split(source, chosen, task=task, width=classes, device=device)
        evaluation.preload()
        other = data.calibration or source
        calibration = (
            Split(other, calibrating, task=task, width=classes, device=device)
            if calibrating
            else None
        )
        data_fingerprint = _subset_fingerprint(source.digest(chosen), chosen, spec.task)
        calibration_fingerprint = _subset_fingerprint(
            other.digest(calibrating), calibrating, spec.task
        )
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
        notes=loaded.notes + task.notes(outputs) + _notes(spec, data, evaluation, calibrating),
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
        notes.append(NO_LABELS)
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


def _example_without_data(
    loaded: LoadedModel, spec: SubjectSpec, device: torch.device
) -> tuple[Tensor, tuple[str, ...]]:
    """Return an input, and what to say of a shape that was guessed."""
    if loaded.input_shape is not None:
        return torch.zeros(2, *loaded.input_shape, device=device), ()
    for shape in _guesses(loaded.model):
        example = torch.zeros(2, *shape, device=device)
        try:
            with torch.inference_mode():
                loaded.model(example)
        except Exception:
            continue  # the next guess may fit
        sizes = ",".join(str(size) for size in shape)
        return example, (
            f"The input shape {sizes} is a guess: it runs, but MACs depend on it. Give data, or "
            f"add #input={sizes} to the model address.",
        )
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


# --- identity --------------------------------------------------------------------------------


def _fingerprint(model: nn.Module) -> str:
    """Hash the weights by content, and the architecture as its modules print themselves."""
    content = hashlib.sha256(repr(model).encode())
    for name, tensor in sorted(model.state_dict().items()):
        content.update(name.encode() + hash_bytes(tensor))
    return content.hexdigest()


def _subset_fingerprint(digest: str, indices: Sequence[int], task: str) -> str:
    """Hash samples and what is asked of them: other tasks have other numbers and statistics.

    That of classification is the one of programs that knew no other task.
    """
    asked = "" if task == DEFAULT_TASK else f"|{task}"
    return hashlib.sha256(f"{digest}|{list(indices)}{asked}".encode()).hexdigest()


def _class_names(known: Sequence[str], classes: int) -> tuple[str, ...]:
    if len(known) == classes:
        return tuple(known)
    return tuple(str(number) for number in range(classes))
