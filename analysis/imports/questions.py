"""What files do not say and a person has to: asked, never guessed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from analysis.imports.raw import RawResult, ResultFormat
from pruners.errors import InputError, UnknownNameError
from pruners.registry import Registry

# A file that does not say by what units were ranked, and a person who does not know either.
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer.

    Attributes:
        name: As on the command line.
        label: As on pages.
        help: What it means.
    """

    name: str
    label: str
    help: str


@dataclass(frozen=True, slots=True)
class Question:
    """Something that a file may not say.

    Attributes:
        name: Of the option, without dashes.
        label: Name on pages.
        help: What is asked, in plain words.
        choices: Returns the answers; none where a number is asked for.
        form: How an answer is written on the command line.
    """

    name: str
    label: str
    help: str
    choices: Callable[[], tuple[Choice, ...]] = tuple
    form: str = ""


def _of(*choices: Choice) -> dict[str, Any]:
    return {"choices": lambda: choices, "form": "/".join(item.name for item in choices)}


def _criteria() -> tuple[Choice, ...]:
    # They need torch, which takes seconds.
    from pruners.criteria import CRITERIA

    known = (Choice(item.name, item.label, item.help) for item in CRITERIA)
    return (*known, Choice(OTHER, "Another one, or unknown", "none of these"))


QUESTIONS = Registry(
    "question",
    (
        Question(
            "unit",
            "What the numbers are",
            "What the numbers of the file are.",
            **_of(
                Choice("fraction", "Fractions", "shares from 0 to 1"),
                Choice("percent", "Percent", "shares from 0 to 100"),
                Choice("relative-drop", "Relative drops", "the part of the dense score lost, 0..1"),
                Choice("loss", "Losses", "losses or divergences, lower is better"),
                Choice("psnr", "PSNR", "signal-to-noise ratios in dB, higher is better"),
            ),
        ),
        Question(
            "direction",
            "Which are better",
            "Which numbers are better; only fractions and percent can be either.",
            **_of(
                Choice("higher", "Higher", "an accuracy"),
                Choice("lower", "Lower", "an error rate"),
            ),
        ),
        Question(
            "granularity",
            "What was pruned",
            "What a level is a share of.",
            **_of(
                Choice("channel", "Output channels", "filters: output channels of a layer"),
                Choice("input", "Input channels", "input channels of a layer"),
                Choice("element", "Single weights", "weights of a layer, one by one"),
            ),
        ),
        Question(
            "share",
            "What a level says",
            "Whether a level is the share that goes or the share that stays.",
            **_of(
                Choice("pruned", "Pruned", "the share that goes"),
                Choice("kept", "Kept", "the share that stays"),
            ),
        ),
        Question(
            "baseline",
            "Dense model's number",
            "The number of the dense model, as the file would have it: 0.5661, 56.61 or 23.6. "
            "Of relative drops, its score as a fraction.",
            form="X",
        ),
        Question(
            "criterion",
            "Criterion",
            "The criterion by which units were chosen; other if none of these, or unknown.",
            choices=_criteria,
            form="NAME",
        ),
    ),
)
# Units that say which way is better.
_DIRECTIONS = {"relative-drop": "lower", "loss": "lower", "psnr": "higher"}


def metric_of(raw: RawResult, asked: str | None) -> str:
    """Return the metric that is read: the asked one, else the first.

    Raises:
        UnknownNameError: The file has none of that name.
    """
    if asked is not None and asked not in raw.metrics:
        raise UnknownNameError("metric of the file", asked, raw.metrics)
    return asked or next(iter(raw.metrics))


def known_answers(raw: RawResult, metric: str, said: Mapping[str, str]) -> dict[str, str]:
    """Return what the file and its program say, with what follows from a person's answers."""
    known = {**raw.known, **raw.metrics[metric]}
    unit = known.get("unit", said.get("unit", ""))
    if unit in _DIRECTIONS:
        known["direction"] = _DIRECTIONS[unit]
    return known


def open_questions(raw: RawResult, metric: str, said: Mapping[str, str]) -> list[Question]:
    """Return what still has to be said, in the order in which it is asked."""
    if raw.table is not None:
        return []
    known = {**known_answers(raw, metric, said), **said}
    if raw.has_baseline_at(known.get("share", "pruned")):
        known["baseline"] = "in the file"
    return [item for item in QUESTIONS if item.name not in known]


def checked_answers(
    chosen: ResultFormat, raw: RawResult, metric: str, said: Mapping[str, str]
) -> dict[str, str]:
    """Return the answers to all questions.

    Raises:
        UnknownNameError: An answer is none of the choices.
        InputError: An answer is missing, contradicts the file, or is no number.
    """
    known = known_answers(raw, metric, said)
    for name, answer in said.items():
        question = QUESTIONS.get(name)
        choices = [item.name for item in question.choices()]
        if choices and answer not in choices:
            raise UnknownNameError(f"answer to --{name}", answer, choices)
        if raw.table is not None:
            raise InputError(f"{chosen.label} says all of it: leave --{name} out")
        if known.get(name, answer) != answer:
            raise InputError(
                f"{chosen.label} has {name} {known[name]}: leave --{name} {answer} out"
            )
    answers = {**known, **said}
    if raw.table is None and "baseline" in said and raw.has_baseline_at(answers.get("share", "")):
        raise InputError(
            f"{chosen.label}: this file has the dense model of every layer: leave --baseline out"
        )
    missing = open_questions(raw, metric, said)
    if missing:
        asked = "; ".join(_asked(item) for item in missing)
        raise InputError(f"{chosen.label} does not say all of it. Give {asked}")
    return answers


def _asked(question: Question) -> str:
    return f"--{question.name} {question.form} ({question.help.rstrip('.')})"
