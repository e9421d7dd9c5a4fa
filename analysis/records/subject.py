"""What a subject is: model and data addresses with their options."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.memory import DEFAULT_MEMORY_LIMIT
from analysis.records.record import SCHEMA_VERSION, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectSpec(Record):
    """What is studied: everything needed to load the subject again.

    Attributes:
        model: Model address.
        data: Data address; None allows what needs no data (inspect, data-free criteria).
        samples: Size of the evaluation subset; None takes all samples.
        calibration_samples: Size of the calibration set.
        batch_size: Evaluation batch size.
        seed: Seed of the evaluation subset, the calibration choice and random criteria.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        memory_limit: Bytes that the values kept of a batch may take; what does not fit is measured
            in parts. No number depends on it but for rounding.
        task: What the model answers, one of `analysis.tasks`.
        criterion_files: Python files with criteria of the user's own, loaded with the subject.
    """

    model: str
    data: str | None = None
    samples: int | None = None
    calibration_samples: int = 512
    batch_size: int = 250
    seed: int = 0
    device: str = "cpu"
    memory_limit: int = DEFAULT_MEMORY_LIMIT
    task: str = "classification"
    criterion_files: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION
