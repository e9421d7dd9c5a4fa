"""The report of a plan: subject, baseline, curves, plan, evaluation, how to do it again."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from analysis import plans
from analysis.curves import plan_sizes
from analysis.figures import DARK, LIGHT, Palette
from analysis.files import write_text, writing
from analysis.records import (
    Evaluation,
    Identity,
    Inventory,
    MeasuredModel,
    Plan,
    PlanEntry,
    Recipe,
    RunRow,
)
from analysis.recovery.training import TrainingRecipe
from analysis.repairs import NO_REPAIR, REPAIRS
from analysis.reporting.charts import class_chart, drop_curves
from analysis.sentences import capital
from analysis.snippets import command, command_of
from analysis.tasks import TASKS, Scoring, scoring_of
from pruners.criteria import label_of

TEMPLATE = Path(__file__).with_name("report.html")
# Between a number and its percent sign, as on the pages.
SPACE = "\N{NO-BREAK SPACE}"
PLAN_FILE, EXPORTED = "plan.json", "exported"
# Of more classes, those that changed most are drawn.
MAX_CLASSES = 40


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """What a report is made of.

    Attributes:
        plan: The plan, with its subject and its repair.
        evaluation: What was measured of it.
        identity: Of the subject that was measured.
        title: Above all; such as the plan's name.
        note: What a person says of the plan.
        run: The run whose curves are shown, if any.
        points: Its points.
        tolerance: The accepted drop of the chart; None takes that of the task.
        training: Fields of the recipe that the plan was trained by; none if it is not known.
        inventory: Of the model, for what is pruned together; None leaves that out.
    """

    plan: Plan
    evaluation: Evaluation
    identity: Identity
    title: str
    note: str = ""
    run: RunRow | None = None
    points: pd.DataFrame | None = None
    tolerance: float | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    inventory: Inventory | None = None


def plan_title(name: str) -> str:
    """Return the title of a plan's report.

    >>> plan_title("small"), plan_title("plan-half")
    ('Plan small', 'Plan-half')
    """
    return (
        name[:1].upper() + name[1:] if name.lower().startswith("plan") else f"Plan {name}".strip()
    )


def write_report(report: Report, path: Path) -> Path:
    """Write a report, whole or not at all.

    Raises:
        StoreError: It cannot be written there.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_text(path, report_html(report))


def report_html(report: Report) -> str:
    """Return a report as one HTML page that asks for nothing from elsewhere."""
    plan, found = report.plan, report.evaluation
    scoring = scoring_of(plan.subject.task)
    words = scoring.words
    curves = ("", "")
    if report.points is not None and not report.points.empty:
        tolerance = words.tolerance if report.tolerance is None else report.tolerance
        curves = drop_curves(report.points, plan, words, tolerance=tolerance)
    shown = sorted(found.classes, key=lambda item: -abs(item.change))[:MAX_CLASSES]
    classes = class_chart(shown, score=scoring.of_class)
    return _template().render(
        report=report,
        found=found,
        label=capital(words.label)
        if found.labelled
        else f"{capital(words.label)} (agreement with dense)",
        words=words,
        space=SPACE,
        label_of=label_of,
        drop_label=capital(words.drop_label),
        lost=capital(words.drop_noun),
        evidence=scoring.evidence(found.dense.sums),
        facts=list(_facts(report)),
        curves=Markup(curves[0]),
        curves_text=curves[1],
        classes=Markup(classes[0]),
        classes_text=classes[1],
        left_out=len(found.classes) - len(shown),
        entries=list(_entries(report)),
        models=[_row(item, scoring) for item in _models(found)],
        recovery=_recovery(plan),
        commands=_commands(report),
        plan_json=plans.to_json(plans.compact(plan)),
        styles=Markup(_colours(LIGHT)),
        dark_styles=Markup(_colours(DARK)),
        notes=[capital(note) for note in found.notes],
        made=time.strftime("%Y-%m-%d %H:%M"),
    )


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    subject, identity = report.plan.subject, report.identity
    yield "Model", subject.model
    yield "Data", subject.data or "none"
    yield "Evaluated samples", f"{report.evaluation.samples:,} (seed {subject.seed})"
    yield "Task", TASKS.get(subject.task).label
    yield "Weights", identity.weights[:16]
    yield "Data fingerprint", identity.data[:16]
    yield "Forward pass", identity.program
    yield "Device", subject.device
    if report.run is not None:
        repair = report.run.spec.repair
        after = "not repaired" if repair == NO_REPAIR else f"each point repaired by {repair}"
        yield "Curves", f"run {report.run.run_id}, {report.run.samples:,} samples a point, {after}"
    yield "Strategy", report.plan.strategy
    recipe = report.plan.recipe
    if recipe is not None:
        asked = recipe.to_dict()
        if recipe.tolerance is not None:
            asked["tolerance"] = scoring_of(subject.task).words.cost(recipe.tolerance)
        yield "Asked for", _unusual(asked, Recipe().to_dict()) or "what is usual"
    if report.training:
        usual = {**TrainingRecipe().to_dict(), "method": ""}
        yield "Training recipe", _unusual(report.training, usual)


