from .incoming import PLAN_FORMATS, PlanFormat, PlanRequest, imported_plan
from .naming import parse_renames
from .questions import OTHER, QUESTIONS, Choice, Question, metric_of, open_questions
from .raw import MAX_WEIGHTS, RawResult, ResultFormat
from .registry import RESULT_FORMATS, format_of, read_result
from .result import ImportedRun, ImportRequest, check_said, imported_run

__all__ = [
    "Choice",
    "ImportRequest",
    "ImportedRun",
    "MAX_WEIGHTS",
    "OTHER",
    "PLAN_FORMATS",
    "PlanFormat",
    "PlanRequest",
    "QUESTIONS",
    "Question",
    "RESULT_FORMATS",
    "RawResult",
    "ResultFormat",
    "check_said",
    "format_of",
    "imported_plan",
    "imported_run",
    "metric_of",
    "open_questions",
    "parse_renames",
    "read_result",
]
