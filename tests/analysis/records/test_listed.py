"""Weights that a plan lists: bits, and lists as older files have them."""

from __future__ import annotations

import base64
import json
import random

import numpy as np
import pytest

from analysis.records import (
    PlanEntry,
)
from tests.analysis.records.documents import ENTRY


def test_listed_weights_are_bits_and_lists_are_read_still() -> None:
    """Against numpy's own packing: base64 of a bit a weight."""
    draw = random.Random(0)
    total = 270_611
    places = sorted(draw.sample(range(total), total // 2))
    fields = {**ENTRY, "granularity": "element", "kept": len(places), "total": total}
    listed = PlanEntry.from_dict({**fields, "indices": places})
    assert listed.indices == tuple(places)
    written = listed.to_dict()["indices"]
    assert len(written) < total / 5.9
    bits = np.unpackbits(np.frombuffer(base64.b64decode(written), np.uint8))
    assert np.flatnonzero(bits).tolist() == places
    assert PlanEntry.from_dict(json.loads(json.dumps(listed.to_dict()))) == listed


@pytest.mark.parametrize(
    ("indices", "granularity"),
    [((0, 3), "channel"), ((), "element"), (None, "element"), ((3, 0), "element"), ((0, 9), "2:4")],
)
def test_what_bits_cannot_say_stays_a_list(
    indices: tuple[int, ...] | None, granularity: str
) -> None:
    found = PlanEntry.from_dict({**ENTRY, "granularity": granularity, "indices": indices})
    assert found.to_dict()["indices"] == (None if indices is None else list(indices))
    assert PlanEntry.from_dict(found.to_dict()) == found
