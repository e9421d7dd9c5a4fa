from . import check, plan_state, session, subject_cache, tolerance, url_state
from .demo import DEMO
from .evaluations import EVALUATED, EVALUATIONS
from .session import Session, choose_subject, loaded
from .subject_cache import subjects

__all__ = [
    "DEMO",
    "EVALUATED",
    "EVALUATIONS",
    "Session",
    "check",
    "choose_subject",
    "loaded",
    "plan_state",
    "session",
    "subject_cache",
    "subjects",
    "tolerance",
    "url_state",
]
