from . import answers, charts, code, formatting, job, network, pictures, run_state, variant_switch
from .cards import group_caption, size_card
from .charts import theme
from .page_registry import PAGES, Page, go, sections
from .states import empty, guarded, no_labels, no_subject, problem, refreshed, ribbon, unfinished

__all__ = [
    "PAGES",
    "Page",
    "answers",
    "charts",
    "code",
    "empty",
    "formatting",
    "go",
    "group_caption",
    "guarded",
    "job",
    "network",
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
    "unfinished",
    "variant_switch",
]
