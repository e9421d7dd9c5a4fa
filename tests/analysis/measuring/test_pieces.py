"""The evaluation set in pieces."""

from __future__ import annotations

import pytest

from analysis.measuring import Slices
from analysis.subjects.data.split import Split
from analysis.sweeps.modes import MODES
from analysis.sweeps.planned import sweep_slices
from pruners.errors import InputError
from tests.helpers.contexts import sample_context
from tests.helpers.sources import WatchedSource

SAMPLES = 1200


def split_of(samples: int = SAMPLES) -> Split:
    prepared = sample_context("lenet5", samples=samples, batch_size=250)
    assert prepared.subject.evaluation is not None
    return prepared.subject.evaluation


def test_pieces_cover_the_set_once() -> None:
    split = split_of()
    slices = Slices(split, 400, looks=(64, 128))
    assert slices.ends == (64, 128, 400, 800, 1200)
    sizes = [len(slices.read(number)) for number in range(len(slices))]
    assert sizes == [64, 64, 272, 400, 400]
    inputs, labels = next(split.batches(SAMPLES))
    part = slices.read(2)
    found, truth = part.inputs, part.targets
    assert part.first == 128
    assert [(p.first, len(p)) for p in part.parts(100)] == [(128, 100), (228, 100), (328, 72)]
    assert bool((found == inputs[128:400]).all())
    assert labels is not None
    assert truth is not None
    assert bool((truth == labels[128:400]).all())
    assert slices.number_at(0) == 0
    assert slices.number_at(800) == 4
    assert slices.number_at(801) is None
    assert Slices(split, 50, looks=(64, 128)).ends[:2] == (50, 100)
    assert Slices(split, 5000, looks=(64, 1200, 4000)).ends == (64, 1200)


@pytest.mark.parametrize(
    ("batch_size", "mode", "first"),
    [
        (250, "exhaustive", (75, 250)),
        (120, "exhaustive", (120, 240)),
        (5000, "adaptive", (64, 128)),
    ],
)
def test_the_first_look_takes_less_than_a_tenth_of_the_samples(
    batch_size: int, mode: str, first: tuple[int, ...]
) -> None:
    slices = sweep_slices(split_of(), batch_size, MODES.get(mode))
    assert slices.ends[:2] == first
    assert slices.ends[0] <= SAMPLES / 10
    assert slices.ends[-1] == SAMPLES


def test_a_piece_reads_its_own_samples_only() -> None:
    asked: list[int] = []
    split = split_of()
    source = WatchedSource(split.source, lambda indices: asked.append(len(indices)))
    lazy = Split(source, split.indices, form=(10,), preload_bytes=0)
    asked.clear()
    inputs = Slices(lazy, 400).read(2).inputs
    assert asked == [400]
    assert bool((inputs == split.part(800, 1200)[0]).all())


def test_data_that_raises_is_one_line_that_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    split = split_of()

    def broken(first: int, last: int) -> object:
        raise OSError("the disk is gone")

    monkeypatch.setattr(split, "part", broken)
    with pytest.raises(InputError, match="batch 2 of 3: OSError: the disk is gone"):
        Slices(split, 400).read(1)
