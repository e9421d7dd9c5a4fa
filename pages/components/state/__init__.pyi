from . import plan_state, session, subject_cache, url_state
from .demo import DEMO
from .evaluations import EVALUATED, EVALUATIONS
from .session import Session, choose_subject, loaded
from .subject_cache import ATTEMPTS, LoadedSubject, Subjects, subjects

__all__ = [
    "ATTEMPTS",
    "DEMO",
    "EVALUATED",
    "EVALUATIONS",
    "LoadedSubject",
    "Session",
    "Subjects",
    "choose_subject",
    "loaded",
    "plan_state",
    "session",
    "subject_cache",
    "subjects",
    "url_state",
]
