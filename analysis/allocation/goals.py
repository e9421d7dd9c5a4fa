"""What a plan is filled up to: a ratio, a tolerance, or budgets of the whole plan."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from analysis.records import Recipe
from analysis.sentences import percent
from analysis.tasks import Words
from pruners.errors import InputError
from pruners.registry import Registry, joined


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A registered goal.

    Attributes:
        name: Name on the command line; ``ratio`` and ``tolerance`` are fields of `Request`.
        label: Name on pages.
        help: What the number is, in plain words.
        usual: Where pages start, as a fraction.
        is_drop: Whether it is a drop of accuracy, which pages show in percentage points.
        words: For budgets, a limit in words, ``{}`` being the limit; empty for what is no budget.
        units: What a limit may be given in besides a fraction of dense: unit -> how much of the
            meter's own unit (bytes, seconds) it is.
    """

    name: str
    label: str
    help: str
    usual: float
    is_drop: bool = False
    words: str = ""
    units: Mapping[str, float] = field(default_factory=dict)


GOALS = Registry(
    "goal",
    (
        Goal(name="ratio", label="One ratio", help="one ratio for all", usual=0.3),
        Goal(
            name="tolerance",
            label="Drop per layer",
            help="accepted drop of each layer alone (0.01 = 1 pp, or 1 %)",
            usual=0.01,
            is_drop=True,
        ),
        Goal(
            name="macs",
            label="MACs left",
            help="MACs left, as a fraction of dense",
            usual=0.5,
            words="at most {} of the MACs",
        ),
        Goal(
            name="params",
            label="Parameters left",
            help="parameters left, as a fraction of dense",
            usual=0.5,
            words="at most {} of the parameters",
        ),
        Goal(
            name="bytes",
            label="File left",
            help="size of the weights file, as a fraction of dense",
            usual=0.5,
            words="at most {} of the file",
            units={"B": 1.0, "kB": 1e3, "MB": 1e6},
        ),
        Goal(
            name="latency",
            label="Time left",
            help="time of a forward pass on this machine, as a fraction of dense",
            usual=0.7,
            words="at most {} of the time",
            units={"ms": 1e-3, "s": 1.0},
        ),
        Goal(
            name="drop",
            label="Predicted drop",
            help="predicted drop (0.01 = 1 pp, or 1 %)",
            usual=0.02,
            is_drop=True,
            words="a predicted drop of at most {}",
        ),
    ),
)

# Units of drops, and how many of them are 1.
_DROP_UNITS = {"pp": 100.0, "%": 100.0, "dB": 1.0}
# Shares are sums and quotients of floats.
ROUNDING = 1e-9
_FORM = re.compile(r"([^a-zA-Z%]*)([a-zA-Z%]*)")


def budgets() -> tuple[Goal, ...]:
    """Return the goals that are budgets."""
    return tuple(goal for goal in GOALS if goal.words)


def budget_forms() -> str:
    """Return how budgets are written, with an example each."""
    return joined(f"{goal.name}={goal.usual:g}" for goal in budgets())


