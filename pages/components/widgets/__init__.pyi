from . import charts, formatting, job, run_state, variant_switch
from .charts import theme
from .page_registry import PAGE_FILES, go
from .states import empty, guarded, problem, refreshed, ribbon

__all__ = [
    "PAGE_FILES",
    "charts",
    "empty",
    "formatting",
    "go",
    "guarded",
    "job",
    "problem",
    "refreshed",
    "ribbon",
    "run_state",
    "theme",
    "variant_switch",
]
