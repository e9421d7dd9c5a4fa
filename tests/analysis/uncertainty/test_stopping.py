"""Sequential decisions: how often they are wrong, by simulation, and how many samples they take."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from analysis.records.sums import SliceCounts
from analysis.sweeps.adaptive import max_tests
from analysis.uncertainty.sequential import BETS, DropTest
from pruners.errors import InputError

POPULATION = 2000
SIZES = [64, 61, 125] + [250] * 7


def pieces_of(lost: int, gained: int, seed: int) -> list[SliceCounts]:
    """Shuffle a set with these counts, and cut it into pieces."""
    values = torch.zeros(POPULATION, dtype=torch.int64)
    values[:lost] = 1
    values[lost : lost + gained] = -1
    order = torch.randperm(POPULATION, generator=torch.Generator().manual_seed(seed))
    return [
        SliceCounts(int((part == 1).sum()), int((part == -1).sum()), len(part))
        for part in torch.split(values[order], SIZES)
    ]


def decide(lost: int, gained: int, seed: int, alpha: float) -> tuple[str, int]:
    test = DropTest(tolerance=0.01, population=POPULATION, alpha=alpha)
    for part in pieces_of(lost, gained, seed):
        if test.update(part) is not None:
            break
    assert test.decision is not None
    return test.decision, test.samples


@pytest.mark.parametrize(
    ("lost", "gained"),
    # Right at the tolerance of 20 of 2,000 on both sides, with few and with many flips.
    [(20, 0), (21, 0), (60, 40), (61, 40), (220, 200), (221, 200), (25, 0), (14, 0)],
)
def test_wrong_decisions_are_at_most_as_many_as_stated(lost: int, gained: int) -> None:
    right = "exceeds" if lost - gained > 20 else "tolerated"
    wrong = sum(decide(lost, gained, seed, 0.05)[0] != right for seed in range(400))
    # 400 trials at 5 % give 20, with a standard deviation of 4.4.
    assert wrong / 400 <= 0.05 + 2 * 0.011


@pytest.mark.parametrize("middle", [(20, 21), (19, 22), (20, 40)])
def test_answers_of_whole_curves_are_wrong_at_most_as_often_as_stated(
    middle: tuple[int, int],
) -> None:
    # Nine points, the fifth and sixth right at the tolerance of 20 of 2,000.
    drops = (0, 5, 12, min(18, middle[0]), *middle, max(44, middle[1]), 90, 400)
    assert list(drops) == sorted(drops)
    alpha = 0.05 / max_tests(len(drops))
    trials, wrong = 300, 0
    for trial in range(trials):
        low, high, tests = -1, len(drops), 0
        while high - low > 1:
            at = (low + high) // 2
            tests += 1
            decision, _ = decide(drops[at] + 30, 30, trial * len(drops) + at, alpha)
            low, high = (at, high) if decision == "tolerated" else (low, at)
        assert tests <= max_tests(len(drops))
        wrong += low != 4
    # 300 trials at 5 % have a standard deviation of 1.3 %.
    assert wrong / trials <= 0.05 + 2 * 0.013


@pytest.mark.parametrize("points", range(1, 40))
def test_the_number_of_tests_is_that_of_the_longest_bisection(points: int) -> None:
    def longest(low: int, high: int) -> int:
        if high - low <= 1:
            return 0
        at = (low + high) // 2
        return 1 + max(longest(low, at), longest(at, high))

    assert max_tests(points) == longest(-1, points)


def test_clear_cases_take_few_samples() -> None:
    broken = [decide(1200, 20, seed, 0.05) for seed in range(50)]
    harmless = [decide(0, 0, seed, 0.05) for seed in range(50)]
    assert {decision for decision, _ in broken} == {"exceeds"}
    assert {decision for decision, _ in harmless} == {"tolerated"}
    assert max(samples for _, samples in broken) == 64
    assert max(samples for _, samples in harmless) <= 1000


def test_the_whole_set_decides_by_its_own_count() -> None:
    for lost, expected in ((20, "tolerated"), (21, "exceeds")):
        test = DropTest(tolerance=0.01, population=POPULATION, alpha=1e-12)
        decisions = [test.update(part) for part in pieces_of(lost, 0, 0)]
        assert decisions[-1] == expected


def test_a_decision_stays() -> None:
    test = DropTest(tolerance=0.01, population=POPULATION, alpha=0.05)
    assert test.update(SliceCounts(60, 0, 64)) == "exceeds"
    assert test.update(SliceCounts(0, 64, 64)) == "exceeds"
    assert test.samples == 64


@pytest.mark.parametrize("mean", [-0.9, -0.01, 0.0, 0.01, 0.5])
@pytest.mark.parametrize("samples", [1, 2, 3])
def test_the_expected_growth_of_a_piece_without_replacement_is_at_most_one(
    mean: float, samples: int
) -> None:
    """The heart of the argument, by enumeration of all draws from a small set."""
    for counts in itertools.product(range(4), repeat=3):
        values = [1] * counts[0] + [0] * counts[1] + [-1] * counts[2]
        if len(values) < samples or sum(values) / len(values) > mean:
            continue
        for bet in BETS:
            bet = min(bet, 0.95 / (1 + mean))
            draws = list(itertools.combinations(values, samples))
            growth = [math.prod(1 + bet * (x - mean) for x in draw) for draw in draws]
            assert min(growth) >= 0
            assert sum(growth) / len(growth) <= 1 + 1e-12


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (300, 20), (20, 0), (22, 0)])
def test_an_adopted_decision_is_the_one_that_was_made(lost: int, gained: int) -> None:
    for seed in range(20):
        test = DropTest(tolerance=0.01, population=POPULATION, alpha=0.05)
        seen = SliceCounts(0, 0, 0)
        for part in pieces_of(lost, gained, seed):
            seen = SliceCounts(
                seen.lost + part.lost, seen.gained + part.gained, seen.samples + part.samples
            )
            if test.update(part) is not None:
                break
        again = DropTest(tolerance=0.01, population=POPULATION, alpha=0.05)
        drop = (seen.lost - seen.gained) / seen.samples
        assert again.adopt(drop, seen.samples) == test.decision


def test_a_chance_of_error_outside_of_its_range_is_refused() -> None:
    with pytest.raises(InputError):
        DropTest(tolerance=0.01, population=10, alpha=0)
