"""Each sample model is what its card says, and can be captured and rebuilt."""

from __future__ import annotations

import dataclasses
import json
import operator
from pathlib import Path

import pytest
import torch

import sample_models
from sample_models import model_card, zoo
from sample_models.architectures import ARCHITECTURES
from sample_models.tools import cards

REQUIRED = {
    "lenet5": 0.89,
    "vgg_small": 0.925,
    "resnet20": 0.925,
    "mobilenet_small": 0.915,
    "densenet_small": 0.92,
    "vit_tiny": 0.88,
    "kws_conv1d": 0.94,
    "unet_small": 0.5,
    "llama_tiny": 17.0,
}
NAMES = sample_models.names()


# Four to six seconds each: measured whole at night, a tenth of the samples with each commit.
LONG = ("vgg_small", "mobilenet_small", "densenet_small", "vit_tiny")


@pytest.mark.parametrize("name", LONG)
def test_a_tenth_of_the_samples_agrees_with_the_card(name: str) -> None:
    card = sample_models.card(name)
    value, total = cards.measure(sample_models.load(name), data=card.data, samples=1000)
    assert total == 1000
    assert abs(value - card.value) < 3 * (card.value * (1 - card.value) / total) ** 0.5


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.nightly if name in LONG else ()) for name in NAMES],
)
def test_measured_value_is_that_of_the_card_and_enough(name: str) -> None:
    card = sample_models.card(name)
    value, total = cards.measure(sample_models.load(name), data=card.data, metric=card.metric)
    assert total == card.total
    # Another CPU may round a tie of two logits the other way.
    assert abs(value - card.value) * total < 3.5
    is_enough = operator.le if card.metric == "perplexity" else operator.ge
    assert is_enough(card.value, REQUIRED[name])


@pytest.mark.parametrize("name", NAMES)
def test_card_counts_parameters_and_macs(name: str) -> None:
    card = sample_models.card(name)
    model = sample_models.load(name)
    assert card.name == name
    assert card.parameters == sum(p.numel() for p in model.parameters())
    assert card.macs == cards.count_macs(model, data=card.data)
    assert card.macs <= 140_000_000
    assert f"train {name} --seed {card.seed} --epochs {card.epochs}" in card.command


def test_macs_of_lenet5_by_hand() -> None:
    convolutions = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 6 * 25
    linear = 400 * 120 + 120 * 84 + 84 * 10
    assert cards.count_macs(sample_models.build("lenet5")) == convolutions + linear


def test_macs_include_the_products_of_attention() -> None:
    tokens, dim, depth = 49, 64, 5
    linear = tokens * dim * (3 * dim + dim + 2 * dim + 2 * dim)
    attention = 2 * tokens * tokens * dim
    expected = tokens * 16 * dim + depth * (linear + attention) + dim * 10
    assert cards.count_macs(ARCHITECTURES["vit_tiny"]()) == expected


@pytest.mark.parametrize("name", NAMES)
def test_model_is_loaded_in_eval_mode(name: str) -> None:
    model = sample_models.load(name)
    assert not any(module.training for module in model.modules())
    assert all(p.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_two_loads_share_nothing(name: str) -> None:
    first, second = sample_models.load(name), sample_models.load(name)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.zero_()
    assert all(bool(p.any()) for p in second.parameters())


def test_heads_of_attention_can_be_removed() -> None:
    torch.manual_seed(0)
    attention = ARCHITECTURES["vit_tiny"]().get_submodule("blocks.0.attn")
    keep = torch.arange(64).reshape(4, 16)[[0, 2, 3]].flatten()
    tokens = torch.randn(2, 49, 64)
    with torch.no_grad():
        # A head whose column block of the projection is zero adds nothing.
        attention.proj.weight[:, 16:32] = 0
        expected = attention(tokens)
        rows = torch.cat([keep + 64 * part for part in range(3)])
        attention.qkv.weight = torch.nn.Parameter(attention.qkv.weight[rows])
        attention.qkv.bias = torch.nn.Parameter(attention.qkv.bias[rows])
        attention.proj.weight = torch.nn.Parameter(attention.proj.weight[:, keep])
        attention.num_heads = 3
        torch.testing.assert_close(attention(tokens), expected)


def test_build_repeats_with_the_seed() -> None:
    torch.manual_seed(3)
    first = sample_models.build("lenet5").state_dict()
    torch.manual_seed(3)
    second = sample_models.build("lenet5").state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("call", [sample_models.build, sample_models.load, sample_models.card])
def test_unknown_name_names_the_known_ones(call: object) -> None:
    with pytest.raises(ValueError, match=r"'resnet99'.*lenet5"):
        call("resnet99")  # type: ignore[operator]


def test_damaged_weights_are_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytearray(sample_models.weights_path("lenet5").read_bytes())
    content[-1] ^= 1
    (tmp_path / "lenet5.safetensors").write_bytes(content)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    with pytest.raises(sample_models.CorruptFileError, match="damaged") as caught:
        sample_models.load("lenet5")
    assert "\n" not in str(caught.value)


def test_missing_weights_are_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    with pytest.raises(sample_models.CorruptFileError, match="cannot read"):
        sample_models.load("lenet5")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"schema_version": 1}'])
def test_damaged_card(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lenet5.json").write_text(content, encoding="utf-8")
    monkeypatch.setattr(model_card, "CARDS", tmp_path)
    with pytest.raises(sample_models.CorruptFileError, match="cannot read the card"):
        sample_models.card("lenet5")


def test_card_round_trip() -> None:
    card = sample_models.card("lenet5")
    assert model_card.Card.from_dict(json.loads(json.dumps(card.to_dict()))) == card
    with pytest.raises(dataclasses.FrozenInstanceError):
        card.total = 10_000  # type: ignore[misc]


def test_readme_table_is_that_of_the_cards() -> None:
    table = cards.table([sample_models.card(name) for name in NAMES])
    assert f"{cards.BEGIN}\n{table}\n{cards.END}" in cards.README.read_text(encoding="utf-8")


def test_package_is_small() -> None:
    files = [path for path in cards.PACKAGE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 25_000_000
