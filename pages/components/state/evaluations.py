"""The evaluations that this session has seen."""

from __future__ import annotations

EVALUATED = "evaluation_last"


EVALUATIONS = "evaluations"
