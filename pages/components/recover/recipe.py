"""What is asked of a training: a preset, the data, and all else under More."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import streamlit as st

from analysis.records import Plan
from analysis.recovery.training import (
    OPTIMIZERS,
    RATES,
    TRAINING_METHODS,
    TRAINING_PRECISIONS,
    TrainingRecipe,
)
from analysis.retraining import PRESETS, TRAINING_OPTIONS
from pruners.registry import Registry

MAX_SEEDS = 10
# What fields of the page do otherwise than the options of the command.
HELP = {
    "lr": "Largest learning rate; left empty, a range test finds one",
    "augment": "How training samples are varied; a function of your own takes (inputs, generator)",
}


def choose(plan: Plan) -> tuple[TrainingRecipe, tuple[int, ...]]:
    """Draw the choices; return the recipe and the seeds.

    Raises:
        InputError: What was chosen is no recipe.
    """
    left, right = st.columns([3, 2])
    with left:
        name = st.segmented_control(
            "How much",
            PRESETS.names(),
            default=PRESETS.names()[0],
            required=True,
            format_func=lambda item: PRESETS.get(item).label,
            key="recover_preset",
            persist_state="session",
            help="  \n".join(f"**{item.label}**: {item.help}." for item in PRESETS),
        )
    assert name is not None
    with right:
        address = st.text_input(
            "Training data",
            placeholder="the training samples that come with the data",
            key="recover_data",
            persist_state="session",
            help="An address as for data: never what is evaluated. For Fashion-MNIST's 60,000 "
            "images: `fashion-mnist:FOLDER` with the original files. Left empty, the training "
            "samples that the subject's data have are taken; for `sample:fashion-mnist` 2,000.",
        ).strip()
    recipe = TrainingRecipe(**PRESETS.get(name).fields, train_data=address or None)
    with st.expander("More", icon=":material/tune:", key="recover_more"):
        recipe, seeds = _more(recipe, plan, name)
    return recipe, seeds


def _more(
    recipe: TrainingRecipe, plan: Plan, preset: str
) -> tuple[TrainingRecipe, tuple[int, ...]]:
    form = _Form(recipe, preset)
    first, second, third = st.columns(3)
    with first:
        form.pick("method", "Method", TRAINING_METHODS)
        form.number("epochs", "Epochs", step=1.0)
        form.whole("least_steps", "Steps at least", least=0)
        form.optional("minutes", "Minutes instead", "as many steps as fit in this time")
        form.pick("schedule", "Learning rate over time", RATES, _rates())
        form.optional("lr", "Learning rate", "empty: found by a test", format="%g")
        form.number("warm_up", "Warm-up, share of the steps", step=0.05)
    with second:
        form.pick("optimizer", "Optimizer", OPTIMIZERS)
        form.number("momentum", "Momentum", step=0.05)
        form.number("weight_decay", "Weight decay", step=0.0001, format="%g")
        form.whole("batch_size", "Batch size")
        form.whole("accumulate", "Batches a step")
        form.pick("precision", "Precision", TRAINING_PRECISIONS)
        form.number("int8_share", "8-bit rounding, share of the steps", step=0.1)
    with third:
        form.number("distill", "Distillation, share of the loss", step=0.1)
        form.number("temperature", "Its temperature", step=1.0)
        form.number("label_smoothing", "Label smoothing", step=0.05)
        form.optional("clip_norm", "Largest gradient norm", "empty: no limit")
        form.optional("ema", "Averaged weights, decay", "empty: none; 0.999 is usual")
        form.number("selection", "Selection samples, share", step=0.05)
        form.optional("patience", "Patience, epochs", "empty: to the end", whole=True)
    form.texts("augment", "Augmentation", "flip, shift, shift=2 or file.py:function; commas")
    method = TRAINING_METHODS.get(form.values["method"])
    if method.name != TRAINING_METHODS.names()[0]:
        st.caption(f"**{method.label}**: {method.help}. {method.citation}")
        _of_method(form)
    form.text("user_loop", "A loop of your own", "file.py:function(model, masks, epochs)")
    count = st.number_input(
        "Seeds",
        min_value=1,
        max_value=MAX_SEEDS,
        value=1,
        key="recover_seeds",
        persist_state="session",
        help="Several trainings, one after the other: mean with interval, and the best is not "
        "picked by luck.",
    )
    return form.recipe(), tuple(range(int(count)))


def _rates() -> list[str]:
    """Rewinding needs a file of the original training, which a command takes."""
    return [name for name in RATES.names() if name != "rewind"]


def _of_method(form: _Form) -> None:
    first, second, third = st.columns(3)
    with first:
        form.number("initial_ratio", "First ratio", step=0.1)
        form.whole("updates", "Moves of the masks")
    with second:
        form.number("begin", "Masks move from, share of the steps", step=0.05)
        form.number("end", "to", step=0.05)
    with third:
        form.number("phase_epochs", "Epochs a phase (AC/DC)", step=0.25)
        form.optional("penalty", "Penalty on scores (soft movement)", "empty: the method's own")


class _Form:
    """Widgets whose values are fields of a recipe; a preset brings its own.

    Args:
        recipe: That of the preset.
        preset: Its name.
    """

    def __init__(self, recipe: TrainingRecipe, preset: str) -> None:
        self._recipe, self._preset = recipe, preset
        self.values: dict[str, Any] = {"method": recipe.method}

    def recipe(self) -> TrainingRecipe:
        """Return what was chosen.

        Raises:
            InputError: It is no recipe.
        """
        preset = TRAINING_METHODS.get(self.values["method"]).preset
        untouched = {
            name: value
            for name, value in preset.items()
            if self.values.get(name) == getattr(self._recipe, name)
        }
        return dataclasses.replace(self._recipe, **{**self.values, **untouched})

    def pick(
        self, name: str, label: str, registry: Registry[Any], offered: Sequence[str] | None = None
    ) -> None:
        """Draw a choice from a registry."""
        names = list(offered or registry.names())
        value = getattr(self._recipe, name)
        self.values[name] = st.selectbox(
            label,
            names,
            index=names.index(value) if value in names else 0,
            format_func=lambda item: registry.get(item).label,
            **self._own(
                name,
                "  \n".join(
                    f"**{registry.get(item).label}**: {registry.get(item).help}" for item in names
                ),
            ),
        )

    def number(self, name: str, label: str, *, step: float, format: str | None = None) -> None:
        """Draw a number."""
        value = float(getattr(self._recipe, name))
        self.values[name] = float(
            st.number_input(
                label, min_value=0.0, value=value, step=step, format=format, **self._own(name)
            )
        )

    def whole(self, name: str, label: str, *, least: int = 1) -> None:
        """Draw a whole number."""
        value = int(getattr(self._recipe, name))
        found = st.number_input(label, min_value=least, value=value, **self._own(name))
        self.values[name] = int(found)

    def optional(
        self, name: str, label: str, hint: str, *, whole: bool = False, format: str | None = None
    ) -> None:
        """Draw a number that may be left out."""
        value = getattr(self._recipe, name)
        found = st.number_input(
            label,
            value=None if value is None else float(value),
            placeholder=hint,
            format=format,
            **self._own(name),
        )
        self.values[name] = None if found is None else int(found) if whole else float(found)

    def text(self, name: str, label: str, hint: str) -> None:
        """Draw a line of text that may be left out."""
        value = getattr(self._recipe, name) or ""
        found = st.text_input(label, value=value, placeholder=hint, **self._own(name)).strip()
        self.values[name] = found or None

    def texts(self, name: str, label: str, hint: str) -> None:
        """Draw names with commas between them."""
        value = ", ".join(getattr(self._recipe, name))
        found = st.text_input(label, value=value, placeholder=hint, **self._own(name))
        self.values[name] = tuple(item.strip() for item in found.split(",") if item.strip())

    def _own(self, name: str, said: str = "") -> dict[str, Any]:
        said = said or f"{HELP.get(name) or TRAINING_OPTIONS.get(name).help}."
        key = f"recover_{self._preset}_{name}"
        return {"key": key, "help": said, "persist_state": "session"}
