"""From the options of ``sweep`` to its specification, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis.memory import parse_bytes
from analysis.records import SubjectSpec, SweepSpec
from analysis.sweeps import parse_ratios
from pruners.errors import InputError, UnknownNameError

MODES = ("exhaustive", "adaptive")
REPAIRS = ("none", "bn", "lsq")


def check_choice(option: str, value: str, known: Sequence[str]) -> str:
    """Return a value that is one of a few.

    Raises:
        UnknownNameError: It is none of them.
    """
    if value not in known:
        raise UnknownNameError(option, value, known)
    return value


def check_resume(given: Mapping[str, object]) -> None:
    """Check that nothing was given that the resumed run decides.

    Raises:
        InputError: Something was.
    """
    names = [f"--{name}" for name, value in given.items() if value is not None]
    if names:
        raise InputError(f"--resume takes everything from the run; leave {', '.join(names)} out")


def spec_of_options(
    *,
    model: str | None,
    data: str | None,
    criteria: str,
    granularity: str,
    ratios: str,
    layers: str,
    samples: int | None,
    calibration_samples: int,
    batch_size: int,
    seed: int,
    mode: str,
    tolerance: float,
    confidence: float,
    repair: str,
    semantics: str,
    reduction: str,
    precision: str,
    criterion_files: Sequence[Path],
    device: str,
    memory_limit: str,
    executor: str,
    ray_address: str,
) -> SweepSpec:
    """Return the sweep that the options ask for.

    Raises:
        InputError: An option is missing or makes no sense; the message says which.
    """
    from analysis.engine import check_precision
    from pruners.criteria import REDUCTIONS, load_criterion_file
    from pruners.groups import check_semantics
    from pruners.selection import granularity as granularities

    if model is None or data is None:
        raise InputError("a sweep needs --model and --data (or --resume RUN)")
    for path in criterion_files:
        load_criterion_file(path)
    names = _criteria(criteria, granularities.parse(granularity).kind)
    check_semantics(semantics)
    check_choice("reduction", reduction, REDUCTIONS)
    check_choice("mode", mode, MODES)
    check_choice("repair", repair, REPAIRS)
    check_precision(precision)
    if not 0 < tolerance < 1:
        raise InputError(f"--tolerance is a fraction between 0 and 1, found {tolerance:g}")
    if not 0.5 <= confidence < 1:
        raise InputError(
            f"--confidence is a fraction from 0.5 up to but not 1, found {confidence:g}"
        )
    return SweepSpec(
        subject=SubjectSpec(
            model=model,
            data=data,
            samples=samples,
            calibration_samples=calibration_samples,
            batch_size=batch_size,
            seed=seed,
            device=device,
            memory_limit=parse_bytes(memory_limit),
            criterion_files=tuple(str(path.expanduser().resolve()) for path in criterion_files),
        ),
        criteria=names,
        granularity=granularity,
        ratios=parse_ratios(ratios),
        layers=layers,
        mode=mode,
        tolerance=tolerance,
        confidence=confidence,
        repair=repair,
        semantics=semantics,
        reduction=reduction,
        precision=precision,
        executor=executor,
        ray_address=ray_address,
    )


def _criteria(text: str, kind: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list; ``all`` stands for those that fit."""
    from pruners.criteria import registry

    if text.strip() == "all":
        return tuple(name for name in registry.names() if kind in registry.get(name).granularities)
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise InputError("--criteria names none; known: all, " + ", ".join(registry.names()))
    fitting = [name for name in registry.names() if kind in registry.get(name).granularities]
    for name in names:
        if registry.get(name).name not in fitting:
            raise InputError(
                f"criterion {name} does not score granularity {kind}; these do: "
                f"{', '.join(sorted(fitting))}"
            )
    return names
