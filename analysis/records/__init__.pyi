from .codec import Count, PositiveCount, Seconds, Share, decode_json
from .inventory import GroupRow, Inventory, LayerRow, MemberRow
from .plan import Plan, PlanEntry, Recipe
from .probe import MeasuredPlan, Probe, ProbePart
from .progress import OnProgress, Progress, counting
from .record import Document, GroupOrLayer, Record
from .run import (
    CANCELLED,
    DONE,
    FAILED,
    LIVE_STATES,
    QUEUED,
    RUNNING,
    STALE_SECONDS,
    DamagedRun,
    Identity,
    RunRow,
    state_now,
)
from .subject import DEFAULT_TASK, SubjectSpec
from .sums import SliceCounts, Sums
from .sweep import PlannedPoint, PointKey, SweepSpec, SweepState, SweepUpdate

__all__ = [
    "CANCELLED",
    "Count",
    "DEFAULT_TASK",
    "DamagedRun",
    "DONE",
    "Document",
    "FAILED",
    "GroupOrLayer",
    "GroupRow",
    "Identity",
    "Inventory",
    "LIVE_STATES",
    "LayerRow",
    "MemberRow",
    "MeasuredPlan",
    "OnProgress",
    "Plan",
    "PlanEntry",
    "PlannedPoint",
    "PointKey",
    "PositiveCount",
    "Probe",
    "ProbePart",
    "Progress",
    "QUEUED",
    "RUNNING",
    "Recipe",
    "Record",
    "RunRow",
    "STALE_SECONDS",
    "Seconds",
    "Share",
    "SliceCounts",
    "SubjectSpec",
    "Sums",
    "SweepSpec",
    "SweepState",
    "SweepUpdate",
    "counting",
    "decode_json",
    "state_now",
]
