from .commands import command, command_of
from .verbs import (
    Snippet,
    compare_criteria,
    evaluate_plan,
    export_plan,
    import_results,
    inspect_subject,
    list_plans,
    list_runs,
    read_curves,
    run_sweep,
    take_plan,
)

__all__ = [
    "Snippet",
    "command",
    "command_of",
    "compare_criteria",
    "evaluate_plan",
    "export_plan",
    "import_results",
    "inspect_subject",
    "list_plans",
    "list_runs",
    "read_curves",
    "run_sweep",
    "take_plan",
]
