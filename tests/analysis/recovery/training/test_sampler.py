"""Batches in a seeded order, from any place on."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from analysis.recovery.training.data import Sampler
from analysis.subjects import Split
from analysis.subjects.data import MapSource
from pruners.errors import InputError


def numbered(count: int, **options: int) -> Split:
    """Return samples whose input is their number."""
    samples = [(torch.full((1, 2, 2), float(at)), at % 3) for at in range(count)]
    return Split(MapSource("numbered", samples), range(count), form=(3,), **options)


def noise(inputs: Tensor, chance: Generator) -> Tensor:
    return inputs + torch.randn(inputs.shape, generator=chance)


def numbers(sampler: Sampler, batches: int) -> list[list[int]]:
    return [sampler.next()[0][:, 0, 0, 0].int().tolist() for _ in range(batches)]


@pytest.mark.parametrize("options", [{}, {"preload_bytes": 0}])
def test_an_epoch_has_each_sample_once_and_no_short_batch(options: dict[str, int]) -> None:
    sampler = Sampler(numbered(23, **options), batch_size=5, seed=3)
    assert sampler.batches_per_epoch == 4
    epochs = [numbers(sampler, 4) for _ in range(3)]
    for epoch in epochs:
        assert [len(batch) for batch in epoch] == [5] * 4
        assert len({number for batch in epoch for number in batch}) == 20
    assert epochs[0] != epochs[1] != epochs[2]
    assert (sampler.epoch, sampler.position) == (3, 0)


def test_a_short_batch_that_is_the_only_one_is_drawn() -> None:
    sampler = Sampler(numbered(4), batch_size=100, seed=0)
    assert (sampler.batches_per_epoch, sampler.batch_size) == (1, 4)
    assert [sorted(batch) for batch in numbers(sampler, 3)] == [[0, 1, 2, 3]] * 3


def test_targets_belong_to_their_inputs() -> None:
    inputs, targets = Sampler(numbered(30), batch_size=30, seed=1).next()
    assert targets is not None
    assert targets.tolist() == [int(number) % 3 for number in inputs[:, 0, 0, 0]]


def test_order_and_augmentation_hang_on_the_seed_alone() -> None:
    def drawn(seed: int) -> Tensor:
        sampler = Sampler(numbered(23), batch_size=5, seed=seed, augment=noise)
        return torch.cat([sampler.next()[0] for _ in range(6)])

    state = torch.get_rng_state()
    assert torch.equal(drawn(3), drawn(3))
    assert not torch.equal(drawn(3), drawn(4))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("place", [0, 3, 4, 9])
def test_a_sampler_goes_on_bit_for_bit(place: int) -> None:
    """At the beginning, within an epoch, between two, and within the third."""
    first = Sampler(numbered(23), batch_size=5, seed=3, augment=noise)
    for _ in range(place):
        first.next()
    kept = first.state()
    assert all(item.dtype == torch.int64 for item in kept.values())
    rest = [first.next() for _ in range(9)]
    second = Sampler(numbered(23), batch_size=5, seed=3, augment=noise)
    second.next()
    second.load_state(kept)
    for (inputs, targets), (others, labels) in zip(
        rest, (second.next() for _ in range(9)), strict=True
    ):
        assert targets is not None
        assert labels is not None
        assert torch.equal(inputs, others)
        assert torch.equal(targets, labels)


@pytest.mark.parametrize(
    ("count", "batch_size", "seed", "name"),
    [(22, 5, 3, "samples"), (23, 6, 3, "batch_size"), (23, 5, 4, "seed")],
)
def test_a_place_in_other_batches_is_refused(
    count: int, batch_size: int, seed: int, name: str
) -> None:
    kept = Sampler(numbered(23), batch_size=5, seed=3).state()
    other = Sampler(numbered(count), batch_size=batch_size, seed=seed)
    with pytest.raises(InputError, match=f"other training data: {name} is"):
        other.load_state(kept)


def test_what_augmentation_does_to_a_batch_leaves_the_data_alone() -> None:
    split = numbered(6)
    sampler = Sampler(split, batch_size=6, seed=0, augment=lambda inputs, chance: inputs.zero_())
    sampler.next()
    inputs, _ = split.part(0, 6)
    assert inputs[:, 0, 0, 0].tolist() == list(range(6))
