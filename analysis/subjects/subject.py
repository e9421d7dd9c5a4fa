"""Subjects: a model with the data that it is judged on and the data that it is calibrated on."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import nn

from analysis.devices import accelerators, device_names
from analysis.memory import free_memory, is_out_of_memory
from analysis.records import DEFAULT_TASK, SubjectSpec
from analysis.sentences import plural
from analysis.subjects.allowed_paths import check_path
from analysis.subjects.answers import as_taken, checked_outputs, few_enough
from analysis.subjects.data.datasets import LoadedData
from analysis.subjects.data.file_digests import FileDigests
from analysis.subjects.data.hashing import hash_bytes
from analysis.subjects.data.loading import load_data
from analysis.subjects.data.sources import Source
from analysis.subjects.data.split import (
    Split,
    check_steady,
    choose,
    read_failure,
    require_finite,
)
from analysis.subjects.example import example_without_data
from analysis.subjects.factories import code_stamps
from analysis.subjects.models import LoadedModel, load_model
from analysis.subjects.parsing import parse_data, parse_model
from analysis.subjects.stamps import stamp
from analysis.tasks import Task, task_named
from pruners.batches import Inputs, repeated, shape_of
from pruners.criteria import load_criterion_file
from pruners.errors import InputError, one_line
from pruners.float32 import strict
from pruners.user_code import MAX_FILES, FileStamp, folder_stamps, opened_files, resolved

__all__ = ["Split", "Subject", "load_subject"]

# Outputs that are held at a time, of one model.
OUTPUT_BYTES = 2**26
# Inputs of which the dense outputs are looked at before anything else, and of how many bytes, where
# a sample has many answers.
PROBE_SAMPLES, LOOKED_AT_BYTES = 32, 2**22
# Documents below which an interval by documents is weak.
FEW_DOCUMENTS = 30
# Modules print functions that they hold with their place in memory.
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True, eq=False)
class Subject:
    """What is studied, loaded and checked.

    Attributes:
        spec: Where it came from.
        model: In eval mode, without gradients, on the device. Never changed.
        evaluation: The seeded evaluation subset; None without data.
        calibration: Samples that are never evaluated; None without data.
        num_classes: Classes that the outputs tell apart; 0 where the task knows none.
        output_form: Shape of the model's outputs for one sample.
        class_names: One a class; where the task knows no classes, those of the data.
        example: Two inputs ``(2, ...)`` on the device: a tensor, or several.
        fingerprint: SHA-256 over architecture and weights.
        data_fingerprint: Fingerprint of indices and content of the evaluation subset, and of the
            task; empty without data.
        notes: What a person should know about the choice of weights and samples.
        files: Digests of files that the fingerprints are made from.
        watched: The files that it names, and those that were read, by Python code, while it was
            loaded, as they were then.
    """

    spec: SubjectSpec
    model: nn.Module
    evaluation: Split | None
    calibration: Split | None
    num_classes: int
    output_form: tuple[int, ...]
    class_names: tuple[str, ...]
    example: Inputs
    fingerprint: str
    data_fingerprint: str
    notes: tuple[str, ...] = ()
    files: FileDigests = field(default_factory=FileDigests, repr=False)
    watched: Mapping[str, FileStamp] = field(default_factory=dict, repr=False)

    @cached_property
    def calibration_fingerprint(self) -> str:
        """Fingerprint of the calibration set, read now if it was not yet; empty without one."""
        return "" if self.calibration is None else self.calibration.fingerprint(self.files)

    @property
    def output_samples(self) -> int:
        """How many samples' outputs are held at a time.

        A vocabulary at each position takes more than all that is computed before it.
        """
        return max(1, OUTPUT_BYTES // (4 * max(1, math.prod(self.output_form))))

    @cached_property
    def task(self) -> Task:
        """What the model answers."""
        known = None if self.evaluation is None else self.evaluation.source.token_bytes
        return task_named(self.spec.task).of_data(self.class_names, known)

    @property
    def has_labels(self) -> bool:
        """Whether accuracy is measured; without labels it is agreement with the dense model."""
        return self.evaluation is not None and self.evaluation.has_labels

    def with_samples(self, samples: int) -> Subject:
        """Return the subject that loading with so many evaluation samples gives, without loading.

        Args:
            samples: Size of the evaluation subset, fewer than it has.
        """
        evaluation, calibration = self.evaluation, self.calibration
        assert evaluation is not None
        has_own = calibration is not None and calibration.source is not evaluation.source
        chosen, calibrating = choose(
            len(evaluation.source),
            samples=samples,
            calibration=self.spec.calibration_samples,
            seed=self.spec.seed,
            own_calibration=len(calibration.source) if calibration and has_own else None,
        )
        spec, fewer = replace(self.spec, samples=samples), evaluation.of(chosen)
        if calibration is not None and calibrating != list(calibration.indices):
            calibration = calibration.of(calibrating)
        told = _notes(self.spec, evaluation, calibration)
        return replace(
            self,
            spec=spec,
            evaluation=fewer,
            calibration=calibration,
            data_fingerprint=fewer.fingerprint(self.files),
            notes=(*self.notes[: len(self.notes) - len(told)], *_notes(spec, fewer, calibration)),
        )


@strict
def load_subject(
    spec: SubjectSpec, *, roots: Sequence[Path] | None = None, cache: Path | None = None
) -> Subject:
    """Load a subject and check that its parts fit each other.

    Args:
        spec: What to load.
        roots: Folders below which files may lie (for addresses typed into a page); None allows
            everything.
        cache: Folder where digests of large data are remembered; None reads them each time.

    Raises:
        AddressError: An address is malformed, or what it names is missing or does not fit.
        InputError: Wrong input shape, labels out of range, empty data, logits that are not finite,
            an unknown device or task, or a criterion file that fails.
    """
    # Taken before the files are read: what is written meanwhile counts as a change.
    before = dict(stamp(spec))
    with opened_files() as opened:
        subject = _loaded(spec, roots, cache)
    watched = {**before, **_code_stamps(spec), **opened, **subject.files.stamps}
    # Looking at very many files would hold up whoever asks whether they have changed.
    return replace(subject, watched=dict(itertools.islice(watched.items(), MAX_FILES)))


def _code_stamps(spec: SubjectSpec) -> dict[str, FileStamp]:
    """Return the files that the code behind a subject ran and read, maybe long before."""
    addresses = [parse_model(spec.model)]
    addresses += [parse_data(item) for item in (spec.data, spec.calibration_data) if item]
    folders = {resolved(file).parent for file in spec.criterion_files}
    found = [folder_stamps(folder) for folder in folders] + [
        code_stamps(item) for item in addresses
    ]
    return {name: stamp for stamps in found for name, stamp in stamps.items()}


def _loaded(spec: SubjectSpec, roots: Sequence[Path] | None, cache: Path | None) -> Subject:
    for path in spec.criterion_files:
        load_criterion_file(check_path(Path(path), roots=roots))
    task = task_named(spec.task)
    device = _device(spec.device)
    loaded = load_model(parse_model(spec.model), roots=roots)
    model = _moved(loaded.model, device)
    if spec.data is None:
        loaded.adapt(task)
        example, note = example_without_data(loaded, spec, device)
        outputs = checked_outputs(model, example, spec, task)
        return Subject(
            spec=spec,
            model=model,
            evaluation=None,
            calibration=None,
            num_classes=task.classes(outputs),
            output_form=tuple(outputs.shape[1:]),
            class_names=_class_names((), task.classes(outputs)),
            example=example,
            fingerprint=_fingerprint(model),
            data_fingerprint="",
            notes=loaded.notes + note + task.notes(outputs),
        )
    data = load_data(parse_data(spec.data), roots=roots, task=task)
    if spec.calibration_data is not None:
        data = LoadedData(data.evaluation, _calibration(spec.calibration_data, spec, roots))
    return _with_data(spec, loaded, data, device, FileDigests(cache))


def _calibration(address: str, spec: SubjectSpec, roots: Sequence[Path] | None) -> Source:
    """Open data that is there for calibration alone."""
    if address == spec.data:
        raise InputError(
            f"the calibration data {address!r} are the evaluation data, which calibration must not "
            "see; leave them out, and some that are not evaluated are taken"
        )
    data = load_data(parse_data(address), roots=roots, task=task_named(spec.task))
    return data.calibration or data.evaluation


def _with_data(
    spec: SubjectSpec,
    loaded: LoadedModel,
    data: LoadedData,
    device: torch.device,
    files: FileDigests,
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
        check_steady(source, chosen)
        require_finite(source, chosen, probe)
        loaded.adapt(task, probe)
        inputs = as_taken(loaded.model, probe.to(device))
        if task.name != DEFAULT_TASK:
            inputs = inputs[: few_enough(loaded.model, inputs, nbytes=LOOKED_AT_BYTES)]
        outputs = checked_outputs(loaded.model, inputs, spec, task)
        classes, form = task.classes(outputs), tuple(outputs.shape[1:])
        split = partial(Split, task=task, form=form, like=inputs, device=device)
        odd = _other_form(probe, inputs)
        evaluation = split(source, chosen)
        odd += source.check_classes(classes) if classes else ()
        evaluation.preload()
        evaluation.require_score()
        calibration = None
        if calibrating:
            other = data.calibration or source
            calibration = split(other, calibrating)
            _check_calibration(calibration, evaluation)
            calibration.preload()
        data_fingerprint = evaluation.fingerprint(files)
    except InputError:
        raise
    except Exception as error:
        # A user's data set may raise anything.
        raise read_failure(source.name, error) from error
    example = inputs[:2] if len(inputs) >= 2 else repeated(inputs, 2)
    return Subject(
        spec=spec,
        model=loaded.model,
        evaluation=evaluation,
        calibration=calibration,
        num_classes=classes,
        output_form=form,
        class_names=_class_names(source.class_names, classes),
        example=example,
        fingerprint=_fingerprint(loaded.model),
        data_fingerprint=data_fingerprint,
        notes=(
            *loaded.notes,
            *task.notes(outputs),
            *source.notes,
            *odd,
            *_notes(spec, evaluation, calibration),
        ),
        files=files,
    )


def _other_form(read: Inputs, taken: Inputs) -> tuple[str, ...]:
    """Say what samples are taken for that look like pictures and are none to the model."""
    if shape_of(read) == shape_of(taken):
        return ()
    return (
        f"Samples of shape {shape_of(taken)} are fed as they are, such as the channels of a sound "
        "or the rows of a table: the model takes no pictures of that size.",
    )


def _check_calibration(calibration: Split, evaluation: Split) -> None:
    """Check that the calibration set is of the kind that is evaluated."""
    if calibration.source is evaluation.source:
        return
    if calibration.input_shape != evaluation.input_shape:
        raise InputError(
            f"{calibration.source.name!r}: calibration inputs have shape "
            f"{calibration.input_shape}, those that are evaluated {evaluation.input_shape}"
        )
    check_steady(calibration.source, calibration.indices)


def _notes(spec: SubjectSpec, evaluation: Split, calibration: Split | None) -> tuple[str, ...]:
    notes = []
    if calibration is not None and calibration.source is evaluation.source:
        notes.append(
            f"Calibration uses {len(calibration)} samples of the same data that are not among the "
            f"{len(evaluation)} evaluated."
        )
    if spec.samples is not None and len(evaluation) < spec.samples:
        notes.append(
            f"{spec.samples} evaluation samples were asked for; {len(evaluation)} of "
            f"{len(evaluation.source)} can be evaluated."
        )
    if not evaluation.has_labels:
        notes.append(task_named(spec.task).words.without_labels)
    documents = None if task_named(spec.task).right else evaluation.documents
    if documents is not None and documents < FEW_DOCUMENTS:
        notes.append(
            f"The {len(evaluation)} samples are of {plural(documents, 'document')}: intervals go "
            f"by documents, and from fewer than {FEW_DOCUMENTS} they say little of other texts."
        )
    return tuple(notes)


# --- checks ----------------------------------------------------------------------------------


def _device(names: str) -> torch.device:
    """Return the first of some devices; all of them must be there."""
    found = []
    written = [item.strip() for item in names.split(",") if item.strip()]
    for name, numbered in zip(written, device_names(names), strict=True):
        try:
            device = torch.device(name if len(written) == 1 else numbered)
        except RuntimeError:
            raise InputError(f"device {name!r} is unknown; use cpu, cuda, mps or xpu") from None
        if device.type not in ("cpu", "cuda", "mps", "xpu"):
            raise InputError(f"device {name!r} cannot compute; try cpu")
        try:
            torch.empty(1, device=device)
        except Exception as error:
            # Builds without a backend raise assertion, runtime and attribute errors.
            if is_out_of_memory(error):
                raise InputError(f"device {name!r} is full; end what else runs there") from None
            here = ", ".join(("cpu", *accelerators()))
            raise InputError(f"device {name!r} is not available here; here are: {here}") from None
        found.append(device)
    return found[0]


def _moved(model: nn.Module, device: torch.device) -> nn.Module:
    try:
        return model.to(device)
    except Exception as error:
        if is_out_of_memory(error):
            needed = sum(item.nbytes for item in model.state_dict().values()) / 2**30
            free = (free_memory(str(device)) or 0) / 2**30
            raise InputError(
                f"the model takes {needed:.1f} GiB and does not fit on device {str(device)!r}, "
                f"where {free:.1f} GiB are free"
            ) from None
        raise InputError(
            f"the model cannot be moved to device {str(device)!r}: {one_line(error)}"
        ) from error


# --- identity --------------------------------------------------------------------------------


def _fingerprint(model: nn.Module) -> str:
    """Hash the weights by content, and the architecture as its modules print themselves."""
    content = hashlib.sha256(ADDRESS.sub("", repr(model)).encode())
    for name, tensor in sorted(model.state_dict().items()):
        content.update(name.encode() + hash_bytes(tensor))
    return content.hexdigest()


def _class_names(known: Sequence[str], classes: int) -> tuple[str, ...]:
    if len(known) == classes or not classes:
        return tuple(known)
    return tuple(str(number) for number in range(classes))
