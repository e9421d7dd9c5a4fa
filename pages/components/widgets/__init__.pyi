from . import charts, code, formatting, job, pictures, run_state, variant_switch
from .cards import size_card
from .charts import theme
from .page_registry import PAGES, Page, go, sections
from .states import empty, guarded, no_labels, no_subject, problem, refreshed, ribbon

__all__ = [
    "PAGES",
    "Page",
    "charts",
    "code",
    "empty",
    "formatting",
    "go",
    "guarded",
    "job",
    "no_labels",
    "no_subject",
    "pictures",
    "problem",
    "refreshed",
    "ribbon",
    "run_state",
    "sections",
    "size_card",
    "theme",
    "variant_switch",
]
