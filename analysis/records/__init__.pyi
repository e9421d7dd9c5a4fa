from .plan import Plan, PlanEntry
from .record import Record
from .run import (
    CANCELLED,
    DONE,
    FAILED,
    LIVE_STATES,
    QUEUED,
    RUNNING,
    STALE_SECONDS,
    Identity,
    Progress,
    RunRow,
    state_now,
)
from .subject import SubjectSpec
from .sums import SliceCounts, Sums
from .sweep import PlannedPoint, PointKey, SweepSpec, SweepState, SweepUpdate

__all__ = [
    "CANCELLED",
    "DONE",
    "FAILED",
    "Identity",
    "LIVE_STATES",
    "Plan",
    "PlanEntry",
    "PlannedPoint",
    "PointKey",
    "Progress",
    "QUEUED",
    "RUNNING",
    "Record",
    "RunRow",
    "STALE_SECONDS",
    "SliceCounts",
    "SubjectSpec",
    "Sums",
    "SweepSpec",
    "SweepState",
    "SweepUpdate",
    "state_now",
]
