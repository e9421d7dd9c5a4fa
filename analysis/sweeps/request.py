"""From the options of a sweep, as people write them, to its specification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from analysis.records import SubjectSpec, SweepSpec
from analysis.repairs import NO_REPAIR
from analysis.subjects import DATA_SCHEMES, calibration_of, parse_data, usual_task
from analysis.sweeps.options import OPTIONS
from analysis.tasks import scoring_of
from pruners.criteria import CRITERIA, load_criterion_file, scoring
from pruners.errors import InputError
from pruners.granularity import parse

ALL = "all"


def spec_of_options(given: Mapping[str, Any]) -> SweepSpec:
    """Return the sweep that the options ask for; nothing is loaded but criterion files.

    Args:
        given: Values by name as people write them; what is left out has its default.

    Raises:
        InputError: An option is missing or makes no sense; the message says which.
    """
    written = {option.name: given.get(option.name, option.default) for option in OPTIONS}
    if written["model"] is None or written["data"] is None:
        raise InputError("a sweep needs --model and --data (or --resume RUN)")
    written["criterion_files"] = written["criterion_files"] or ()
    if written["task"] is None:
        written["task"] = usual_task(written["data"])
    for path in written["criterion_files"]:
        load_criterion_file(path)
    for option in OPTIONS:
        option.check(written[option.name])
    if written["tolerance"] is None:
        written["tolerance"] = scoring_of(written["task"]).words.tolerance
    _check_fractions(written)
    fields = {option.name: option.parse(written[option.name]) for option in OPTIONS}
    fields["criteria"] = _criteria(fields["criteria"], parse(fields["granularity"]).kind)
    subject = {option.name: fields.pop(option.name) for option in OPTIONS if option.is_of_subject}
    asked = subject.pop("calibration_samples")
    spec = SweepSpec(subject=SubjectSpec(**subject), **fields)
    count = usual_calibration(spec) if asked is None else asked
    return replace(spec, subject=replace(spec.subject, calibration_samples=count))


def usual_calibration(spec: SweepSpec) -> int:
    """Return how many calibration samples a sweep has that is not told how many.

    None where nothing needs them and evaluation samples would have to be given up for them.

    Raises:
        AddressError: The data address is malformed.
    """
    subject = spec.subject
    needs = spec.repair != NO_REPAIR or any(CRITERIA.get(name).needs_data for name in spec.criteria)
    is_free = subject.calibration_data is not None or (
        subject.data is not None and DATA_SCHEMES.get(parse_data(subject.data).scheme).is_calibrated
    )
    return calibration_of(subject.task) if needs or is_free else 0


def _check_fractions(written: Mapping[str, Any]) -> None:
    tolerance, confidence = written["tolerance"], written["confidence"]
    words = scoring_of(written["task"]).words
    if not 0 < tolerance < words.largest_drop:
        limits = "between 0 and 1" if words.largest_drop == 1 else "above 0"
        raise InputError(f"--tolerance is a fraction {limits}, found {tolerance:g}")
    if not 0.5 <= confidence < 1:
        raise InputError(
            f"--confidence is a fraction from 0.5 up to but not 1, found {confidence:g}"
        )


def _criteria(names: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """Return the names; ``all`` stands for those that score the kind of granularity."""
    fitting = scoring(kind)
    if names == (ALL,):
        return fitting
    if not names:
        raise InputError("--criteria names none; known: all, " + ", ".join(CRITERIA.names()))
    for name in names:
        if CRITERIA.get(name).name not in fitting:
            raise InputError(
                f"criterion {name} does not score granularity {kind}; these do: "
                f"{', '.join(sorted(fitting))}"
            )
    return names
