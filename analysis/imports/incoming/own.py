"""Our own plan file."""

from __future__ import annotations

import dataclasses

from analysis import plans
from analysis.imports.incoming.request import PlanRequest
from analysis.imports.readers import looks_like_json
from analysis.records import Plan
from pruners.errors import PlanError


def is_own(content: bytes) -> bool:
    """Say whether it is a plan as PruneScope writes it."""
    return looks_like_json(content, b"{") and b'"entries"' in content and b'"subject"' in content


def read_own(request: PlanRequest) -> Plan:
    """Return the plan, for the subject at hand.

    Raises:
        PlanError: It is no plan, or one of other weights.
    """
    try:
        text = request.content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PlanError(f"{request.file} is no text: {error}") from None
    plan = plans.from_json(text, source=request.file)
    plan = dataclasses.replace(plan, subject=request.prepared.subject.spec, run=None)
    return plans.require_fit(request.prepared, plan)
