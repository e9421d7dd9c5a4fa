"""The options of a training, each declared once: for the command line and the docs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.allocation import PlanOption
from analysis.files import read_given
from analysis.recovery.training import (
    OPTIMIZERS,
    RATES,
    TRAINING_PRECISIONS,
    TrainingRecipe,
)
from analysis.retraining.presets import PRESETS
from pruners.errors import InputError, first_line
from pruners.registry import Registry, described

AUTO = "auto"


def _field(name: str, label: str, help: str, metavar: str, kind: Any, **more: Any) -> PlanOption:
    """Return the option of a recipe's field."""
    return PlanOption(name=name, label=label, help=help, metavar=metavar, type=kind | None, **more)


TRAINING_OPTIONS = Registry(
    "option",
    (
        PlanOption(
            name="preset",
            label="Preset",
            help="Recipe to begin with",
            more=lambda: f". {described(PRESETS)}",
            metavar="NAME",
        ),
        PlanOption(
            name="recipe",
            label="Recipe",
            help="JSON file of a recipe, or some of its fields; options take their place",
            metavar="FILE",
            type=Path | None,
        ),
        _field(
            "train_data",
            "Training data",
            "Data address to train on; none of its samples may be an evaluated one",
            "ADDRESS",
            str,
            unset="the training samples that the plan's data have",
        ),
        _field(
            "epochs",
            "Epochs",
            "Passes over the samples, in whole batches: what fills none waits for another pass",
            "X",
            float,
            unset="1",
        ),
        _field("least_steps", "Least steps", "Steps at least, of few samples", "N", int),
        _field("steps", "Steps", "Optimizer steps, instead of epochs", "N", int),
        _field("minutes", "Minutes", "Time to train, instead of epochs", "X", float),
        _field("batch_size", "Batch size", "Samples a batch", "N", int, unset="128"),
        _field("accumulate", "Accumulate", "Batches an optimizer step", "N", int, unset="1"),
        _field(
            "lr",
            "Learning rate",
            f"Largest learning rate; {AUTO} finds one by a range test",
            "X",
            str,
            unset=AUTO,
        ),
        _field(
            "schedule",
            "Schedule",
            "How the rate goes on",
            "NAME",
            str,
            more=lambda: f". {described(RATES)}",
            unset="cosine",
        ),
        _field("warm_up", "Warm-up", "Share of the steps in which it rises", "X", float),
        _field("rewind", "Rewind", "Recipe file of the original training", "FILE", str),
        _field(
            "optimizer",
            "Optimizer",
            "What takes the steps",
            "NAME",
            str,
            more=lambda: f". {described(OPTIMIZERS)}",
            unset="sgd",
        ),
        _field("momentum", "Momentum", "Momentum of SGD", "X", float, unset="0.9"),
        _field("weight_decay", "Weight decay", "Of weights, not of biases", "X", float),
        _field("clip_norm", "Clip norm", "Largest norm of the gradients", "X", float),
        _field(
            "precision",
            "Precision",
            "What the forward pass computes in",
            "NAME",
            str,
            more=lambda: f". {described(TRAINING_PRECISIONS)}",
            unset="fp32",
        ),
        _field(
            "int8_share",
            "8-bit rounding",
            "Share of the steps, the last ones, that round as 8 bits do",
            "X",
            float,
            unset="0",
        ),
        _field("label_smoothing", "Label smoothing", "Share spread over all classes", "X", float),
        _field(
            "distill",
            "Distillation",
            "Weight of the dense model's outputs in the loss, 0 to 1",
            "X",
            float,
            unset="0",
        ),
        _field("temperature", "Temperature", "Of the distillation", "X", float, unset="4"),
        _field("ema", "Averaged weights", "Decay a step of averaged weights", "X", float),
        _field(
            "patience",
            "Patience",
            "Stop after so many epochs without gain on samples that are set apart",
            "N",
            int,
        ),
        _field("selection", "Selection", "Share of the samples set apart", "X", float),
        _field(
            "augment",
            "Augmentation",
            "How training samples are varied, or FILE.py:FUNCTION(inputs, generator); may be given "
            "several times",
            "NAME",
            list[str],
        ),
        _field(
            "user_loop",
            "Own loop",
            "A training loop of your own, FUNCTION(model, masks, epochs), which returns the model; "
            "it is run: use what you trust",
            "FILE.py:FUNCTION",
            str,
        ),
        _field(
            "initial_ratio", "First ratio", "Where methods begin that prune on the way", "X", float
        ),
        _field("begin", "Begin", "Share of the steps before masks move", "X", float),
        _field("end", "End", "Share of the steps after which masks stay", "X", float),
        _field("updates", "Updates", "How often masks move", "N", int, unset="20"),
        _field("phase_epochs", "Phases", "Epochs of each phase of acdc", "X", float),
        _field("score_lr", "Score rate", "Learning rate of scores that are learned", "X", float),
        _field("penalty", "Penalty", "Weight of the penalty on scores", "X", float),
        _field("gradients", "Gradients", "Gradients that obert averages", "N", int),
        _field("damp", "Damping", "What obert adds to the diagonal", "X", float),
        _field("block", "Block", "Size of the blocks of obert", "N", int),
        _field("layer_steps", "Steps a layer", "Steps after each layer of layerwise", "N", int),
        _field("regrow", "Regrow", "Let pruned weights come back", "", bool),
    ),
)


def is_given(given: Mapping[str, Any]) -> bool:
    """Return whether any option of a training is given."""
    return any(map(_is_said, given.values()))


def _is_said(value: Any) -> bool:
    """Return whether an option was given; 0 is something, a switch that is off is not."""
    return value is not None and value is not False and value != []


def given_recipe(given: Mapping[str, Any], method: str | None = None) -> TrainingRecipe:
    """Return the recipe of options: preset, then file, then each option in its place.

    Args:
        given: Values by option; None where an option is left out.
        method: One of `TRAINING_METHODS`; None takes that of the file, or the usual one.

    Raises:
        InputError: A file cannot be read, or a value is out of its range.
        UnknownNameError: No such method, preset, schedule, ...
    """
    fields: dict[str, Any] = {}
    if given.get("preset") is not None:
        fields |= PRESETS.get(given["preset"]).fields
    if given.get("recipe") is not None:
        fields |= _of_file(given["recipe"])
    own = {
        name: value
        for name, value in given.items()
        if name not in ("preset", "recipe") and _is_said(value)
    }
    if {"steps", "minutes"} & own.keys():
        # One of them takes the place of the other where that was not said here.
        fields = {name: item for name, item in fields.items() if name not in ("steps", "minutes")}
    if "lr" in own:
        own["lr"] = _rate(own["lr"])
    if method is not None:
        own["method"] = method
    return TrainingRecipe.from_dict({**fields, **own})


def _rate(text: str) -> float | None:
    if text == AUTO:
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--lr takes a number or {AUTO}, found {text!r}") from None


def _of_file(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_given(path))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"--recipe: {path} cannot be read: {first_line(error)}") from None
    if not isinstance(found, dict):
        raise InputError(f'--recipe: {path} holds no object such as {{"epochs": 3}}')
    return found
