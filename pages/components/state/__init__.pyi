from . import (
    check,
    evaluations,
    plan_state,
    session,
    shared_subject,
    subject_cache,
    tolerance,
    url_state,
)
from .demo import DEMO, SAMPLE_SUBJECTS
from .session import Session, choose_subject, loaded
from .subject_cache import subjects

__all__ = [
    "DEMO",
    "SAMPLE_SUBJECTS",
    "Session",
    "check",
    "choose_subject",
    "evaluations",
    "loaded",
    "plan_state",
    "session",
    "shared_subject",
    "subject_cache",
    "subjects",
    "tolerance",
    "url_state",
]
