"""The neutral formats: the plan as JSON with kept indices, the points as CSV."""

from __future__ import annotations

import dataclasses

from analysis.curves import for_files
from analysis.files import write_text
from analysis.interop.request import Exported, ExportRequest, require_points
from analysis.plans import compact, require_fit, resolve, to_json
from analysis.records import Plan


def export_json(request: ExportRequest) -> Exported:
    """Write ``NAME.json``."""
    plan = final_plan(request)
    path = write_text(request.directory / f"{request.name}.json", to_json(plan))
    return Exported(files=((path, "the plan: what is kept of each group, with indices"),))


def final_plan(request: ExportRequest) -> Plan:
    """Return the plan as it is exported: only what is pruned or locked, with kept indices.

    Raises:
        PlanError: It does not fit the subject.
    """
    plan = resolve(request.prepared, compact(require_fit(request.prepared, request.chosen)))
    if request.evaluation is None:
        return plan
    measured = request.evaluation.removed
    task = request.prepared.subject.task
    extra = {
        **plan.extra,
        "measured": {
            "repair": request.repair,
            "trained": request.trained,
            "samples": request.evaluation.samples,
            **task.facts(measured.sums),
            "params": measured.params,
            "macs": measured.macs,
        },
    }
    return dataclasses.replace(plan, extra=extra)


def export_csv(request: ExportRequest) -> Exported:
    """Write ``points.csv``."""
    points = require_points(request)
    table = for_files(points, request.prepared.subject.spec.task)
    path = write_text(request.directory / "points.csv", table.to_csv(index=False))
    return Exported(files=((path, f"{len(points)} measured points of the run"),))