def _entries(report: Report) -> Iterator[tuple[PlanEntry, float, str]]:
    """Yield what is pruned with its ratio, and the layers that lose channels with it."""
    sizes = {} if report.inventory is None else plan_sizes(report.plan, report.inventory)
    for entry in plans.pruned_entries(report.plan):
        others = sizes[entry.name].layers[1:] if entry.name in sizes else ()
        yield entry, plans.achieved(entry), ", ".join(others)


def _unusual(recipe: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """Return what differs from the usual, in words."""
    return ", ".join(
        f"{name.replace('_', ' ')} {_plain(value)}"
        for name, value in recipe.items()
        if value != usual.get(name)
    )


def _recovery(plan: Plan) -> str:
    """Return what was done about the loss, a sentence."""
    words = f"The pruned model is {plan.recovery_words}"
    if plan.trained:
        return f"{words}; on samples that are not evaluated."
    if not plan.is_recovered:
        return f"{words}."
    return (
        f"{words}: {REPAIRS.get(plan.repair).help}; without training, on "
        f"up to {plan.subject.calibration_samples:,} calibration samples that are not evaluated."
    )


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _models(found: Evaluation) -> list[MeasuredModel]:
    return [item for item in (found.dense, found.masked, found.removed) if item is not None]


def _row(item: MeasuredModel, scoring: Scoring) -> dict[str, str]:
    words, latency = scoring.words, item.latency
    return {
        "name": item.name,
        "score": words.score(item.accuracy, space=SPACE),
        "interval": words.interval(item.low, item.high, space=SPACE),
        "drop": words.cost(item.drop),
        "drop_interval": f"{words.drop(item.drop_low)} to {words.cost(item.drop_high)}",
        "params": f"{item.params:,}",
        "macs": f"{item.macs:,}",
        "bytes": f"{item.file_bytes:,}",
        "latency": "" if latency is None else f"{1000 * latency.median:.2f} ms",
        "latency_text": "" if latency is None else latency.text,
    }


def _commands(report: Report) -> list[tuple[str, str]]:
    found = [] if report.run is None else [("Measure the curves", command_of(report.run.spec))]
    return [
        *found,
        ("Measure the plan", command(["evaluate", "--plan", PLAN_FILE])),
        (
            "Write the smaller model",
            command(["export", "--plan", PLAN_FILE, "--format", "model", "--out", EXPORTED]),
        ),
    ]


def _colours(palette: Palette) -> str:
    """Return a theme as CSS variables."""
    names = ("background", "text", "grid", "muted", "tolerance")
    values = [f"--{name}:{getattr(palette, name)}" for name in names]
    values += [f"--s{place}:{color}" for place, color in enumerate(palette.layers)]
    return ";".join(values)
