"""What the model of a plan depends on."""

from __future__ import annotations

import hashlib
import json

from analysis.records import Plan


def content_of(plan: Plan) -> str:
    """Return the digest of all that the model of a plan depends on, weights aside."""
    subject = plan.subject
    content: dict[str, object] = {
        "entries": sorted(
            (item.name, item.granularity, item.criterion, item.kept, item.indices or ())
            for item in plan.entries
            if item.kept < item.total
        ),
        "calibration": (subject.calibration_data, subject.calibration_samples, subject.seed),
        "repair": plan.repair,
        "semantics": plan.semantics,
        "reduction": plan.reduction,
    }
    if plan.training is not None:
        content["training"] = plan.training
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
