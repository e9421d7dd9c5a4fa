"""What identifies a point by content, so that no point is ever measured twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import torch

from analysis.edits import PreparedSubject
from analysis.records import PlannedPoint, PointKey, SweepSpec
from analysis.repairs import NO_REPAIR
from pruners.criteria import CRITERIA

# To be raised when a change of the program changes the numbers of a point.
METHOD_VERSION = 2


def planned_points(
    prepared: PreparedSubject, spec: SweepSpec, points: Sequence[PointKey]
) -> tuple[PlannedPoint, ...]:
    """Return a sweep's points with their fingerprints and their size after removal."""
    return tuple(
        PlannedPoint(key=key, cache_key=cache_key(prepared, spec, key), params=params, macs=macs)
        for key in points
        for params, macs in [_size(prepared, key)]
    )


def cache_key(prepared: PreparedSubject, spec: SweepSpec, key: PointKey) -> str:
    """Return the SHA-256 of everything that a point's numbers depend on."""
    subject = prepared.subject
    criterion = CRITERIA.get(key.criterion)
    reads_calibration = criterion.needs_data or spec.repair != NO_REPAIR
    content = {
        "method": METHOD_VERSION,
        "torch": torch.__version__,
        "weights": subject.fingerprint,
        "program": prepared.program,
        "data": subject.data_fingerprint,
        "calibration": subject.calibration_fingerprint if reads_calibration else "",
        "seed": spec.subject.seed,
        "criterion": [key.criterion, criterion.version],
        "granularity": key.granularity,
        "target": [key.layer, key.group, key.kept, key.total],
        "semantics": spec.semantics,
        "reduction": spec.reduction,
        "repair": spec.repair,
        "precision": spec.precision,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _size(prepared: PreparedSubject, key: PointKey) -> tuple[int, int]:
    cost = prepared.cost.predict({} if key.group is None else {key.group: key.kept})
    return cost.params, cost.macs
