"""What a plan is filled up to: a ratio, a tolerance, or a budget of the whole plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
        words: For budgets, the limit in words; None for what is no budget.
    """

    name: str
    label: str
    help: str
    usual: float
    is_drop: bool = False
    words: Callable[[float], str] | None = None


GOALS = Registry(
    "goal",
    (
        Goal(name="ratio", label="One ratio", help="one ratio for all", usual=0.3),
        Goal(
            name="tolerance",
            label="Drop per layer",
            help="accepted drop of each layer alone, as a fraction (0.01 = 1 pp)",
            usual=0.01,
            is_drop=True,
        ),
        Goal(
            name="macs",
            label="MACs left",
            help="MACs left, as a fraction of dense",
            usual=0.5,
            words=lambda limit: f"at most {limit:.1%} of the MACs",
        ),
        Goal(
            name="params",
            label="Parameters left",
            help="parameters left, as a fraction of dense",
            usual=0.5,
            words=lambda limit: f"at most {limit:.1%} of the parameters",
        ),
        Goal(
            name="drop",
            label="Predicted drop",
            help="predicted accuracy drop, as a fraction (0.01 = 1 pp)",
            usual=0.02,
            is_drop=True,
            words=lambda limit: f"a predicted drop of at most {limit * 100:g} pp",
        ),
    ),
)


def budgets() -> tuple[Goal, ...]:
    """Return the goals that are budgets."""
    return tuple(goal for goal in GOALS if goal.words is not None)


def budget_forms() -> str:
    """Return how budgets are written, with an example each."""
    return joined(f"{goal.name}={goal.usual:g}" for goal in budgets())


@dataclass(frozen=True, slots=True)
class Budget:
    """An upper limit.

    Attributes:
        kind: Name of a goal that is a budget.
        limit: For ``macs`` and ``params`` the fraction of the dense model that may be left, 0..1;
            for ``drop`` the predicted drop as a fraction.
    """

    kind: str
    limit: float

    def __str__(self) -> str:
        return f"{self.kind}={self.limit}"

    @property
    def text(self) -> str:
        """The budget in words."""
        words = GOALS.get(self.kind).words
        assert words is not None
        return words(self.limit)

    @property
    def is_drop(self) -> bool:
        """Whether it limits the predicted drop, not the size."""
        return GOALS.get(self.kind).is_drop


def parse_budget(text: str) -> Budget:
    """Parse ``macs=0.5``, ``params=0.5`` or ``drop=0.01``.

    Raises:
        InputError: Anything else, or a limit out of range.
    """
    kind, separator, number = text.partition("=")
    kind = kind.strip()
    known = [goal.name for goal in budgets()]
    if not separator or kind not in known:
        raise InputError(
            f"budget {text!r}: expected {joined(f'{name}=FRACTION' for name in known)}, such as "
            "macs=0.5 for half of the dense model's MACs"
        )
    try:
        limit = float(number)
    except ValueError:
        raise InputError(f"budget {text!r}: {number!r} is no number") from None
    if not 0 <= limit <= 1 or (limit == 0 and kind != "drop"):
        raise InputError(f"budget {text!r}: the limit is a fraction above 0 and up to 1")
    return Budget(kind, limit)
