"""Undo and redo over whole plans: every action counts, also presets and auto-fill."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from analysis.records import Plan, SubjectSpec

MAX_STEPS = 200


@dataclass(frozen=True, slots=True)
class HistoryStep:
    """A plan and the action that made it."""

    plan: Plan
    action: str


@dataclass(frozen=True, slots=True)
class History:
    """Past, present and undone plans. Every method returns a new history.

    Attributes:
        steps: Oldest first; the first one is the start.
        at: Place of the present.
    """

    steps: tuple[HistoryStep, ...]
    at: int = 0

    @classmethod
    def start(cls, plan: Plan, *, action: str = "start") -> History:
        """Begin with a plan."""
        return cls((HistoryStep(plan, action),))

    @property
    def plan(self) -> Plan:
        """The present plan."""
        return self.steps[self.at].plan

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return self.at > 0

    @property
    def can_redo(self) -> bool:
        """Whether something undone can come back."""
        return self.at < len(self.steps) - 1

    @property
    def undo_action(self) -> str:
        """What undo would take back; empty if nothing."""
        return self.steps[self.at].action if self.can_undo else ""

    @property
    def redo_action(self) -> str:
        """What redo would bring back; empty if nothing."""
        return self.steps[self.at + 1].action if self.can_redo else ""

    def do(self, plan: Plan, *, action: str) -> History:
        """Make a plan the present; what was undone is forgotten. An equal plan changes nothing."""
        if plan == self.plan:
            return self
        steps = (*self.steps[: self.at + 1], HistoryStep(plan, action))[-MAX_STEPS:]
        return History(steps, len(steps) - 1)

    def on(self, subject: SubjectSpec) -> History:
        """Return the same history on other samples: those are the subject's, and no step of it."""
        return dataclasses.replace(
            self,
            steps=tuple(
                dataclasses.replace(step, plan=dataclasses.replace(step.plan, subject=subject))
                for step in self.steps
            ),
        )

    def undo(self) -> History:
        """Go one action back; at the start nothing changes."""
        return dataclasses.replace(self, at=max(self.at - 1, 0))

    def redo(self) -> History:
        """Go one action forward again; at the end nothing changes."""
        return dataclasses.replace(self, at=min(self.at + 1, len(self.steps) - 1))
