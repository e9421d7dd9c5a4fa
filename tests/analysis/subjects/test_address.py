from __future__ import annotations

from pathlib import Path

import pytest

from analysis.subjects.address import Address
from analysis.subjects.parsing import parse_data, parse_model
from pruners.errors import AddressError


@pytest.mark.parametrize(
    ("text", "scheme", "name", "factory", "options"),
    [
        ("sample:resnet20", "sample", "resnet20", "", {}),
        (
            "torchvision:resnet18#weights=a/b.pt",
            "torchvision",
            "resnet18",
            "",
            {"weights": "a/b.pt"},
        ),
        ("timm:x#weights=w&classes=10", "timm", "x", "", {"weights": "w", "classes": "10"}),
        ("a/b.py:build", "file", "a/b.py", "build", {}),
        (r"C:\models\net.py:build", "file", r"C:\models\net.py", "build", {}),
        ("pkg.sub:make#weights=a%26b", "module", "pkg.sub", "make", {"weights": "a&b"}),
        ("  sample:lenet5 ", "sample", "lenet5", "", {}),
    ],
)
def test_model_addresses(
    text: str, scheme: str, name: str, factory: str, options: dict[str, str]
) -> None:
    found = parse_model(text)
    assert (found.scheme, found.name, found.factory) == (scheme, name, factory)
    assert dict(found.options) == options
    assert found.text == text.strip()


@pytest.mark.parametrize(
    ("text", "scheme", "name", "options"),
    [
        ("sample:fashion-mnist", "sample", "fashion-mnist", {}),
        ("npz:d/a.npz#mean=.5&std=0.2,0.3", "npz", "d/a.npz", {"mean": ".5", "std": "0.2,0.3"}),
        ("imagefolder:val#size=64", "imagefolder", "val", {"size": "64"}),
        ("torchvision:CIFAR10#root=/d", "torchvision", "CIFAR10", {"root": "/d"}),
        ("d.py:data", "file", "d.py", {}),
    ],
)
def test_data_addresses(text: str, scheme: str, name: str, options: dict[str, str]) -> None:
    found = parse_data(text)
    assert (found.scheme, found.name, dict(found.options)) == (scheme, name, options)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("resnet20", "no known form"),
        ("sample:", "names nothing"),
        ("huggingface:x/y", "no known form"),
        ("a.py:", "no known form"),
        ("a.py:2x", "no known form"),
        ("a b:build", "no known form"),
        ("sample:x#weights", "name=value"),
        ("sample:x#weights=", "name=value"),
        ("sample:x#weights=a&weights=b", "each once"),
        ("sample:x#size=3", "unknown option 'size'; known: weights"),
        ("file:x.py", "no known form"),
        ("sampel:a/b", "unknown scheme 'sampel'; did you mean sample:a/b?"),
    ],
)
def test_malformed_model_addresses_are_one_clear_line(text: str, says: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_model(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_torchvision_data_set_needs_its_folder() -> None:
    with pytest.raises(AddressError, match=r"torchvision:CIFAR10#root=DIR"):
        parse_data("torchvision:CIFAR10")


def test_options_are_typed() -> None:
    address = parse_data("imagefolder:x#size=64&mean=0.5,-1e-3")
    assert address.number("size") == 64
    assert address.numbers("mean") == (0.5, -0.001)
    assert address.numbers("std") is None
    assert address.number("resize") is None
    home = Address(text="t", scheme="sample", name="x", options={"weights": "~/w"})
    assert home.path("weights") == Path("~/w")


@pytest.mark.parametrize("value", ["0", "-3", "2.5", "x", "\u0661"])
def test_a_size_is_a_whole_number_above_zero(value: str) -> None:
    with pytest.raises(AddressError, match="whole number above 0"):
        parse_data(f"imagefolder:x#size={value}")
    address = Address(text="t", scheme="imagefolder", name="x", options={"size": value})
    with pytest.raises(AddressError, match="whole number above 0"):
        address.number("size")


@pytest.mark.parametrize("value", ["a", "0.5,", "nan", "inf,1"])
def test_means_are_finite_numbers(value: str) -> None:
    with pytest.raises(AddressError, match="numbers joined by commas"):
        parse_data(f"npz:x#mean={value}")
    address = Address(text="t", scheme="npz", name="x", options={"mean": value})
    with pytest.raises(AddressError, match="numbers joined by commas"):
        address.numbers("mean")
