"""The options of filling a plan, each declared once: for the command line and the docs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.allocation.goals import budget_forms, parse_budgets
from analysis.allocation.registry import STRATEGIES
from analysis.allocation.strategy import BEST, FIXED
from analysis.curves import costs
from analysis.plans import parse_ratios
from analysis.records import Recipe
from analysis.repairs import AUTO, NO_REPAIR, REPAIRS, plan_repairs, sweep_repairs
from pruners.normalizers import NORMALIZERS
from pruners.registry import Registry, described, joined

# Whose curves are read: those of the run at hand, or those after the plan's repair.
OF_RUN, OF_PLAN = "run", "repair"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOption:
    """An option.

    Attributes:
        name: Its name; of a choice of the recipe, the field's.
        label: Name on pages.
        help: What it is, in plain words.
        more: Returns what the help goes on with: what the registries have by now.
        metavar: What a value is called on the command line; empty for a switch.
        type: Of the value.
        default: Without a value; None where it may be left out.
        is_required: Whether it must be given.
        unset: What happens without a value, where the default does not say it.
        least: Smallest value; None where it has none.
    """

    name: str
    label: str
    help: str
    more: Callable[[], str] = str
    metavar: str = ""
    type: Any = str | None
    default: Any = None
    is_required: bool = False
    unset: str = ""
    least: int | None = None

    @property
    def text(self) -> str:
        """Help for the command line and the docs."""
        return f"{self.help}{self.more()}."

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return f"--{self.name.replace('_', '-')}"


PLAN_OPTIONS = Registry(
    "option",
    (
        PlanOption(
            name="run",
            label="Run",
            help="Run to choose from, or last",
            metavar="RUN",
            type=str,
            is_required=True,
        ),
        PlanOption(
            name="out",
            label="File",
            help="Plan file to write",
            metavar="FILE",
            type=Path,
            is_required=True,
        ),
        PlanOption(
            name="strategy",
            label="Strategy",
            help="How ratios are chosen",
            more=lambda: f". {described(STRATEGIES)}",
            metavar="NAME",
            type=str,
            default="threshold",
        ),
        PlanOption(
            name="curves",
            label="Curves",
            help="Curves to read",
            more=lambda: (
                f": {OF_RUN}, those of the run; {OF_PLAN}, those of its variant after the plan's "
                f"repair; or after one of {joined(sweep_repairs())}"
            ),
            metavar="NAME",
            type=str,
            default=OF_RUN,
        ),
        PlanOption(
            name="budget",
            label="Budget",
            help="What may be left, or lost",
            more=lambda: (
                f": {budget_forms()}; several, joined by commas or given one by one, hold together"
            ),
            metavar="LIMIT",
            type=list[str] | None,
        ),
        PlanOption(
            name="ratio",
            label="Ratio",
            help="One ratio for all layers (uniform), or of all units together (global); or "
            "GLOB=X for the layers that fit, and a JSON file of globs and ratios for many: these "
            "layers are locked, the others are chosen, or stay whole where nothing else is given; "
            "may be given several times",
            metavar="X",
            type=list[str] | None,
        ),
        PlanOption(
            name="tolerance",
            label="Tolerance",
            help="Accepted drop of each layer alone (threshold); 0.01 is 1 pp",
            metavar="X",
            type=float | None,
            least=0,
        ),
        PlanOption(
            name="criterion",
            label="Criterion",
            help="Criterion of all layers, or best: each layer's own; one for all (global)",
            metavar="NAME",
            unset="best",
        ),
        PlanOption(
            name="layers",
            label="Layers",
            help="Only layers whose name fits are pruned; several globs are joined by commas",
            metavar="GLOBS",
            type=str,
            default="*",
        ),
        PlanOption(
            name="cautious",
            label="Cautious",
            help="Read curves at the upper end of their intervals",
            type=bool,
            default=False,
        ),
        PlanOption(
            name="monotone",
            label="Rising fit",
            help="Fit rising curves through the points (greedy): noise stops no layer early",
            type=bool,
            default=False,
        ),
        PlanOption(
            name="cost",
            label="Cost",
            help="What is added up over layers (dp), or read off them (greedy)",
            more=lambda: f": {joined(costs())}",
            metavar="NAME",
            type=str,
            default="drop",
        ),
        PlanOption(
            name="normalizer",
            label="Normaliser",
            help="How global ranking compares layers",
            more=lambda: f": {joined(NORMALIZERS.names())}",
            metavar="NAME",
            unset="the criterion's own, see docs/criteria.md",
        ),
        PlanOption(
            name="repair",
            label="Repair",
            help="How the pruned model is repaired without training",
            more=lambda: (
                f", or {AUTO}: what suits the model. "
                f"{described(map(REPAIRS.get, (NO_REPAIR, *plan_repairs())))}"
            ),
            metavar="NAME",
            type=str,
            default=AUTO,
        ),
        PlanOption(
            name="rounds",
            label="Rounds",
            help="Choose the channels in this many rounds, scored anew in each",
            metavar="N",
            type=int,
            default=1,
            least=1,
        ),
        PlanOption(
            name="round_to",
            label="Round to",
            help="Round kept channels up to a multiple of this, such as 8; budgets hold after it",
            metavar="N",
            type=int,
            default=1,
            least=1,
        ),
        PlanOption(
            name="min_kept",
            label="Keep at least",
            help="What each layer keeps at least: a share of its units below 1, else a number",
            metavar="X",
            type=float,
            default=0.0,
            least=0,
        ),
        PlanOption(
            name="equal",
            label="Equal counts",
            help="Groups of equal shape and role keep equally many units, for models that a config "
            "describes",
            type=bool,
            default=False,
        ),
        PlanOption(
            name="runtime",
            label="Runtime",
            help="What runs the models whose time a budget in latency limits: torch, or onnx (ONNX "
            "Runtime on the CPU, extra onnx)",
            metavar="NAME",
            type=str,
            default="torch",
        ),
        PlanOption(
            name="trials",
            label="Trials",
            help="Plans that a search tries after the first ones",
            metavar="N",
            type=int,
            default=60,
            least=0,
        ),
        PlanOption(
            name="minutes",
            label="Minutes",
            help="Time of a search, curves and first plans too; the best plan until then is its "
            "result",
            metavar="X",
            type=float | None,
            unset="no limit",
            least=0,
        ),
        PlanOption(
            name="confidence",
            label="Confidence",
            help="With which a drop holds where it is measured, from 0.5 up to but not 1",
            metavar="X",
            type=float,
            default=0.9,
        ),
    ),
)


# Options that are fields of a recipe as they are.
_PLAIN = (
    *("tolerance", "cautious", "monotone", "cost"),
    *("normalizer", "round_to", "min_kept", "equal", "rounds", "runtime"),
)


def recipe_of(given: Mapping[str, Any]) -> Recipe:
    """Return what is asked for.

    Args:
        given: Values by name, of all `PLAN_OPTIONS`.

    Raises:
        UnknownNameError: No such strategy.
        InputError: The budget or a ratio is malformed.
    """
    STRATEGIES.get(given["strategy"])
    return Recipe(
        criteria=BEST if given["criterion"] in (None, BEST) else FIXED,
        budgets=tuple(map(str, parse_budgets(given["budget"] or ()))),
        ratio=parse_ratios(given["ratio"] or ()).common,
        **{name: given[name] for name in _PLAIN},
    )
