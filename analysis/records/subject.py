"""What a subject is: model and data addresses with their options."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.memory import MIN_MEMORY
from analysis.records.record import Document
from pruners.errors import InputError

DEFAULT_TASK = "classification"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectSpec(Document):
    """What is studied: everything needed to load the subject again.

    Attributes:
        model: Model address.
        data: Data address; None allows what needs no data (inspect, data-free criteria).
        samples: Size of the evaluation subset, from 1; None takes all samples.
        calibration_samples: Size of the calibration set; 0 for none: then all samples can be
            evaluated, and nothing that needs calibration can be asked for.
        batch_size: Evaluation batch size, from 1; None takes what suits the device.
        seed: Seed of the evaluation subset, the calibration choice and random criteria; 0 to
            2**63 - 1.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ``xpu``; several joined by commas share a
            sweep, everything else is done on the first of them.
        memory_limit: Bytes that the values kept of a batch may take, from 1 MiB; what does not fit
            is measured in parts. No number depends on it but for rounding. None takes 1 GiB of a
            processor's memory, or half of what is free on another device.
        task: What the model answers, one of `analysis.tasks`.
        criterion_files: Python files with criteria of the user's own, loaded with the subject.
        calibration_data: Address of data for calibration alone; None takes the data's own
            calibration set, else samples of ``data`` that are then not evaluated.

    Raises:
        InputError: A number is out of its range.
    """

    model: str
    data: str | None = None
    samples: int | None = None
    calibration_samples: int = 512
    batch_size: int | None = None
    seed: int = 0
    device: str = "cpu"
    memory_limit: int | None = None
    task: str = DEFAULT_TASK
    criterion_files: tuple[str, ...] = ()
    calibration_data: str | None = None

    def __post_init__(self) -> None:
        if self.samples is not None and self.samples < 1:
            raise InputError(f"samples must be at least 1, found {self.samples}")
        if self.batch_size is not None and self.batch_size < 1:
            raise InputError(f"the batch size must be at least 1, found {self.batch_size}")
        if self.calibration_samples < 0:
            raise InputError(
                f"calibration samples must be at least 0, found {self.calibration_samples}"
            )
        if self.memory_limit is not None and self.memory_limit < MIN_MEMORY:
            raise InputError(
                f"the memory limit must be at least 1 MiB, found {self.memory_limit} bytes"
            )
        if not 0 <= self.seed < 2**63:
            raise InputError(f"the seed must be a whole number from 0, found {self.seed}")
