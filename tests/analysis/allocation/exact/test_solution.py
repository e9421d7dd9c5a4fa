"""The exact choice against brute force, and on large problems against its own bound."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest

from analysis.allocation.exact import Problem, Table, solve
from analysis.allocation.exact.elimination import Elimination, elimination_order


def neighbours(kind: str, count: int) -> list[tuple[int, int]]:
    """Which variables interact: none, a chain, all with one, or all with all."""
    return {
        "apart": [],
        "chain": list(itertools.pairwise(range(count))),
        "hub": [(0, other) for other in range(1, count)]
        + list(itertools.pairwise(range(1, count)))[::2],
        "all": list(itertools.combinations(range(count), 2)),
    }[kind]


def network(
    kind: str, *, count: int, choices: int, limits: int, seed: int, share: float = 0.5
) -> Problem:
    """Sizes as of layers: products of kept shares, and costs that rise with what is removed."""
    source = np.random.default_rng(seed)
    removed = np.linspace(0, 0.9, choices)
    tables = []
    costs = np.sort(source.exponential(size=(count, choices)), axis=1) * removed
    weights = source.integers(10, 1000, size=(limits, count + 1))
    for place in range(count):
        values = np.zeros((1 + limits, choices))
        values[0] = costs[place]
        values[1:] = -np.round(weights[:, [place]] * 100 * removed)
        tables.append(Table((place,), values))
    for first, second in neighbours(kind, count):
        both = source.integers(10, 1000, size=limits)
        values = np.zeros((1 + limits, choices, choices))
        # What both remove of one layer is counted once.
        values[1:] = np.round(both[:, None, None] * 30 * removed[:, None] * removed)
        tables.append(Table((first, second), values))
        for place in (first, second):
            alone = np.zeros((1 + limits, choices))
            alone[1:] = -np.round(both[:, None] * 30 * removed)
            tables.append(Table((place,), alone))
    full = -sum(table.values[1:].min(axis=tuple(range(1, table.values.ndim))) for table in tables)
    base = np.concatenate([[0.0], full * 1.1])
    tables.append(Table((), base))
    return Problem([choices] * count, tables, (base[1:] * share).round())


def brute(problem: Problem) -> float:
    """The least first quantity within the limits, over all choices."""
    best = math.inf
    for chosen in itertools.product(*map(range, problem.sizes)):
        value = problem.value(chosen)
        if (value[1:] <= problem.limits).all():
            best = min(best, float(value[0]))
    return best


@pytest.mark.parametrize("kind", ["apart", "chain", "hub", "all"])
@pytest.mark.parametrize("limits", [1, 2])
@pytest.mark.parametrize("share", [0.8, 0.4])
def test_against_brute_force(kind: str, limits: int, share: float) -> None:
    for seed in range(3):
        problem = network(kind, count=5, choices=4, limits=limits, seed=seed, share=share)
        expected, found = brute(problem), solve(problem)
        if math.isinf(expected):
            assert found is None
            continue
        assert found is not None
        value = problem.value(found.chosen)
        assert (value[1:] <= problem.limits).all()
        assert value[0] == pytest.approx(expected, abs=1e-9)
        assert found.value == pytest.approx(expected, abs=1e-9)
        assert found.gap == 0


def test_choices_of_unequal_number_and_tables_over_three() -> None:
    source = np.random.default_rng(3)
    sizes = (2, 5, 1, 3)
    tables = [Table((place,), source.random((2, size))) for place, size in enumerate(sizes)]
    tables += [
        Table((0, 1, 3), source.random((2, 2, 5, 3))),
        Table((1, 2), source.random((2, 5, 1))),
        Table((), np.array([0.5, 0.25])),
    ]
    for limit in (1.5, 2.0, 3.0):
        problem = Problem(sizes, tables, [limit])
        expected, found = brute(problem), solve(problem)
        assert (found is None) == math.isinf(expected)
        if found is not None:
            assert found.value == pytest.approx(expected)


def test_bounds_hold_where_tables_are_split() -> None:
    """Mini-buckets give less than the least sum; what is found stays within the limits."""
    problem = network("all", count=6, choices=4, limits=1, seed=1)
    ranked = problem.reordered(elimination_order(problem))
    weights = np.array([1.0, 1e-5])
    least = min(
        float(weights @ ranked.value(chosen)) for chosen in itertools.product(range(4), repeat=6)
    )
    exact, split = Elimination(ranked), Elimination(ranked, most=16)
    assert exact.is_exact
    assert not split.is_exact
    assert exact.run(weights)[0] == pytest.approx(least)
    assert split.run(weights)[0] <= least + 1e-9


def test_a_search_that_is_cut_short_says_how_far_the_best_may_be() -> None:
    for seed in range(4):
        problem = network("hub", count=7, choices=4, limits=1, seed=seed)
        expected = brute(problem)
        found = solve(problem, most=2)
        assert found is not None
        assert found.least <= expected + 1e-9
        assert found.value >= expected - 1e-9
        assert found.gap == pytest.approx(found.value - found.least)
        assert problem.holds(problem.value(found.chosen))


@pytest.mark.parametrize(
    ("kind", "count", "limits"),
    [("chain", 30, 1), ("hub", 30, 2), ("hub", 120, 1), ("apart", 120, 1)],
)
def test_large_problems_end_in_seconds_with_a_small_gap(kind: str, count: int, limits: int) -> None:
    problem = network(kind, count=count, choices=10, limits=limits, seed=0)
    started = time.process_time()
    found = solve(problem)
    assert time.process_time() - started < 20
    assert found is not None
    assert problem.holds(problem.value(found.chosen))
    assert found.gap <= 0.002 * found.value
