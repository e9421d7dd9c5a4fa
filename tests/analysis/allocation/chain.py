"""A chain of three layers with a cost in closed form, random curves, and a ranking by chance."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import pandas as pd
import torch
from torch import Tensor

from analysis.plans import Meter, Quantity
from analysis.plans.editing import new_plan, set_ratio
from analysis.records.plan import Plan
from analysis.records.subject import SubjectSpec
from tests.analysis.points_tables import table

UNITS = {"a": 4, "b": 6, "c": 10}
# For entries that keep equally many units.
EVEN = {"a": 6, "b": 6, "c": 6}
POSITIONS = {"a": 64, "b": 16, "c": 4}


def chain_sizes(kept: Mapping[str, int], units: Mapping[str, int] = UNITS) -> tuple[int, int]:
    """A chain of three layers: each layer's weights are its inputs times its outputs."""
    params = macs = 0
    inputs = 3
    for name, total in units.items():
        outputs = kept.get(name, total)
        params += inputs * outputs
        macs += inputs * outputs * POSITIONS[name]
        inputs = outputs
    return params, macs


def chain_parts(
    choices: Mapping[str, Sequence[int]], units: Mapping[str, int] = UNITS
) -> tuple[dict[tuple[str, ...], Tensor], dict[tuple[str, ...], Tensor]]:
    """The cost as one table over all groups: the sum of parts that no structure is needed for."""
    if not choices:
        return {}, {}
    tables = torch.zeros(2, *map(len, choices.values()), dtype=torch.float64)
    for place in itertools.product(*(range(len(counts)) for counts in choices.values())):
        kept = {name: choices[name][at] for name, at in zip(choices, place, strict=True)}
        sizes = zip(chain_sizes(kept, units), chain_sizes({}, units), strict=True)
        for values, (size, dense) in zip(tables, sizes, strict=True):
            values[place] = size - dense
    return {tuple(choices): tables[0]}, {tuple(choices): tables[1]}


def chain_meter(units: Mapping[str, int], weights: Mapping[str, int]) -> Meter:
    quantities = {
        kind: Quantity(
            lambda kept, place=place: chain_sizes(kept, units)[place],  # type: ignore[misc]
            lambda choices, place=place: chain_parts(choices, units)[place],  # type: ignore[misc]
        )
        for place, kind in enumerate(("params", "macs"))
    }
    return Meter(partial(chain_sizes, units=units), weights, quantities)


METER = chain_meter(UNITS, {"a": 12, "b": 24, "c": 60})
EVEN_METER = chain_meter(EVEN, {"a": 18, "b": 36, "c": 36})


def start(granularity: str = "channel", units: Mapping[str, int] = UNITS) -> Plan:
    return new_plan(
        SubjectSpec(model="m"),
        fingerprint="f",
        units=[
            (name, name if granularity == "channel" else None, total)
            for name, total in units.items()
        ],
        criterion="l1",
        granularity=granularity,
    )


def points(seed: int, units: Mapping[str, int] = UNITS) -> pd.DataFrame:
    source = random.Random(seed)
    return pd.concat(
        [
            table(
                {
                    (criterion, name): [
                        source.choice([0.0, 0.01, 0.02, 0.05]) + source.choice([0.0, 0.003]) * place
                        for place in range(9)
                    ]
                },
                total=total,
                half_width=0.004,
            )
            for name, total in units.items()
            for criterion in ("l1", "fpgm")
        ],
        ignore_index=True,
    )


def ranked_by_hand(plan: Plan, ratio: float, seed: int) -> Plan:
    """Remove units of unlocked entries in one random order; one of each entry stays."""
    free = {entry.layer: entry for entry in plan.entries if not entry.locked}
    order = [name for name, entry in free.items() for _ in range(entry.total - 1)]
    random.Random(seed).shuffle(order)
    total = sum(entry.total for entry in free.values())
    gone = order[: int(ratio * total + 0.5)]
    for name, entry in free.items():
        plan = set_ratio(plan, name, gone.count(name) / entry.total)
    return plan


def assert_nearest(
    kept: Mapping[str, int],
    *,
    mild: Mapping[str, int],
    strong: Mapping[str, int],
    steps: Mapping[str, Iterable[int]],
    holds: Callable[[Mapping[str, int]], bool],
    is_up: bool = True,
) -> None:
    """A plan lies between two levels, at measured counts, and no further step holds.

    Args:
        kept: Counts of the plan; what is not named is whole.
        mild: Those of the next milder level.
        strong: Those of the stronger one.
        steps: Counts at which a layer may stop, besides these.
        holds: Whether the budget does.
        is_up: Whether further is milder.
    """
    kept, mild, strong = UNITS | dict(kept), UNITS | dict(mild), UNITS | dict(strong)
    assert holds(kept)
    for name, count in kept.items():
        stops = {mild[name], strong[name], *steps[name]}
        assert count in stops
        assert strong[name] <= count <= mild[name]
        for other in stops:
            if (count < other <= mild[name]) if is_up else (strong[name] <= other < count):
                assert not holds(kept | {name: other})