@dataclass(frozen=True, slots=True)
class Budget:
    """An upper limit.

    Attributes:
        kind: Name of a goal that is a budget.
        limit: For sizes the fraction of the dense model that may be left, 0..1; for ``drop`` the
            predicted drop as a fraction; or a number of ``unit``.
        unit: One of the goal's units; empty for fractions.
    """

    kind: str
    limit: float
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.kind}={self.limit}{self.unit}"

    def text(self, words: Words) -> str:
        """Return the budget in words; those of the task say how drops are written."""
        if self.unit:
            return f"at most {self.limit:g} {self.unit}"
        limit = words.limit(self.limit) if self.is_drop else percent(self.limit, digits=1)
        return GOALS.get(self.kind).words.format(limit)

    def check(self, words: Words) -> None:
        """Check that a drop can be that large.

        Raises:
            InputError: It cannot.
        """
        if self.is_drop and self.limit > words.largest_drop:
            raise InputError(
                f"a drop of {words.limit(self.limit)} cannot be: the score loses at most "
                f"{words.limit(words.largest_drop)}"
            )

    @property
    def is_drop(self) -> bool:
        """Whether it limits the predicted drop, not the size."""
        return GOALS.get(self.kind).is_drop

    def share(self, dense: Callable[[], float]) -> float:
        """Return the limit as a fraction.

        Args:
            dense: Returns what the dense model has, in the meter's unit; asked only for limits with
                a unit.
        """
        if not self.unit:
            return self.limit
        return self.limit * GOALS.get(self.kind).units[self.unit] / dense()

    def holds(self, share: float, dense: Callable[[], float]) -> bool:
        """Return whether what a plan leaves is within the limit, rounding aside.

        Args:
            share: What it leaves, as a fraction of the dense model.
            dense: See `share`.
        """
        return share <= self.share(dense) + ROUNDING


def parse_budget(text: str) -> Budget:
    """Parse ``macs=0.5``, ``drop=0.01``, or drops as they are written: ``1pp``, ``1%``, ``1dB``.

    Raises:
        InputError: Anything else, or a limit out of range.
    """
    kind, separator, amount = text.partition("=")
    kind = kind.strip()
    known = [goal.name for goal in budgets()]
    if not separator or kind not in known:
        raise InputError(
            f"budget {text!r}: expected {joined(f'{name}=FRACTION' for name in known)}, such as "
            "macs=0.5 for half of the dense model's MACs"
        )
    limit, unit = _amount(text, amount, GOALS.get(kind))
    is_drop, is_share = kind == "drop", unit != "pp"
    if unit in _DROP_UNITS:
        limit, unit = limit / _DROP_UNITS[unit], ""
    if unit:
        if not 0 < limit < float("inf"):
            raise InputError(f"budget {text!r}: the limit is a number of {unit} above 0")
    elif is_drop and is_share and 1 < limit < float("inf"):
        # Of a score with another unit; `Budget.check` knows which.
        pass
    elif not 0 <= limit <= 1 or (limit == 0 and not is_drop):
        raise InputError(f"budget {text!r}: the limit is a fraction above 0 and up to 1")
    return Budget(kind, limit, unit)


def _amount(text: str, amount: str, goal: Goal) -> tuple[float, str]:
    """Split a limit into number and unit."""
    units = list(_DROP_UNITS if goal.is_drop else goal.units)
    number, unit = amount.strip(), ""
    found = _FORM.fullmatch(number)
    if found and found[2] in units:
        number, unit = found[1], found[2]
    try:
        return float(number), unit
    except ValueError:
        units_text = f", and no number with {joined(units)}" if units else ""
        raise InputError(f"budget {text!r}: {amount!r} is no number{units_text}") from None


def parse_budgets(texts: Sequence[str]) -> tuple[Budget, ...]:
    """Parse budgets that all have to hold; several in one text are joined by commas.

    Raises:
        InputError: One is malformed, or two are of one kind.
    """
    found = tuple(parse_budget(part) for text in texts for part in text.split(","))
    kinds = [budget.kind for budget in found]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise InputError(f"two budgets in {kind}: give the lower one")
    return found


def asked_drop(recipe: Recipe) -> float | None:
    """Return the largest drop that a recipe accepts, a fraction; None where it names none."""
    found = [item.limit for item in parse_budgets(recipe.budgets) if item.is_drop]
    return min(found) if found else None


def with_drop(recipe: Recipe, drop: float, *, most: float) -> Recipe:
    """Return a recipe that names a drop with another one in its place, at most ``most``."""
    budgets = [
        dataclasses.replace(item, limit=min(drop, most)) if item.is_drop else item
        for item in parse_budgets(recipe.budgets)
    ]
    return dataclasses.replace(recipe, budgets=tuple(map(str, budgets)))
