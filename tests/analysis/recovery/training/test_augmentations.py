"""Random changes of training inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Generator, Tensor

from analysis.recovery.training import TrainingRecipe
from analysis.recovery.training.data import (
    AUGMENTATIONS,
    Images,
    augment_of,
    check_augmentations,
    shifted,
)
from analysis.subjects import parse_data
from analysis.subjects.data import load_data
from pruners.errors import AddressError, InputError, UnknownNameError
from pruners.registry import Registry

SHAPE = (2, 5, 7)
USER = """
import torch
def brighter(inputs, generator):
    return inputs.add_(torch.rand(len(inputs), 1, 1, 1, generator=generator))
def flat(inputs, generator): return inputs.flatten(1)
def nothing(inputs, generator): pass
def broken(inputs, generator): raise KeyError("lost\\nfor ever")
def leaving(inputs, generator): raise SystemExit(3)
def endless(inputs, generator): return inputs / 0
def lonely(inputs): return inputs
"""


def images(count: int = 64) -> Tensor:
    return torch.arange(1.0, count * 70 + 1).reshape(count, *SHAPE)


def chance(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_mirrored_images_are_about_a_half() -> None:
    augment, words = augment_of(["flip"], Images(shape=SHAPE))
    assert augment is not None
    assert words == ()
    inputs = images(400)
    found = augment(inputs, chance())
    mirrored = (found == inputs.flip(-1)).flatten(1).all(1)
    same = (found == inputs).flatten(1).all(1)
    assert bool((mirrored ^ same).all())
    assert 150 < int(mirrored.sum()) < 250
    assert torch.equal(augment(inputs, chance()), found)


@pytest.mark.parametrize("blank", [None, torch.tensor([-3.0, -5.0]).reshape(2, 1, 1)])
def test_shifted_images_equal_those_that_are_padded_and_cropped(blank: Tensor | None) -> None:
    shift, words = shifted(2, SHAPE, blank)
    assert ("black" if blank is not None else "edge") in words
    inputs = images()
    found = shift(inputs, chance())
    if blank is None:
        wide = torch.nn.functional.pad(inputs, (2, 2, 2, 2), mode="replicate")
    else:
        wide = blank.expand(len(inputs), 2, 9, 11).clone()
        wide[:, :, 2:-2, 2:-2] = inputs
    moves = set()
    for at, image in enumerate(found):
        crops = {
            (down, right): wide[at, :, 2 - down : 7 - down, 2 - right : 9 - right]
            for down in range(-2, 3)
            for right in range(-2, 3)
        }
        matching = [move for move, crop in crops.items() if torch.equal(crop, image)]
        assert len(matching) == 1
        moves.add(matching[0])
    assert len(moves) > 15
    assert {down for down, _ in moves} == {right for _, right in moves} == set(range(-2, 3))


def test_augmentations_follow_one_another(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(USER, encoding="utf-8")
    texts = ("flip", "shift=1", f"{tmp_path / 'mine.py'}:brighter")
    augment, _ = augment_of(texts, Images(shape=SHAPE))
    assert augment is not None
    inputs = images()
    before = inputs.clone()
    found = augment(inputs, chance(5))
    assert torch.equal(inputs, before)
    assert torch.equal(augment(inputs, chance(5)), found)
    other = chance(5)
    for text in texts:
        step, _ = augment_of([text], Images(shape=SHAPE))
        assert step is not None
        inputs = step(inputs, other)
    assert torch.equal(inputs, found)
    assert augment_of(["none"], Images(shape=SHAPE)) == (None, ())


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("flat", r"made torch.float32 .64, 70. of torch.float32 .64, 2, 5, 7.; type and shape"),
        ("nothing", "returned a NoneType"),
        ("broken", "raised KeyError"),
        ("leaving", "called sys.exit"),
        ("endless", "not finite"),
    ],
)
def test_what_a_function_gives_is_checked(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "mine.py").write_text(USER, encoding="utf-8")
    augment, _ = augment_of([f"{tmp_path / 'mine.py'}:{name}"], Images(shape=SHAPE))
    assert augment is not None
    with pytest.raises(InputError, match=problem) as found:
        augment(images(), chance())
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("texts", "kind", "problem"),
    [
        (["fliq"], UnknownNameError, "unknown augmentation 'fliq'.*did you mean flip"),
        (["function"], UnknownNameError, "unknown augmentation"),
        (["flip=2"], InputError, "flip takes no number"),
        (["shift=0"], InputError, "whole number from 1 to 64; found 'shift=0'"),
        (["shift=a"], InputError, "whole number"),
        (["shift="], InputError, "whole number"),
        (["flip", "flip"], InputError, "asked for 2 times"),
        (["shift=1", "shift=2"], InputError, "asked for 2 times"),
        (["none", "flip"], InputError, "none cannot stand beside flip"),
        (["mine.py:not a name"], AddressError, "augmentation 'mine.py:not a name' is no function"),
    ],
)
def test_unknown_augmentations_are_refused_with_the_recipe(
    texts: list[str], kind: type[Exception], problem: str
) -> None:
    with pytest.raises(kind, match=problem):
        TrainingRecipe(augment=tuple(texts))


def test_augmentations_must_fit_the_inputs(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(USER, encoding="utf-8")
    for text, shape, problem in (
        ("flip", (8,), r"flip needs images \(channels, height, width\).*shape \(8,\)"),
        ("shift=5", SHAPE, "shift=5 moves images of 5 x 7 pixels out of sight; give at most 4"),
        (f"{tmp_path / 'mine.py'}:lonely", SHAPE, "takes .inputs.; it is called with .inputs, gen"),
        (f"{tmp_path / 'mine.py'}:gone", SHAPE, "has no function 'gone'"),
    ):
        with pytest.raises(InputError, match=problem):
            augment_of([text], Images(shape=shape))
    with pytest.raises(AddressError, match="outside of the folders"):
        augment_of([f"{tmp_path / 'mine.py'}:flat"], Images(shape=SHAPE, roots=[tmp_path / "x"]))


def test_every_augmentation_is_one_of_the_registry() -> None:
    assert isinstance(AUGMENTATIONS, Registry)
    assert AUGMENTATIONS.names() == ("none", "flip", "shift", "function")
    assert [(entry.name, value) for entry, value in check_augmentations(["shift", "flip"])] == [
        ("shift", "2"),
        ("flip", ""),
    ]


def test_what_black_becomes_is_known_of_pixels(tmp_path: Path) -> None:
    """After normalisation; not of numbers that were prepared elsewhere."""
    pixels = np.zeros((3, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "pixels.npz", images=pixels)
    np.savez(tmp_path / "numbers.npz", images=pixels.astype(np.float32)[:, None])
    (tmp_path / "photos" / "one").mkdir(parents=True)
    Image.fromarray(pixels[0]).save(tmp_path / "photos" / "one" / "0.png")
    for text, black in (
        (f"npz:{tmp_path / 'pixels.npz'}#mean=0.5&std=0.25", -2.0),
        (f"npz:{tmp_path / 'numbers.npz'}#mean=0.5&std=0.25", -2.0),
        (f"npz:{tmp_path / 'numbers.npz'}", None),
        (f"imagefolder:{tmp_path / 'photos'}#size=4&mean=0.1,0.2,0.3&std=0.1", [-1.0, -2.0, -3.0]),
        (f"imagefolder:{tmp_path / 'photos'}#size=4", 0.0),
        ("sample:fashion-mnist", -0.2860 / 0.3530),
    ):
        source = load_data(parse_data(text)).evaluation
        if black is None:
            assert source.blank is None
            continue
        inputs, _ = source.read([0])
        assert source.blank is not None
        expected = torch.tensor(black).reshape(-1, 1, 1).expand(inputs.shape[1:])
        torch.testing.assert_close(source.blank.expand(inputs.shape[1:]), expected)
        if not text.startswith("sample"):
            torch.testing.assert_close(source.blank.expand(inputs.shape[1:]), inputs[0])
