"""Compare: criteria side by side, layer by layer."""

from __future__ import annotations

from pages.components import compare
from pages.components.frame import frame
from pages.components.widgets import empty, guarded, run_state

session = frame("Compare")
run = run_state.measured_run(session)
if run is not None:
    run_state.ribbons(session)
    if len(run.spec.criteria) < 2 and run.source is not None:
        empty(
            "One criterion is nothing to compare",
            "The file was written by one criterion. Curves draws runs of the same layers beside "
            "it.",
            icon="compare",
            action="See the curves",
            page="Curves",
        )
    elif len(run.spec.criteria) < 2:
        empty(
            "One criterion is nothing to compare",
            "This run measured one criterion. Points that are known are not measured again.",
            icon="compare",
            action="Sweep with more criteria",
            page="Sweep",
        )
    else:
        with guarded("The criteria cannot be compared"):
            compare.draw(session)
