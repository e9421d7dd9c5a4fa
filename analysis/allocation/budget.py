"""Budgets, and the meter that says what a plan costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pruners.errors import InputError

KINDS: Mapping[str, str] = {
    "macs": "MACs left, as a fraction of dense",
    "params": "parameters left, as a fraction of dense",
    "drop": "predicted accuracy drop, as a fraction (0.01 = 1 pp)",
}


@dataclass(frozen=True, slots=True)
class Budget:
    """An upper limit.

    Attributes:
        kind: A key of `KINDS`.
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
        if self.kind == "drop":
            return f"a predicted drop of at most {self.limit * 100:g} pp"
        label = "MACs" if self.kind == "macs" else "parameters"
        return f"at most {self.limit:.1%} of the {label}"


def parse_budget(text: str) -> Budget:
    """Parse ``macs=0.5``, ``params=0.5`` or ``drop=0.01``.

    Raises:
        InputError: Anything else, or a limit out of range.
    """
    kind, separator, number = text.partition("=")
    kind = kind.strip()
    if not separator or kind not in KINDS:
        raise InputError(
            f"budget {text!r}: expected macs=FRACTION, params=FRACTION or drop=FRACTION, such as "
            "macs=0.5 for half of the dense model's MACs"
        )
    try:
        limit = float(number)
    except ValueError:
        raise InputError(f"budget {text!r}: {number!r} is no number") from None
    if not 0 <= limit <= 1 or (limit == 0 and kind != "drop"):
        raise InputError(f"budget {text!r}: the limit is a fraction above 0 and up to 1")
    return Budget(kind, limit)
