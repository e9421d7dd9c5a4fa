"""Plans as JSON."""

from __future__ import annotations

from pathlib import Path

from analysis.files import read_given, write_text, writing
from analysis.plans.checks import check
from analysis.records import Plan
from pruners.errors import InputError, PlanError


def to_json(plan: Plan) -> str:
    """Return the plan as JSON text."""
    return plan.to_json(indent=1) + "\n"


def from_json(text: str, *, source: str = "the plan") -> Plan:
    """Read a plan from JSON text.

    Args:
        text: JSON.
        source: What to call it in messages, such as the file name.

    Raises:
        PlanError: It is not JSON, not a plan, of another schema version, or contradicts itself.
    """
    try:
        return check(Plan.from_json(text))
    except InputError as error:
        raise PlanError(f"{source}: {error}") from None


def write_plan(plan: Plan, path: Path) -> Path:
    """Write a plan as JSON, whole or not at all.

    Raises:
        StoreError: It cannot be written there.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_text(path, to_json(plan))


def read_plan(path: Path) -> Plan:
    """Read a plan file.

    Raises:
        PlanError: The file is missing or no valid plan.
    """
    try:
        text = read_given(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"cannot read the plan {path}: {error}") from None
    return from_json(text, source=str(path))
